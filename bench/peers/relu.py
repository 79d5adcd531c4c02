"""The ReLU program: CPU seconds to a certified gap, beside a conic solver; column generation; certificates.

    OMP_NUM_THREADS=1 python -m bench.peers.relu
    OMP_NUM_THREADS=1 python -m bench.peers.relu --problems 100,5,50 --ratios 0.1 --clarabel-limit 1e5

Ratios are of the smallest penalty whose solution over the patterns is zero. Gaps are relative to the objective, and
are those of the actual networks, certified here by one routine for all: `cvxrelu.certify` over the patterns, at the
solver's own dual point where it has one. Clarabel's seconds are those of the solver alone, without CVXPY's.
"""

import argparse
import time
import warnings

import cvxrelu
import numpy as np
from cvxrelu._native import core
from cvxrelu.cone_program import balanced_layers

PROBLEMS = [(100, 5, 50), (300, 10, 100), (1000, 20, 200), (2000, 20, 1000), (1000, 10, 1000), (5000, 10, 500)]
GENERATION = [((100, 5, 50), 0.1), ((100, 5, 50), 0.01), ((300, 10, 200), 0.1), ((1000, 20, 200), 0.1)]
CERTIFICATES = [((30, 4), 1e-8), ((40, 5), 1e-6), ((200, 3), 1e-6), ((1000, 2), 1e-6)]


def problem(n, d, p, seed):
    """Gaussian data with a planted two-layer ReLU teacher, and a sample of patterns."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = np.maximum(X @ rng.standard_normal((d, 10)) / np.sqrt(d), 0) @ rng.standard_normal(10)
    y += 0.1 * rng.standard_normal(n)
    patterns = cvxrelu.sample_patterns(X, p, random_state=seed)
    program = core.ConeProgram(X, y, 1)
    program.append(patterns.words)
    return X, y, patterns, program.beta_max()


def clarabel(X, y, patterns, beta):
    """Blocks of the optimum by CVXPY and Clarabel, and the solver's seconds."""
    import cvxpy as cp

    fit, penalty, constraints, variables = 0, 0, [], []
    for mask in patterns.to_dense().T:
        B = np.where(mask[:, None], 1.0, -1.0) * X
        for sign in (1, -1):
            u = cp.Variable(X.shape[1])
            fit = fit + sign * (mask[:, None] * X) @ u
            penalty = penalty + cp.norm(u)
            constraints.append(B @ u >= 0)
            variables.append((sign, u))
    program = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(fit - y) + beta * penalty), constraints)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program.solve(solver=cp.CLARABEL)
    blocks = np.array([u.value for _, u in variables])
    signs = np.array([sign for sign, _ in variables])
    keep = np.linalg.norm(blocks, axis=1) > 1e-8 * np.linalg.norm(blocks, axis=1).max()
    return blocks[keep], signs[keep], program.solver_stats.solve_time


def relative_gap(X, y, blocks, signs, beta, patterns):
    """Gap of a network over the patterns, relative to its objective."""
    certificate = cvxrelu.certify(X, y, balanced_layers(blocks, signs), beta, patterns=patterns, tol=1e-10, n_threads=1)
    return certificate.gap / certificate.upper_bound


def given_patterns(problems, ratios, seed, clarabel_limit):
    print("problem            ratio    cvxrelu   gap      neurons   Clarabel  gap      times")
    for n, d, p in problems:
        X, y, patterns, beta_max = problem(n, d, p, seed)
        for ratio in ratios:
            beta = ratio * beta_max
            start = time.process_time()
            solution = cvxrelu.solve_relu(X, y, patterns, beta, tol=1e-8, n_threads=1)
            seconds = time.process_time() - start
            gap = relative_gap(X, y, solution.blocks, solution.signs, beta, patterns)
            line = f"{f'({n},{d},{p})':18} {ratio:<8g} {seconds:8.4f}  {gap:.1e}  {solution.n_neurons:7d}"
            if n * d * p <= clarabel_limit:
                blocks, signs, peer = clarabel(X, y, patterns, beta)
                gap = relative_gap(X, y, blocks, signs, beta, patterns)
                line += f"   {peer:8.3f}  {gap:.1e}  {peer / seconds:6.0f}"
            print(line, flush=True)


def column_generation(seed):
    print(
        "\ncolumn generation until no walk improves\nproblem            ratio    seconds   rounds  patterns  lower by"
    )
    for (n, d, p), ratio in GENERATION:
        X, y, patterns, beta_max = problem(n, d, p, seed)
        before = cvxrelu.solve_relu(X, y, patterns, ratio * beta_max, n_threads=1).objective
        start = time.process_time()
        solution = cvxrelu.train_relu(
            X, y, ratio * beta_max, patterns=patterns, certificate="given patterns", random_state=seed, n_threads=1
        )
        seconds = time.process_time() - start
        lower = 100 * (1 - solution.objective / before)
        print(
            f"{f'({n},{d},{p})':18} {ratio:<8g} {seconds:7.2f}  {solution.n_rounds:6d}  {len(solution.patterns):8d}  "
            f"{lower:6.2f} %",
            flush=True,
        )


def certificates(seed):
    print("\ncertificates over all patterns, ratio 0.1\nproblem      cells       seconds  relative gap  nodes")
    for (n, d), tol in CERTIFICATES:
        X, y, _, beta_max = problem(n, d, 200, seed)
        start = time.process_time()
        solution = cvxrelu.train_relu(X, y, 0.1 * beta_max, tol=tol, random_state=seed, n_threads=1)
        seconds = time.process_time() - start
        cells = cvxrelu.pattern_bound(n, d)
        print(
            f"{f'({n},{d})':12} {cells:<11d} {seconds:7.2f}  {solution.relative_gap:.1e}       {solution.n_nodes}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="*", default=[",".join(map(str, p)) for p in PROBLEMS])
    parser.add_argument("--ratios", nargs="*", type=float, default=[0.1, 0.01, 0.001])
    parser.add_argument("--clarabel-limit", type=float, default=4e5, help="largest n d p for which the peer runs")
    parser.add_argument("--only", choices=["given", "generation", "certificates"])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.only in (None, "given"):
        problems = [tuple(map(int, name.split(","))) for name in arguments.problems]
        given_patterns(problems, arguments.ratios, arguments.seed, arguments.clarabel_limit)
    if arguments.only in (None, "generation"):
        column_generation(arguments.seed)
    if arguments.only in (None, "certificates"):
        certificates(arguments.seed)


if __name__ == "__main__":
    main()
