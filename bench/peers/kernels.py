"""Kernels and multiple kernel learning against their peers: seconds of one core, in one run.

    python -m bench.peers.kernels [--peer neural-tangents=PYTHON himalaya=PYTHON mklpy=PYTHON]

Peers that are not installed here run under another interpreter, given by its path. Times are CPU seconds of one thread,
the least of the repetitions after a first one that is not counted.

- ntk: n = 5000, d = 50, against the closed form in NumPy (one GEMM and a dozen passes over the matrix) and
  neural-tangents (compiled, plain ReLU, since it has no gated one).
- masking kernel: n = 2000, p = 5000, against the GEMM of its dense masks in NumPy.
- mkl: n = 1000, d = 20, p = 1000, to a relative gap, against reweighting alone, and two solvers of other objectives, at
  their own accuracy: himalaya's gradient descent, which minimises the error of held-out samples, and MKLpy's EasyMKL,
  which maximises the margin between the signs of the targets. Both hold every kernel matrix, so they get as many of
  the p kernels as fit in memory; the time of solve_mkl is for all of them.
"""

import argparse
import os
import subprocess
import sys
import time
import warnings

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import numpy as np  # noqa: E402  (after the numbers of threads)

NEURAL_TANGENTS = """
import sys, time
import jax
jax.config.update("jax_enable_x64", True)
import numpy as np
from neural_tangents import stax
n, d, repeats = map(int, sys.argv[1:])
X = np.random.default_rng(0).standard_normal((n, d))
network = stax.serial(stax.Dense(1), stax.Relu(), stax.Dense(1))
kernel = jax.jit(lambda x: network[2](x, None, "ntk"))
kernel(X).block_until_ready()
times = []
for _ in range(repeats):
    start = time.process_time()
    kernel(X).block_until_ready()
    times.append(time.process_time() - start)
print(min(times))
"""

HIMALAYA = """
import sys, time
import numpy as np
from himalaya.kernel_ridge import solve_multiple_kernel_ridge_hyper_gradient as solve
with np.load(sys.argv[1]) as data:
    X, y, masks = data["X"], data["y"], data["masks"]
# float32 stacks of all kernels: as many as fit 0.5 GiB.
count = min(masks.shape[1], 2**27 // len(y) ** 2)
K = np.empty((count, len(y), len(y)), np.float32)
gram = (X @ X.T).astype(np.float32)
for i in range(count):
    K[i] = gram * np.outer(masks[:, i], masks[:, i])
start = time.process_time()
solve(K, y[:, None].astype(np.float32), max_iter=10, cv=3, progress_bar=False)
print(time.process_time() - start, count)
"""

MKLPY = """
import sys, time
import numpy as np
import torch
torch.set_num_threads(1)
from MKLpy.algorithms import EasyMKL
with np.load(sys.argv[1]) as data:
    X, y, masks = data["X"], data["y"], data["masks"]
count = min(masks.shape[1], 2**30 // (8 * len(y) ** 2))  # 1 GiB of them
gram = X @ X.T
kernels = [torch.tensor(gram * np.outer(masks[:, i], masks[:, i])) for i in range(count)]
labels = np.where(y > np.median(y), 1, -1)
start = time.process_time()
EasyMKL(lam=0.1).fit(kernels, labels)
print(time.process_time() - start, count)
"""


def timed(function, repeats):
    """Least CPU seconds of some calls, after one."""
    function()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def numpy_ntk(X):
    """The gated closed form, written to spare passes and memory."""
    gram = X @ X.T
    norms = np.sqrt(np.diag(gram))
    angle = gram / norms
    angle /= norms[:, None]
    np.clip(angle, -1, 1, out=angle)
    np.arccos(angle, out=angle)
    np.subtract(np.pi, angle, out=angle)
    gram *= angle
    gram /= 2 * np.pi
    return gram


