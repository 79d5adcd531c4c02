"""The gated program against its peers: CPU seconds to a certified gap, in one run.

    python -m bench.peers.gated --peers celer skglm --ratios 0.1 0.01
    python -m bench.peers.gated --python adelie=/path/to/another/environment/bin/python
    python -m bench.peers.gated --path --problems A B C
    python -m bench.peers.gated --problems long wide --ratios 0.1 --gaps 1e-4 1e-6 --peers --repeats 1 --seconds 600
    PYTHONPATH=build/multi python -m bench.peers.gated --peers --levels 3 4   # AVX2 and AVX-512 of one build
    python -m bench.peers.gated --problems digits10 --ratios 0.0021 --peers --against cvxrelu-0.1.0-cp311-linux.whl

Problems: A to F, planted teachers on Gaussian data; data sets of scikit-learn; digits10, the ten classes of digits as
ten outputs; long, a million samples, and wide, a hundred thousand patterns. A path has 50 penalties from beta_max down
to a hundredth of it, and counts as within a gap when all of them are.

Every solver runs in a process of its own, pinned to as many cores as it gets threads, over a ladder of its own
tolerances until it reaches the least gap of the table. Its coefficients are certified by one NumPy routine for all; a
cell shows the least CPU seconds (wall with several threads) at a tolerance that leads to a relative gap (gap over the
objective at zero) within the column's. What takes less than a second is the median of up to five runs in the process;
of cvxrelu's processes, which take turns with their threads and levels, the median is shown. With --against an older
build, from its wheel in an environment of its own, takes turns with them as the solver "before", and a last column
tells how many times as long it took. Building an explicit matrix and the certificate are not counted. Memory is the
peak after the first tolerance. "-": not reached within the limit.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import cvxrelu
import numpy as np

PROBLEMS = {
    "A": (500, 10, 200),
    "B": (1000, 20, 1000),
    "C": (5000, 50, 200),
    "D": (2000, 100, 1000),
    "E": (20000, 20, 500),
    "F": (300, 500, 500),
    "long": (1_000_000, 50, 500),
    "wide": (2000, 20, 100_000),
}
LARGE = ("long", "wide")  # not in the table unless asked for
SKLEARN = ("diabetes", "breast_cancer", "digits")
MANY_OUTPUTS = ("digits10",)  # no peer has blocks that are matrices
SOLVERS = Path(__file__).with_name("gated_solvers.py")
BEFORE = "before"  # cvxrelu from the wheel of --against


def problem(name, seed):
    """Gaussian data with a planted two-layer ReLU teacher, or a data set of scikit-learn, and distinct gates."""
    rng = np.random.default_rng(seed)
    if name in PROBLEMS:
        n, d, p = PROBLEMS[name]
        X = rng.standard_normal((n, d))
        y = np.maximum(X @ rng.standard_normal((d, 10)) / np.sqrt(d), 0) @ rng.standard_normal(10)
        y += 0.1 * rng.standard_normal(n)
    else:
        from sklearn import datasets

        X, y = getattr(datasets, f"load_{name.removesuffix('10')}")(return_X_y=True)
        y = np.eye(10)[y] if name in MANY_OUTPUTS else y
        X = (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1)
        y, p = (y - y.mean(axis=0)) / y.std(), 500
    return X, y, cvxrelu.sample_patterns(X, p, random_state=seed)


def python_with(wheel, folder):
    """Install a wheel in a new virtual environment and return its interpreter."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)
    return str(python)


def start(command, target, seconds, threads, level=None):
    """Run a solver, which writes `target`, on as many cores as threads; return why it ended early, if it did."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))
    environment["NUMBA_NUM_THREADS"] = str(threads)
    if level is not None:
        environment["CVXRELU_CPU_LEVEL"] = str(level)
    if command[0] != sys.executable:
        environment.pop("PYTHONPATH", None)  # it is for this interpreter; another has its own packages
    target.unlink(missing_ok=True)
    pinned = None
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))[:threads]
        pinned = lambda: os.sched_setaffinity(0, cores)  # noqa: E731
    try:
        done = subprocess.run(
            command, env=environment, preexec_fn=pinned, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return "nothing within the limit"
    return (done.stderr.strip().splitlines() or [""])[-1]


def run(solver, python, source, goal, seconds, threads, level):
    """Runs of a solver down to the gap `goal`, or the reason why there are none."""
    target = source.with_suffix(".json")
    command = [python, str(SOLVERS), solver, str(source), str(target), str(threads), str(goal)]
    reason = start(command, target, seconds, threads, level)
    return (json.loads(target.read_text()), "") if target.exists() else (None, reason)


def measure(options, source, solver, threads, level):
    """Seconds to each gap, active blocks at the last penalty and peak memory of a solver's process."""
    python = dict(entry.split("=", 1) for entry in options.python).get(solver, sys.executable)
    name = "cvxrelu" if solver == BEFORE else solver
    runs, reason = run(name, python, source, min(options.gaps), options.seconds, threads, level)
    if runs is None:
        return None, reason
    seconds = {}
    for gap in options.gaps:
        reached = [r["cpu" if threads == 1 else "wall"] for r in runs if r["gap"] <= gap]
        seconds[gap] = min(reached, default=np.inf)
    return {"seconds": seconds, "active": runs[-1]["active"], "memory": runs[0]["memory"]}, ""


