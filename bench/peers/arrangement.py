"""Cells of hyperplane arrangements against public peers: CPU seconds, in one run, one thread each.

    python -m bench.peers.arrangement
    python -m bench.peers.arrangement --limit 60 --only "generic 30x5" "resonance 5"
    python -m bench.peers.arrangement --only --streamed
    python -m bench.peers.arrangement --threads 1 2 --limit 0
    python -m bench.peers.arrangement --levels 3 4 --limit 0    (of a build with CVXRELU_ARCH=multi)

Ours: counting; masks; masks and gates; the same with every gate verified, and what that adds; all of them into memory
that was touched before, as in a stream. "function" is `enumerate_patterns`, with new memory. "aim" is what the project
wants of masks. With --threads wall seconds for verified gates. With --levels a line for each instruction set (3 is
AVX2, 4 AVX-512). With --streamed also resonance 7, whose 347 million masks pass through one buffer, with the peak of
memory.

Peers: the enumeration tree of Rada and Cerny (2018) with one warm-started linear program a node (HiGHS), which anyone
can run, and SageMath's `HyperplaneArrangements(...).regions()` where `sage` or passagemath-polyhedra is installed. A
run that is over the limit is stopped, and shown with the share of the cells it had reached. Programs work in floating
point: on a design that mixes sizes within a column (1 and 1e-9) they may find fewer cells, which is shown too.
"""

import argparse
import importlib.util
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import time

import cvxrelu
import highspy
import numpy as np
from cvxrelu.base.native import core


def gaussian(n, d):
    return np.random.default_rng(1000 * n + d).standard_normal((n, d))


def corners(d, bias):
    rows = np.array(list(itertools.product((0.0, 1.0), repeat=d)))
    return np.column_stack([np.ones(2**d), rows]) if bias else rows[1:]


def braid(m):
    return np.array([np.eye(m)[i] - np.eye(m)[j] for i, j in itertools.combinations(range(m), 2)])[:, :-1]


DESIGNS = {
    "generic 12x4": gaussian(12, 4),
    "generic 20x4": gaussian(20, 4),
    "generic 30x5": gaussian(30, 5),
    "generic 40x6": gaussian(40, 6),
    "generic 60x4": gaussian(60, 4),
    "generic 20x10": gaussian(20, 10),
    "generic 1000x3": gaussian(1000, 3),
    "resonance 5": corners(5, False),
    "resonance 6": corners(6, False),
    "threshold 5": corners(5, True),
    "threshold 6": corners(6, True),
    "braid 8": braid(8),
    "braid 9": braid(9),
}
AIMS = {
    "generic 40x6": "0.030",
    "generic 60x4": "0.0015",
    "generic 20x10": "0.03",
    "generic 1000x3": "0.1",
    "resonance 6": "0.07",
    "threshold 6": "1.5",
    "braid 9": "0.08",
}


class RadaCerny:
    """Depth-first through sign vectors of the first k rows: the witness gives one sign, a program tries the other."""

    def __init__(self, X):
        X = X / np.abs(X).max(axis=0)  # stretches cells and loses none; HiGHS takes coefficients of 1e-9 for zero
        self.X = X / np.linalg.norm(X, axis=1, keepdims=True)
        d = X.shape[1]
        self.solver = highspy.Highs()
        self.solver.setOptionValue("output_flag", False)
        self.solver.setOptionValue("presolve", "off")
        self.solver.setOptionValue("threads", 1)
        self.solver.setOptionValue("small_matrix_value", 1e-12)  # as low as it goes
        infinity = highspy.kHighsInf
        for _ in range(d):
            self.solver.addVar(-infinity, infinity)
        for row in self.X:
            self.solver.addRow(-infinity, infinity, d, np.arange(d, dtype=np.int32), row)

    def fix(self, row, sign):
        infinity = highspy.kHighsInf
        bounds = {1: (1.0, infinity), -1: (-infinity, -1.0), 0: (-infinity, infinity)}[sign]
        self.solver.changeRowBounds(row, *bounds)

    def count(self, deadline):
        n = len(self.X)
        self.fix(0, 1)  # the other half are antipodes
        witness = self.X[0] / (self.X[0] @ self.X[0])
        stack = [(1, witness, 0, 0)]
        cells = 0
        while stack:
            k, witness, row, sign = stack.pop()
            for later in range(row if sign else k, n):
                self.fix(later, 0)
            if sign:
                self.fix(row, sign)
                if witness is None:
                    self.solver.run()
                    if self.solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
                        continue
                    witness = np.array(self.solver.getSolution().col_value)
            if k == n:
                cells += 2
                continue
            if time.process_time() > deadline:
                return cells, False
            free = 1 if self.X[k] @ witness > 0 else -1
            inside = abs(self.X[k] @ witness) > 1e-9
            stack.append((k + 1, None, k, -free))
            stack.append((k + 1, witness if inside else None, k, free))
        return cells, True


def rada_cerny(X, limit):
    start = time.process_time()
    cells, done = RadaCerny(X).count(start + limit)
    return time.process_time() - start, cells, done


SAGE = """
import json, sys, time
from fractions import Fraction
try:
    from sage.all import HyperplaneArrangements, QQ
except ImportError:
    from sage.all__sagemath_polyhedra import HyperplaneArrangements, QQ
rows = json.load(sys.stdin)
H = HyperplaneArrangements(QQ, tuple("x%d" % i for i in range(len(rows[0]))))
# QQ(float) is the simplest rational that rounds to it, and not its value: planes that meet would miss each other.
A = H([[[QQ(Fraction(v)) for v in row], 0] for row in rows])
start = time.process_time()
regions = A.regions()
print(time.process_time() - start, len(regions))
"""


