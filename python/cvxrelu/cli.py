"""The command line: `python -m cvxrelu`."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import __version__
from ._baselines import fit_mlp, fit_ridge
from ._table_model import Scaling, TableModel, decide, one_against_rest
from ._tables import TableError, read_table
from ._training import GatedFit, train_gated
from ._validation import FloatArray
from .datasets import load_yacht

EXIT_OK, EXIT_BAD_INPUT, EXIT_USAGE, EXIT_NOT_CONVERGED, EXIT_INTERRUPTED = 0, 1, 2, 3, 130

_DESCRIPTION = """\
Trains gated ReLU networks to a certified global optimum.

Without a command: trains on a data set that comes with the package, and says how good the network is. Takes seconds,
downloads nothing."""

_EPILOG = """\
examples:
  python -m cvxrelu
  python -m cvxrelu train houses.csv --target price --out houses.npz
  python -m cvxrelu train iris.csv --target species --ignore id
  python -m cvxrelu predict houses.npz new.csv --out prices.csv

exit status:
  0  done
  1  a file or a value that cannot be used; one line on stderr says why
  2  a command line that cannot be understood
  3  the solver stopped before it reached --tol; everything was written, with the gap that was reached
  130  interrupted"""

_DEFAULT_RATIO = {"regression": 1e-2, "classification": 3e-2}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, and return its exit status."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BAD_INPUT
    except (TableError, ValueError, OSError, MemoryError) as error:
        print(f"cvxrelu: {_one_line(error)}", file=sys.stderr)
        return EXIT_BAD_INPUT


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


def _demo(arguments: argparse.Namespace) -> int:
    data = load_yacht()
    problem = _Problem(data.name, "regression", data.X, data.y, data.feature_names, data.target_name)
    return _train_and_report(problem, arguments)


def _train(arguments: argparse.Namespace) -> int:
    table = read_table(arguments.file)
    ignored = [name for option in arguments.ignore for name in option.split(",")]
    for name in ignored:
        if name not in table.names:
            raise TableError(f"--ignore: {table.path} has no column {name!r}")
    if arguments.target in ignored:
        raise TableError(f"--ignore: {arguments.target!r} is the target")
    numeric = table.is_numeric(arguments.target)  # complains about a missing target before anything else
    names = tuple(name for name in table.names if name != arguments.target and name not in ignored)
    if not names:
        raise TableError(f"{table.path} has no columns beside the target")
    task = arguments.task or ("regression" if numeric else "classification")
    X = table.numbers(names)
    if task == "regression":
        y, classes = table.numbers([arguments.target])[:, 0], None
    else:
        classes, labels = np.unique(table.text(arguments.target), return_inverse=True)
        y = labels.astype(np.float64)
        if classes.size < 2:
            raise TableError(f"{table.path}: column {arguments.target!r} has one class only, {str(classes[0])!r}")
    return _train_and_report(_Problem(table.path, task, X, y, names, arguments.target, classes), arguments)


def _predict(arguments: argparse.Namespace) -> int:
    model = TableModel.load(arguments.model)
    table = read_table(arguments.file)
    predictions = model.predict(table.numbers(model.feature_names)).tolist()
    if arguments.json:
        text = json.dumps({"target": model.target_name, "predictions": predictions}) + "\n"
        _write(text, arguments.out)
        return EXIT_OK
    lines = [[model.target_name], *([value if isinstance(value, str) else repr(value)] for value in predictions)]
    if arguments.out is None:
        csv.writer(sys.stdout, lineterminator="\n").writerows(lines)
    else:
        with open(arguments.out, "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)
    return EXIT_OK


def _train_and_report(problem: _Problem, arguments: argparse.Namespace) -> int:
    train, test = _split(problem.X.shape[0], arguments.test_size, arguments.seed)
    model, fit, seconds = _fit(problem, train, arguments)
    report = _describe(problem, fit, seconds, train.size, test.size)
    if test.size:
        report["scores"] = _scores(problem, model, train, test, arguments)
    if getattr(arguments, "out", None):
        model.save(arguments.out)
        report["model"] = arguments.out
    print(json.dumps(report, indent=2) if arguments.json else _as_text(report))
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
        y = one_against_rest(problem.y[train].astype(np.intp), problem.classes.size)
    ratio = arguments.beta_ratio
    progress = _Progress() if sys.stderr.isatty() and not arguments.json else None
    start = time.perf_counter()
    fit = train_gated(
        features.apply(problem.X[train]),
        y,
        n_gates=arguments.gates,
        gates=arguments.gate_law,
        beta=arguments.beta,
        beta_ratio=_DEFAULT_RATIO[problem.task] if ratio is None else ratio,
        fit_bias=True,
        tol=arguments.tol,
        max_iter=arguments.max_iter,
        random_state=arguments.seed,
        n_threads=arguments.threads,
        callback=progress,
    )
    seconds = time.perf_counter() - start
    if progress is not None:
        progress.clear()
    model = TableModel(fit.network, problem.feature_names, problem.target_name, features, target, problem.classes)
    return model, fit, seconds


def _describe(problem: _Problem, fit: GatedFit, seconds: float, n_train: int, n_test: int) -> dict[str, Any]:
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
        else one_against_rest(problem.y[train].astype(np.intp), problem.classes.size)
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
    width = max(len(name) for name, _ in rows)
    return "\n".join([f"cvxrelu {__version__}", *(f"  {name:<{width}}  {value}" for name, value in rows)])


class _Progress:
    """One line on the terminal that follows a long computation."""

    def __init__(self) -> None:
        self.start = self.last = time.perf_counter()
        self.width = 0

    def __call__(self, state: dict[str, Any]) -> bool:
        now = time.perf_counter()
        if now - self.start > 1 and now - self.last > 0.1:
            line = f"iteration {state['iteration']}, relative gap {state['relative_gap']:.1e}, {state['active']} active"
            print(f"\r{line:<{self.width}}", end="", file=sys.stderr, flush=True)
            self.last, self.width = now, len(line)
        return False

    def clear(self) -> None:
        if self.width:
            print(f"\r{'':<{self.width}}\r", end="", file=sys.stderr, flush=True)


def _write(text: str, path: str | None) -> None:
    if path is None:
        sys.stdout.write(text)
    else:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cvxrelu",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cvxrelu {__version__}")
    _add_training_options(parser)
    parser.set_defaults(run=_demo)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    train = commands.add_parser(
        "train",
        help="train on your own table and keep the network",
        description="Trains a network on a CSV file: header, commas (semicolons, tabs), numbers; labels may be text.",
    )
    train.add_argument("file", metavar="FILE.csv", help="the table")
    train.add_argument("--target", required=True, metavar="COLUMN", help="column to predict")
    train.add_argument(
        "--task", choices=("regression", "classification"), help="by default regression, if the target has numbers only"
    )
    train.add_argument(
        "--ignore", action="append", default=[], metavar="COLUMN", help="columns to leave out; commas, or repeat it"
    )
    train.add_argument("--out", metavar="MODEL.npz", help="where to write the network, for `predict`")
    _add_training_options(train)
    train.set_defaults(run=_train)

    predict = commands.add_parser(
        "predict",
        help="apply a network that `train` has written",
        description="Predicts the rows of a CSV file that has the columns the network was trained on.",
    )
    predict.add_argument("model", metavar="MODEL.npz", help="what `train --out` has written")
    predict.add_argument("file", metavar="FILE.csv", help="the table; other columns are ignored")
    predict.add_argument("--out", metavar="FILE", help="where to write; by default to the terminal")
    predict.add_argument("--json", action="store_true", help="write JSON, not CSV")
    predict.set_defaults(run=_predict)
    return parser


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gates", type=_count, default=500, metavar="N", help="gates to draw (default 500)")
    parser.add_argument(
        "--gate-law",
        choices=("mixed", "gaussian"),
        default="mixed",
        help="half of them thresholds of single features, or all of them Gaussian (default mixed)",
    )
    penalty = parser.add_mutually_exclusive_group()
    penalty.add_argument(
        "--beta-ratio",
        type=_positive,
        metavar="R",
        help="penalty relative to the smallest one with a zero optimum (default 0.01; classification 0.03)",
    )
    penalty.add_argument("--beta", type=_positive, metavar="B", help="the penalty itself")
    parser.add_argument("--tol", type=_positive, default=1e-6, metavar="T", help="relative gap to reach (default 1e-6)")
    parser.add_argument("--max-iter", type=_count, default=200, metavar="N", help="iterations (default 200)")
    parser.add_argument(
        "--test-size", type=_fraction, default=0.2, metavar="F", help="part of the rows to hold out (default 0.2)"
    )
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="of the gates and the held-out rows (0)")
    parser.add_argument("--threads", type=_count, metavar="N", help="threads (default: what OpenMP would take)")
    parser.add_argument(
        "--no-compare", dest="compare", action="store_false", help="train no other models for comparison"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, not a table")


def _number(text: str, kind: type[int] | type[float]) -> Any:
    try:
        value = kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {'an integer' if kind is int else 'a number'}") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be finite, not {text}")
    return value


def _positive(text: str) -> float:
    value: float = _number(text, float)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"must be positive, not {text}")
    return value


def _fraction(text: str) -> float:
    value: float = _number(text, float)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 0 and below 1, not {text}")
    return value


def _count(text: str) -> int:
    value: int = _number(text, int)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return value


def _seed(text: str) -> int:
    value: int = _number(text, int)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, not {text}")
    return value