def outside(python, seconds, code, *arguments):
    """What a peer's script prints, or why it printed nothing."""
    try:
        command = [python, "-c", code, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return None, f"stopped after {seconds:g} s"
    if done.returncode != 0:
        return None, (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return done.stdout.split(), ""


def line(what, seconds, note=""):
    """Print one row."""
    print(f"{what:<52}{seconds:>10.3f}  {note}", flush=True)


def main(argv=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", nargs="*", default=[], metavar="NAME=PYTHON", action="extend")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=300, help="limit for a peer's process")
    parser.add_argument("--iterations", type=int, default=1000, help="of reweighting alone")
    parser.add_argument("--ratios", nargs="+", type=float, default=[0.1, 0.01], help="of beta_max")
    options = parser.parse_args(argv)
    pythons = dict.fromkeys(("neural-tangents", "himalaya", "mklpy"), sys.executable)
    pythons |= dict(entry.split("=", 1) for entry in options.peer)
    import cvxrelu

    print(f"{'':<52}{'CPU s':>10}")
    n, d = 5000, 50
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    ours = timed(lambda: cvxrelu.ntk(X, n_threads=1), options.repeats)
    line(f"ntk, gated, n={n}, d={d}", ours)
    line("ntk, relu", timed(lambda: cvxrelu.ntk(X, kind="relu", n_threads=1), options.repeats))
    line(
        "ntk, relu, 3 hidden layers", timed(lambda: cvxrelu.ntk(X, kind="relu", depth=3, n_threads=1), options.repeats)
    )
    line("  its GEMM X X' alone, in NumPy", timed(lambda: X @ X.T, options.repeats))
    peer = timed(lambda: numpy_ntk(X), options.repeats)
    line("  closed form in NumPy (arccos)", peer, f"{peer / ours:.1f} x")
    found, reason = outside(pythons["neural-tangents"], options.seconds, NEURAL_TANGENTS, n, d, options.repeats)
    if found is None:
        print(f"  neural-tangents gave no result: {reason}")
    else:
        line("  neural-tangents, relu, compiled", float(found[0]), f"{float(found[0]) / ours:.1f} x")

    n, d, p = 2000, 20, 5000
    X = rng.standard_normal((n, d))
    patterns = cvxrelu.sample_patterns(X, p, random_state=0)
    eta = rng.random(p)
    masks = patterns.to_dense().astype(float)
    ours = timed(lambda: cvxrelu.masking_kernel(X, patterns, eta, n_threads=1), options.repeats)
    weighted = masks * eta
    peer = timed(lambda: weighted @ masks.T, options.repeats)
    rate = 2 * n * n * p / peer
    line(f"masking kernel, n={n}, p={p}", ours, f"{n * n * p / ours / rate:.2f} of the GEMM rate (half the flops)")
    line("  GEMM of the dense masks in NumPy", peer, f"{peer / ours:.1f} x; {rate / 1e9:.0f} Gflop/s")

    n, d, p = 1000, 20, 1000
    X = rng.standard_normal((n, d))
    y = np.maximum(X @ rng.standard_normal((d, 10)) / np.sqrt(d), 0) @ rng.standard_normal(10)
    y += 0.1 * rng.standard_normal(n)
    patterns = cvxrelu.sample_patterns(X, p, random_state=0)
    largest = cvxrelu.beta_max(X, y, patterns)
    for ratio in options.ratios:
        beta = ratio * largest
        ours = timed(lambda b=beta: cvxrelu.solve_mkl(X, y, patterns, b, n_threads=1), options.repeats)
        line(f"solve_mkl, n={n}, d={d}, p={p}, {ratio:g} beta_max, gap 1e-6", ours)
        direct = timed(lambda b=beta: cvxrelu.solve_mkl(X, y, patterns, b, max_iter=0, n_threads=1), options.repeats)
        line("  without its 10 iterations of reweighting", direct)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", cvxrelu.ConvergenceWarning)
            start = time.process_time()
            alone = cvxrelu.solve_mkl(
                X, y, patterns, beta, relaxation=0.5, finish=False, max_iter=options.iterations, n_threads=1
            )
        seconds = time.process_time() - start
        note = f"gap {alone.relative_gap:.0e} after {alone.n_iter} iterations, {seconds / ours:.0f} x"
        line("  reweighting alone", seconds, note)

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/problem.npz", X=X, y=y, masks=patterns.to_dense())
        for name, code, what in (
            ("himalaya", HIMALAYA, "himalaya, 10 iterations, 3 folds (float32)"),
            ("mklpy", MKLPY, "MKLpy, EasyMKL"),
        ):
            found, reason = outside(pythons[name], options.seconds, code, f"{folder}/problem.npz")
            if found is None:
                print(f"  {name} gave no result: {reason}")
            else:
                note = f"{float(found[-2]) / ours:.1f} x, with {found[-1]} of the {p} kernels"
                line(f"  {what}", float(found[-2]), note)


if __name__ == "__main__":
    main()
