"""The gated program with the logistic loss against skglm: CPU seconds and the certified gap that each reaches.

    OMP_NUM_THREADS=1 python -m bench.peers.losses

Needs skglm beside cvxrelu. skglm gets the explicit matrix [D_1 X ... D_p X], whose building is not counted, and is run
once before, so that its compilation is not counted either. Both coefficients are certified by one NumPy routine.
"""

import argparse
import time
import warnings

import cvxrelu
import numpy as np

PROBLEMS = {"A": (500, 10, 200), "B": (1000, 20, 500), "C": (5000, 50, 100)}


def problem(name, seed=0):
    """Gaussian data, labels from a planted ReLU teacher, and sampled gates."""
    n, d, p = PROBLEMS[name]
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    scores = np.maximum(X @ rng.standard_normal((d, 10)) / np.sqrt(d), 0) @ rng.standard_normal(10)
    y = np.where(rng.random(n) < 1 / (1 + np.exp(-3 * (scores - scores.mean()))), 1.0, -1.0)
    return X, y, cvxrelu.sample_patterns(X, p, random_state=seed)


def relative_gap(A, y, coef, beta):
    """The gap over n log 2, with the dual point at the residual shrunk to feasibility."""
    margins = y * (A @ coef.ravel())
    law = 1 / (1 + np.exp(margins))
    correlations = ((y * law) @ A).reshape(coef.shape)
    norms = np.linalg.norm(coef, axis=1)
    scale = min(1.0, beta / np.linalg.norm(correlations, axis=1).max())
    a = scale * law
    entropy = -(a * np.log(a) + (1 - a) * np.log1p(-a)).sum()
    primal = np.logaddexp(0, -margins).sum() + beta * norms.sum()
    return (primal - entropy) / (len(y) * np.log(2))


def cvxrelu_solver(X, y, patterns, beta, tol):
    """Return a function that solves with this package and gives the coefficients."""
    return lambda: cvxrelu.solve_gated(X, y, patterns, beta, loss="logistic", tol=tol, n_threads=1).coef


def skglm_solver(A, y, d, beta, tol):
    """Return a function that solves with skglm's proximal Newton method and gives the coefficients."""
    from skglm.datafits import LogisticGroup
    from skglm.penalties import WeightedGroupL2
    from skglm.solvers import GroupProxNewton
    from skglm.utils.data import grp_converter

    p = A.shape[1] // d
    indices, pointers = grp_converter(d, A.shape[1])
    datafit, penalty = LogisticGroup(pointers, indices), WeightedGroupL2(beta / len(y), np.ones(p), pointers, indices)
    solver = GroupProxNewton(tol=tol, max_iter=200)
    return lambda: solver.solve(A, y, datafit, penalty)[0].reshape(p, d)


def seconds(solve):
    """CPU seconds and the result."""
    start = time.process_time()
    result = solve()
    return time.process_time() - start, result


def main():
    """Print one line for each problem, penalty and solver."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS))
    parser.add_argument("--ratios", nargs="+", type=float, default=[0.1, 0.01])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print("problem  n      d    p     beta/beta_max  solver   tol     CPU s    relative gap")
    for name in arguments.problems:
        X, y, patterns = problem(name)
        masks = patterns.to_dense()
        A = np.asfortranarray((masks[:, :, None] * X[:, None, :]).reshape(len(X), -1))
        largest = cvxrelu.beta_max(X, y, patterns, loss="logistic")
        for ratio in arguments.ratios:
            beta = ratio * largest
            runs = [("cvxrelu", tol, cvxrelu_solver(X, y, patterns, beta, tol)) for tol in (1e-4, 1e-6)]
            skglm_solver(A, y, X.shape[1], 0.5 * largest, 1e-2)()
            runs += [("skglm", tol, skglm_solver(A, y, X.shape[1], beta, tol)) for tol in (1e-4, 1e-6)]
            for solver, tol, solve in runs:
                spent, coef = seconds(solve)
                print(
                    f"{name:7}  {X.shape[0]:<6} {X.shape[1]:<4} {len(patterns):<5} {ratio:<13}  {solver:<8} {tol:.0e}  "
                    f"{spent:7.3f}  {relative_gap(A, y, coef, beta):9.1e}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
