"""Multiple kernel learning over masking kernels, by its definition."""

import cvxpy as cp
import numpy as np

from reference import conic, kernels, masked_design


def kernel_objective(X, y, masks, eta, beta, form="beta"):
    """beta/2 [ <y, (K + beta I)^-1 y> + sum eta ], without the sum in the simplex form."""
    K = kernels.masking_kernel(X, masks, eta)
    Y = y.reshape(len(y), -1)
    value = np.vdot(Y, np.linalg.solve(K + beta * np.eye(len(y)), Y))
    return 0.5 * beta * (value + (eta.sum() if form == "beta" else 0.0))


def ridge(X, y, masks, eta, beta):
    """Dual coefficients alpha, and blocks u_i = eta_i X' D_i alpha."""
    alpha = np.linalg.solve(kernels.masking_kernel(X, masks, eta) + beta * np.eye(len(y)), y.reshape(len(y), -1))
    return alpha, eta[:, None, None] * masked_design.correlations(X, masks, alpha)


def objective(X, y, masks, blocks, beta, form="beta"):
    """1/2 ||y - sum D_i X u_i||^2 + beta S, or + beta/2 S^2 in the simplex form, S = sum ||u_i||."""
    residual = y.reshape(len(y), -1) - masked_design.fitted(X, masks, blocks)
    total = np.sqrt((blocks**2).sum(axis=(1, 2))).sum()
    return 0.5 * (residual**2).sum() + (beta * total if form == "beta" else 0.5 * beta * total**2)


def reweight(X, y, masks, eta, beta, n_iter, form="beta"):
    """Objectives of plain iterative reweighting."""
    values = []
    for _ in range(n_iter):
        _, blocks = ridge(X, y, masks, eta, beta)
        values.append(objective(X, y, masks, blocks, beta, form))
        eta = np.sqrt((blocks**2).sum(axis=(1, 2)))
        if form == "simplex":
            eta = eta / eta.sum()
    return np.array(values)


def simplex_optimum(X, y, masks, mu):
    """min over the simplex of mu/2 y'(K(eta) + mu I)^-1 y, by a conic solver."""
    eta = cp.Variable(masks.shape[1], nonneg=True)
    gram = X @ X.T
    K = sum(e * (gram * np.outer(m, m)) for e, m in zip(eta, masks.T.astype(float), strict=True))
    matrix = cp.Variable((len(y), len(y)), PSD=True)
    return conic.minimum(
        0.5 * mu * cp.matrix_frac(y, matrix), [cp.sum(eta) == 1, matrix == K + mu * np.eye(len(y))], tol=1e-8
    )
