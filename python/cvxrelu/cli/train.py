"""`train`: a network for a table, and the same on the data set that comes with the package."""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
from typing import Any

import numpy as np

from ..base.arrays import FloatArray
from ..datasets import load_yacht
from ..estimators.labels import decide
from ..estimators.training import GatedFit, GateDraw, pose_gated
from ..gated.losses import Squared
from ..gated.problem import Stopping
from . import _options
from ._baselines import fit_mlp, fit_ridge
from ._encoding import Encoding
from ._output import Progress, as_json, as_table
from ._status import EXIT_NOT_CONVERGED, EXIT_OK
from ._table_model import Scaling, TableModel
from ._tables import TableError, read_table

_DEFAULT_RATIO = {"regression": 1e-2, "classification": 3e-2}


@dataclasses.dataclass(frozen=True, eq=False)
class _Problem:
    """A table that is ready to train on."""

    source: str
    task: str
    X: FloatArray
    y: FloatArray  # targets in their own units, or labels 0, 1, ...
    feature_names: tuple[str, ...]
    target_name: str
    classes: Any = None
    encoding: Encoding | None = None


def add_command(commands: Any) -> None:
    """Add the command to the parser."""
    command: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="train on your own table and keep the network",
        description="Trains a network on a table of numbers; labels may be text, and with --encode so may columns.",
    )
    command.add_argument("file", metavar="TABLE", help="CSV, .npy or .npz")
    command.add_argument("--target", required=True, metavar="COLUMN", help="column to predict")
    command.add_argument(
        "--task", choices=("regression", "classification"), help="by default regression, if the target has numbers only"
    )
    _options.add_ignore(command)
    command.add_argument(
        "--encode",
        action="store_true",
        help="make a column of 0 and 1 of every value of a text column, and medians of missing numbers",
    )
    command.add_argument("--out", metavar="MODEL.npz", help="where to write the network, for `predict`")
    add_options(command)
    command.set_defaults(run=run)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of training."""
    parser.add_argument("--gates", type=_options.count, default=500, metavar="N", help="gates to draw (default 500)")
    parser.add_argument(
        "--gate-law",
        choices=("mixed", "gaussian"),
        default="mixed",
        help="half of them thresholds of single features, or all of them Gaussian (default mixed)",
    )
    penalty = parser.add_mutually_exclusive_group()
    penalty.add_argument(
        "--beta-ratio",
        type=_options.positive,
        metavar="R",
        help="penalty relative to the smallest one with a zero optimum (default 0.01; classification 0.03)",
    )
    penalty.add_argument("--beta", type=_options.positive, metavar="B", help="the penalty itself")
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
    _options.add_common(parser)


def run_on_shipped_data(arguments: argparse.Namespace) -> int:
    """Train on the data set that comes with the package."""
    data = load_yacht()
    problem = _Problem(data.name, "regression", data.X, data.y, data.feature_names, data.target_name)
    return _train_and_report(problem, arguments)


def run(arguments: argparse.Namespace) -> int:
    """Train on a table."""
    table = read_table(arguments.file)
    target = table.column(arguments.target, "--target")
    names = _options.feature_names(table, arguments.ignore, target)
    task = arguments.task or ("regression" if table.is_numeric(target) else "classification")
    encoding = Encoding.of(table, names) if arguments.encode else None
    if encoding is None:
        X = table.numbers(names)
    else:
        X, names = encoding.apply(table), encoding.feature_names
    if task == "regression":
        y, classes = table.numbers([target])[:, 0], None
    else:
        classes, labels = np.unique(table.text(target), return_inverse=True)
        y = labels.astype(np.float64)
        if classes.size < 2:
            raise TableError(f"{table.path}: column {target!r} has one class only, {str(classes[0])!r}")
    return _train_and_report(_Problem(table.path, task, X, y, names, target, classes, encoding), arguments)


def _train_and_report(problem: _Problem, arguments: argparse.Namespace) -> int:
    train, test = _split(problem.X.shape[0], arguments.test_size, arguments.seed)
    model, fit, seconds = _fit(problem, train, arguments)
    report = describe(problem, fit, seconds, train.size, test.size)
    if test.size:
        report["scores"] = _scores(problem, model, train, test, arguments)
    if getattr(arguments, "out", None):
        model.save(arguments.out)
        report["model"] = arguments.out
    print(as_json(report) if arguments.json else _as_text(report))
    return EXIT_OK if fit.solution.converged else EXIT_NOT_CONVERGED


def _split(n: int, test_size: float, seed: int) -> tuple[Any, Any]:
    order = np.random.default_rng(seed).permutation(n)
    held_out = round(n * test_size)
    if n - held_out < 2:
        raise TableError(f"{n} rows with --test-size {test_size:g} leave {n - held_out} to train on: 2 are needed")
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def _fit(problem: _Problem, train: Any, arguments: argparse.Namespace) -> tuple[TableModel, GatedFit, float]:
    features = Scaling.of(problem.X[train])
    target = None
    if problem.task == "regression":
        target = Scaling.of(problem.y[train])
        y = target.apply(problem.y[train])
    else:
        y = Squared().labels_as_targets(problem.y[train].astype(np.intp), problem.classes.size)
    ratio = _DEFAULT_RATIO[problem.task] if arguments.beta_ratio is None else arguments.beta_ratio
    draw = GateDraw(arguments.gates, arguments.gate_law, arguments.seed)
    start = time.perf_counter()
    with Progress(quiet=arguments.json) as progress:
        posed = pose_gated(features.apply(problem.X[train]), y, draw, n_threads=arguments.threads)
        beta = posed.beta_of(ratio) if arguments.beta is None else arguments.beta
        callback = progress if progress.shown else None
        fit = posed.fit(beta, Stopping(arguments.tol, arguments.max_iter, callback=callback))
    seconds = time.perf_counter() - start
    model = TableModel(
        fit.network, problem.feature_names, problem.target_name, features, target, problem.classes, problem.encoding
    )
    return model, fit, seconds


def describe(problem: _Problem, fit: GatedFit, seconds: float, n_train: int, n_test: int) -> dict[str, Any]:
    solution, patterns = fit.solution, fit.solution.patterns
    return {
        "data": problem.source,
        "task": problem.task,
        "target": problem.target_name,
        "n_train": n_train,
        "n_test": n_test,
        "n_features": len(problem.feature_names),
        "n_gates": patterns.n_draws,
        "n_patterns": len(patterns),
        "beta": fit.beta,
        "beta_max": fit.beta_max,
        "objective": float(solution.objective) + fit.unexplained,
        "gap": float(solution.gap),
        "relative_gap": float(solution.relative_gap),
        "converged": bool(solution.converged),
        "iterations": int(solution.n_iter),
        "active": len(solution.active),
        "neurons": fit.network.n_neurons,
        "seconds": seconds,
    }


def _scores(problem: _Problem, model: TableModel, train: Any, test: Any, arguments: argparse.Namespace) -> Any:
    X, Z = model.features.apply(problem.X[train]), model.features.apply(problem.X[test])
    targets = (
        problem.y[train]
        if problem.task == "regression"
        else Squared().labels_as_targets(problem.y[train].astype(np.intp), problem.classes.size)
    )

    def score(output: FloatArray) -> float:
        truth = problem.y[test]
        if problem.task == "classification":
            return float(np.mean(decide(output) == truth))
        spread = float(np.sum((truth - truth.mean()) ** 2))
        return 1 - float(np.sum((output - truth) ** 2)) / spread if spread > 0 else math.nan

    output = np.asarray(model.network.predict(Z))
    scores = {"measure": "R2" if problem.task == "regression" else "accuracy"}
    result: dict[str, Any] = {**scores, "network": score(model.target.undo(output) if model.target else output)}
    if arguments.compare:
        result["ridge"] = score(fit_ridge(X, targets, Z))
        mlp = fit_mlp(X, model.target.apply(targets) if model.target else targets, Z, arguments.seed)
        result["mlp"] = None if mlp is None else score(model.target.undo(mlp) if model.target else mlp)
    return result


def _as_text(report: dict[str, Any]) -> str:
    """Return the report as a table of two columns."""
    rows = [
        ("data", report["data"]),
        ("task", f"{report['task']} of {report['target']}"),
        ("rows", f"{report['n_train']} to train on, {report['n_test']} held out"),
        ("features", f"{report['n_features']}, standardised, and a bias"),
        ("patterns", f"{report['n_patterns']} distinct, from {report['n_gates']} gates"),
        ("penalty", f"{report['beta']:.4g}"
         + (f", {report['beta'] / report['beta_max']:.3g} of the largest useful one" if report["beta_max"] else "")),
        ("objective", f"{report['objective']:.10g}"),
        ("certified gap", f"{report['gap']:.2e}: no network on these gates has a lower objective by more than that"),
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
            rows.append(
                ("", "not installed: scikit-learn, whose MLP would stand here")
                if scores["mlp"] is None
                else ("", f"{scores['mlp']:.4f}  scikit-learn's MLP (one seed, 100 neurons)")
            )
    if "model" in report:
        rows.append(("written", report["model"]))
    return as_table(rows)
