"""Models to stand beside a network in a report: ridge regression, and scikit-learn's MLP where there is one."""

from __future__ import annotations

import warnings

import numpy as np

from ..base.arrays import FloatArray


def fit_ridge(X: FloatArray, y: FloatArray, Z: FloatArray) -> FloatArray:
    """Train ridge regression with an intercept on (X, y), its penalty chosen by leave-one-out error; predict Z.

    The leave-one-out residuals of a linear smoother with hat matrix H are r_j / (1 - H_jj).
    """
    center, mean = X.mean(axis=0), y.mean(axis=0)
    U, s, Vt = np.linalg.svd(X - center, full_matrices=False)
    projections = U.T @ (y - mean)
    best, error = np.zeros((X.shape[1], *y.shape[1:])), np.inf
    for penalty in np.geomspace(1e-8, 1e2, 41) * max(float(s[0]) ** 2, 1e-300):
        shrink = s**2 / (s**2 + penalty)
        residuals = y - mean - U @ (projections.T * shrink).T
        leverage = 1 / X.shape[0] + (U**2) @ shrink
        loo = float(np.sum((residuals.T / np.maximum(1 - leverage, 1e-8)) ** 2))
        if loo < error:
            best, error = Vt.T @ (projections.T * (s / (s**2 + penalty))).T, loo
    prediction: FloatArray = (Z - center) @ best + mean
    return prediction


def fit_mlp(X: FloatArray, y: FloatArray, Z: FloatArray, seed: int) -> FloatArray | None:
    """Train scikit-learn's MLPRegressor on (X, y) with its default settings, but up to 2000 epochs; predict Z.

    None where scikit-learn is not installed.
    """
    try:
        from sklearn.neural_network import MLPRegressor
    except ImportError:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MLPRegressor(max_iter=2000, random_state=seed % 2**32).fit(X, y)
    return np.asarray(model.predict(Z), dtype=np.float64)
