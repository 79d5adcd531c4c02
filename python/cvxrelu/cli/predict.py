"""`predict`: apply a network that `train` has written."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from . import _options
from ._output import as_json
from ._status import EXIT_OK
from ._tables import read_table


def add_command(commands: Any) -> None:
    """Add the command to the parser."""
    command = _options.new_command(
        commands,
        "predict",
        "apply a network that `train` has written",
        "Predicts the rows of a table that has the columns the network was trained on.",
    )
    command.add_argument("model", metavar="MODEL.skops", help="what `train --out` has written")
    _options.add_table(command, "; other columns are ignored")
    command.add_argument("--proba", action="store_true", help="of a classification, also the probabilities")
    command.add_argument(
        "--out",
        metavar="FILE",
        help="where to write: .xlsx, .parquet, .npy, .npz or CSV; by default CSV to the terminal",
    )
    command.add_argument("--json", action="store_true", help="write JSON instead")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Predict, and write."""
    from ._model import TableModel

    model = TableModel.load(arguments.model)
    X = model.features(read_table(arguments.file, arguments.decimal))
    predictions = model.predict(X)
    classes, shares = model.probabilities(X) if arguments.proba else ([], np.empty((len(X), 0)))
    if arguments.json:
        report = {"target": model.target, "predictions": predictions.tolist()}
        report |= {"classes": classes, "probabilities": shares.tolist()} if arguments.proba else {}
        _write_text(as_json(report) + "\n", arguments.out)
    else:
        names = [f"{model.target}={label}" for label in classes]
        _write({model.target: predictions, **dict(zip(names, shares.T, strict=True))}, arguments.out)
    return EXIT_OK


def _write(columns: dict[str, Any], path: str | None) -> None:
    """Write columns, as what the suffix says."""
    import pandas as pd

    frame = pd.DataFrame(columns)
    suffix = "" if path is None else Path(path).suffix.lower()
    if path is None or suffix not in (".npy", ".npz", ".xlsx", ".parquet"):
        _write_text(frame.to_csv(index=False, lineterminator="\n"), path)
        return
    with open(path, "wb") as file:
        if suffix == ".npy":
            np.save(file, np.column_stack([*columns.values()]) if len(columns) > 1 else columns.popitem()[1])
        elif suffix == ".npz":
            np.savez(file, **columns)
        elif suffix == ".xlsx":
            frame.to_excel(file, index=False)
        else:
            frame.to_parquet(file, index=False)


def _write_text(text: str, path: str | None) -> None:
    if path is None:
        sys.stdout.write(text)
    else:
        Path(path).write_text(text, encoding="utf-8")
