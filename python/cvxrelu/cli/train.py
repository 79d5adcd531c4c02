"""`train`: a network for a table, and the same on the data set that comes with the package."""

from __future__ import annotations

import argparse
import dataclasses
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ..datasets import load_yacht
from ..gated.losses import LOSSES
from . import _options
from ._cells import DATE_ORDERS, Array, Wanted
from ._output import Progress, as_json, as_table
from ._status import EXIT_NOT_CONVERGED, EXIT_OK
from ._tables import read_table

if TYPE_CHECKING:
    from ._model import TableModel

_TASKS = {"regression": "number", "classification": "text"}  # and what their targets are


@dataclasses.dataclass(frozen=True, eq=False)
class _Problem:
    """A table that is ready to train on."""

    source: str
    task: str
    X: Any  # an array, or a data frame whose columns have these kinds
    y: Array  # numbers in their own units, or labels; of several targets (n, n_targets), where labels are 0 and 1
    targets: list[str]
    kinds: dict[str, str]
    gaps: bool = False
    weights: Array | None = None

    def rows(self, rows: Array) -> _Problem:
        """Return some of the rows."""
        X = self.X[rows] if isinstance(self.X, np.ndarray) else self.X.iloc[rows]
        weights = None if self.weights is None else self.weights[rows]
        return dataclasses.replace(self, X=X, y=self.y[rows], weights=weights)


