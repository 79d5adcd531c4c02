"""fit and predict of regressors and classifiers whose models take real targets."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from ..base.arrays import FloatArray, append_ones, as_flag, as_generator, refuse_altered
from ..base.callbacks import as_callback
from ..base.memory import require_fit
from ..base.scaling import predictions_in
from ..gated.losses import Loss, Squared, as_loss, loss_type
from ..networks.network import Network
from ..rows.rows import Rows, is_dask, is_rows
from .callbacks import CallbackSupportMixin, FitTasks, with_callbacks
from .merging import MergedSamples, merge_samples
from .rows import described, evaluate_on_rows, gathered, on_blocks

INTERCEPT = """\
    fit_intercept : bool, default {fit_intercept}
        Add a constant to every output, outside the penalty: with the squared loss the predictions for targets a y + b
        are then a f + b. Without, an offset of the targets is paid for with penalised weights."""

_MOST_RATIO_OF_SCALES = 1e3

HeldOut = tuple[npt.NDArray[np.intp], FloatArray]
"""Samples that were held out, (m,), and values there: (m[, n_outputs]), or for several penalties (n_betas, ...)."""

ONE_SAMPLE = (
    "n_samples=1 distinct sample whose sample_weight is not zero: the fold that leaves it out has none to learn from"
)


def checked_weights(sample_weight: Any, X: Any) -> FloatArray | None:
    """Return sample weights as scikit-learn wants them checked; None where there are none."""
    if sample_weight is None:
        return None
    weights: FloatArray = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    refuse_altered(sample_weight, weights, "sample_weight")
    if not weights.any():
        raise ValueError("sample_weight is zero for every sample")
    return weights


def warn_of_scales(X: npt.NDArray[np.floating[Any]]) -> None:
    """Warn where the features' standard deviations, those of constant ones left out, are orders of magnitude apart."""
    with np.errstate(over="ignore", invalid="ignore"):
        scales = X.std(axis=0, dtype=np.float64)
    varied = np.flatnonzero((scales > 0) & np.isfinite(scales))
    if not varied.size:
        return
    small, large = (int(varied[pick(scales[varied])]) for pick in (np.argmin, np.argmax))
    ratio = scales[large] / scales[small]
    if ratio > _MOST_RATIO_OF_SCALES:
        warnings.warn(
            f"the standard deviations of the features differ by a factor of {ratio:.1e}, {scales[small]:.2g} of "
            f"X[:, {small}] beside {scales[large]:.2g} of X[:, {large}]: for the same effect feature {small} pays that "
            "many times the penalty, and directions hardly turn by it; put a StandardScaler before",
            UserWarning,
            stacklevel=5,
        )


def generator_of(random_state: Any) -> np.random.Generator:
    """Return a generator; None draws from the state that `numpy.random.seed` sets, as everywhere in scikit-learn."""
    return as_generator(check_random_state(None) if random_state is None else random_state)


def as_dense(X: Any) -> npt.NDArray[np.floating[Any]]:
    """Return samples as an array. The blocks D_i X u_i of a network are dense whatever X is, and so is the core."""
    if not sparse.issparse(X):
        return np.asarray(X)
    rows, columns = X.shape
    require_fit(rows, columns, "sparse X as an array", "take fewer features or samples, or rows in chunks", copies=2)
    return np.asarray(X.toarray())


