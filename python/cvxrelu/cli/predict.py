"""`predict`: apply a network that `train` has written."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ._output import as_json
from ._status import EXIT_OK
from ._table_model import TableModel
from ._tables import read_table


def add_command(commands: Any) -> None:
    """Add the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser(
        "predict",
        help="apply a network that `train` has written",
        description="Predicts the rows of a table that has the columns the network was trained on.",
    )
    command.add_argument("model", metavar="MODEL.npz", help="what `train --out` has written")
    command.add_argument("file", metavar="TABLE", help="CSV, .npy or .npz; other columns are ignored")
    command.add_argument(
        "--out", metavar="FILE", help="where to write: .npy, .npz or CSV; by default CSV to the terminal"
    )
    command.add_argument("--json", action="store_true", help="write JSON instead")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Predict, and write."""
    model = TableModel.load(arguments.model)
    table = read_table(arguments.file)
    predictions = np.asarray(model.predict(model.features_of(table)))
    if arguments.json:
        _write_text(as_json({"target": model.target_name, "predictions": predictions.tolist()}) + "\n", arguments.out)
    elif arguments.out is not None and Path(arguments.out).suffix in (".npy", ".npz"):
        with open(arguments.out, "wb") as file:
            if arguments.out.endswith(".npy"):
                np.save(file, predictions)
            else:
                np.savez(file, **{model.target_name: predictions})  # type: ignore[arg-type]
    elif arguments.out is None:
        _write_csv(sys.stdout, model.target_name, predictions.tolist())
    else:
        with open(arguments.out, "w", encoding="utf-8", newline="") as file:
            _write_csv(file, model.target_name, predictions.tolist())
    return EXIT_OK


def _write_csv(file: Any, name: str, values: list[Any]) -> None:
    rows = [[name], *([value if isinstance(value, str) else repr(value)] for value in values)]
    csv.writer(file, lineterminator="\n").writerows(rows)


def _write_text(text: str, path: str | None) -> None:
    if path is None:
        sys.stdout.write(text)
    else:
        Path(path).write_text(text, encoding="utf-8")
