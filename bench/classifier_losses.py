"""Losses and intercepts of the gated classifier on real sets: accuracy, probabilities, seconds.

    python -m bench.classifier_losses DIRECTORY --out docs/losses_table.md

DIRECTORY holds MANIFEST.csv and NAME.csv for each set, as for `bench.defaults`; sets of 100 to --rows rows are taken.
Features are standardised. Every setting sees the same three stratified halves; the penalty is the default one. Shown
are means over the sets; accuracy also as the mean paired difference from the first row with its standard error over
sets. Probabilities are those of `predict_proba`; the calibration error is over ten bins of the largest probability.
One thread.
"""

import argparse
import csv
import time
import warnings
from pathlib import Path

import cvxrelu
import numpy as np
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.preprocessing import StandardScaler

from bench.defaults import read_set

SETTINGS = [(loss, intercept) for loss in ("squared", "logistic", "softmax") for intercept in (False, True)]
N_SPLITS = 3
MEASURES = ("accuracy", "log loss", "Brier", "calibration error", "CPU seconds")


def sets(folder, rows):
    """Names of the sets for classification of 100 to `rows` rows, in which every class is in both halves."""
    with (folder / "MANIFEST.csv").open() as file:
        entries = list(csv.DictReader(file))
    return [entry["name"] for entry in entries if entry["task"] == "classification" and 100 <= int(entry["n"]) <= rows]


def calibration_error(probabilities, correct):
    """Mean distance of the largest probability from the share that is right, over ten bins."""
    confidence = probabilities.max(axis=1)
    bins = np.minimum((10 * confidence).astype(int), 9)
    gaps = [abs(confidence[bins == k].mean() - correct[bins == k].mean()) * (bins == k).mean() for k in np.unique(bins)]
    return float(sum(gaps))


def measure(X, y, loss, intercept):
    """Means over splits of the MEASURES."""
    found = []
    for train, test in StratifiedShuffleSplit(N_SPLITS, test_size=0.5, random_state=0).split(X, y):
        scaler = StandardScaler().fit(X[train])
        model = cvxrelu.GatedReLUClassifier(loss=loss, fit_intercept=intercept, random_state=0, n_threads=1)
        start = time.process_time()
        model.fit(scaler.transform(X[train]), y[train])
        seconds = time.process_time() - start
        Z = scaler.transform(X[test])
        correct = model.predict(Z) == y[test]
        row = [correct.mean(), np.nan, np.nan, np.nan, seconds]
        if loss != "squared":
            probabilities = model.predict_proba(Z)
            truth = y[test][:, None] == model.classes_
            row[1] = log_loss(y[test], probabilities, labels=model.classes_)
            row[2] = ((probabilities - truth) ** 2).sum(axis=1).mean()
            row[3] = calibration_error(probabilities, correct)
        found.append(row)
    return np.mean(found, axis=0)


def as_markdown(results):
    """The table: one row for each setting."""
    values = np.array(list(results.values()))  # sets, settings, measures
    lines = ["| loss | intercept | " + " | ".join(MEASURES) + " |", "|---|---|" + "---:|" * len(MEASURES)]
    for k, (loss, intercept) in enumerate(SETTINGS):
        mean = values[:, k].mean(axis=0)
        change = 100 * (values[:, k, 0] - values[:, 0, 0])
        error = change.std(ddof=1) / np.sqrt(len(change)) if len(change) > 1 else np.nan
        accuracy = f"{100 * mean[0]:.2f}" + (f" ({change.mean():+.2f} ± {error:.2f})" if k else "")
        others = [f"{value:.3f}" if np.isfinite(value) else "" for value in mean[1:-1]]
        seconds = f"{np.median(values[:, k, -1]):.3f}"
        lines.append(f"| {loss} | {'yes' if intercept else 'no'} | " + " | ".join([accuracy, *others, seconds]) + " |")
    lines += [
        "",
        f"{len(results)} sets; of the seconds the median. Made by `python -m bench.classifier_losses DIRECTORY`.",
    ]
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
        if min(np.unique(y, return_counts=True)[1]) < 2:
            continue  # a class of one sample is in one half only
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results[name] = [measure(X, y, loss, intercept) for loss, intercept in SETTINGS]
        accuracies = " ".join(f"{row[0]:.3f}" for row in results[name])
        print(f"{name:32} {len(X):5d} x {X.shape[1]:<3d} {len(np.unique(y)):2d} classes: {accuracies}", flush=True)
    table = as_markdown(results)
    print(table)
    if arguments.out:
        arguments.out.write_text(table)


if __name__ == "__main__":
    main()
