"""One gated program three ways: X in memory, X as a memory map under a memory limit, X on two worker processes.

    python -m bench.scale                       # n = 1,000,000: minutes, and 0.5 GB of temporary files
    python -m bench.scale --n 50000 --p 100     # the same in seconds
    python -m bench.scale --n 200000 --kinds memory newton   # and without the sample that "auto" takes
    python -m bench.scale --results table.json  # keeps finished columns; called again it goes on with the others

Each way is a process of its own. "patterns" is sample_patterns, "solve" is solve_gated from the rows to the certified
solution, in seconds by the clock and in seconds of all processors (client and workers), which other work on the
machine disturbs less. Memory is the peak resident set of a process (VmHWM), of a cluster that of the client and of
each worker; the limit is on its data segment (RLIMIT_DATA), which counts everything but mapped files. "total" is by
the clock, patterns and solution, relative to that of the first way.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

STEP = 1 << 16


def write_data(folder: pathlib.Path, n: int, d: int) -> None:
    """Gaussian rows with targets from a ReLU network of 20 neurons and some noise."""
    rng = np.random.default_rng(0)
    weights, outputs = rng.standard_normal((d, 20)) / np.sqrt(d), rng.standard_normal(20)
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float64, (n, d))
    y = np.empty(n)
    for first in range(0, n, STEP):
        rows = rng.standard_normal((min(STEP, n - first), d))
        X[first : first + STEP] = rows
        y[first : first + STEP] = np.maximum(rows @ weights, 0) @ outputs + 0.1 * rng.standard_normal(len(rows))
    X.flush()
    np.save(folder / "y.npy", y)


def peak_mb() -> float:
    """Peak resident set of this process in MB."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def load_rows(path: str, first: int, last: int) -> np.ndarray:
    """Rows of the file, read where they are wanted."""
    return np.array(np.load(path, mmap_mode="r")[first:last])


def run(kind: str, folder: pathlib.Path, options: argparse.Namespace) -> dict:
    """Solve one way in this process."""
    import cvxrelu

    y = np.load(folder / "y.npy")
    path = str(folder / "X.npy")
    # On a cluster the client alone takes as many as it may; a task on a worker has one.
    threads: int | None = options.threads if kind != "cluster" else None
    client = cluster = None
    solver = "newton" if kind == "newton" else "auto"
    if kind in ("memory", "newton"):
        X = np.load(path)
    elif kind == "map":
        resource.setrlimit(resource.RLIMIT_DATA, (options.limit_mb * 1_000_000,) * 2)
        X = cvxrelu.RowChunks(np.load(path, mmap_mode="r"), n_threads=threads)
    else:
        import dask
        import dask.array as da
        from distributed import Client, LocalCluster, wait

        cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0)
        client = Client(cluster)
        load = dask.delayed(load_rows)
        shapes = [(first, min(first + STEP, len(y))) for first in range(0, len(y), STEP)]
        X = da.concatenate(
            [da.from_delayed(load(path, a, b), (b - a, options.d), dtype=np.float64) for a, b in shapes]
        ).persist()
        wait(X)

    def clocks() -> np.ndarray:
        workers = [] if client is None else client.run(time.process_time).values()
        return np.array([time.perf_counter(), time.process_time() + sum(workers)])

    start = clocks()
    patterns = cvxrelu.sample_patterns(X, options.p, random_state=0, n_threads=threads)
    drawn = clocks()
    beta = options.beta or options.ratio * cvxrelu.beta_max(X, y, patterns, n_threads=threads)
    posed = clocks()
    solution = cvxrelu.solve_gated(X, y, patterns, beta, tol=options.tol, n_threads=threads, solver=solver)
    solved = clocks()
    result = {
        "beta": beta,
        "patterns": list(drawn - start),
        "solve": list(solved - posed),
        "passes": solution.n_iter,
        "objective": solution.objective,
        "relative_gap": solution.relative_gap,
        "active": int(solution.active.size),
        "peak_mb": [peak_mb()],
        "how": ", ".join(f"{solution.inner_solvers.count(s)} {s}" for s in dict.fromkeys(solution.inner_solvers)),
    }
    if client is not None and cluster is not None:
        result["peak_mb"] += list(client.run(peak_mb).values())
        client.close()
        cluster.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--d", type=int, default=50)
    parser.add_argument("--p", type=int, default=500)
    parser.add_argument("--ratio", type=float, default=0.1, help="beta relative to beta_max")
    parser.add_argument("--tol", type=float, default=1e-6)
    parser.add_argument("--threads", type=int, default=2, help="in memory and from a map; a task on a worker has one")
    parser.add_argument("--limit-mb", type=int, default=300, help="memory limit of the run from a map")
    parser.add_argument("--kinds", nargs="+", default=["memory", "map", "cluster"])
    parser.add_argument("--results", type=pathlib.Path, help="file of finished columns")
    parser.add_argument("--child", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--beta", type=float, help="the penalty itself")
    options = parser.parse_args()
    if options.child:
        print(json.dumps(run(options.child[0], pathlib.Path(options.child[1]), options)))
        return
    key = " ".join(
        f"{name}={getattr(options, name)}" for name in ("n", "d", "p", "ratio", "tol", "threads", "limit_mb")
    )
    results: dict = {}
    if options.results is not None and options.results.exists():
        stored = json.loads(options.results.read_text())
        results = stored["results"] if stored["key"] == key else {}
    with tempfile.TemporaryDirectory() as folder:
        if any(kind not in results for kind in options.kinds):
            write_data(pathlib.Path(folder), options.n, options.d)
        print(f"{key}; X is {8e-6 * options.n * options.d:.0f} MB, its masks {options.n * options.p / 8e6:.0f} MB")
        print(
            "| X | patterns s (cpu) | solve s (cpu) | total | passes | objective | relative | gap | peak MB | steps |"
        )
        print("|---|---|---|---|---|---|---|---|---|---|")
        for kind in options.kinds:
            first = results[options.kinds[0]] if options.kinds[0] in results else None
            if kind not in results:
                command = [sys.executable, "-m", "bench.scale", "--child", kind, folder, *sys.argv[1:]]
                if first is not None and options.beta is None:
                    command += ["--beta", repr(first["beta"])]
                out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
                results[kind] = json.loads(out.stdout.splitlines()[-1])
                if options.results is not None:
                    options.results.write_text(json.dumps({"key": key, "results": results}))
            print(row(kind, results[kind], first or results[kind]), flush=True)


def row(kind: str, result: dict, first: dict) -> str:
    """One line of the table."""
    patterns, solve = result["patterns"], result["solve"]
    total = (patterns[0] + solve[0]) / (first["patterns"][0] + first["solve"][0])
    cells = [
        kind,
        f"{patterns[0]:.1f} ({patterns[1]:.1f})",
        f"{solve[0]:.1f} ({solve[1]:.1f})",
        f"{total:.2f}",
        f"{result['passes']}",
        f"{result['objective']:.8g}",
        f"{result['objective'] / first['objective'] - 1:+.1e}",
        f"{result['relative_gap']:.1e}",
        ", ".join(f"{peak:.0f}" for peak in result["peak_mb"]),
        result["how"],
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
