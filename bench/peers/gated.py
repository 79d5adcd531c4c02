"""The gated program against its peers: CPU seconds to a certified gap, in one run.

    python -m bench.peers.gated --peers celer skglm --ratios 0.1 0.01
    python -m bench.peers.gated --python adelie=/path/to/another/environment/bin/python

Every solver runs in a process of its own, pinned to as many cores as it gets threads, over a ladder of its own
tolerances. Its coefficients are certified here, by one NumPy routine for all; a cell shows the least CPU seconds of a
run whose relative gap (gap over the objective at zero) is within the column's, the median over the repetitions.
Building an explicit matrix is not counted. "-": not reached within the limit of a run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
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
}
SKLEARN = ("diabetes", "breast_cancer", "digits")
SOLVERS = Path(__file__).with_name("gated_solvers.py")


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

        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        X = (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1)
        y, p = (y - y.mean()) / y.std(), 500
    return X, y, cvxrelu.sample_patterns(X, p, random_state=seed)


def certified_gap(X, y, masks, coef, beta):
    """Relative duality gap of coefficients, as a sum of non-negative terms."""
    active = np.flatnonzero(np.abs(coef).sum(axis=1))
    residual = y - ((X @ coef[active].T) * masks[:, active]).sum(axis=1)
    correlations = (X * residual[:, None]).T @ masks
    norms = np.linalg.norm(correlations, axis=0)
    rr = residual @ residual
    s = min(y @ residual / rr, beta / norms.max()) if rr > 0 else 1.0
    terms = beta * np.linalg.norm(coef[active], axis=1) - s * (coef[active] * correlations[:, active].T).sum(axis=1)
    return (0.5 * (1 - s) ** 2 * rr + np.maximum(terms, 0).sum()) / (0.5 * y @ y)


def run(solver, python, source, seconds, threads, cores, script=SOLVERS):
    """Start a solver; return its runs, its coefficients and its peak memory, or the reason why there are none."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))
    environment["NUMBA_NUM_THREADS"] = str(threads)
    target = source.with_suffix(f".{solver}.npz")
    target.unlink(missing_ok=True)
    command = [python, str(script), solver, str(source), str(target), str(seconds), str(threads)]
    pinned = (lambda: os.sched_setaffinity(0, cores[:threads])) if hasattr(os, "sched_setaffinity") else None
    try:
        done = subprocess.run(
            command, env=environment, preexec_fn=pinned, capture_output=True, text=True, timeout=10 * seconds + 60
        )
        error = done.stderr.strip().splitlines()[-1:] or [""]
    except subprocess.TimeoutExpired:
        error = ["stopped after ten times the limit"]
    if not target.exists():
        return None, error[0]
    with np.load(target) as found:
        return (json.loads(str(found["runs"])), found["coefs"], int(found["memory"])), ""


def main(argv=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", default=[*PROBLEMS, *SKLEARN])
    parser.add_argument("--ratios", nargs="+", type=float, default=[0.1, 0.01, 0.001], help="of beta_max")
    parser.add_argument("--gaps", nargs="+", type=float, default=[1e-4, 1e-6, 1e-8])
    parser.add_argument("--peers", nargs="*", default=["celer", "celer_prune0", "skglm", "adelie", "pyscnn"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--repeats", type=int, default=3, help="of cvxrelu; peers run once")
    parser.add_argument("--seconds", type=float, default=30, help="a solver's ladder ends after a run that took longer")
    parser.add_argument("--python", nargs="*", default=[], metavar="PEER=PATH", help="interpreter for a peer")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args(argv)
    pythons = dict(entry.split("=", 1) for entry in options.python)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

    header = f"{'problem':<14}{'ratio':>7}{'seed':>5} {'solver':<16}{'threads':>7}"
    print(header + "".join(f"{gap:>11.0e}" for gap in options.gaps) + f"{'active':>8}{'MiB':>7}  best peer / cvxrelu")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.problems:
            for seed in options.seeds:
                X, y, patterns = problem(name, seed)
                masks = patterns.to_dense().astype(float)
                largest = cvxrelu.beta_max(X, y, patterns)
                for ratio in options.ratios:
                    source = Path(folder) / "problem.npz"
                    beta = ratio * largest
                    np.savez(source, X=X, y=y, masks=masks, gates=patterns.gates, words=patterns.words, beta=beta)
                    for threads in options.threads:
                        peers = options.peers if threads == 1 else []
                        best = {gap: np.inf for gap in options.gaps}
                        for solver in [*peers, "cvxrelu"]:
                            python = pythons.get(solver, sys.executable)
                            times = {gap: [] for gap in options.gaps}
                            for _ in range(options.repeats if solver == "cvxrelu" else 1):
                                found, reason = run(solver, python, source, options.seconds, threads, cores)
                                if found is None:
                                    break
                                runs, coefs, memory = found
                                gaps = [certified_gap(X, y, masks, coef, beta) for coef in coefs]
                                for gap in options.gaps:
                                    key = "cpu" if threads == 1 else "wall"
                                    reached = [r[key] for r, g in zip(runs, gaps, strict=True) if g <= gap]
                                    times[gap].append(min(reached, default=np.inf))
                            line = f"{name:<14}{ratio:>7g}{seed:>5} {solver:<16}{threads:>7}"
                            if found is None:
                                print(line + f"  did not run: {reason}", flush=True)
                                continue
                            medians = {gap: float(np.median(times[gap])) for gap in options.gaps}
                            cells = "".join(f"{t:>11.4f}" if np.isfinite(t) else f"{'-':>11}" for t in medians.values())
                            active = int((np.abs(coefs[-1]).sum(axis=1) > 0).sum())
                            line += cells + f"{active:>8}{memory / 2**20:>7.0f}"
                            if solver == "cvxrelu" and peers:
                                ratios = [
                                    f"{best[g] / t:.0f}" if np.isfinite(best[g]) else "none" for g, t in medians.items()
                                ]
                                line += "  " + " / ".join(ratios)
                            elif solver != "cvxrelu":
                                best = {gap: min(best[gap], medians[gap]) for gap in options.gaps}
                            print(line, flush=True)
                            row = {"problem": name, "ratio": ratio, "seed": seed, "solver": solver, "threads": threads}
                            rows.append(row | {"seconds": medians, "active": active, "memory": memory})
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
