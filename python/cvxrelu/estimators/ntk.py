"""scikit-learn estimators: kernel ridge regression with neural tangent kernels."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from ..base.arrays import FloatArray, as_count, as_penalties, as_scalar, as_threads
from ..base.native import core
from ..base.scaling import as_dtype
from ..kernels.closed_form import require_memory
from ..kernels.kernels import ntk
from .callbacks import FitTasks
from .fitting import ONE_SAMPLE, ClassificationMixin, Model, RegressionMixin
from .merging import MergedSamples

_KERNEL = """\
    kind : {"gated", "gated-both", "relu"}, default "gated"
        Which network, and which gradients: see :func:`ntk`.
    depth : int, default 1
        Hidden layers; more than 1 for "relu" only."""

_REST = """\
    fit_bias : bool, default True
        Append a column of ones, inside the kernel.
    n_threads : int, optional
        Threads; by default what OpenMP would take."""

_FITTED = """\
    X_fit_ : ndarray of shape (n_distinct, n_features [+ 1])
        Distinct training samples, with the column of ones.
    dual_coef_ : ndarray of shape (n_distinct,) or (n_distinct, n_outputs)
        Predictions are ``ntk(X_fit_, Z) @ dual_coef_``.
    beta_ : float
        Penalty that was used.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had names."""

_PENALTY = """\
    beta : float, optional
        Penalty. By default `beta_ratio` times the weighted mean of ||x||^2 / 2, the diagonal of the gated kernel.
    beta_ratio : float, default 1e-2
        Penalty relative to that."""

_PENALTIES = """\
    betas : array_like of shape (n_betas,), optional
        Penalties. By default `n_betas` of them in geometric progression from 1e-6 to 10 times the weighted mean of
        ||x||^2 / 2, the diagonal of the gated kernel.
    n_betas : int, default 30
        Length of the default grid."""

_ERRORS = """\
    betas_ : ndarray of shape (n_betas,)
        Penalties that were tried.
    cv_errors_ : ndarray of shape (n_betas,)
        Weighted mean squared error on the samples left out, for each penalty."""


class _NTK(Model, BaseEstimator):  # type: ignore[misc]
    kind: str
    depth: int
    fit_bias: bool
    n_threads: int | None

    def _kernel(self, X: FloatArray, Z: FloatArray | None = None) -> FloatArray:
        return np.asarray(ntk(X, Z, kind=self.kind, depth=self.depth, n_threads=self.n_threads))

    def _scaled(self, samples: MergedSamples, X: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Roots of the weights, and kernel and targets in which samples of weight s count s times.

        The kernels are homogeneous, so that scaled samples give the scaled kernel.
        """
        root = np.ones(X.shape[0]) if samples.weights is None else np.sqrt(samples.weights)
        targets = samples.y.reshape(X.shape[0], -1) * root[:, None]
        return root, self._kernel(root[:, None] * X), targets

    def _keep(self, samples: MergedSamples, X: FloatArray, dual_coef: FloatArray, beta: float) -> None:
        self.X_fit_ = X
        self.dual_coef_ = as_dtype(dual_coef.reshape(samples.y.shape), np.float64)
        self.beta_ = beta

    def _values(self, X: FloatArray) -> npt.NDArray[np.floating[Any]]:
        step = max(1, 2**24 // self.X_fit_.shape[0])  # kernels of at most some 128 MiB at a time
        parts = [self._kernel(self.X_fit_, X[k : k + step]) @ self.dual_coef_ for k in range(0, X.shape[0], step)]
        return np.concatenate(parts)


def _mean_diagonal(samples: MergedSamples, X: FloatArray) -> float:
    """Weighted mean of ||x||^2 / 2, or 1 where it is 0."""
    with np.errstate(over="ignore"):
        mean = 0.5 * float(np.average((X**2).sum(axis=1), weights=samples.weights))
    if X.any() and not np.finfo(np.float64).tiny <= mean < np.inf:
        kind = "small" if mean < 1 else "large"
        raise ValueError(f"X is too {kind}: float64 does not hold its kernel, so scale it")
    return mean or 1.0


class _NTKRidge(_NTK):
    def __init__(
        self,
        *,
        kind: str = "gated",
        depth: int = 1,
        beta: float | None = None,
        beta_ratio: float = 1e-2,
        fit_bias: bool = True,
        n_threads: int | None = None,
    ) -> None:
        self.kind = kind
        self.depth = depth
        self.beta = beta
        self.beta_ratio = beta_ratio
        self.fit_bias = fit_bias
        self.n_threads = n_threads

    def _train(self, samples: MergedSamples, X: FloatArray, tasks: FitTasks) -> None:
        if self.beta is None:
            beta = as_scalar(self.beta_ratio, "beta_ratio", strict=True) * _mean_diagonal(samples, X)
        else:
            beta = as_scalar(self.beta, "beta", strict=True)
        root, K, targets = self._scaled(samples, X)
        K.flat[:: K.shape[0] + 1] += beta
        try:
            alpha = core.solve_spd(K, np.asfortranarray(targets), as_threads(self.n_threads))
        except ValueError:
            raise ValueError(
                f"beta = {beta:.3g} is too small: the kernel plus beta is not positive definite in floating point"
            ) from None
        self._keep(samples, X, root[:, None] * alpha, beta)


class _NTKRidgeCV(_NTK):
    def __init__(
        self,
        *,
        kind: str = "gated",
        depth: int = 1,
        betas: npt.ArrayLike | None = None,
        n_betas: int = 30,
        fit_bias: bool = True,
        n_threads: int | None = None,
    ) -> None:
        self.kind = kind
        self.depth = depth
        self.betas = betas
        self.n_betas = n_betas
        self.fit_bias = fit_bias
        self.n_threads = n_threads

    def _train(self, samples: MergedSamples, X: FloatArray, tasks: FitTasks) -> None:
        if X.shape[0] < 2:
            raise ValueError(ONE_SAMPLE)
        if self.betas is None:
            betas = np.geomspace(1e-6, 10, as_count(self.n_betas, "n_betas")) * _mean_diagonal(samples, X)
        else:
            betas = as_penalties(self.betas, "betas")
        require_memory(X.shape[0], X.shape[0], 4)  # the kernel, its eigenvectors, and what LAPACK works in
        root, K, targets = self._scaled(samples, X)
        values, vectors = _eigh(K)
        values = np.maximum(values, 0)  # what is below is rounding
        rotated = vectors.T @ targets
        diagonals = vectors**2 @ (1 / (values[:, None] + betas))
        errors = np.empty(betas.size)
        for k, beta in enumerate(betas):  # coefficients that overflow are refused where they are kept
            # Leaving sample j out changes its residual from beta alpha_j to alpha_j / [(K + beta I)^-1]_jj.
            with np.errstate(over="ignore", invalid="ignore"):
                alpha = vectors @ (rotated / (values + beta)[:, None])
            left_out = alpha / diagonals[:, k, None]
            errors[k] = (left_out**2).sum() / (root**2).sum()
        best = int(errors.argmin())
        with np.errstate(over="ignore", invalid="ignore"):
            alpha = vectors @ (rotated / (values + betas[best])[:, None])
        self.betas_, self.cv_errors_ = betas, errors
        self._keep(samples, X, root[:, None] * alpha, float(betas[best]))


def _eigh(K: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues and eigenvectors, found in another thread, so that Ctrl-C is heard during this one call of LAPACK.

    It cannot be stopped: after Ctrl-C the thread goes on in the background until it has its result, which is dropped.
    """
    outcome: list[tuple[FloatArray, FloatArray] | BaseException] = []

    def work() -> None:
        try:
            values, vectors = np.linalg.eigh(K)
            outcome.append((values, vectors))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.05)
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


class NTKRegressor(RegressionMixin, _NTKRidge):
    __doc__ = f"""Kernel ridge regression with a neural tangent kernel.

    Solves ``min_f  1/2 sum_j s_j ||f(x_j) - y_j||^2 + beta/2 ||f||^2`` over the kernel's space of functions, with
    sample weights s_j (1 by default, and no 1/n): what a network of infinite width learns while it stays close to
    its random start.

    Parameters
    ----------
{_KERNEL}
{_PENALTY}
{_REST}

    Attributes
    ----------
{_FITTED}

    Examples
    --------
    >>> import numpy as np
    >>> from cvxrelu import NTKRegressor
    >>> X = np.linspace(-1, 1, 21)[:, None]
    >>> model = NTKRegressor(beta=1e-6).fit(X, np.abs(X[:, 0]))
    >>> model.predict([[0.5]]).round(2)
    array([0.5])
    """


class NTKClassifier(ClassificationMixin, _NTKRidge):
    __doc__ = f"""Classification by kernel ridge regression on -1 and +1 with a neural tangent kernel.

    The program is that of :class:`NTKRegressor`, with one output for two classes and one for each of more.

    Parameters
    ----------
{_KERNEL}
{_PENALTY}
{_REST}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
{_FITTED}
    """


class NTKRegressorCV(RegressionMixin, _NTKRidgeCV):
    __doc__ = f"""Kernel ridge regression with a neural tangent kernel and a penalty chosen by leaving samples out.

    One eigendecomposition serves all penalties: the error on each sample left out has a closed form. Equal samples
    count as one, and are left out together.

    Parameters
    ----------
{_KERNEL}
{_PENALTIES}
{_REST}

    Attributes
    ----------
{_ERRORS}
{_FITTED}
    """


class NTKClassifierCV(ClassificationMixin, _NTKRidgeCV):
    __doc__ = f"""Classification by kernel ridge regression on -1 and +1, with a penalty chosen by leaving samples out.

    The choice is by squared error, which is steadier than accuracy. See :class:`NTKRegressorCV`.

    Parameters
    ----------
{_KERNEL}
{_PENALTIES}
{_REST}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
{_ERRORS}
{_FITTED}
    """