def sage_command():
    """How to run Python with Sage: a whole Sage, or its polyhedra (passagemath) beside this package."""
    if shutil.which("sage"):
        return ["sage", "-python"]
    return [sys.executable] if importlib.util.find_spec("sage") else None


def sage(X, limit):
    command = [*sage_command(), "-c", SAGE]
    try:
        rows = json.dumps(X.tolist())
        done = subprocess.run(command, input=rows, capture_output=True, text=True, timeout=limit + 30, check=True)
    except subprocess.TimeoutExpired:
        return limit, 0, False
    seconds, cells = done.stdout.split()
    return float(seconds), int(cells), True


SHORT = 0.3  # seconds: what takes less, ours or a peer's, runs again until they are over, and the best time counts


def best_of(clock, run, least=5):
    times = []
    while len(times) < least or sum(times) < SHORT:
        start = clock()
        run()
        times.append(clock() - start)
    return min(times)


def best_of_peer(peer, X, limit):
    runs = [peer(X, limit)]
    while runs[-1][2] and sum(seconds for seconds, *_ in runs) < SHORT:
        runs.append(peer(X, limit))
    return min(runs)


def ours(X, threads):
    """Seconds of all we do with a design, by the title of their column."""
    X = np.ascontiguousarray(X)
    total = cvxrelu.count_patterns(X, n_threads=1)
    words = np.ones((2 * total, (len(X) + 63) // 64), dtype=np.uint64)
    all_gates, no_gates = np.ones((2 * total, X.shape[1])), np.empty((0, 0))

    def fill(gates, certify, n_threads=1):
        cells, done = core.Arrangement(X, 0.0, certify), 0
        while not cells.finished:
            done += cells.fill(words[done:], gates[done:] if len(gates) else gates, n_threads)
        assert done == total

    cpu = {
        "count": lambda: cvxrelu.count_patterns(X, n_threads=1),
        "masks": lambda: fill(no_gates, False),
        "gates": lambda: fill(all_gates, False),
        "certified": lambda: fill(all_gates, True),
        "function": lambda: cvxrelu.enumerate_patterns(X, n_threads=1),
    }
    wall = {f"{n} thread{'s' if n > 1 else ''}": lambda n=n: fill(all_gates, True, n) for n in threads}
    seconds = {title: best_of(time.process_time, run) for title, run in cpu.items()}
    seconds |= {title: best_of(time.perf_counter, run) for title, run in wall.items()}
    return {"cells": total, **seconds}


def ours_at(level, name, threads):
    """The same in a process that loads the core for an instruction set."""
    command = [
        sys.executable,
        "-m",
        "bench.peers.arrangement",
        "--json",
        "--only",
        name,
        "--threads",
        *map(str, threads),
    ]
    environment = {**os.environ, "CVXRELU_CPU_LEVEL": str(level)}
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def streamed(X):
    words = np.zeros((1 << 18, (len(X) + 63) // 64), dtype=np.uint64)
    start, total = time.process_time(), 0
    cells = core.Arrangement(X, 0.0, False)
    while not cells.finished:
        total += cells.fill(words, np.empty((0, 0)), 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"streamed: {total} masks, {time.process_time() - start:.1f} s, peak {peak:.0f} MiB with the interpreter")


def show(seconds, cells, done, total):
    if done and cells != total:
        return f"{cells} cells!"
    return f"{seconds:.4g}" if done else f">{seconds:.0f} ({100 * cells / total:.2g} %)"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds for each run of a peer; 0: without peers")
    parser.add_argument("--only", nargs="*", default=list(DESIGNS), help="names of the designs")
    parser.add_argument("--streamed", action="store_true", help="also resonance 7, in one buffer")
    parser.add_argument("--threads", nargs="*", type=int, default=[], help="numbers of threads for wall times")
    parser.add_argument("--levels", nargs="+", type=int, default=[None], help="CPU levels (1, 3, 4)")
    parser.add_argument("--json", action="store_true", help="only our seconds, for programs")
    options = parser.parse_args()
    if options.json:
        for name in options.only:
            print(json.dumps(ours(DESIGNS[name], options.threads)))
        return
    if options.streamed:
        streamed(corners(7, False))
    peers = {"Rada-Cerny, HiGHS": rada_cerny} if options.limit > 0 else {}
    if peers and sage_command():
        peers["Sage"] = sage
    titled = False
    for name, level in itertools.product(options.only, options.levels):
        if level is None:
            seconds = ours(DESIGNS[name], options.threads)
        else:
            seconds = ours_at(level, name, options.threads)
        total = seconds.pop("cells")
        row = {"design": name, "level": str(level or ""), "cells": str(total), "aim": AIMS.get(name, "")}
        row |= {title: f"{value:.4g}" for title, value in seconds.items()}
        row["certified"] += f" (+{seconds['certified'] / seconds['gates'] - 1:.0%})"
        row |= {title: show(*best_of_peer(peer, DESIGNS[name], options.limit), total) for title, peer in peers.items()}
        if not titled:
            print(" | ".join(f"{title:>17}" for title in row))
            titled = True
        print(" | ".join(f"{cell:>17}" for cell in row.values()), flush=True)


if __name__ == "__main__":
    main()
