"""fit and predict of regressors and classifiers whose models take real targets."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from ._table_model import decide, one_against_rest
from ._training import MergedSamples, merge_samples
from ._validation import FloatArray
from .network import append_ones


class Model:
    """What the mixins need: `_train` sets the fitted attributes, `_values` evaluates rows with the bias appended."""

    fit_bias: bool

    def _train(self, samples: MergedSamples, X: FloatArray) -> None:
        raise NotImplementedError

    def _values(self, X: FloatArray) -> npt.NDArray[np.floating[Any]]:
        raise NotImplementedError

    def _fit(self, X: npt.NDArray[np.floating[Any]], targets: FloatArray, sample_weight: Any) -> None:
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
            if not weights.any():
                raise ValueError("sample_weight is zero for every sample")
        samples = merge_samples(np.asarray(X, dtype=np.float64), targets, weights)
        self._train(samples, append_ones(samples.X) if self.fit_bias else samples.X)

    def _evaluate(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        design = np.asarray(X, dtype=np.float64)
        values = self._values(append_ones(design) if self.fit_bias else design)
        return values.astype(X.dtype, copy=False)


class RegressionMixin(RegressorMixin, Model):  # type: ignore[misc]
    """fit and predict for targets that are numbers."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Training samples.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array_like of shape (n_samples,), optional
            Non-negative weights; an integer weight k is the same as k copies.

        Returns
        -------
        self
            The fitted estimator.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True)
        self._fit(X, np.asarray(y, dtype=np.float64), sample_weight)
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
    """fit and predict for labels, by regression on targets -1 and +1: one output for two classes, else one each."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Training samples.
        y : array_like of shape (n_samples,)
            Labels of two classes or more.
        sample_weight : array_like of shape (n_samples,), optional
            Non-negative weights; an integer weight k is the same as k copies.

        Returns
        -------
        self
            The fitted estimator.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        if classes.size < 2:
            raise ValueError(f"y has one class only, {classes[0]!r}: a classifier needs two or more")
        self._fit(X, one_against_rest(labels, classes.size), sample_weight)
        self.classes_ = classes
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
        scores = self.decision_function(X)
        labels: npt.NDArray[Any] = self.classes_[decide(scores)]
        return labels
