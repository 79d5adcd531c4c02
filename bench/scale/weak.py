"""Weak scaling, simulated: the same rows for every worker, more and more workers.

    python -m bench.scale.weak                      # 1 to 100 workers of 20,000 rows: a minute
    python -m bench.scale.weak --rows 100000 --workers 1 100

The fit is a real one over all rows, made chunk by chunk in this process, so that rounds and certified digits are what
a cluster would take. Of every round the bytes are counted as they would be pickled, and the seconds of each worker's
chunk and of the client between rounds are measured (of the processor). The network is a model: the sums go up a tree
of --fan-in, the coefficients down to every worker by the client's link, a message takes --latency, a task of the
scheduler --task, and a link carries --bandwidth bytes a second.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import pickle
import time
from typing import Any

import cvxrelu
import numpy as np
from cvxrelu.gated.passes import PassesProgram
from cvxrelu.gated.problem import GatedData, Penalty, Stopping
from cvxrelu.rows.rows import Parts, add


@dataclasses.dataclass
class Round:
    """What one sum over all chunks took: seconds of each worker, bytes down to one and up from one."""

    seconds: list[float]
    down: int
    up: int


class CountedParts(Parts):
    """Parts that note every sum."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.rounds: list[Round] = []
        self.elapsed = 0.0

    def collect(self, function: Any, *args: Any) -> list:
        return self.parts.collect(function, *args)

    def sum(self, function: Any, *args: Any) -> tuple:
        start = time.process_time()
        timed = self.parts.collect(_timed, function, *args)
        total = None
        for _, arrays in timed:
            total = add(total, arrays)
        self.rounds.append(Round([s for s, _ in timed], len(pickle.dumps(args)), len(pickle.dumps(timed[0][1]))))
        self.elapsed += time.process_time() - start
        return total


def _timed(part: Any, function: Any, *args: Any) -> tuple:
    start = time.process_time()
    arrays = function(part, *args)
    return time.process_time() - start, arrays


def chunk_of(worker: int, rows: int, d: int) -> np.ndarray:
    """Rows of a worker, made where they are wanted."""
    return np.random.default_rng([1, worker]).standard_normal((rows, d))


def run(n_workers: int, options: argparse.Namespace) -> str:
    """Fit over the rows of all workers; returns a line of the table."""
    rng = np.random.default_rng(0)
    weights, outputs = rng.standard_normal((options.d, 20)) / np.sqrt(options.d), rng.standard_normal(20)
    makers = [lambda w=w: chunk_of(w, options.rows, options.d) for w in range(n_workers)]
    y = np.concatenate([np.maximum(make() @ weights, 0) @ outputs for make in makers])
    y += 0.1 * rng.standard_normal(y.size)
    X = cvxrelu.RowChunks(makers, n_threads=1)
    X.overhead = options.task * n_workers + 2 * options.latency
    X.n_parallel = n_workers
    patterns = cvxrelu.sample_patterns(X, options.p, random_state=0)
    program = PassesProgram(GatedData.checked(X, y, patterns, n_threads=1), Penalty())
    program.blocks = counted = CountedParts(program.blocks)
    proposals: list[float] = []
    propose = program._propose

    def timed(*args: Any) -> Any:
        start = time.process_time() - counted.elapsed
        proposal = propose(*args)
        proposals.append(time.process_time() - counted.elapsed - start)
        return proposal

    program._propose = timed
    (solution,), _ = program.path(np.array([options.ratio * program.beta_max()]), None, Stopping(options.tol))
    levels = math.ceil(math.log(max(n_workers, 2), options.fan_in))
    wait = sum(
        options.task * n_workers
        + (1 + levels) * options.latency
        + (n_workers * r.down + levels * options.fan_in * r.up) / options.bandwidth
        for r in counted.rounds
    )
    work = sum(float(np.mean(r.seconds)) for r in counted.rounds)
    digits = -math.log10(solution.relative_gap)
    steps = ", ".join(f"{solution.inner_solvers.count(s)} {s}" for s in dict.fromkeys(solution.inner_solvers))
    cells = [
        f"{n_workers}",
        f"{y.size:,}",
        f"{len(counted.rounds)} ({steps})",
        f"{len(counted.rounds) / digits:.2f}",
        f"{sum(r.down for r in counted.rounds) / digits / 1e3:.0f}",
        f"{sum(r.up for r in counted.rounds) / digits / 1e3:.0f}",
        f"{sum(n_workers * r.down + r.up for r in counted.rounds) / digits / 1e6:.2f}",
        f"{work:.2f}",
        f"{wait:.2f}",
        f"{sum(proposals[1:]):.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scale.weak", description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 10, 30, 100])
    parser.add_argument("--rows", type=int, default=20_000, help="of every worker")
    parser.add_argument("--d", type=int, default=20)
    parser.add_argument("--p", type=int, default=200)
    parser.add_argument("--ratio", type=float, default=0.1, help="beta relative to beta_max")
    parser.add_argument("--tol", type=float, default=1e-6)
    parser.add_argument("--fan-in", type=int, default=8)
    parser.add_argument("--latency", type=float, default=1e-3, help="seconds")
    parser.add_argument("--task", type=float, default=1e-3, help="seconds of the scheduler for a task")
    parser.add_argument("--bandwidth", type=float, default=1.25e9, help="bytes a second")
    options = parser.parse_args()
    print(f"{options.rows} rows a worker, d = {options.d}, p = {options.p}, beta / beta_max = {options.ratio}")
    columns = ("workers", "rows", "rounds", "a digit", "kB down to a worker", "kB up from one", "MB of the client")
    print(f"| {' | '.join(columns)} | work s | network s | client s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for n_workers in options.workers:
        print(run(n_workers, options), flush=True)
    print(
        "bytes are for a certified digit; seconds are for the whole fit, work that of one worker, the client's without"
    )
    print("the first proposal, which collects the sample")


if __name__ == "__main__":
    main()
