"""Variants of the estimators and tuned peers over many real sets: half of them to choose by, the other half to show.

    python -m bench.variants DIRECTORY --cache FILE.json --out docs/variants_table.md

DIRECTORY holds NAME.csv for each set, as for bench.defaults, and MANIFEST.csv with the columns name, task and n. Sets
with fewer than 60 rows are left out; of larger ones than --rows a random part is used. Every model sees standardised
features, and for regression a standardised target. Scores are R2 or accuracy on a quarter held out, the mean over
--splits random splits that all models share; whatever a model chooses, it chooses by cross-validation inside the
training part. Sets sorted by name go by turns to the half that serves to choose and to the half that shows. One thread.
Mean ranks are over the sets that every model in them has done; by Nemenyi's test two of them differ at the 5 % level
where they are further apart than the critical difference (Demsar, "Statistical comparisons of classifiers over multiple
data sets", JMLR 7, 2006). XGBoost is a peer where it is installed. Every score is kept in --cache, so that an
interrupted run goes on.
"""

import argparse
import csv
import json
import time
import warnings
from pathlib import Path

import cvxrelu
import numpy as np
from scipy.stats import rankdata, studentized_range
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV, ShuffleSplit, StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.defaults import GRIDS, read_set, tuned

try:
    import xgboost
except ImportError:
    xgboost = None

FAST = {"n_betas": 10, "tol": 1e-3}
DEPTH_3 = {"kind": "relu", "depth": 3}


def ours(name, *before, **settings):
    """A maker of one of this package's estimators for a task, behind transformers."""

    def make(task):
        kind = "Regressor" if task == "regression" else "Classifier"
        estimator = getattr(cvxrelu, name.replace("CV", "") + kind + "CV" * name.endswith("CV"))(**settings)
        for key, value in {"n_threads": 1, "random_state": 0}.items():
            if key in estimator.get_params():
                estimator.set_params(**{key: value})
        return make_pipeline(*before, estimator)

    return make


def peer(name):
    """A maker of one of scikit-learn's models that tunes itself, by the grids of bench.defaults."""
    return lambda task: tuned(name, task)


def boosted_by_xgboost(task):
    """XGBoost's trees, tuned by the grid of scikit-learn's boosting."""
    model = xgboost.XGBRegressor if task == "regression" else xgboost.XGBClassifier
    return GridSearchCV(model(subsample=0.7, n_jobs=1, random_state=0), GRIDS["boosting"], cv=3)


MODELS = {
    "GatedReLU": ours("GatedReLU", loss="squared", n_draws=1),
    "GatedReLU, 5 draws": ours("GatedReLU", loss="squared", n_draws=5),
    "GatedReLU CV": ours("GatedReLUCV", n_draws=1, **FAST),
    "GatedReLU CV, 5 draws": ours("GatedReLUCV", n_draws=5, **FAST),
    "MKL": ours("MKL", n_draws=1),
    "MKL, 5 draws": ours("MKL", n_draws=5),
    "NTK CV": ours("NTKCV"),
    "NTK CV, depth 3": ours("NTKCV", **DEPTH_3),
    "NTK CV, depth 3, scores": ours("NTKCV", cvxrelu.NormalScores(), **DEPTH_3),
    "NTK CV, scores": ours("NTKCV", cvxrelu.NormalScores()),
    "average": ours("ExponentialWeights"),
    "average, nnls": ours("ExponentialWeights", weights="nnls"),
    "ridge, tuned": peer("ridge"),
    "SVM, tuned": peer("SVM"),
    "MLP, tuned": peer("MLP"),
    "forest, tuned": peer("forest"),
    "boosting, tuned": peer("boosting"),
    **({"XGBoost, tuned": boosted_by_xgboost} if xgboost else {}),
}
RANKED = ["average", "GatedReLU", "NTK CV", *(name for name in MODELS if name.endswith(", tuned"))]
PAIRS = [
    ("GatedReLU, 5 draws", "GatedReLU"),
    ("GatedReLU CV, 5 draws", "GatedReLU CV"),
    ("MKL, 5 draws", "MKL"),
    ("NTK CV, depth 3", "NTK CV"),
    ("NTK CV, scores", "NTK CV"),
    ("average, nnls", "average"),
    ("average", "NTK CV"),
    *(("average", name) for name in MODELS if name.endswith(", tuned")),
]


def score(make, X, y, task, n_splits):
    """Mean score and CPU seconds of a fit."""
    split = ShuffleSplit if task == "regression" else StratifiedShuffleSplit
    scores, seconds = [], []
    for train, test in split(n_splits, test_size=0.25, random_state=0).split(X, y):
        model = make_pipeline(StandardScaler(), make(task))
        if task == "regression":
            model = TransformedTargetRegressor(model, transformer=StandardScaler())
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # gaps that stay open, folds without a class
            model.fit(X[train], y[train])
        seconds.append(time.process_time() - start)
        scores.append(float(model.score(X[test], y[test])))
    return {"score": float(np.mean(scores)), "seconds": float(np.mean(seconds))}


