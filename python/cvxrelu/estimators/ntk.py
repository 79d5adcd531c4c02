"""scikit-learn estimators: kernel ridge regression with neural tangent kernels."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from ..base.arrays import FloatArray, append_ones, as_count, as_penalties, as_scalar, as_threads
from ..base.scaling import as_dtype
from ..kernels.closed_form import require_memory
from ..kernels.kernels import ntk
from .calibration import CALIBRATED, CalibratedClassification
from .callbacks import FitTasks
from .class_weights import CLASS_WEIGHT
from .fitting import INTERCEPT, ONE_SAMPLE, Model, RegressionMixin, checked_weights
from .merging import MergedSamples, merge_samples
from .parameters import with_parameters
from .ridge import Ridge
from .selection import SCORING, PenaltySearch, Selection, on_all_copies, squared_errors

_KERNEL = """\
    kind : {"gated", "gated-both", "relu"}, default "gated"
        Which network, and which gradients: see :func:`ntk`.
    depth : int, default 1
        Hidden layers; more than 1 for "relu" only."""

_REST = """\
    fit_bias : bool, default True
        Append a column of ones, inside the kernel.
{intercept}
    n_threads : int, optional
        Threads; by default what OpenMP would take."""

_FITTED = """\
    X_fit_ : ndarray of shape (n_distinct, n_features [+ 1])
        Distinct training samples, with the column of ones.
    dual_coef_ : ndarray of shape (n_distinct,) or (n_distinct, n_outputs)
        Predictions are ``ntk(X_fit_, Z) @ dual_coef_ + intercept_``.
    intercept_ : float or ndarray of shape (n_outputs,)
        The constant of every output, 0 without `fit_intercept`.
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

_PENALTIES = (
    SCORING.format(
        mean="It is of all samples left out one by one at once, or the mean over the folds of `cv`, and of equal ones "
        "the largest penalty counts.",
        error="weighted mean square error",
    )
    + """
    cv : int, splitter or iterable of (train, test), default None
        Folds as scikit-learn understands them. None leaves the samples out one by one, in closed form.
    betas : array_like of shape (n_betas,), optional
        Penalties. By default `n_betas` of them in geometric progression from 1e-6 to 10 times the weighted mean of
        ||x||^2 / 2, the diagonal of the gated kernel.
    n_betas : int, default 30
        Length of the default grid."""
)

_ERRORS = """\
    betas_ : ndarray of shape (n_betas,)
        Penalties that were tried.
    cv_errors_ : ndarray of shape (n_betas,)
        Weighted mean squared error on the samples left out, for each penalty.
    cv_scores_ : ndarray of shape (n_betas,), or None
        What `scoring` says of them; None without it."""


class _NTK(Model, BaseEstimator):  # type: ignore[misc]
    kind: str
    depth: int
    fit_bias: bool
    fit_intercept: bool
    n_threads: int | None

    def _kernel(self, X: FloatArray, Z: FloatArray | None = None) -> FloatArray:
        return np.asarray(ntk(X, Z, kind=self.kind, depth=self.depth, n_threads=self.n_threads))

    def _ridge(self, samples: MergedSamples, X: FloatArray) -> Ridge:
        return Ridge(samples, X, self._kernel, self.fit_intercept)

    def _keep(self, samples: MergedSamples, X: FloatArray, ridge: Ridge, alpha: FloatArray, beta: float) -> None:
        self.X_fit_ = X
        self.dual_coef_ = as_dtype((ridge.root[:, None] * alpha).reshape(samples.y.shape), np.float64)
        self.intercept_ = ridge.intercept(alpha).reshape(samples.y.shape[1:])[()]
        self.beta_ = beta

    def _merged(self, X: Any, targets: FloatArray, weights: FloatArray | None) -> MergedSamples:
        return merge_samples(np.asarray(X, dtype=np.float64), targets, weights, bias=self.fit_bias)

    def _values(self, X: FloatArray) -> npt.NDArray[np.floating[Any]]:
        step = max(1, 2**24 // self.X_fit_.shape[0])  # kernels of at most some 128 MiB at a time
        parts = [self._kernel(self.X_fit_, X[k : k + step]) @ self.dual_coef_ for k in range(0, X.shape[0], step)]
        return np.concatenate(parts) + self.intercept_


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
        fit_intercept: bool = False,
        n_threads: int | None = None,
    ) -> None:
        self.kind = kind
        self.depth = depth
        self.beta = beta
        self.beta_ratio = beta_ratio
        self.fit_bias = fit_bias
        self.fit_intercept = fit_intercept
        self.n_threads = n_threads

    def _train(self, samples: MergedSamples, X: FloatArray, tasks: FitTasks) -> None:
        if self.beta is None:
            beta = as_scalar(self.beta_ratio, "beta_ratio", strict=True) * _mean_diagonal(samples, X)
        else:
            beta = as_scalar(self.beta, "beta", strict=True)
        ridge = self._ridge(samples, X)
        alpha, left_out = ridge.solve(beta, as_threads(self.n_threads), left_out=self._CALIBRATED)
        self._keep(samples, X, ridge, alpha, beta)
        if left_out is not None:
            self._calibrate(samples.y, samples.weights, [(np.arange(len(X)), left_out)])


