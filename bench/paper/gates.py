"""Which law of gates predicts better in regression?

    python -m bench.paper gates --data DIRECTORY [--rows N] [--sets NAME ...]

DIRECTORY holds tables NAME.csv (features, target in the last column, a line of names) and MANIFEST.csv, whose column
`task` says which are regression. Of larger sets N random rows are taken. Each of three splits trains on 60 %, chooses
the penalty on 20 % and tests on 20 %; columns and targets are standardised by the training part. Printed is the mean
coefficient of determination.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from bench.paper.models import ntk, optimal_kernel

RATIOS = tuple(np.logspace(-1, -5, 9))
PENALTIES = tuple(np.logspace(-7, 0, 15))


def standardised(A, rows):
    """Columns with mean 0 and deviation 1 over the given rows."""
    deviation = A[rows].std(axis=0)
    return (A - A[rows].mean(axis=0)) / np.where(deviation > 0, deviation, 1)


def score(values, y):
    """R2 of each row of values."""
    return 1 - ((values - y) ** 2).sum(axis=1) / ((y - y.mean()) ** 2).sum()


def evaluate(values, candidates, X, y, splits, seed):
    """Mean test score, the candidate chosen by validation."""
    total = 0.0
    for k, (train, valid, test) in enumerate(splits):
        A, b = standardised(X, train), standardised(y, train)
        points = np.concatenate([valid, test])
        found = values(A[train], b[train], A[points], candidates, seed + k)
        best = score(found[:, : valid.size], b[valid]).argmax()
        total += score(found[best : best + 1, valid.size :], b[test])[0]
    return total / len(splits)


def main(argv=None):
    """Run the experiment."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.paper gates", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="directory of the sets")
    parser.add_argument("--sets", nargs="+", help="names; by default all regression sets of the manifest")
    parser.add_argument("--rows", type=int, default=1200)
    parser.add_argument("--gates", type=int, default=500, help="gates that are drawn")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    with (options.data / "MANIFEST.csv").open() as file:
        names = options.sets or [row["name"] for row in csv.DictReader(file) if row["task"] == "regression"]
    models = {
        "ntk": (ntk("gated"), PENALTIES),
        "gaussian": (optimal_kernel("gaussian", options.gates), RATIOS),
        "mixed": (optimal_kernel("mixed", options.gates), RATIOS),
        "gaussian x 5": (optimal_kernel("gaussian", options.gates, draws=5), RATIOS),
        "mixed x 5": (optimal_kernel("mixed", options.gates, draws=5), RATIOS),
    }
    print(f"{'test R2':<24}{'n':>6}{'d':>4}" + "".join(f"{label:>14}" for label in models))
    for name in names:
        table = np.genfromtxt(options.data / f"{name}.csv", delimiter=",", skip_header=1)
        rng = np.random.default_rng(options.seed)
        table = table[rng.permutation(len(table))[: options.rows]]
        X, y = table[:, :-1], table[:, -1]
        cuts = (6 * len(y) // 10, 8 * len(y) // 10)
        splits = [np.split(rng.permutation(len(y)), cuts) for _ in range(3)]
        print(f"{name:<24}{len(y):>6}{X.shape[1]:>4}", end="", flush=True)
        for values, candidates in models.values():
            print(f"{evaluate(values, candidates, X, y, splits, options.seed):>14.3f}", end="", flush=True)
        print()
