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


def objective(name, X, Y, masks, W, beta, *, weights=None, omega=None, ridge=0.0, delta=1.0, offset=0.0):
    """sum_j s_j loss(y_j, f_j) + beta sum_i omega_i ||w_i|| + ridge/2 sum_i ||w_i||^2, for W of shape (p, d, c)."""
    norms = np.sqrt((W**2).sum(axis=(1, 2)))
    s = np.ones(len(Y)) if weights is None else weights
    omega = np.ones(len(norms)) if omega is None else omega
    fit = masked_design.fitted(X, masks, W) + offset
    return s @ loss_of(name, Y, fit, delta) + beta * omega @ norms + 0.5 * ridge * (norms**2).sum()


def optimum(name, X, Y, masks, beta, *, weights=None, omega=None, ridge=0.0, delta=1.0, unpenalised=None):
    """The optimal value."""
    A = masked_design.blocks(X, masks)
    W = [cp.Variable((X.shape[1], Y.shape[1])) for _ in range(len(A))]
    omega = np.ones(len(A)) if omega is None else omega
    fit = sum(block @ w for block, w in zip(A, W, strict=True))
    if unpenalised is not None:
        fit = fit + unpenalised @ cp.Variable((unpenalised.shape[1], Y.shape[1]))
    loss, constant = conic_loss(name, Y, fit, weights, delta)
    penalty = beta * sum(o * cp.norm(w, "fro") for o, w in zip(omega, W, strict=True))
    if ridge:
        penalty = penalty + 0.5 * ridge * sum(cp.sum_squares(w) for w in W)
    return conic.minimum(loss + penalty) + constant


def conic_loss(name, Y, F, weights=None, delta=1.0):
    """The weighted loss of an expression F as a conic solver takes it, and the constant that it lacks."""
    s = np.ones((len(Y), 1)) if weights is None else weights[:, None]
    if name == "softmax":
        loss = cp.multiply(s[:, 0], cp.log_sum_exp(F, axis=1) - cp.sum(cp.multiply(Y, F), axis=1))
        return cp.sum(loss), np.sum(s * xlogy(Y, Y))
    loss, lacking = {
        "squared": lambda: (0.5 * cp.square(F - Y), 0.0),
        "logistic": lambda: (cp.logistic(F) - cp.multiply(Y, F), -entr(Y) - entr(1 - Y)),
        "huber": lambda: (0.5 * cp.huber(Y - F, delta), 0.0),
        "poisson": lambda: (cp.exp(F) - cp.multiply(Y, F), xlogy(Y, Y) - Y),
    }[name]()
    return cp.sum(cp.multiply(s, loss)), np.sum(s * lacking)
