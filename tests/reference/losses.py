"""The losses of the gated and the ReLU program and their duals, by their definitions."""

import cvxpy as cp
import numpy as np
from scipy.special import entr, log_softmax, softmax, xlogy

from reference import conic, masked_design


def loss_of(name, Y, F, delta=1.0):
    """The loss of each sample, for Y and F of shape (n, c)."""
    if name == "logistic":
        return (np.logaddexp(0, F) - Y * F - entr(Y) - entr(1 - Y)).sum(axis=1)
    if name == "softmax":
        return (xlogy(Y, Y) - Y * log_softmax(F, axis=1)).sum(axis=1)
    if name == "huber":
        r = np.abs(Y - F)
        return np.where(r <= delta, 0.5 * r**2, delta * r - 0.5 * delta**2).sum(axis=1)
    if name == "poisson":
        return (np.exp(F) - Y * F + xlogy(Y, Y) - Y).sum(axis=1)
    if name == "squared":
        return 0.5 * ((Y - F) ** 2).sum(axis=1)
    raise ValueError(name)


def residual(name, Y, F, delta=1.0):
    """Minus the gradient."""
    if name == "logistic":
        return Y - np.exp(-np.logaddexp(0, -F))
    if name == "softmax":
        return Y - softmax(F, axis=1)
    if name == "huber":
        return np.clip(Y - F, -delta, delta)
    return Y - F if name == "squared" else Y - np.exp(F)


def dual_of(name, Y, T, delta=1.0):
    """-loss*(-t) of each sample; minus infinity outside the domain."""
    law = Y - T
    if name == "logistic":
        value = entr(law) + entr(1 - law) - entr(Y) - entr(1 - Y)
    elif name == "softmax":
        value = entr(law) - entr(Y)
    elif name == "huber":
        value = np.where(np.abs(T) <= delta * (1 + 1e-12), Y * T - 0.5 * T**2, -np.inf)
    elif name == "squared":
        value = Y * T - 0.5 * T**2
    else:
        value = entr(law) + law + xlogy(Y, Y) - Y
    return value.sum(axis=1)


def objective(name, X, Y, masks, W, beta, *, weights=None, omega=None, ridge=0.0, delta=1.0):
    """sum_j s_j loss(y_j, f_j) + beta sum_i omega_i ||w_i|| + ridge/2 sum_i ||w_i||^2, for W of shape (p, d, c)."""
    norms = np.sqrt((W**2).sum(axis=(1, 2)))
    s = np.ones(len(Y)) if weights is None else weights
    omega = np.ones(len(norms)) if omega is None else omega
    fit = masked_design.fitted(X, masks, W)
    return s @ loss_of(name, Y, fit, delta) + beta * omega @ norms + 0.5 * ridge * (norms**2).sum()


def optimum(name, X, Y, masks, beta, *, weights=None, omega=None, ridge=0.0, delta=1.0):
    """The optimal value."""
    A = masked_design.blocks(X, masks)
    W = [cp.Variable((X.shape[1], Y.shape[1])) for _ in range(len(A))]
    omega = np.ones(len(A)) if omega is None else omega
    loss, constant = conic_loss(name, Y, sum(block @ w for block, w in zip(A, W, strict=True)), weights, delta)
    penalty = beta * sum(o * cp.norm(w, "fro") for o, w in zip(omega, W, strict=True))
    if ridge:
        penalty = penalty + 0.5 * ridge * sum(cp.sum_squares(w) for w in W)
    return conic.minimum(loss + penalty) + constant


def conic_loss(name, Y, F, weights=None, delta=1.0):
    """The weighted loss of an expression F as a conic solver takes it, and the constant that it lacks."""
    s = np.ones(len(Y)) if weights is None else weights
    if name == "squared":
        return 0.5 * cp.sum(cp.multiply(s[:, None], cp.square(F - Y))), 0.0
    constant = s @ loss_of(name, Y, np.zeros_like(Y), delta) - s @ _plain_at_zero(name, Y, delta)
    if name == "logistic":
        loss = cp.sum(cp.multiply(s[:, None], cp.logistic(F) - cp.multiply(Y, F)))
    elif name == "softmax":
        loss = cp.sum(cp.multiply(s, cp.log_sum_exp(F, axis=1) - cp.sum(cp.multiply(Y, F), axis=1)))
    elif name == "huber":
        loss = 0.5 * cp.sum(cp.multiply(s[:, None], cp.huber(Y - F, delta)))
    else:
        loss = cp.sum(cp.multiply(s[:, None], cp.exp(F) - cp.multiply(Y, F)))
    return loss, constant


def _plain_at_zero(name, Y, delta):
    """What the conic program's loss is at zero, without the constants that make the losses zero at their least."""
    if name == "huber":
        return loss_of(name, Y, np.zeros_like(Y), delta)
    if name == "softmax":
        return np.full(len(Y), np.log(Y.shape[1]))
    return np.full(len(Y), {"logistic": np.log(2), "poisson": 1.0}[name] * Y.shape[1])
