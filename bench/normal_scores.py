"""Fivefold R² of NTKRegressorCV on raw features, on normal scores, on both, and on scikit-learn's quantiles.

python -m bench.normal_scores FOLDER: the UCI sets as CSV files with a header, the target in the last column.
"""

import csv
import pathlib
import sys

import numpy as np
from cvxrelu import NormalScores, NTKRegressorCV
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler

SETS = ("yacht", "diabetes", "energy", "concrete", "airfoil")
FEATURES = {
    "raw": [],
    "scores": [NormalScores()],
    "both": [NormalScores(keep=True)],
    "quantiles": [QuantileTransformer(n_quantiles=300, output_distribution="normal")],
}


def load(path: pathlib.Path, most: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    with path.open() as lines:
        table = np.array([[float(cell) for cell in row] for row in list(csv.reader(lines))[1:]])
    table = table[np.random.default_rng(0).permutation(len(table))[:most]]
    return table[:, :-1], table[:, -1]


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    print(f"{'':10s}" + "".join(f"{name:>11s}" for name in FEATURES))
    for name in SETS:
        X, y = load(folder / f"{name}.csv")
        folds = KFold(5, shuffle=True, random_state=0)
        models = [make_pipeline(StandardScaler(), *steps, NTKRegressorCV()) for steps in FEATURES.values()]
        scores = [cross_val_score(model, X, y, cv=folds).mean() for model in models]
        print(f"{name:10s}" + "".join(f"{score:11.3f}" for score in scores))


if __name__ == "__main__":
    main()