class Model(CallbackSupportMixin):  # type: ignore[misc]
    """What regressors and classifiers share.

    `_train` sets the fitted attributes, `_values` evaluates rows with the bias appended.
    """

    _CALIBRATED: ClassVar[bool] = False
    fit_bias: bool
    fit_intercept: bool
    network_: Network

    def _check_settings(self) -> None:
        """Check what every fit uses, before the data are touched."""
        as_callback(getattr(self, "callback", None))
        as_flag(self.fit_bias, "fit_bias")
        as_flag(self.fit_intercept, "fit_intercept")

    def _fits_chunks(self, X: Any) -> bool:
        """Say whether `X` holds rows in chunks that `fit` goes through one by one."""
        return False

    def _fit_rows(self, rows: Rows, targets: Any, sample_weight: Any, tasks: FitTasks) -> None:
        """Fit rows in chunks, where the estimator has a solver for them."""
        raise NotImplementedError

    def _targets_of(self, labels: npt.NDArray[np.integer], n_classes: int) -> FloatArray:
        return Squared().labels_as_targets(labels, n_classes)

    def _checked_data(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Return samples and targets, or labels, as scikit-learn wants them checked."""
        raise NotImplementedError

    def _as_targets(self, y: Any) -> Any:
        """Return the targets that are fitted to."""
        return y

    def _truth(self, targets: FloatArray) -> Any:
        """Return what a perfect prediction is where targets are these."""
        return targets

    def _weights_of(self, X: Any, y: Any, sample_weight: Any) -> Any:
        """Return the weights that samples have in the fit."""
        return sample_weight

    def _train(self, samples: MergedSamples, X: FloatArray, tasks: FitTasks) -> None:
        raise NotImplementedError

    def _calibrate(self, targets: FloatArray, weights: FloatArray | None, left_out: Sequence[HeldOut]) -> None:
        """Learn from the values at samples that were left out, where the class is `_CALIBRATED`."""
        raise NotImplementedError

    def _values(self, X: FloatArray) -> npt.NDArray[np.floating[Any]]:
        raise NotImplementedError

    def _predicting_network(self) -> Network:
        """Return the network whose values, at new samples too, are those of the estimator."""
        return self.network_

    def _fit(self, X: npt.NDArray[np.floating[Any]], targets: FloatArray, sample_weight: Any, tasks: FitTasks) -> None:
        weights = checked_weights(sample_weight, X)
        samples = merge_samples(np.asarray(X, dtype=np.float64), targets, weights, bias=self.fit_bias)
        self._train(samples, samples.X, tasks)

    def _checked(self, X: Any, **checks: Any) -> Any:
        """Return what scikit-learn's `validate_data` does, with float samples; sparse ones become dense."""
        checked = validate_data(self, X, dtype=[np.float64, np.float32], accept_sparse="csr", **checks)
        samples, *targets = checked if isinstance(checked, tuple) else (checked,)
        samples = as_dense(samples)
        refuse_altered(X, samples, "X")
        return (samples, *targets) if targets else samples

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            Training samples. Sparse ones are copied to an array.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            Targets of a regressor; a classifier takes labels of two classes or more, of shape (n_samples,), or a
            matrix of 0 and 1 that indicates several labels of each sample.
        sample_weight : array_like of shape (n_samples,), optional
            Non-negative weights; an integer weight k is the same as k copies.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            For data or settings that do not fit, and where `sample_weight` leaves a fold nothing to learn from.
        TypeError
            For settings of other kinds, such as a `callback` that cannot be called.
        """
        return self._fitted(X, y, sample_weight, self._fit)

    def _fitted(self, X: Any, y: Any, sample_weight: Any, fit: Callable[..., None]) -> Self:
        """Check settings and data, and fit by a function of samples, targets, weights and tasks."""
        self._check_settings()
        if self._fits_chunks(X):
            if getattr(self, "class_weight", None) is not None:
                raise ValueError("class_weight is not for rows in chunks: pass sample_weight")
            targets = self._as_targets(y)
            tasks = FitTasks(self, None, None, None)  # callbacks are not given data that may not fit in memory
            self._fit_rows(described(self, X), targets, sample_weight, tasks)
        else:
            X, y, sample_weight = gathered(X, y, sample_weight)
            X, y = self._checked_data(X, y)
            warn_of_scales(X)
            targets = self._as_targets(y)
            tasks = FitTasks(self, X, y, sample_weight)
            fit(X, np.asarray(targets, dtype=np.float64), self._weights_of(X, y, sample_weight), tasks)
        tasks.finish()
        return self

    def _evaluate(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        check_is_fitted(self)
        if is_dask(X):
            return evaluate_on_rows(self, X)
        X = self._checked(X, reset=False)
        return predictions_in(self._evaluate_design(np.asarray(X, dtype=np.float64)), X.dtype)

    def _evaluate_design(self, X: FloatArray) -> npt.NDArray[np.floating[Any]]:
        """Evaluate samples that were checked."""
        return self._values(append_ones(X) if self.fit_bias else X)


class RegressionMixin(RegressorMixin, Model):  # type: ignore[misc]
    """Targets that are numbers, and predictions of them."""

    def _checked_data(self, X: Any, y: Any) -> tuple[Any, Any]:
        X, targets = self._checked(X, y=y, multi_output=True, y_numeric=True)
        refuse_altered(y, np.asarray(targets, dtype=np.float64), "y")
        return X, targets if self.__sklearn_tags__().target_tags.multi_output else column_or_1d(targets, warn=True)

    def predict(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        """Predict targets.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            float32 where `X` is, else float64.
        """
        return self._means(self._evaluate(X))

    def _means(self, values: Any) -> npt.NDArray[np.floating[Any]]:
        """Return what is predicted for values of the model."""
        means: npt.NDArray[np.floating[Any]] = values
        return means

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class NetworkModel(Model):
    """What the estimators of networks share: their losses, and the evaluation of the network."""

    loss: str
    n_threads: int | None
    _TASK: str

    def _checked_loss(self) -> Loss:
        return as_loss(self.loss, getattr(self, "delta", 1.0), self._TASK)

    def _evaluate(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        check_is_fitted(self)
        if is_rows(X):
            return evaluate_on_rows(self, X, self.network_)
        X = self._checked(X, reset=False)
        return self.network_.predict(X, n_threads=self.n_threads)


class NetworkRegression(RegressionMixin, NetworkModel):
    """Regression with any loss for it; where the mean is not the network's value, `predict` returns the mean."""

    _TASK = "regression"

    def _means(self, values: Any) -> npt.NDArray[np.floating[Any]]:
        return on_blocks(self._checked_loss().prediction, values)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        loss = loss_type(self.loss)
        # scikit-learn's checks of several outputs know no targets that must not be negative.
        tags.target_tags.positive_only = loss.positive_targets
        tags.target_tags.multi_output = loss.multi_output
        return tags