def median(measured):
    """One of several measurements of the same, with the medians of their seconds, or the first that failed."""
    row, reason = next((m for m in measured if m[0] is None), measured[0])
    if row is not None:
        row["seconds"] = {gap: float(np.median([m["seconds"][gap] for m, _ in measured])) for gap in row["seconds"]}
    return row, reason


def main(argv=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", default=[*(name for name in PROBLEMS if name not in LARGE), *SKLEARN])
    parser.add_argument("--ratios", nargs="+", type=float, default=[0.1, 0.01, 0.001], help="of beta_max")
    parser.add_argument("--path", action="store_true", help="a path in the place of single penalties")
    parser.add_argument("--gaps", nargs="+", type=float, default=[1e-4, 1e-6, 1e-8])
    parser.add_argument("--peers", nargs="*", default=["celer", "celer_prune0", "skglm", "adelie", "pyscnn"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1], help="peers run with one")
    parser.add_argument("--levels", nargs="+", type=int, default=[None], help="CPU levels of cvxrelu (1, 3, 4)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--repeats", type=int, default=3, help="of cvxrelu; peers run once")
    parser.add_argument("--seconds", type=float, default=60, help="limit of a solver for all of its tolerances")
    parser.add_argument("--python", nargs="*", default=[], metavar="PEER=PATH", help="interpreter for a peer")
    parser.add_argument(
        "--against", type=Path, metavar="WHEEL", help="an older build of cvxrelu to pair every cell with"
    )
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args(argv)

    header = f"{'problem':<14}{'ratio':>7}{'seed':>5} {'solver':<16}{'threads':>7}"
    ratios = "  best peer / cvxrelu" if options.against is None else f"  best peer / cvxrelu, {BEFORE} / cvxrelu"
    print(header + "".join(f"{gap:>11.0e}" for gap in options.gaps) + f"{'active':>8}{'MiB':>7}{ratios}")
    builds = ["cvxrelu"] if options.against is None else [BEFORE, "cvxrelu"]
    ours = list(itertools.product(builds, options.threads, options.levels))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "problem.npz"
        if options.against is not None:
            options.python.append(f"{BEFORE}={python_with(options.against, Path(folder) / BEFORE)}")
        for name, seed in itertools.product(options.problems, options.seeds):
            X, y, patterns = problem(name, seed)
            largest = cvxrelu.beta_max(X, y, patterns)
            for ratio in ["path"] if options.path else options.ratios:
                betas = largest * (np.geomspace(1, 0.01, 50) if options.path else np.array([ratio]))
                np.savez(source, X=X, y=y, gates=patterns.gates, words=patterns.words, betas=betas)
                peers = [] if y.ndim > 1 else options.peers
                best = {gap: np.inf for gap in options.gaps}
                measured = {(peer, 1, None): [measure(options, source, peer, 1, None)] for peer in peers}
                for config in [*ours] * options.repeats:
                    measured.setdefault(config, []).append(measure(options, source, *config))
                for (solver, threads, level), found in measured.items():
                    label = solver if level is None else f"{solver} level {level}"
                    line = f"{name:<14}{ratio:>7}{seed:>5} {label:<16}{threads:>7}"
                    row, reason = median(found)
                    if row is None:
                        print(line + f"  did not run: {reason}", flush=True)
                        continue
                    seconds = row["seconds"]
                    line += "".join(f"{t:>11.4f}" if np.isfinite(t) else f"{'-':>11}" for t in seconds.values())
                    line += f"{row['active']:>8}{row['memory'] / 2**20:>7.0f}"
                    if solver not in builds:
                        best = {gap: min(best[gap], seconds[gap]) for gap in options.gaps}
                    elif solver == "cvxrelu" and peers and threads == 1:
                        line += "  " + " / ".join(
                            f"{best[g] / t:.0f}" if np.isfinite(best[g]) else "none" for g, t in seconds.items()
                        )
                    if solver == "cvxrelu" and options.against is not None:
                        before, _ = median(measured[BEFORE, threads, level])
                        line += f"  {BEFORE}: " + " / ".join(
                            f"{before['seconds'][g] / t:.2f}"
                            if before and np.isfinite(before["seconds"][g])
                            else "none"
                            for g, t in seconds.items()
                        )
                    print(line, flush=True)
                    case_of = {"problem": name, "ratio": ratio, "seed": seed, "threads": threads, "level": level}
                    rows.append(case_of | {"solver": solver} | row)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
