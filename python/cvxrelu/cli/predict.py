"""`predict`: apply a network that `train` has written."""

from __future__ import annotations

import argparse
import sys
import zipfile
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
        help="where to write: .npz, .npy (with --proba only the probabilities), or CSV; by default CSV to the terminal",
    )
    command.add_argument("--json", action="store_true", help="write JSON instead")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Predict, and write."""
    import pandas as pd

    from ._model import TableModel

    model = TableModel.load(arguments.model)
    X = model.features(read_table(arguments.file, arguments.decimal))
    predictions = model.predict(X)
    columns = dict(zip(model.targets, np.atleast_2d(predictions.T), strict=True))
    report: dict[str, Any] = {"targets": model.targets, "predictions": predictions.tolist()}
    if arguments.proba:
        classes, shares = model.probabilities(X)
        several = len(model.targets) > 1
        names = [f"{name}=1" if several else f"{model.targets[0]}={name}" for name in classes]
        columns |= dict(zip(names, shares.T, strict=True))
        report |= {"classes": classes, "probabilities": shares.tolist()}
    suffix = "" if arguments.json or arguments.out is None else Path(arguments.out).suffix
    if suffix == ".npy":
        np.save(arguments.out, shares if arguments.proba else predictions)
    elif suffix == ".npz":
        with zipfile.ZipFile(arguments.out, "w") as archive:  # numpy.savez, but for columns called "file"
            for name, values in columns.items():
                with archive.open(f"{name}.npy", "w") as file:
                    np.save(file, values)
    else:
        csv = pd.DataFrame(columns).to_csv(index=False, lineterminator="\n")
        text = as_json(report) + "\n" if arguments.json else csv
        if arguments.out is None:
            sys.stdout.write(text)
        else:
            Path(arguments.out).write_text(text, encoding="utf-8")
    return EXIT_OK