def sets_of(folder):
    """Names and tasks of the sets."""
    with (folder / "MANIFEST.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {row["name"]: row["task"] for row in sorted(rows, key=lambda row: row["name"]) if int(row["n"]) >= 60}


def paired(results, one, other, names):
    """Mean difference in points, its standard error over the sets, and how often the first is better and worse."""
    both = [results[name] for name in names if {one, other} <= results.get(name, {}).keys()]
    differences = np.array([100 * (result[one]["score"] - result[other]["score"]) for result in both])
    if differences.size < 2:
        return ""
    error = differences.std(ddof=1) / np.sqrt(differences.size)
    wins, losses = (differences > 1e-9).sum(), (differences < -1e-9).sum()
    return f"{differences.mean():+.2f} ± {error:.2f} ({wins}/{differences.size - wins - losses}/{losses})"


def ranks(results, models):
    """A line of mean ranks on the sets that all have, the best first, with Nemenyi's critical difference at 5 %."""
    scores = [[done[model]["score"] for model in models] for done in results if {*models} <= {*done}]
    if not scores:
        return "No set has the scores of all ranked models."
    means = rankdata(-np.round(scores, 9), axis=1).mean(axis=0)
    k, n = len(models), len(scores)
    critical = studentized_range.ppf(0.95, k, np.inf) * np.sqrt(k * (k + 1) / (12 * n))
    listed = ", ".join(f"{models[i].removesuffix(', tuned')} {means[i]:.2f}" for i in np.argsort(means))
    return f"Mean ranks of {k} on {n} sets, critical difference {critical:.2f}: {listed}."


def as_markdown(results, tasks, command):
    """The tables that the documentation shows: means, and paired differences."""
    lines = []
    for task, measure in (("regression", "R²"), ("classification", "accuracy")):
        names = [name for name in tasks if tasks[name] == task]
        halves = names[::2], names[1::2]
        lines += [f"| {task}, {measure} in points | sets | mean | CPU seconds, median |", "|---|---:|---:|---:|"]
        for model in MODELS:
            done = [results[name][model] for name in names if model in results.get(name, {})]
            if done:
                mean, seconds = 100 * np.mean([r["score"] for r in done]), np.median([r["seconds"] for r in done])
                lines.append(f"| {model} | {len(done)} | {mean:.1f} | {seconds:.2g} |")
        lines += [
            "",
            "| difference in points ± standard error (better/equal/worse) | to choose | shown | all |",
            "|---|---:|---:|---:|",
        ]
        for one, other in PAIRS:
            cells = [paired(results, one, other, part) for part in (*halves, names)]
            if any(cells):
                lines.append(f"| {one} − {other} | {' | '.join(cell or '-' for cell in cells)} |")
        done = [results[name] for name in names if results.get(name)]
        everywhere = [model for model in RANKED if all(model in own for own in done)]
        lines += [""]
        for models in [everywhere] if everywhere == RANKED else [everywhere, RANKED]:
            lines += [ranks(done, models), ""]
    return "\n".join([*lines, f"Made by `{command}`.", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DIRECTORY")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="NAME")
    parser.add_argument("--rows", type=int, default=1000, help="most rows of a set (default 1000)")
    parser.add_argument("--splits", type=int, default=3, help="random splits (default 3)")
    parser.add_argument("--most-classes", type=int, default=100, help="leave out sets with more classes")
    parser.add_argument("--cache", type=Path, metavar="FILE.json", help="finished scores; read and written")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="where to write the tables as well")
    arguments = parser.parse_args()
    results = json.loads(arguments.cache.read_text()) if arguments.cache and arguments.cache.exists() else {}
    tasks = sets_of(arguments.data)
    for name, task in tasks.items():
        X, y = read_set(arguments.data, name, task, arguments.rows)
        if task == "classification":
            classes, y = np.unique(y, return_inverse=True)  # XGBoost wants them numbered
            if classes.size > arguments.most_classes:
                continue
        for model in arguments.models:
            if model not in results.setdefault(name, {}):
                results[name][model] = score(MODELS[model], X, y, task, arguments.splits)
                if arguments.cache:
                    arguments.cache.write_text(json.dumps(results, indent=1))
    command = (
        f"python -m bench.variants DIRECTORY --rows {arguments.rows} --splits {arguments.splits} "
        f"--most-classes {arguments.most_classes}"
    )
    table = as_markdown(results, tasks, command)
    if arguments.out:
        arguments.out.write_text(table)
    print(table)


if __name__ == "__main__":
    main()
