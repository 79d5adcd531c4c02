"""The ReLU program beside its peers: CPU seconds to a certified gap; column generation; certificates.

    OMP_NUM_THREADS=1 python -m bench.peers.relu --python adelie=/path/to/another/environment/bin/python
    OMP_NUM_THREADS=1 python -m bench.peers.relu --only given --peers            # cvxrelu alone, every instance
    OMP_NUM_THREADS=1 python -m bench.peers.relu --only given --problems 100,5,50 300,10,100 --ratios 0.1 \\
        --peers clarabel
    OMP_NUM_THREADS=1 python -m bench.peers.relu --only losses
    OMP_NUM_THREADS=1 python -m bench.peers.relu --only generation
    OMP_NUM_THREADS=1 python -m bench.peers.relu --only certificates
    OMP_NUM_THREADS=1 python -m bench.peers.relu --only certificates --tables yacht.csv iris.csv   # the target last
    OMP_NUM_THREADS=1 python -m bench.peers.relu --only certificates --certify --tables yacht.csv iris.csv --chosen

Ratios are of the smallest penalty whose solution over the patterns is zero. Every solver runs in a process of its own
on one core, over a ladder of its own tolerances. Gaps are relative to the objective at zero, and are those of the
actual networks, (X u)_+ for every block, certified here by one routine for all: `cvxrelu.certify` over the patterns,
at the residual. Clarabel's seconds are those of the solver alone, without CVXPY's. Published: the seconds of the
prototype that this package set out to beat, on data of the same law.

Losses: the logistic loss on the signs of the targets, beside the squared loss on the targets, each at its own ratio of
the largest penalty: medians of runs that alternate in one process. Clarabel has the program with exponential cones.
"""

import argparse
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path

import cvxrelu
import numpy as np
from cvxrelu.base.native import core
from cvxrelu.relu.solution import balanced_layers
from sklearn.model_selection import KFold

from bench.peers import gated

PROBLEMS = [
    "100,5,50",
    "300,10,100",
    "1000,20,200",
    "2000,20,1000",
    "1000,10,1000",
    "5000,10,500",
    "diabetes",
    "breast_cancer",
]
LARGEST = {"clarabel": 4e5, "pyscnn": 4e6, "adelie": 4e6}  # n d p up to which a peer runs
SOLVERS = Path(__file__).with_name("relu_solvers.py")
RATIOS = (0.1, 0.01, 0.001)
PROTOTYPE = {
    (name, ratio): seconds
    for name, row in {
        "100,5,50": (0.0040, 0.0105, 0.062),
        "300,10,100": (0.0154, 0.079, 0.68),
        "1000,20,200": (0.177, 1.19, 23),
        "2000,20,1000": (0.94, 3.4, 17),
        "1000,10,1000": (0.18, 0.58, 3.1),
        "5000,10,500": (0.34, 0.99, 2.7),
        "diabetes": (0.057, 0.22, 3.2),
        "breast_cancer": (0.15, 0.69, 3.0),
    }.items()
    for ratio, seconds in zip(RATIOS, row, strict=True)
}
# And whether Clarabel's exponential cones run beside the logistic loss.
LOSSES = [("100,5,50", 0.1, True), ("300,10,100", 0.1, True), ("300,10,100", 0.01, False)]
LOSSES += [("1000,20,200", 0.1, False), ("1000,20,200", 0.01, False)]
# With the prototype's seconds where it ended.
GENERATION = [
    ("100,5,50", 0.1, 0.08),
    ("100,5,50", 0.01, 0.29),
    ("300,10,100", 0.1, 1.1),
    ("300,10,200", 0.1, None),
    ("1000,20,200", 0.1, None),
]
# "n,d,gates" or a data set with a bias, and the relative gap to prove.
CERTIFICATES = [
    ("30,4,200", 1e-8),
    ("40,5,200", 1e-6),
    ("200,3,200", 1e-6),
    ("1000,2,200", 1e-6),
    ("60,6,200", 1e-6),
    ("200,5,200", 1e-6),
    ("500,5,200", 1e-6),
    ("1000,4,200", 1e-6),
    ("10000,4,200", 1e-6),
    ("100,8,200", 1e-6),
    ("200,8,200", 1e-6),
    ("300,10,200", 1e-1),
]
WAYS = ("enumeration", "branch and bound", "subdivision")
MOST_CELLS = 1_000_000  # that are enumerated here
MOST_ROWS = 100  # that branch and bound is given


