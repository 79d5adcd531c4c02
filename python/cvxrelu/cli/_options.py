"""Options that commands share, and the numbers they take."""

from __future__ import annotations

import argparse
import difflib
import math
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..patterns.laws import as_law

if TYPE_CHECKING:
    from ._tables import Table

WIDTH = 80  # of all help

_LARGEST_COUNT = 10**12


class Help(argparse.RawDescriptionHelpFormatter):
    """Help of one width, whatever the terminal's."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=WIDTH)


def new_command(commands: Any, name: str, summary: str, description: str) -> argparse.ArgumentParser:
    """Add a command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=textwrap.fill(description, WIDTH), formatter_class=Help
    )
    return command


def add_table(command: argparse.ArgumentParser, what: str = "") -> None:
    """Add the file of a table, and how to read it."""
    command.add_argument("file", metavar="TABLE", help=f"CSV, Excel, Parquet, .npy or .npz{what}")
    command.add_argument(
        "--decimal", choices=(".", ","), metavar="MARK", help="point or comma in numbers, where the file does not tell"
    )


def add_common(command: argparse.ArgumentParser) -> None:
    """Add the options of every command that computes."""
    command.add_argument("--threads", type=count, metavar="N", help="threads (default: what OpenMP would take)")
    command.add_argument("--json", action="store_true", help="print JSON, not a table")


def add_ignore(command: argparse.ArgumentParser) -> None:
    """Add the option that leaves columns out."""
    command.add_argument(
        "--ignore", action="append", default=[], metavar="COLUMN", help="columns to leave out; commas, or repeat it"
    )


def add_target(command: argparse.ArgumentParser, what: str) -> None:
    """Add the option that names the targets."""
    command.add_argument(
        "--target", action="append", required=True, metavar="COLUMN", help=f"{what}; several with commas, or repeat it"
    )


def targets(table: Table, options: list[str]) -> list[str]:
    """Return the columns that `--target` lists, each of them once."""
    names = table.listed(options, "--target")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"--target: {twice!r} is named twice")
    return names


def feature_names(table: Table, options: list[str], roles: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Return the columns that are neither ignored nor have a role of their own, such as the target; at least one."""
    ignored = table.listed(options, "--ignore")
    owners: dict[str, str] = {}
    for role, columns in roles.items():
        for name in columns:
            if name in ignored:
                raise ValueError(f"--ignore: {name!r} is the {role}")
            if name in owners:
                raise ValueError(f"--{role}: {name!r} is the {owners[name]}")
            owners[name] = role
    names = tuple(name for name in table.names if name not in owners and name not in ignored)
    if not names:
        taken = " and the ".join(role for role, columns in roles.items() if columns)
        raise ValueError(f"{table.path} has no columns" + (f" beside the {taken}" if taken else ""))
    return names


def positive(text: str) -> float:
    """A finite number above 0."""
    value: float = _number(text, float)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"must be positive, not {text}")
    return value


def non_negative(text: str) -> float:
    """A finite number, at least 0."""
    value: float = _number(text, float)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, not {text}")
    return value


def fraction(text: str) -> float:
    """A number in [0, 1)."""
    value: float = _number(text, float)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 0 and below 1, not {text}")
    return value


def count(text: str) -> int:
    """An integer above 0, of which one may have an array."""
    value = _at_least(text, 1)
    if value > _LARGEST_COUNT:
        raise argparse.ArgumentTypeError(f"must be at most {_LARGEST_COUNT}, not {text}")
    return value


def gate_law(text: str) -> str:
    """The name of a law of gates, with its parameter."""
    try:
        as_law(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).replace("gates must be", "must be")) from None
    return text


def scoring(text: str) -> str:
    """The name of a scorer of scikit-learn."""
    from sklearn.metrics import get_scorer_names

    names = get_scorer_names()
    if text not in names:
        near = ", ".join(difflib.get_close_matches(text, names, cutoff=0.4))
        raise argparse.ArgumentTypeError(
            f"{text!r} is no scorer of scikit-learn; "
            + (f"close are {near}" if near else f"there are {', '.join(names)}")
        )
    return text


def natural(text: str) -> int:
    """An integer, at least 0."""
    return _at_least(text, 0)


def _at_least(text: str, least: int) -> int:
    value: int = _number(text, int)
    if value < least:
        raise argparse.ArgumentTypeError(f"must be at least {least}, not {text}")
    return value


def _number(text: str, kind: type[int] | type[float]) -> Any:
    try:
        value = kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {'an integer' if kind is int else 'a number'}") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be finite, not {text}")
    return value
