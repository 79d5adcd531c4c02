"""ReLU networks with several outputs on small problems: gaps that are proved, beside brute force.

    OMP_NUM_THREADS=1 python -m bench.several_outputs

Gaussian data and targets, or random labels for the softmax loss, at a penalty that is a share of the largest one that
matters. "bound" is the largest ||T' (X u)_+|| over the directions of a grid in the plane, of a million random ones in
space, for the dual point T that proves the optimum, over the penalty that bounds it: at most 1, and 1 where nothing is
given away. "starts" is the best of as many L-BFGS runs from random networks of `--width` neurons, relative to what is
proved: at least 1; and "its gap" is what `certify` proves of that network.
"""

import argparse
import time
import warnings

import cvxrelu
import numpy as np
from scipy.optimize import minimize

CASES = [
    ("squared", 10, 2, 2),
    ("squared", 10, 2, 3),
    ("squared", 40, 2, 3),
    ("squared", 10, 3, 2),
    ("squared", 20, 3, 3),
    ("softmax", 10, 2, 3),
    ("softmax", 20, 3, 3),
    ("huber", 10, 3, 2),
]


def objective(X, Y, beta, loss, shape):
    """The objective and its gradient as functions of both layers in one vector."""
    width, d, c = shape

    def value(z):
        W1, W2 = z[: width * d].reshape(width, d), z[width * d :].reshape(width, c)
        hidden = np.maximum(X @ W1.T, 0)
        F = hidden @ W2
        if loss == "softmax":
            shifted = F - F.max(axis=1, keepdims=True)
            P = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
            fit, R = -np.sum(Y * np.log(np.maximum(P, 1e-300))), Y - P
        else:
            R = Y - F
            if loss == "huber":
                size = np.abs(R)
                fit = np.sum(np.where(size <= 1, size**2 / 2, size - 0.5))
                R = np.clip(R, -1, 1)
            else:
                fit = 0.5 * np.sum(R**2)
        gradient = beta * z
        gradient[: width * d] -= (((R @ W2.T) * (hidden > 0)).T @ X).reshape(-1)
        gradient[width * d :] -= (hidden.T @ R).reshape(-1)
        return fit + 0.5 * beta * z @ z, gradient

    return value


def largest(X, T, rng):
    """The largest of ||T' (X u)_+|| over many unit vectors."""
    d = X.shape[1]
    best = 0.0
    for part in range(20):
        if d == 2:
            angles = np.linspace(0, 2 * np.pi, 50_000) + part * 2 * np.pi / 1e6
            units = np.column_stack([np.cos(angles), np.sin(angles)])
        else:
            units = rng.standard_normal((50_000, d))
            units /= np.linalg.norm(units, axis=1, keepdims=True)
        best = max(best, float(np.linalg.norm(np.maximum(units @ X.T, 0) @ T, axis=1).max()))
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratio", type=float, default=0.1, help="of the penalty to the largest one that matters")
    parser.add_argument("--starts", type=int, default=30)
    parser.add_argument("--width", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore", cvxrelu.ConvergenceWarning)
    print("| loss | n, d, c | neurons | gap | seconds | bound | starts | its gap |")
    print("|---|---|---|---|---|---|---|---|")
    for loss, n, d, c in CASES:
        rng = np.random.default_rng(options.seed)
        X = rng.standard_normal((n, d))
        Y = np.eye(c)[rng.integers(c, size=n)] if loss == "softmax" else rng.standard_normal((n, c))
        beta = options.ratio * cvxrelu.relu_beta_max(X, Y, loss=loss)
        before = time.process_time()
        best = cvxrelu.train_relu(X, Y, beta, loss=loss, random_state=options.seed, n_threads=1)
        seconds = time.process_time() - before
        shown = largest(X, best.dual, rng) / beta
        value = objective(X, Y, beta, loss, (options.width, d, c))
        found = [
            minimize(value, 0.7 * rng.standard_normal(options.width * (d + c)), jac=True, method="L-BFGS-B")
            for _ in range(options.starts)
        ]
        local = min(found, key=lambda run: run.fun)
        layers = local.x[: options.width * d].reshape(-1, d), local.x[options.width * d :].reshape(-1, c)
        proved = cvxrelu.certify(X, Y, layers, beta, loss=loss, n_threads=1)
        print(
            f"| {loss} | {n}, {d}, {c} | {best.n_neurons} | {best.relative_gap:.0e} | {seconds:.2f} | {shown:.6f} | "
            f"{local.fun / best.dual_objective:.6f} | {proved.relative_gap:.0e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
