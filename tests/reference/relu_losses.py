"""The ReLU program with any loss, unpenalised columns, weights and a ridge, by its definition."""

import cvxpy as cp
import numpy as np

from reference import cone, conic
from reference.losses import conic_loss, dual_of, loss_of, residual


def optimum(name, X, y, masks, beta, *, weights=None, omega=None, ridge=0.0, delta=1.0, unpenalised=None):
    """The optimal value over the patterns."""
    fit, penalty, constraints = 0, 0, []
    omega = np.ones(masks.shape[1]) if omega is None else omega
    for mask, weight in zip(masks.T, omega, strict=True):
        B = np.where(mask[:, None], 1.0, -1.0) * X
        for sign in (1, -1):
            u = cp.Variable((X.shape[1], 1))
            fit = fit + sign * (mask[:, None] * X) @ u
            penalty = penalty + beta * weight * cp.norm(u, "fro") + 0.5 * ridge * cp.sum_squares(u)
            kept = B if weights is None else B[weights > 0]
            constraints.append(kept @ u >= 0)
    if unpenalised is not None:
        fit = fit + unpenalised @ cp.Variable((unpenalised.shape[1], 1))
    loss, constant = conic_loss(name, y[:, None], fit, weights, delta)
    return conic.minimum(loss + penalty, constraints) + constant


def objective(name, X, y, blocks, signs, beta, *, weights=None, omega=None, ridge=0.0, delta=1.0, offset=0.0):
    """sum_j s_j loss(y_j, f_j) + beta sum_k omega_k ||u_k|| + ridge/2 sum_k ||u_k||^2, omega those of the blocks."""
    f = np.maximum(X @ blocks.T, 0) @ signs + offset
    norms = np.linalg.norm(blocks, axis=1)
    omega = np.ones(len(blocks)) if omega is None else omega
    s = np.ones(len(y)) if weights is None else weights
    return s @ loss_of(name, y[:, None], f[:, None], delta) + beta * omega @ norms + 0.5 * ridge * norms @ norms


def dual_value(name, y, theta, *, weights=None, delta=1.0):
    """-sum_j s_j loss*(-t_j / s_j)."""
    s = np.ones(len(y)) if weights is None else weights
    kept = s > 0
    assert (theta[~kept] == 0).all()
    return s[kept] @ dual_of(name, y[kept, None], (theta[kept] / s[kept])[:, None], delta)


def gradient(name, y, f, *, weights=None, delta=1.0):
    """Minus the gradient of the loss in the outputs."""
    s = np.ones(len(y)) if weights is None else weights
    return s * residual(name, y[:, None], f[:, None], delta)[:, 0]


def ridge_terms(X, masks, theta, beta, ridge, omega=None):
    """sum over patterns and signs of (||P_K(s X' D t)|| - beta omega)_+^2 / (2 ridge)."""
    omega = np.ones(masks.shape[1]) if omega is None else omega
    return sum(
        max(0.0, cone.projection_norm(X, mask, s * X.T @ (mask * theta)) - beta * weight) ** 2 / (2 * ridge)
        for mask, weight in zip(masks.T, omega, strict=True)
        for s in (1.0, -1.0)
    )
