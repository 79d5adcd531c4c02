"""The command line as a whole: the parser, and what becomes of errors."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

import numpy as np

from .. import __version__
from . import certify, enumerate, predict, train
from ._options import Help
from ._output import one_line
from ._status import EXIT_BAD_INPUT, EXIT_INTERRUPTED
from ._tables import BadTable

_DESCRIPTION = """\
Trains gated ReLU networks to a certified global optimum.

Without a command: trains on a data set that comes with the package, and says
how good the network is. Takes seconds, downloads nothing."""

_EPILOG = """\
Tables are CSV files with a header (commas, semicolons or tabs; points or commas
in decimal numbers), the first sheet of an Excel file, Parquet, .npy files of a
matrix, whose columns are named 0, 1, ... (-1 is the last), or .npz files whose
arrays are columns; columns of a matrix X there are X0, X1, ... They need
pip install 'cvxrelu[cli]'.

examples:
  python -m cvxrelu
  python -m cvxrelu train houses.csv --target price --out houses.skops
  python -m cvxrelu train iris.csv --target species --ignore id
  python -m cvxrelu train sales.xlsx --target n --loss poisson --cv 5 --encode
  python -m cvxrelu predict houses.skops new.csv --out prices.csv
  python -m cvxrelu enumerate points.csv --count
  python -m cvxrelu certify network.npz points.csv --target y --beta 0.1

exit status:
  0  done
  1  a file or a value that cannot be used; stderr says why
  2  a command line that cannot be understood
  3  stopped before --tol was reached; everything was written, with the gap
     that was reached
  130  interrupted"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, and return its exit status."""
    arguments = parser().parse_args(argv)
    try:
        with warnings.catch_warnings(), np.errstate(over="raise", divide="raise", invalid="raise"):
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = _say
            return int(arguments.run(arguments))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BAD_INPUT
    except FloatingPointError as error:
        print(f"cvxrelu: numbers of the table are too large or too small to compute with ({error})", file=sys.stderr)
        return EXIT_BAD_INPUT
    except ModuleNotFoundError as error:
        print(f"cvxrelu: {one_line(error)} (pip install 'cvxrelu[cli]')", file=sys.stderr)
        return EXIT_BAD_INPUT
    except (ValueError, OSError, MemoryError, ImportError) as error:
        print(f"cvxrelu: {error if isinstance(error, BadTable) else one_line(error)}", file=sys.stderr)
        return EXIT_BAD_INPUT


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole = argparse.ArgumentParser(
        prog="python -m cvxrelu",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=Help,
    )
    whole.add_argument("--version", action="version", version=f"cvxrelu {__version__}")
    train.add_options(whole)
    whole.set_defaults(run=train.run_on_shipped_data)
    commands = whole.add_subparsers(title="commands", metavar="COMMAND")
    for command in (train, predict, enumerate, certify):
        command.add_command(commands)
    return whole


def _say(message: Warning | str, *_: object, **__: object) -> None:
    print(f"cvxrelu: {one_line(message)}", file=sys.stderr)
