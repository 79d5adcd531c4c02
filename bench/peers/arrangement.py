"""Cells of hyperplane arrangements against public peers: CPU seconds, in one run, one thread each.

    python -m bench.peers.arrangement
    python -m bench.peers.arrangement --limit 60 --only "generic 30x5" "resonance 5"

Peers: the enumeration tree of Rada and Cerny (2018) with one warm-started linear program a node (HiGHS), which anyone
can run, and SageMath's `HyperplaneArrangements(...).regions()` where `sage` is installed. A run that is over the limit
is stopped, and shown with the share of the cells it had reached.
"""

import argparse
import itertools
import json
import math
import shutil
import subprocess
import time

import cvxrelu
import highspy
import numpy as np


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


class RadaCerny:
    """Depth-first through the sign vectors of the first k rows: the witness gives one sign, a program the other."""

    def __init__(self, X):
        self.X = X / np.linalg.norm(X, axis=1, keepdims=True)
        d = X.shape[1]
        self.solver = highspy.Highs()
        self.solver.setOptionValue("output_flag", False)
        self.solver.setOptionValue("presolve", "off")
        self.solver.setOptionValue("threads", 1)
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


def sage(X, limit):
    code = (
        "import json, time; from sage.all import *\n"
        f"rows = json.loads('{json.dumps(X.tolist())}')\n"
        "H = HyperplaneArrangements(QQ, tuple('x%d' % i for i in range(len(rows[0]))))\n"
        "A = H([[[QQ(v) for v in row], 0] for row in rows]); t = time.process_time(); n = len(A.regions())\n"
        "print(time.process_time() - t, n)"
    )
    try:
        done = subprocess.run(["sage", "-python", "-c", code], capture_output=True, text=True, timeout=limit + 30)
    except subprocess.TimeoutExpired:
        return limit, 0, False
    seconds, cells = done.stdout.split()
    return float(seconds), int(cells), True


def ours(X, certify, repeats=3):
    best = math.inf
    for _ in range(repeats):
        start = time.process_time()
        cells = len(cvxrelu.enumerate_patterns(X, certify=certify, n_threads=1))
        best = min(best, time.process_time() - start)
    return best, cells


def counted(X, repeats=3):
    best = math.inf
    for _ in range(repeats):
        start = time.process_time()
        cvxrelu.count_patterns(X, n_threads=1)
        best = min(best, time.process_time() - start)
    return best


def show(seconds, cells, done, total):
    if done and cells != total:
        return f"{cells} cells!"
    return f"{seconds:.4g}" if done else f">{seconds:.0f} ({100 * cells / total:.2g} %)"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds for each run of a peer")
    parser.add_argument("--only", nargs="*", default=list(DESIGNS), help="names of the designs")
    options = parser.parse_args()
    peers = {"Rada-Cerny, HiGHS": rada_cerny}
    if shutil.which("sage"):
        peers["Sage"] = sage
    header = ["design", "cells", "count", "gates", "certified", "M cells/s", *peers]
    print(" | ".join(f"{title:>17}" for title in header))
    for name in options.only:
        X = DESIGNS[name]
        plain, total = ours(X, certify=False)
        certified, _ = ours(X, certify=True)
        row = [
            name,
            str(total),
            f"{counted(X):.4g}",
            f"{plain:.4g}",
            f"{certified:.4g}",
            f"{total / certified / 1e6:.3g}",
        ]
        row += [show(*peer(X, options.limit), total) for peer in peers.values()]
        print(" | ".join(f"{cell:>17}" for cell in row), flush=True)


if __name__ == "__main__":
    main()
