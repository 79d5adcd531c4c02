"""The estimators with their default settings beside tuned models of scikit-learn, on ten real sets.

    python -m bench.defaults DIRECTORY --out docs/defaults_table.md

DIRECTORY holds NAME.csv for each set: a header, the features, and the target in the last column. The sets are those of
the UCI repository and diabetes (Efron et al., 2004). Every model sees standardised features, and for regression a
standardised target; scores are R2 or accuracy on a quarter held out, the mean over three random splits that all models
share. Ours have no setting changed. The others choose theirs from GRIDS by threefold cross-validation on the training
part. Of sets with more than --rows rows a random part is used. One thread.

Every finished set is kept in --cache, so that an interrupted run goes on, and the table is written after each.
"""

import argparse
import csv
import json
import time
import warnings
from pathlib import Path

import cvxrelu
import numpy as np
from sklearn import ensemble, linear_model, neural_network, svm
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV, ShuffleSplit, StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SETS = {
    "yacht": "regression",
    "diabetes": "regression",
    "energy": "regression",
    "concrete": "regression",
    "airfoil": "regression",
    "glass": "classification",
    "conn-bench-sonar-mines-rocks": "classification",
    "pima": "classification",
    "statlog-german-credit": "classification",
    "statlog-vehicle": "classification",
}
OURS = ("GatedReLU", "MKL", "NTK", "ReLU", "GatedReLU CV")
GRIDS = {
    "ridge": {"alpha": np.logspace(-3, 3, 7).tolist()},
    "forest": {"max_features": [0.3, 0.6, 1.0], "min_samples_leaf": [1, 3]},
    "boosting": {"learning_rate": [0.03, 0.1], "max_depth": [2, 4], "n_estimators": [100, 300]},
    "SVM": {"C": [0.3, 1, 10, 100], "gamma": [0.01, 0.1, 0.5]},
    "MLP": {"alpha": [1e-3, 0.1, 1.0], "hidden_layer_sizes": [[100], [50, 50]]},
}
N_SPLITS = 3


def read_set(folder, name, task, rows):
    """Features and target; a random part of the rows where there are more than `rows`."""
    with (folder / f"{name}.csv").open() as file:
        table = np.array(list(csv.reader(file))[1:], dtype=float)
    table = table[np.random.default_rng(0).permutation(len(table))[:rows]]
    X, y = np.ascontiguousarray(table[:, :-1]), table[:, -1]
    return X, y if task == "regression" else y.astype(int)


def ours(name, task):
    """An estimator of this package with its defaults, but for the seed and the number of threads."""
    kind = "Regressor" if task == "regression" else "Classifier"
    estimator = getattr(cvxrelu, name.replace(" CV", "") + kind + ("CV" if name.endswith("CV") else ""))()
    settings = {"n_threads": 1, "random_state": 0}
    return estimator.set_params(**{key: settings[key] for key in settings if key in estimator.get_params()})


def tuned(name, task):
    """A model of scikit-learn that chooses its settings by cross-validation."""
    regression = task == "regression"
    forest = ensemble.RandomForestRegressor if regression else ensemble.RandomForestClassifier
    boosting = ensemble.GradientBoostingRegressor if regression else ensemble.GradientBoostingClassifier
    mlp = neural_network.MLPRegressor if regression else neural_network.MLPClassifier
    model = {
        "ridge": linear_model.Ridge() if regression else linear_model.RidgeClassifier(),
        "forest": forest(n_estimators=300, random_state=0),
        "boosting": boosting(subsample=0.7, random_state=0),
        "SVM": svm.SVR() if regression else svm.SVC(),
        "MLP": mlp(max_iter=400, random_state=0),
    }[name]
    return GridSearchCV(model, GRIDS[name], cv=3)


def score_set(X, y, task):
    """Mean score, and CPU seconds of a fit with the choice of settings, for each model."""
    split = ShuffleSplit if task == "regression" else StratifiedShuffleSplit
    result = {}
    for name in (*OURS, *GRIDS):
        scores, seconds = [], []
        for train, test in split(N_SPLITS, test_size=0.25, random_state=0).split(X, y):
            model = make_pipeline(StandardScaler(), ours(name, task) if name in OURS else tuned(name, task))
            if task == "regression":
                model = TransformedTargetRegressor(model, transformer=StandardScaler())
            start = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # gaps that stay open, MLPs that stop early
                model.fit(X[train], y[train])
            seconds.append(time.process_time() - start)
            scores.append(float(model.score(X[test], y[test])))
        result[name] = {"score": float(np.mean(scores)), "seconds": float(np.mean(seconds))}
    return result


def as_markdown(results, rows):
    """The table that the documentation shows; the best score of each set and those within 0.01 of it are bold."""
    names = (*OURS, *GRIDS)
    lines = ["| set | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]

    def row(label, values):
        best = max(values)
        cells = [f"**{value:.3f}**" if value >= best - 0.01 else f"{value:.3f}" for value in values]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")

    for task, measure in (("regression", "R²"), ("classification", "accuracy")):
        done = [name for name in results if SETS[name] == task]
        for name in done:
            n, d = results[name]["shape"]
            row(f"{name} ({n} × {d})", [results[name]["models"][model]["score"] for model in names])
        if done:
            means = [np.mean([results[name]["models"][model]["score"] for name in done]) for model in names]
            row(f"mean {measure} of {len(done)}", means)
    seconds = [np.median([result["models"][model]["seconds"] for result in results.values()]) for model in names]
    lines.append("| CPU seconds, median | " + " | ".join(f"{value:.2g}" for value in seconds) + " |")
    lines += ["", f"Made by `python -m bench.defaults DIRECTORY --rows {rows} --out FILE`.", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DIRECTORY")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="NAME")
    parser.add_argument("--rows", type=int, default=1000, help="most rows of a set (default 1000)")
    parser.add_argument("--cache", type=Path, metavar="FILE.json", help="finished sets; read and written")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="where to write the table as well")
    arguments = parser.parse_args()
    results = json.loads(arguments.cache.read_text()) if arguments.cache and arguments.cache.exists() else {}
    for name in arguments.sets:
        if name not in results:
            X, y = read_set(arguments.data, name, SETS[name], arguments.rows)
            results[name] = {"shape": X.shape, "models": score_set(X, y, SETS[name])}
            if arguments.cache:
                arguments.cache.write_text(json.dumps(results, indent=1))
        table = as_markdown({name: results[name] for name in SETS if name in results}, arguments.rows)
        if arguments.out:
            arguments.out.write_text(table)
    print(table)


if __name__ == "__main__":
    main()