def problem(name, seed):
    """Patterns of the data "n,d,p", Gaussian with a planted two-layer ReLU teacher, or of a data set with a bias."""
    if "," in name:
        n, d, p = map(int, name.split(","))
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((n, d))
        y = np.maximum(X @ rng.standard_normal((d, 10)) / np.sqrt(d), 0) @ rng.standard_normal(10)
        y += 0.1 * rng.standard_normal(n)
    else:
        X, y, _ = gated.problem(name, seed)
        X, p = np.column_stack([X, np.ones(len(X))]), 500
    patterns = cvxrelu.sample_patterns(X, p, random_state=seed)
    program = core.ConeProgram(X, y, np.ones(len(y)), "squared", 1.0, np.zeros((len(y), 0), order="F"), 0.0, 1)
    program.append(patterns.words, np.ones(len(patterns)))
    return X, y, patterns, program.beta_max()


def relative_gap(X, y, blocks, beta, patterns, loss="squared"):
    """Gap over the patterns of the network that has the blocks v, then w, relative to the objective at zero."""
    signs = np.repeat([1, -1], len(blocks) // 2)
    keep = np.linalg.norm(blocks, axis=1) > 1e-8 * np.linalg.norm(blocks, axis=1).max(initial=0)
    network = balanced_layers(blocks[keep], signs[keep])
    certificate = cvxrelu.certify(X, y, network, beta, loss=loss, patterns=patterns, tol=1e-10, n_threads=1)
    return certificate.relative_gap


def posed(folder, name, ratio, seed):
    """Write a problem for the solvers' processes; return its file, and what certifies their networks."""
    X, y, patterns, beta_max = problem(name, seed)
    beta = ratio * beta_max
    source = Path(folder) / "problem.npz"
    masks = patterns.to_dense().astype(float)
    np.savez(source, X=X, y=y, masks=masks, gates=patterns.gates, words=patterns.words, beta=beta)
    return source, (X, y, beta, patterns)


def quickest(solver, source, certified, python, options):
    """Return the quickest of a solver's runs that reach the gap, or the best there is; else why it did not run."""
    X, y, beta, patterns = certified
    target = source.with_suffix(f".{solver}.npz")
    command = [python, str(SOLVERS), solver, str(source), str(target), str(options.seconds), "1"]
    reason = gated.start(command, target, 10 * options.seconds + 60, 1)
    if not target.exists():
        return None, reason
    with np.load(target) as found:
        runs, blocks = json.loads(str(found["runs"])), found["coefs"]
    gaps = [relative_gap(X, y, each, beta, patterns) for each in blocks]
    reached = [k for k, gap in enumerate(gaps) if gap <= options.gap]
    k = min(reached, key=lambda k: runs[k]["cpu"]) if reached else int(np.argmin(gaps))
    lengths = np.linalg.norm(blocks[k], axis=1)
    neurons = int((lengths > 1e-6 * lengths.max(initial=0)).sum())
    return {"seconds": runs[k]["cpu"], "gap": gaps[k], "neurons": neurons}, ""


def given_patterns(options, pythons):
    """Print the seconds of every solver, and how many times as long as cvxrelu's at its gap a peer took."""
    print(
        f"gap aimed at {options.gap:g}; a peer that does not reach it is shown at the best gap it has, and beside "
        f"cvxrelu at {options.gap:g}"
    )
    print("problem            ratio    solver     seconds     gap   neurons   published  times cvxrelu")
    with tempfile.TemporaryDirectory() as folder:
        for name, ratio in itertools.product(options.problems, options.ratios):
            source, certified = posed(folder, name, ratio, options.seed)
            ours = None
            for solver in ["cvxrelu", *options.peers]:
                if solver in LARGEST and certified[0].size * len(certified[-1]) > LARGEST[solver]:
                    continue
                run, reason = quickest(solver, source, certified, pythons.get(solver, sys.executable), options)
                line = f"{name:18} {ratio:<8g} {solver:<9}"
                if run is None:
                    print(f"{line} did not run: {reason}", flush=True)
                    continue
                line += f"{run['seconds']:10.4f}  {run['gap']:.1e}  {run['neurons']:7d}"
                if solver == "cvxrelu":
                    ours = run["seconds"]
                    published = PROTOTYPE.get((name, ratio))
                    line += f"  {published:10.4f}" if published else ""
                elif ours is not None:
                    line += f"  {'':10}  {run['seconds'] / ours:10.1f}"
                print(line, flush=True)


def losses(options):
    """Print the seconds of the logistic loss over those of the squared loss, and of Clarabel over the former."""
    print("\nlogistic loss beside the squared one: medians of runs that alternate")
    print("problem            ratio    squared     gap    logistic    gap    times squared   clarabel    gap   times")
    for name, ratio, beside in LOSSES:
        X, y, patterns, _ = problem(name, options.seed)
        cases = {"squared": y, "logistic": np.sign(y)}
        penalties = {loss: ratio * cvxrelu.relu_beta_max(X, cases[loss], patterns, loss=loss) for loss in cases}
        seconds, gaps = {loss: [] for loss in cases}, {}
        for _ in range(options.repeats):
            for loss, targets in cases.items():
                start = time.process_time()
                found = cvxrelu.solve_relu(
                    X, targets, patterns, penalties[loss], loss=loss, tol=options.gap, n_threads=1
                )
                seconds[loss].append(time.process_time() - start)
                gaps[loss] = found.relative_gap
        ours, theirs = (float(np.median(seconds[loss])) for loss in ("logistic", "squared"))
        line = f"{name:18} {ratio:<8g} {theirs:7.4f}  {gaps['squared']:.1e}  {ours:7.4f}  {gaps['logistic']:.1e}"
        line += f"  {ours / theirs:10.2f}"
        if beside:
            spent, gap = exponential_cones(X, cases["logistic"], patterns, penalties["logistic"], options.gap)
            line += f"     {spent:10.2f}  {gap:.1e}  {spent / ours:7.0f}"
        print(line, flush=True)


def exponential_cones(X, y, patterns, beta, gap):
    """Return the seconds and the gap of Clarabel with the logistic loss, where it reaches the gap or comes nearest."""
    import cvxpy as cp

    masks, (p, d) = patterns.to_dense().astype(float), patterns.gates.shape
    V, W = cp.Variable((d, p)), cp.Variable((d, p))
    fit = cp.sum(cp.multiply(masks, X @ (V - W)), axis=1)
    penalty = cp.sum(cp.norm(V, axis=0)) + cp.sum(cp.norm(W, axis=0))
    inside = [cp.multiply(2 * masks - 1, X @ U) >= 0 for U in (V, W)]
    program = cp.Problem(cp.Minimize(cp.sum(cp.logistic(cp.multiply(-y, fit))) + beta * penalty), inside)
    runs = []
    for tol in (1e-3, 1e-4, 1e-6, 1e-8):
        try:
            program.solve(solver=cp.CLARABEL, tol_gap_rel=tol, tol_gap_abs=tol, tol_feas=tol, max_threads=1)
        except cp.error.SolverError:
            break
        found = relative_gap(X, y, np.vstack([V.value.T, W.value.T]), beta, patterns, loss="logistic")
        runs.append((program.solver_stats.solve_time, found))
        if found <= gap:
            break
    return min(runs, key=lambda run: run[1])


def column_generation(seed):
    """Print the seconds from given patterns to where no walk improves."""
    print("\ncolumn generation until no walk improves")
    print("problem            ratio    seconds  published  rounds  patterns  lower by")
    for name, ratio, published in GENERATION:
        X, y, patterns, beta_max = problem(name, seed)
        before = cvxrelu.solve_relu(X, y, patterns, ratio * beta_max, n_threads=1).objective
        start = time.process_time()
        solution = cvxrelu.train_relu(
            X, y, ratio * beta_max, patterns=patterns, certificate="given patterns", random_state=seed, n_threads=1
        )
        seconds = time.process_time() - start
        lower = 100 * (1 - solution.objective / before)
        print(
            f"{name:18} {ratio:<8g} {seconds:7.2f}  {published or '':9}  {solution.n_rounds:6d}  "
            f"{len(solution.patterns):8d}  {lower:6.2f} %",
            flush=True,
        )


def table(path):
    """Return samples, standardised and with a bias, and targets of a file of numbers; the target comes last."""
    with open(path) as file:
        separator = "," if "," in file.readline() else None
    rows = np.genfromtxt(path, delimiter=separator)
    rows = rows[np.isfinite(rows).all(axis=1)]
    X, y = rows[:, :-1], rows[:, -1]
    X, y = X[:, X.std(axis=0) > 0], (y - y.mean()) / y.std()
    return np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(len(X))]), y