class _NTKRidgeCV(PenaltySearch, _NTK):
    def __init__(
        self,
        *,
        kind: str = "gated",
        depth: int = 1,
        scoring: Any = None,
        cv: Any = None,
        betas: npt.ArrayLike | None = None,
        n_betas: int = 30,
        fit_bias: bool = True,
        fit_intercept: bool = False,
        n_threads: int | None = None,
    ) -> None:
        self.kind = kind
        self.depth = depth
        self.scoring = scoring
        self.cv = cv
        self.betas = betas
        self.n_betas = n_betas
        self.fit_bias = fit_bias
        self.fit_intercept = fit_intercept
        self.n_threads = n_threads

    def _search(
        self,
        selection: Selection,
        X: npt.NDArray[np.floating[Any]],
        targets: FloatArray,
        sample_weight: Any,
        tasks: FitTasks,
    ) -> None:
        weights = checked_weights(sample_weight, X)
        samples = self._merged(X, targets, weights)
        if samples.X.shape[0] < 2:
            raise ValueError(ONE_SAMPLE)
        if self.betas is None:
            betas = np.geomspace(1e-6, 10, as_count(self.n_betas, "n_betas")) * _mean_diagonal(samples, samples.X)
        else:
            betas = as_penalties(self.betas, "betas")
        ridge, path = self._decomposed(samples)
        if self.cv is None:
            if selection.groups_given:
                raise ValueError("groups need cv, such as GroupKFold(): without it samples are left out one by one")
            residuals = path.left_out(betas)
            errors = np.array([(part**2).sum() / (ridge.root**2).sum() for part in residuals])
            values = samples.y - (residuals / ridge.root[:, None]).reshape(betas.size, *samples.y.shape)
            known, left_out = (samples.y, samples.weights), [(np.arange(len(samples.y)), values)]
            held_out = on_all_copies(samples, left_out)
        else:
            held_out = []
            known, left_out = (targets, weights), held_out
            for train, test in selection.folds(X, targets, weights):
                tasks.begin("fold")
                part = self._merged(X[train], targets[train], None if weights is None else weights[train])
                held_out.append((test, self._values_beside(part, betas, X[test])))
                tasks.end()
            errors = squared_errors(targets, weights, held_out)
        best, scores = selection.choose(errors, betas, (X, targets, weights), held_out)
        self.cv_scores_ = None if scores is None else np.nanmean(scores, axis=1)
        self.betas_, self.cv_errors_ = betas, errors
        self._keep(samples, samples.X, ridge, path.alpha(betas[best]), float(betas[best]))
        if self._CALIBRATED:
            self._calibrate(*known, [(rows, at[best]) for rows, at in left_out])

    def _decomposed(self, samples: MergedSamples) -> tuple[Ridge, _Path]:
        n = samples.X.shape[0]
        require_memory(n, n, 4)  # the kernel, its eigenvectors, and what LAPACK works in
        ridge = self._ridge(samples, samples.X)
        return ridge, _Path(ridge)

    def _values_beside(self, samples: MergedSamples, betas: FloatArray, Z: npt.NDArray[Any]) -> FloatArray:
        """Return the values of all penalties on samples Z after a fit to others: (n_betas, n_samples[, n_outputs])."""
        ridge, path = self._decomposed(samples)
        design = np.asarray(Z, dtype=np.float64)
        kernel = self._kernel(samples.X, append_ones(design) if self.fit_bias else design)
        alphas = [path.alpha(beta) for beta in betas]
        values = [kernel @ (ridge.root[:, None] * alpha) + ridge.intercept(alpha) for alpha in alphas]
        return np.reshape(values, (betas.size, len(Z), *samples.y.shape[1:]))


