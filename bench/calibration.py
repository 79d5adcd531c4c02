"""Probabilities of the kernel classifiers beside scikit-learn's calibration of the same scores, on real sets.

    python -m bench.calibration DIRECTORY --out docs/calibration_table.md

DIRECTORY is that of `bench.classifier_losses`, and so are sets, halves and measures. "ours" is `predict_proba` of the
estimator, "sigmoid" that of CalibratedClassifierCV(estimator, ensemble=False), which fits Platt's sigmoids to scores
of five folds. Shown are means over the sets, and the mean paired difference of log losses from ours with its standard
error. One thread.
"""

import argparse
import time
import warnings
from pathlib import Path

import cvxrelu
import numpy as np
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.preprocessing import StandardScaler

from bench.classifier_losses import calibration_error, sets
from bench.defaults import read_set

MODELS = {
    "NTKClassifier": cvxrelu.NTKClassifier(n_threads=1),
    "NTKClassifierCV": cvxrelu.NTKClassifierCV(n_threads=1),
    "MKLClassifier": cvxrelu.MKLClassifier(n_gates=100, random_state=0, n_threads=1),
}
MEASURES = ("accuracy", "log loss", "calibration error", "CPU seconds")
N_SPLITS = 2


def measure(X, y, model):
    """Means over splits of the MEASURES."""
    found = []
    for train, test in StratifiedShuffleSplit(N_SPLITS, test_size=0.5, random_state=0).split(X, y):
        scaler = StandardScaler().fit(X[train])
        start = time.process_time()
        fitted = clone(model).fit(scaler.transform(X[train]), y[train])
        seconds = time.process_time() - start
        Z = scaler.transform(X[test])
        law, correct = fitted.predict_proba(Z), fitted.predict(Z) == y[test]
        loss = log_loss(y[test], law, labels=fitted.classes_)
        found.append([correct.mean(), loss, calibration_error(law, correct), seconds])
    return np.mean(found, axis=0)


def as_markdown(results, rows):
    """The table: two rows for each model."""
    values = np.array(list(results.values()))  # sets, models, ways, measures
    lines = ["| model | probabilities | " + " | ".join(MEASURES) + " |", "|---|---|" + "---:|" * len(MEASURES)]
    for k, name in enumerate(MODELS):
        change = values[:, k, 1, 1] - values[:, k, 0, 1]
        error = change.std(ddof=1) / np.sqrt(len(change)) if len(change) > 1 else np.nan
        for j, way in enumerate(("ours", "sigmoid")):
            mean = values[:, k, j].mean(axis=0)
            loss = f"{mean[1]:.3f}" + (f" ({change.mean():+.3f} ± {error:.3f})" if j else "")
            seconds = f"{np.median(values[:, k, j, -1]):.3f}"
            lines.append(f"| {name} | {way} | {100 * mean[0]:.2f} | {loss} | {mean[2]:.3f} | {seconds} |")
    command = f"python -m bench.calibration DIRECTORY --rows {rows}"
    lines += ["", f"{len(results)} sets; of the seconds the median. Made by `{command}`."]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DIRECTORY")
    parser.add_argument("--rows", type=int, default=1000, help="most rows of a set (default 1000)")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="where to write the table as well")
    arguments = parser.parse_args()
    results = {}
    for name in sets(arguments.data, arguments.rows):
        X, y = read_set(arguments.data, name, "classification", arguments.rows)
        if min(np.unique(y, return_counts=True)[1]) < 10:
            continue  # five folds of a half have every class
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results[name] = [
                [measure(X, y, way) for way in (model, CalibratedClassifierCV(model, ensemble=False))]
                for model in MODELS.values()
            ]
        losses = " ".join(f"{ours[1]:.3f}/{theirs[1]:.3f}" for ours, theirs in results[name])
        print(f"{name:32} {len(X):5d} x {X.shape[1]:<3d} {len(np.unique(y)):2d} classes: {losses}", flush=True)
    table = as_markdown(results, arguments.rows)
    print(table)
    if arguments.out:
        arguments.out.write_text(table)


if __name__ == "__main__":
    main()