def chosen_ratio(X, y, seed):
    """Return the ratio with the least square error over five shuffled folds, of seven down to a thousandth."""
    model = cvxrelu.ReLURegressorCV(
        n_betas=7,
        cv=KFold(5, shuffle=True, random_state=seed),
        fit_bias=False,
        fit_intercept=False,
        certificate="given patterns",
        n_threads=1,
        random_state=seed,
    )
    return float(model.fit(X, y).beta_ratio_)


def certificates(options):
    """Print the seconds of certifying networks trained over given patterns by every way, and of training over all."""
    print(
        "\ncertificates over all patterns: CPU seconds of certify on the network of given patterns, and of train_relu"
    )
    print(
        f"{'problem':16}   ratio neurons  {'bound by':17} seconds     nodes  relative gap    train_relu  relative gap"
    )
    cases = [(name, tol) for name, tol in CERTIFICATES if options.certify is None or name in options.certify]
    for name, tol in [*cases, *((path, 1e-4) for path in options.tables)]:
        ratio = options.ratio
        if name in options.tables:
            X, y = table(name)
            ratio = chosen_ratio(X, y, options.seed) if options.chosen else ratio
            beta_max = cvxrelu.beta_max(X, y, cvxrelu.sample_patterns(X, 200, random_state=options.seed))
            name = Path(name).stem
        else:
            X, y, _, beta_max = problem(name, options.seed)
        beta = ratio * beta_max
        settings = {"random_state": options.seed, "n_threads": 1, "max_seconds": options.seconds}
        given = cvxrelu.train_relu(X, y, beta, certificate="given patterns", tol=0.1 * tol, **settings).to_network()
        for way in WAYS:
            if way == "enumeration" and cvxrelu.pattern_bound(*X.shape) > MOST_CELLS:
                continue
            if way == "branch and bound" and len(X) > MOST_ROWS:
                continue
            start = time.process_time()
            found = cvxrelu.certify(X, y, given, beta, tol=tol, pricing=way, max_seconds=options.seconds, n_threads=1)
            line = f"{name:16} {ratio:7.4f} {len(given.w2):7d}  {way:17} {time.process_time() - start:7.3f}"
            print(f"{line}  {found.n_nodes:8d}  {found.relative_gap:12.1e}", end="", flush=True)
            if way != WAYS[-1]:
                print()
        start = time.process_time()
        solution = cvxrelu.train_relu(X, y, beta, tol=tol, **settings)
        print(f"    {time.process_time() - start:10.3f}  {solution.relative_gap:12.1e}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="*", default=PROBLEMS, metavar="n,d,p or a data set")
    parser.add_argument("--ratios", nargs="*", type=float, default=RATIOS)
    parser.add_argument("--gap", type=float, default=1e-6)
    parser.add_argument("--peers", nargs="*", default=["clarabel", "adelie", "pyscnn"])
    parser.add_argument("--python", nargs="*", default=[], metavar="PEER=PATH", help="interpreter for a peer")
    parser.add_argument("--seconds", type=float, default=60, help="a solver's ladder ends after a run that took longer")
    parser.add_argument("--only", choices=["given", "losses", "generation", "certificates"])
    parser.add_argument("--repeats", type=int, default=5, help="runs of each loss, beside each other")
    parser.add_argument("--certify", nargs="*", metavar="n,d,gates", help="some of the certificates' problems")
    parser.add_argument("--tables", nargs="*", default=[], metavar="FILE", help="data to certify networks on")
    parser.add_argument("--ratio", type=float, default=0.1, help="of the certificates' penalty")
    parser.add_argument("--chosen", action="store_true", help="the tables' penalty is chosen by cross-validation")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.only in (None, "given"):
        given_patterns(options, dict(entry.split("=", 1) for entry in options.python))
    if options.only in (None, "losses"):
        losses(options)
    if options.only in (None, "generation"):
        column_generation(options.seed)
    if options.only in (None, "certificates"):
        certificates(options)


if __name__ == "__main__":
    main()
