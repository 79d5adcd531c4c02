"""Cones of activation patterns by their definitions: projections, cells, the ReLU program."""

import cvxpy as cp
import numpy as np
from scipy.optimize import nnls

from . import conic
from .arrangement import patterns


def signed_rows(X, mask):
    """Unit rows of X, turned where the mask is 0."""
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    return np.where(mask[:, None], 1.0, -1.0) * X / np.where(norms > 0, norms, 1)


def projection_norm(X, mask, c):
    """||P_K(c)|| = min over lambda >= 0 of ||c + B' lambda||."""
    return nnls(signed_rows(X, mask).T, -c, maxiter=100 * sum(X.shape))[1]


def dual_norm(X, masks, theta):
    """max over patterns and signs of ||P_K(s X' D theta)||."""
    return max(projection_norm(X, mask, s * X.T @ (mask * theta)) for mask in masks.T for s in (1.0, -1.0))


def cells(X):
    """Masks (n, p) of all full-dimensional cells, by exact insertion of one row after the other."""
    return np.array(sorted(patterns(X), reverse=True)).T


def optimum(X, y, masks, beta):
    """The optimal value of the ReLU program over the patterns."""
    fit, penalty, constraints = 0, 0, []
    for mask in masks.T:
        B = np.where(mask[:, None], 1.0, -1.0) * X
        for sign in (1, -1):
            u = cp.Variable(X.shape[1])
            fit = fit + sign * (mask[:, None] * X) @ u
            penalty = penalty + cp.norm(u)
            constraints.append(B @ u >= 0)
    return conic.minimum(0.5 * cp.sum_squares(fit - y) + beta * penalty, constraints, tol=1e-11)


def objective(X, y, W1, w2, beta):
    """1/2 ||f(X) - y||^2 + beta/2 sum_j (||w1_j||^2 + w2_j^2)."""
    residual = y - np.maximum(X @ W1.T, 0) @ w2
    return 0.5 * residual @ residual + 0.5 * beta * (np.sum(W1**2) + np.sum(w2**2))
