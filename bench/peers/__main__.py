"""The table of speed in the README and on the site: jobs of this package beside what others take, in one run.

    OMP_NUM_THREADS=1 python -m bench.peers --out docs/speed_table.md
    OMP_NUM_THREADS=1 python -m bench.peers --python adelie=/path/to/another/environment/bin/python

CPU seconds on one core. The solvers of a program run over ladders of their own tolerances, and count at the quickest
tolerance whose result is within 1e-6 of the optimum, relative to the objective at zero, by a certificate that one
routine computes for all. Other tables, of more problems and settings: `python -m bench.peers.gated --help` and the
modules beside it.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import cvxrelu
import numpy as np

from bench.peers import arrangement, gated, kernels, relu

GATED = [("A", 0.1), ("B", 0.1), ("C", 0.1), ("breast_cancer", 0.1), ("A", 0.01)]
RELU = [("100,5,50", 0.1), ("300,10,100", 0.1)]
CELLS = ["generic 20x4", "generic 30x5", "resonance 5"]
REPEATS = 5


def gated_program(name, ratio, options):
    """Title and seconds by solver of a group lasso over masked copies of the data."""
    X, y, patterns = gated.problem(name, options.seed)
    betas = np.array([ratio * cvxrelu.beta_max(X, y, patterns)])
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "problem.npz"
        np.savez(source, X=X, y=y, gates=patterns.gates, words=patterns.words, betas=betas)
        for solver in ["cvxrelu"] * REPEATS + ["celer", "celer_prune0", "skglm", "adelie"]:
            row, reason = gated.measure(options, source, solver, 1, None)
            if row is None:
                print(f"{solver} did not run: {reason}", file=sys.stderr)
            else:
                seconds.setdefault(solver.removesuffix("_prune0"), []).append(row["seconds"][options.gaps[0]])
    title = f"gated program, {name}: {len(X)} × {X.shape[1]}, {len(patterns)} gates, {ratio:g} beta_max"
    return title, {solver: np.median(runs) if solver == "cvxrelu" else min(runs) for solver, runs in seconds.items()}


def relu_program(name, ratio, options):
    """Title and seconds by solver of a ReLU program over given patterns."""
    pythons = dict(entry.split("=", 1) for entry in options.python)
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        source, certified = relu.posed(folder, name, ratio, options.seed)
        for solver in ("cvxrelu", "clarabel", "adelie"):
            run, reason = relu.quickest(solver, source, certified, pythons.get(solver, sys.executable), options)
            if run is None:
                print(f"{solver} did not run: {reason}", file=sys.stderr)
            else:
                seconds[solver] = run["seconds"] if run["gap"] <= options.gap else np.inf
    n, d, p = name.split(",")
    return f"ReLU program: {n} × {d}, {p} patterns, {ratio:g} beta_max", seconds


def cells(name, options):
    """Title and seconds of finding all activation patterns, with a verified gate in each."""
    X = np.ascontiguousarray(arrangement.DESIGNS[name])
    ours = arrangement.ours(X, [])
    peer, found, done = arrangement.best_of_peer(arrangement.rada_cerny, X, options.seconds)
    if found != ours["cells"]:
        print(f"{name}: {found} of {ours['cells']} cells by linear programs, done: {done}", file=sys.stderr)
    title = f"all {ours['cells']:,} activation patterns of {name}"
    return title, {"cvxrelu": ours["certified"], "HiGHS, a program a cell": peer if done else np.inf}


def tangent_kernel(options):
    """Title and seconds of a neural tangent kernel."""
    X = np.random.default_rng(options.seed).standard_normal((5000, 50))
    ours = kernels.timed(lambda: cvxrelu.ntk(X, n_threads=1), REPEATS)
    return "neural tangent kernel, 5000 × 50", {
        "cvxrelu": ours,
        "NumPy, closed form": kernels.timed(lambda: kernels.numpy_ntk(X), REPEATS),
    }


def certificate(name, options):
    """Title and seconds of bounding a network trained over given patterns by those of every width."""
    X, y, _, beta_max = relu.problem(name, options.seed)
    beta = 0.1 * beta_max
    network = cvxrelu.train_relu(X, y, beta, certificate="given patterns", n_threads=1, random_state=0).to_network()
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        found = cvxrelu.certify(X, y, network, beta, tol=1e-6, n_threads=1)
        times.append(time.process_time() - start)
    title = f"a trained network beside those of every width, {len(X)} × {X.shape[1]}: gap {found.relative_gap:.0e}"
    return title, {"cvxrelu": float(np.median(times)), "nobody else": np.inf}


def shown(seconds):
    """A number of seconds with two digits."""
    return f"{seconds:#.2g}".rstrip(".") if seconds < 100 else f"{seconds:.0f}"


def row(title, seconds, limit):
    """A line of the table."""
    ours = seconds.pop("cvxrelu")
    peer = min(seconds, key=seconds.get, default=None)
    if peer is None or peer == "nobody else":
        return f"| {title} | {shown(ours)} | | |"
    if not np.isfinite(seconds[peer]):
        return f"| {title} | {shown(ours)} | {', '.join(seconds)} | not within {limit:g} s |"
    return f"| {title} | {shown(ours)} | {peer} {shown(seconds[peer])} | {seconds[peer] / ours:.0f} |"


def machine():
    """What the table was made on."""
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(": ")[2] if names else model
    return f"{model}, one core, cvxrelu {cvxrelu.__version__}, NumPy {np.__version__}"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="*", default=[], metavar="PEER=PATH", help="interpreter for a peer")
    parser.add_argument("--seconds", type=float, default=60, help="limit of a peer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args(argv)
    options.gap, options.gaps = 1e-6, [1e-6]
    jobs = [lambda case=case: gated_program(*case, options) for case in GATED]
    jobs += [lambda case=case: relu_program(*case, options) for case in RELU]
    jobs += [lambda name=name: cells(name, options) for name in CELLS]
    jobs += [lambda: tangent_kernel(options)]
    jobs += [lambda name=name: certificate(name, options) for name in ("200,5,200", "10000,4,200")]
    lines = ["| job | cvxrelu, s | quickest other, s | times |", "|---|---|---|---|"]
    print(*lines, sep="\n")
    for job in jobs:
        lines.append(row(*job(), options.seconds))
        print(lines[-1], flush=True)
    lines += ["", f"On {machine()}, by `python -m bench.peers`."]
    print(*lines[-2:], sep="\n")
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
