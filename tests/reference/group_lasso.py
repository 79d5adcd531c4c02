"""The group lasso of the gated program, by its definition."""

import cvxpy as cp
import numpy as np

from reference import conic, masked_design


def objective(X, y, masks, coef, beta, *, weights=None, omega=None, ridge=0.0, shift=0.0):
    """1/2 sum_j s_j (y_j - f_j)^2 + beta sum_i omega_i ||w_i|| + ridge/2 sum_i ||w_i||^2."""
    Y = y.reshape(len(y), -1)
    W = coef.reshape(*coef.shape[:2], -1).astype(np.result_type(coef, float))
    residual = Y - masked_design.fitted(X, masks, W) - shift
    norms = np.sqrt((W**2).sum(axis=(1, 2)))
    s = np.ones(len(y)) if weights is None else weights
    omega = np.ones(len(norms)) if omega is None else omega
    return 0.5 * (s[:, None] * residual**2).sum() + beta * (omega * norms).sum() + 0.5 * ridge * (norms**2).sum()


def dual_objective(y, theta):
    """<y, t> - 1/2 ||t||^2."""
    return (y * theta).sum() - 0.5 * (theta**2).sum()


def dual_violation(X, masks, theta, omega=None):
    """max_i ||X' D_i t|| / omega_i."""
    norms = np.sqrt((masked_design.correlations(X, masks, theta.reshape(len(theta), -1)) ** 2).sum(axis=(1, 2)))
    return (norms / (1 if omega is None else omega)).max()


def optimum(X, y, masks, beta, *, weights=None, omega=None, ridge=0.0, unpenalised=None):
    """The optimal value."""
    A = masked_design.blocks(X, masks)
    Y = y.reshape(len(y), -1)
    W = [cp.Variable((X.shape[1], Y.shape[1])) for _ in range(len(A))]
    s = np.sqrt(np.ones(len(y)) if weights is None else weights)[:, None]
    omega = np.ones(len(A)) if omega is None else omega
    fit = sum(block @ w for block, w in zip(A, W, strict=True))
    if unpenalised is not None:
        fit = fit + unpenalised @ cp.Variable((unpenalised.shape[1], Y.shape[1]))
    penalty = sum(o * cp.norm(w, "fro") for o, w in zip(omega, W, strict=True))
    loss = 0.5 * cp.sum_squares(cp.multiply(s, Y - fit)) + beta * penalty
    if ridge:
        loss = loss + 0.5 * ridge * sum(cp.sum_squares(w) for w in W)
    return conic.minimum(loss)