def add_command(commands: Any) -> None:
    """Add the command to the parser."""
    command = _options.new_command(
        commands,
        "train",
        "train on your own table and keep the network",
        "Trains a network on a table of numbers; labels may be text, and with --encode so may columns.",
    )
    _options.add_table(command)
    _options.add_target(command, "column to predict")
    command.add_argument(
        "--task",
        choices=tuple(_TASKS),
        help="by default regression, if the target has numbers only; classification of several targets takes 0 and 1",
    )
    command.add_argument("--weight", metavar="COLUMN", help="column of sample weights: a weight of 2 is two such rows")
    _options.add_ignore(command)
    command.add_argument(
        "--encode",
        action="store_true",
        help="take columns of text (0 and 1 for each frequent value), dates (days), and missing cells (the median)",
    )
    command.add_argument(
        "--text",
        action="append",
        default=[],
        metavar="COLUMN",
        help="columns of codes, whose numbers are names; commas, or repeat it",
    )
    command.add_argument("--dates", choices=DATE_ORDERS[1:], help="order of day and month, where dates do not tell")
    command.add_argument("--out", metavar="MODEL.skops", help="where to write the network, for `predict`")
    add_options(command)
    command.set_defaults(run=run)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of training."""
    parser.add_argument("--gates", type=_options.count, default=500, metavar="N", help="gates to draw (default 500)")
    parser.add_argument(
        "--gate-law",
        type=_options.gate_law,
        default="mixed",
        metavar="LAW",
        help="mixed, half of them thresholds of single features (the default); gaussian; balanced:0.3, active on that "
        "share of the rows; sparse:2, on at most two features; pairs, on two with thresholds between values of the "
        "rows; patches:28x28, on patches of images",
    )
    parser.add_argument(
        "--draws", type=_options.count, default=1, metavar="N", help="samples of gates whose networks are averaged (1)"
    )
    parser.add_argument(
        "--loss",
        choices=tuple(LOSSES),
        help="for regression squared (the default), huber or poisson (counts); for classification logistic, softmax or "
        "squared, which has no probabilities (logistic for two classes, softmax for more)",
    )
    parser.add_argument(
        "--intercept",
        action=argparse.BooleanOptionalAction,
        help="a constant beside the network, outside the penalty (default for regression)",
    )
    penalty = parser.add_mutually_exclusive_group()
    penalty.add_argument(
        "--beta-ratio",
        type=_options.positive,
        metavar="R",
        help="penalty relative to the smallest one with a zero optimum (default 0.01; classification 0.03)",
    )
    penalty.add_argument("--beta", type=_options.positive, metavar="B", help="the penalty itself")
    penalty.add_argument("--cv", type=_options.count, metavar="K", help="choose the penalty by K-fold cross-validation")
    parser.add_argument(
        "--scoring",
        type=_options.scoring,
        metavar="SCORER",
        help="what --cv goes by: a scorer of scikit-learn, such as neg_mean_absolute_error or balanced_accuracy, of "
        "targets in their own units (the loss)",
    )
    parser.add_argument(
        "--tol", type=_options.positive, default=1e-6, metavar="T", help="relative gap to reach (default 1e-6)"
    )
    parser.add_argument("--max-iter", type=_options.count, default=200, metavar="N", help="iterations (default 200)")
    parser.add_argument(
        "--test-size",
        type=_options.fraction,
        default=0.2,
        metavar="F",
        help="part of the rows to hold out (default 0.2)",
    )
    parser.add_argument(
        "--seed", type=_options.natural, default=0, metavar="N", help="of the gates and the held-out rows (0)"
    )
    parser.add_argument(
        "--no-compare", dest="compare", action="store_false", help="train no other models for comparison"
    )
    parser.set_defaults(usage_error=parser.error)
    _options.add_common(parser)


def run_on_shipped_data(arguments: argparse.Namespace) -> int:
    """Train on the data set that comes with the package."""
    data = load_yacht()
    kinds = dict.fromkeys(data.feature_names, "number")
    return _train_and_report(_Problem(data.name, "regression", data.X, data.y, [data.target_name], kinds), arguments)


def run(arguments: argparse.Namespace) -> int:
    """Train on a table."""
    import pandas as pd

    table = read_table(arguments.file, arguments.decimal, arguments.dates)
    targets = _options.targets(table, arguments.target)
    weight = None if arguments.weight is None else table.column(arguments.weight, "--weight")
    names = _options.feature_names(
        table, arguments.ignore, {"target": targets, "weight": [] if weight is None else [weight]}
    )
    texts = table.listed(arguments.text, "--text")
    kind = None if arguments.encode else "number"
    wanted = {name: Wanted("text" if name in texts else kind, arguments.encode, fresh=True) for name in names}
    several = len(targets) > 1
    wanted |= dict.fromkeys(
        targets, Wanted("number" if several else _TASKS.get(arguments.task), fresh=True, optional=False)
    )
    if weight is not None:
        wanted[weight] = Wanted(least=0.0, optional=False)
    kinds, columns = table.read(wanted, "" if arguments.encode else "--encode takes text, dates and missing cells, ")
    weights = None if weight is None else columns[weight]
    if several:
        task, y = arguments.task or "regression", np.stack([columns[target] for target in targets], axis=1)
    else:
        if kinds[targets[0]] in DATE_ORDERS:
            raise ValueError(f"{table.path}: column {targets[0]!r} has dates; what is predicted are numbers or labels")
        task, y = next(task for task, kind in _TASKS.items() if kind == kinds[targets[0]]), columns[targets[0]]
    if task == "classification":
        y = _labels(y, targets, table.path)
    X = pd.DataFrame({name: columns[name] for name in names})
    features = {name: kinds[name] for name in names}
    problem = _Problem(table.path, task, X, y, targets, features, arguments.encode, weights)
    return _train_and_report(problem if weights is None else problem.rows(np.flatnonzero(weights)), arguments)


def _labels(y: Array, targets: list[str], path: str) -> Array:
    """Return what a classifier takes as labels: text, or 0 and 1 of several targets."""
    for column, target in zip(y.reshape(len(y), -1).T, targets, strict=True):
        if len(targets) > 1 and not np.isin(column, (0, 1)).all():
            other = column[~np.isin(column, (0, 1))][0]
            raise ValueError(
                f"{path}: column {target!r} has {other:g}; the classification of several targets takes 0 and 1, one of "
                "a single target any labels"
            )
        if (column == column[0]).all():
            raise ValueError(f"{path}: column {target!r} has one class only, {str(column[0])!r}")
    return y.astype(np.int64 if len(targets) > 1 else np.str_)


def _train_and_report(problem: _Problem, arguments: argparse.Namespace) -> int:
    if arguments.scoring and not arguments.cv:
        arguments.usage_error("--scoring is what a cross-validation goes by: say --cv K, too")
    n = len(problem.y)
    order = np.random.default_rng(arguments.seed).permutation(n)
    held_out = round(n * arguments.test_size)
    if n - held_out < 2:
        raise ValueError(
            f"{n} rows with --test-size {arguments.test_size:g} leave {n - held_out} to train on: 2 are needed"
        )
    train, test = problem.rows(order[held_out:]), problem.rows(order[:held_out])
    network = _network(problem.task, arguments)
    start = time.perf_counter()
    model = _fitted(train, network, arguments)
    report = _report(problem, network, time.perf_counter() - start, len(train.y), len(test.y))
    if arguments.cv:
        report |= {"folds": arguments.cv, "scoring": arguments.scoring}
    if held_out:
        report["scores"] = _scores(train, test, model, arguments)
    if getattr(arguments, "out", None):
        model.save(arguments.out)
        report["model"] = arguments.out
    print(as_json(report) if arguments.json else _as_text(report))
    return EXIT_OK if report["converged"] else EXIT_NOT_CONVERGED


def _network(task: str, arguments: argparse.Namespace) -> Any:
    """Return the estimator that the options ask for, and leave to it what they do not say."""
    from .. import estimators

    settings = {
        "n_gates": arguments.gates,
        "n_draws": arguments.draws,
        "gates": arguments.gate_law,
        "loss": arguments.loss,
        "fit_intercept": arguments.intercept,
        "tol": arguments.tol,
        "max_iter": arguments.max_iter,
        "n_threads": arguments.threads,
        "random_state": arguments.seed,
    }
    settings |= (
        {"cv": arguments.cv, "scoring": arguments.scoring}
        if arguments.cv
        else {"beta": arguments.beta, "beta_ratio": arguments.beta_ratio}
    )
    name = {"regression": "GatedReLURegressor", "classification": "GatedReLUClassifier"}[task]
    return getattr(estimators, name + "CV" * (arguments.cv is not None))(
        **{key: value for key, value in settings.items() if value is not None}
    )


def _fitted(problem: _Problem, estimator: Any, arguments: argparse.Namespace) -> TableModel:
    """Return what an estimator, a network or another, makes of a problem."""
    from sklearn.metrics import get_scorer
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils import get_tags

    from ._model import InUnits, TableModel, pipeline_of

    y, units, weights = problem.y, None, {}
    scoring = estimator.get_params().get("scoring") and arguments.scoring
    if problem.weights is not None:
        weights = {f"{step}__sample_weight": problem.weights for step in ("scale", "network")}
    if problem.task == "regression" and not get_tags(estimator).target_tags.positive_only:  # counts keep their unit
        columns = y.reshape(len(y), -1)
        units = StandardScaler().fit(columns, sample_weight=problem.weights)
        y = units.transform(columns).reshape(y.shape)
        if scoring:
            estimator.set_params(scoring=InUnits(get_scorer(scoring), units, problem.targets))
    doing = "choosing the penalty" if "n_betas" in estimator.get_params() else ""
    with Progress(doing, quiet=arguments.json) as progress:
        if progress.shown and "callback" in estimator.get_params():
            estimator.set_params(callback=progress)
        pipeline = pipeline_of(estimator, problem.kinds, gaps=problem.gaps).fit(problem.X, y, **weights)
    if scoring:
        estimator.set_params(scoring=scoring)
    return TableModel(pipeline, problem.targets, problem.kinds, problem.gaps, units)


def _report(problem: _Problem, network: Any, seconds: float, n_train: int, n_test: int) -> dict[str, Any]:
    return {
        "data": problem.source,
        "task": problem.task,
        "targets": problem.targets,
        "n_train": n_train,
        "n_test": n_test,
        "n_features": network.n_features_in_,
        "n_draws": len(network.solutions_),
        "n_gates": sum(solution.patterns.n_draws for solution in network.solutions_),
        "n_patterns": sum(len(solution.patterns) for solution in network.solutions_),
        "loss": network.loss,
        "intercept": network.network_.output_bias is not None,
        "beta": network.beta_,
        "beta_max": network.beta_max_,
        "objective": float(network.objective_),
        "gap": float(network.dual_gap_),
        "relative_gap": float(network.certificate_.relative_gap),
        "converged": bool(network.certificate_.converged),
        "iterations": int(network.n_iter_),
        "active": network.n_active_,
        "neurons": network.network_.n_neurons,
        "seconds": seconds,
    }


def _scores(train: _Problem, test: _Problem, model: TableModel, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return how good the network is on rows held out, and with `--compare` how good others are."""
    from sklearn import linear_model, metrics, neural_network
    from sklearn.utils.validation import has_fit_parameter

    regression = train.task == "regression"
    score = metrics.r2_score if regression else metrics.accuracy_score

    def of(fitted: TableModel) -> float:
        return float(score(test.y, fitted.predict(test.X), sample_weight=test.weights))

    measure = "R2" if regression else "accuracy"
    if len(train.targets) > 1:
        measure = "mean R2" if regression else "accuracy of all labels"
    scores: dict[str, Any] = {"measure": measure, "network": of(model)}
    if arguments.compare:
        ridge = linear_model.RidgeCV if regression else linear_model.RidgeClassifierCV
        mlp = neural_network.MLPRegressor if regression else neural_network.MLPClassifier
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scores["ridge"] = of(_fitted(train, ridge(alphas=np.geomspace(1e-4, 1e6, 41)), arguments))
            if train.weights is None or has_fit_parameter(mlp, "sample_weight"):  # scikit-learn 1.7 on
                scores["mlp"] = of(_fitted(train, mlp(max_iter=2000, random_state=arguments.seed % 2**32), arguments))
    return scores


