"""fit and predict of regressors and classifiers whose models take real targets."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from ..base.arrays import FloatArray, append_ones
from ..base.callbacks import as_callback
from ..base.memory import require_fit
from ..gated.losses import probabilities
from ..networks.network import Network
from ..rows.rows import is_dask, is_rows
from .callbacks import CallbackSupportMixin, FitTasks, with_callbacks
from .labels import labels_of_scores, one_against_rest
from .merging import MergedSamples, merge_samples
from .rows import evaluate_on_rows, fit_on_rows, gathered

ONE_SAMPLE = (
    "n_samples=1 distinct sample whose sample_weight is not zero: the fold that leaves it out has none to learn from"
)


def checked_weights(sample_weight: Any, X: Any) -> FloatArray | None:
    """Return sample weights as scikit-learn wants them checked; None where there are none."""
    if sample_weight is None:
        return None
    weights: FloatArray = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weights.any():
        raise ValueError("sample_weight is zero for every sample")
    return weights


def require_weighted_folds(folds: list[Any], weights: FloatArray | None) -> None:
    """Check that there is something to learn from in every fold, and something held out in some."""
    if weights is None:
        return
    for k, (train, _) in enumerate(folds):
        if not weights[train].any():
            raise ValueError(
                f"sample_weight is zero for every training sample of fold {k} of {len(folds)}: give more samples "
                "weight, or choose the folds with cv"
            )
    if not any(weights[test].any() for _, test in folds):
        raise ValueError("sample_weight is zero for every sample that is held out")


def as_dense(X: Any) -> npt.NDArray[np.floating[Any]]:
    """Return samples as an array. The blocks D_i X u_i of a network are dense whatever X is, and so is the core."""
    if not sparse.issparse(X):
        return np.asarray(X)
    rows, columns = X.shape
    require_fit(rows, columns, "sparse X as an array", "take fewer features or samples, or rows in chunks", copies=2)
    return np.asarray(X.toarray())


class Model(CallbackSupportMixin):  # type: ignore[misc]
    """What the mixins need: `_train` sets the fitted attributes, `_values` evaluates rows with the bias appended."""

    fit_bias: bool

    def _fits_chunks(self, X: Any) -> bool:
        """Say whether `X` holds rows in chunks that `fit` goes through one by one."""
        return False

    def _targets_of(self, labels: npt.NDArray[np.intp], n_classes: int) -> FloatArray:
        return one_against_rest(labels, n_classes)

    def _train(self, samples: MergedSamples, X: FloatArray, tasks: FitTasks) -> None:
        raise NotImplementedError

    def _values(self, X: FloatArray) -> npt.NDArray[np.floating[Any]]:
        raise NotImplementedError

    def _fit(self, X: npt.NDArray[np.floating[Any]], targets: FloatArray, sample_weight: Any, tasks: FitTasks) -> None:
        weights = checked_weights(sample_weight, X)
        samples = merge_samples(np.asarray(X, dtype=np.float64), targets, weights)
        self._train(samples, append_ones(samples.X) if self.fit_bias else samples.X, tasks)

    def _checked(self, X: Any, **checks: Any) -> Any:
        """Return what scikit-learn's `validate_data` does, with float samples; sparse ones become dense."""
        checked = validate_data(self, X, dtype=[np.float64, np.float32], accept_sparse="csr", **checks)
        return (as_dense(checked[0]), *checked[1:]) if isinstance(checked, tuple) else as_dense(checked)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _evaluate(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        check_is_fitted(self)
        if is_dask(X):
            return evaluate_on_rows(self, X)
        X = self._checked(X, reset=False)
        design = np.asarray(X, dtype=np.float64)
        values = self._values(append_ones(design) if self.fit_bias else design)
        return values.astype(X.dtype, copy=False)


class RegressionMixin(RegressorMixin, Model):  # type: ignore[misc]
    """fit and predict for targets that are numbers."""

    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            Training samples. Sparse ones are copied to an array.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
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
        as_callback(getattr(self, "callback", None))
        if self._fits_chunks(X):
            return fit_on_rows(self, X, y, sample_weight)
        X, y, sample_weight = gathered(X, y, sample_weight)
        X, y = self._checked(X, y=y, multi_output=True, y_numeric=True)
        if not self.__sklearn_tags__().target_tags.multi_output:
            y = column_or_1d(y, warn=True)
        tasks = FitTasks(self, X, y, sample_weight)
        self._fit(X, np.asarray(y, dtype=np.float64), sample_weight, tasks)
        tasks.finish()
        return self

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
        return self._evaluate(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class ClassificationMixin(ClassifierMixin, Model):  # type: ignore[misc]
    """fit and predict for labels.

    By default by regression on targets -1 and +1: one output for two classes, else one each.
    """

    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            Training samples. Sparse ones are copied to an array.
        y : array_like of shape (n_samples,)
            Labels of two classes or more.
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
        as_callback(getattr(self, "callback", None))
        if self._fits_chunks(X):
            return fit_on_rows(self, X, y, sample_weight)
        X, y, sample_weight = gathered(X, y, sample_weight)
        X, y = self._checked(X, y=y)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        if classes.size < 2:
            raise ValueError(f"y has one class only, {classes[0]!r}: a classifier needs two or more")
        self.classes_ = classes
        tasks = FitTasks(self, X, y, sample_weight)
        self._fit(X, self._targets_of(labels, classes.size), sample_weight, tasks)
        tasks.finish()
        return self

    def decision_function(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        """Evaluate the model.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes one score, positive for ``classes_[1]``; otherwise a score for each class.
        """
        return self._evaluate(X)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Predict labels.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        labels: npt.NDArray[Any] = labels_of_scores(self.decision_function(X), self.classes_)
        return labels


class GatedModel(Model):
    """What the gated estimators share: their losses, and the evaluation of the network."""

    loss: str
    n_threads: int | None
    network_: Network
    _LOSSES: tuple[str, ...]

    def _checked_loss(self) -> dict[str, Any]:
        if self.loss not in self._LOSSES:
            raise ValueError(f"loss must be one of {', '.join(self._LOSSES)}, not {self.loss!r}")
        return {"loss": self.loss, "delta": getattr(self, "delta", 1.0)}

    def _evaluate(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        check_is_fitted(self)
        if is_rows(X):
            return evaluate_on_rows(self, X)
        X = self._checked(X, reset=False)
        return self.network_.predict(X, n_threads=self.n_threads)


class GatedRegression(RegressionMixin, GatedModel):
    """Regression with the squared, Huber or Poisson loss; for Poisson the network gives the logarithm of a mean."""

    _LOSSES = ("squared", "huber", "poisson")

    def _evaluate(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        values = super()._evaluate(X)
        return np.exp(values) if self.loss == "poisson" else values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # scikit-learn's checks of several outputs know no targets that must not be negative.
        tags.target_tags.positive_only = self.loss == "poisson"
        tags.target_tags.multi_output = self.loss != "poisson"
        return tags


class GatedClassification(ClassificationMixin, GatedModel):
    """Classification with the squared, logistic or softmax loss; the last two have probabilities."""

    _LOSSES = ("squared", "logistic", "softmax")

    def _targets_of(self, labels: npt.NDArray[np.intp], n_classes: int) -> FloatArray:
        if self.loss == "softmax":
            return np.eye(n_classes)[labels]
        targets = one_against_rest(labels, n_classes)
        return targets if self.loss == "squared" else (targets > 0).astype(np.float64)

    def decision_function(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        """Evaluate the network.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes one score, positive for ``classes_[1]``; otherwise a score for each class.
        """
        scores = self._evaluate(X)
        if self.loss == "softmax" and self.classes_.size == 2:
            return np.asarray(scores[:, 1] - scores[:, 0])
        return scores

    @available_if(lambda self: self.loss != "squared")  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        """Estimate the probabilities of the classes, with the logistic or the softmax loss.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``; rows sum to 1.
        """
        return probabilities(self.loss, self._evaluate(X))