class _Path:
    """Dual coefficients for any penalty, by one eigendecomposition. What overflows is refused where it is kept."""

    def __init__(self, ridge: Ridge) -> None:
        values, vectors = _eigh(ridge.K)
        self._values = np.maximum(values, 0)  # what is below is rounding
        self._rotated = vectors.T @ ridge.targets
        self._vectors = ridge.vectors(vectors)

    def alpha(self, beta: float) -> FloatArray:
        """Return the dual coefficients (n, c)."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(self._vectors @ (self._rotated / (self._values + beta)[:, None]))

    def left_out(self, betas: FloatArray) -> FloatArray:
        """Return the residuals of samples that were left out one by one, times the roots of weights: (n_betas, n, c).

        Leaving sample j out changes its residual from beta alpha_j to alpha_j / [(K + beta I)^-1]_jj; with an intercept
        the inverse is that of the bordered matrix, which these vectors have without cancellation.
        """
        diagonals = self._vectors**2 @ (1 / (self._values[:, None] + betas))
        return np.array([self.alpha(beta) / diagonals[:, k, None] for k, beta in enumerate(betas)])


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


@with_parameters(fit_intercept=True)
class NTKRegressor(RegressionMixin, _NTKRidge):
    __doc__ = f"""Kernel ridge regression with a neural tangent kernel.

    Solves ``min_f,b  1/2 sum_j s_j ||f(x_j) + b - y_j||^2 + beta/2 ||f||^2`` over the kernel's space of functions,
    with sample weights s_j (1 by default, and no 1/n): what a network of infinite width learns while it stays close to
    its random start. The intercept b is 0 without `fit_intercept`.

    Parameters
    ----------
{_KERNEL}
{_PENALTY}
{_REST.format(intercept=INTERCEPT.format(fit_intercept=True))}

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


@with_parameters(class_weight=None)
class NTKClassifier(CalibratedClassification, _NTKRidge):
    __doc__ = f"""Classification by kernel ridge regression on -1 and +1 with a neural tangent kernel.

    The program is that of :class:`NTKRegressor`, with one output for two classes and one for each of more.

    Parameters
    ----------
{CLASS_WEIGHT}
{_KERNEL}
{_PENALTY}
{_REST.format(intercept=INTERCEPT.format(fit_intercept=False))}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
{CALIBRATED.format(where="of samples left out one by one")}
{_FITTED}
    """


@with_parameters(fit_intercept=True)
class NTKRegressorCV(RegressionMixin, _NTKRidgeCV):
    __doc__ = f"""Kernel ridge regression with a neural tangent kernel and a penalty chosen by leaving samples out.

    One eigendecomposition serves all penalties: the value at each sample left out has a closed form. Equal samples
    count as one, and are left out together. With `cv` there are folds in place of it, each with a decomposition.

    Parameters
    ----------
{_KERNEL}
{_PENALTIES}
{_REST.format(intercept=INTERCEPT.format(fit_intercept=True))}

    Attributes
    ----------
{_ERRORS}
{_FITTED}
    """


@with_parameters(class_weight=None)
class NTKClassifierCV(CalibratedClassification, _NTKRidgeCV):
    __doc__ = f"""Classification by kernel ridge regression on -1 and +1, with a penalty chosen by leaving samples out.

    The choice is by default by squared error, which is steadier than accuracy. See :class:`NTKRegressorCV`.

    Parameters
    ----------
{CLASS_WEIGHT}
{_KERNEL}
{_PENALTIES}
{_REST.format(intercept=INTERCEPT.format(fit_intercept=False))}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
{CALIBRATED.format(where="of what was held out in the choice")}
{_ERRORS}
{_FITTED}
    """