def _as_text(report: dict[str, Any]) -> str:
    """Return the report as a table of two columns."""
    draws, proved = "", "no network on these gates has a lower objective by more than that"
    if report["n_draws"] > 1:
        draws = f" in {report['n_draws']} draws, which are averaged"
        proved = "no networks, one on each draw's gates, have a lower mean objective by more than that"
    rows = [
        ("data", report["data"]),
        ("task", f"{report['task']} of {', '.join(report['targets'])}"),
        ("rows", f"{report['n_train']} to train on, {report['n_test']} held out"),
        ("features", f"{report['n_features']}, standardised, and a bias"),
        ("patterns", f"{report['n_patterns']} distinct, from {report['n_gates']} gates{draws}"),
        ("loss", report["loss"] + (", and an intercept outside the penalty" if report["intercept"] else "")),
        ("penalty", f"{report['beta']:.4g}"
         + (f", {report['beta'] / report['beta_max']:.3g} of the largest useful one" if report["beta_max"] else "")
         + (f", chosen by {report['folds']}-fold cross-validation" if "folds" in report else "")
         + (f" of {report['scoring']}" if report.get("scoring") else "")),
        ("objective", f"{report['objective']:.10g}"),
        ("certified gap", f"{report['gap']:.2e}: {proved}"),
        ("relative gap", f"{report['relative_gap']:.2e}, of the objective of the zero network"
         + ("" if report["converged"] else "  (NOT CONVERGED: raise --max-iter)")),
        ("active neurons", f"{report['neurons']}"),
        ("seconds", f"{report['seconds']:.3f} in {report['iterations']} iterations"),
    ]  # fmt: skip
    scores = report.get("scores")
    if scores:
        rows.append((f"test {scores['measure']}", f"{scores['network']:.4f}  this network"))
        if "ridge" in scores:
            rows.append(("", f"{scores['ridge']:.4f}  ridge regression (penalty by leave-one-out)"))
        if "mlp" in scores:
            rows.append(("", f"{scores['mlp']:.4f}  scikit-learn's MLP (one seed, 100 neurons)"))
    if "model" in report:
        rows.append(("written", report["model"]))
    return as_table(rows)
