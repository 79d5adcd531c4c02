"""fit and predict of classifiers: labels, and the losses and the probabilities of networks that classify."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, is_multilabel
from sklearn.utils.validation import check_is_fitted, column_or_1d

from ..base.arrays import FloatArray, refuse_masked
from ..gated.losses import LOSSES, Logistic, Loss, Softmax, as_loss, loss_type
from .class_weights import with_class_weight
from .fitting import Model, NetworkModel, as_dense, checked_weights
from .labels import coded, labels_of_scores
from .rows import on_blocks

LOG_LOSS = "log_loss"
"""The logistic loss of two classes and of each of several labels, the softmax loss of more classes."""


class ClassificationMixin(ClassifierMixin, Model):  # type: ignore[misc]
    """Labels, and predictions of them.

    By default by regression on targets -1 and +1: one output for two classes, else one each. Where samples have
    several labels each has an output, too, and `classes_` is a list with the classes 0 and 1 of each.
    """

    class_weight: Any

    def _checked_data(self, X: Any, y: Any) -> tuple[Any, Any]:
        refuse_masked(y, "y")
        if is_multilabel(y):
            X, y = self._checked(X, y=y, multi_output=True)
            return X, as_dense(y)
        X, y = self._checked(X, y=y)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        return X, y

    def _weights_of(self, X: Any, y: Any, sample_weight: Any) -> Any:
        if self.class_weight is None:
            return sample_weight
        if y.ndim == 2:
            raise ValueError("class_weight is for one label of each sample, not for several: pass sample_weight")
        return with_class_weight(self.class_weight, y, checked_weights(sample_weight, X))

    def _as_targets(self, y: Any) -> Any:
        targets, self.classes_ = coded(y, self._targets_of)
        return targets

    def _truth(self, targets: FloatArray) -> Any:
        return labels_of_scores(targets, self.classes_)

    def decision_function(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        """Evaluate the model.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_labels)
            For two classes one score, positive for ``classes_[1]``; otherwise a score for each class, or for each of
            several labels, positive where it applies.
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
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            Labels; 0 and 1 where samples have several.
        """
        labels: npt.NDArray[Any] = labels_of_scores(self.decision_function(X), self.classes_)
        return labels

    def predict_proba(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        """Estimate the probabilities of the classes.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples, n_labels)
            In the order of ``classes_``; rows sum to 1. Where samples have several labels, the probability of each.
        """
        check_is_fitted(self)
        loss, temperature = self._law()

        def law(values: Any) -> Any:
            logits = _tempered(values, temperature)
            if not isinstance(self.classes_, list):
                return loss.probabilities(logits)
            return np.stack([loss.probabilities(column)[:, 1] for column in logits.T], axis=1)

        return on_blocks(law, self._evaluate(X))

    def _law(self) -> tuple[Loss, Any]:
        """Return the loss whose probabilities are those of the values, and the temperature of these.

        That is a number, or an array with two in its last axis: of values that are not positive, and of those that are.
        """
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _is_log_loss(name: Any) -> bool:
    return isinstance(name, str) and name == LOG_LOSS


class _WithProbabilities:
    """A method of classifiers whose loss has probabilities; without them the AttributeError says what to set."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method

    def __get__(self, classifier: Any, owner: type) -> Any:
        if classifier is None:
            return self._method
        if not (_is_log_loss(classifier.loss) or loss_type(classifier.loss).has_probabilities):
            known = [name for name, loss in LOSSES.items() if loss.task == "classification" and loss.has_probabilities]
            raise AttributeError(
                f"this {owner.__name__} has no attribute {self._method.__name__!r}: loss={classifier.loss!r} has no "
                f"probabilities; set loss to one of {', '.join([LOG_LOSS, *known])}"
            )
        return self._method.__get__(classifier, owner)


def _tempered(values: npt.NDArray[np.floating[Any]], temperature: Any) -> npt.NDArray[np.floating[Any]]:
    if np.ndim(temperature) == 0:
        return np.asarray(values / temperature)
    of_sides = np.asarray(temperature, dtype=values.dtype)
    return np.asarray(values / np.where(values > 0, of_sides[..., 1], of_sides[..., 0]))


class NetworkClassification(ClassificationMixin, NetworkModel):
    """Classification with any loss for it; some have probabilities."""

    _TASK = "classification"

    def _as_targets(self, y: Any) -> Any:
        targets = super()._as_targets(y)
        if isinstance(self.classes_, list) and self._checked_loss().couples_outputs:
            raise ValueError(
                f'loss={self.loss!r} gives every sample one label, but y has several: set loss="log_loss", "logistic" '
                'or "squared"'
            )
        return targets

    def _targets_of(self, labels: npt.NDArray[np.integer], n_classes: int) -> FloatArray:
        return self._loss_of(n_classes).labels_as_targets(labels, n_classes)

    def _loss_of(self, n_classes: int) -> Loss:
        if _is_log_loss(self.loss):
            return as_loss(Logistic.name if n_classes == 2 else Softmax.name)
        return as_loss(self.loss, task=self._TASK, also=LOG_LOSS)

    def _checked_loss(self) -> Loss:
        """Return the loss: where it is the log loss, that of the classes in `y`, of which a fit learns first."""
        classes = getattr(self, "classes_", ())
        return self._loss_of(2 if isinstance(classes, list) else len(classes))

    def decision_function(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        """Evaluate the network.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_labels)
            For two classes one score, positive for ``classes_[1]``; otherwise a score for each class, or for each of
            several labels, positive where it applies.
        """
        check_is_fitted(self)
        loss, n_classes = self._checked_loss(), len(self.classes_)
        return on_blocks(lambda values: loss.scores(values, n_classes), self._evaluate(X))

    def _law(self) -> tuple[Loss, float]:
        return self._checked_loss(), 1.0

    predict_proba = _WithProbabilities(ClassificationMixin.predict_proba)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = not loss_type(self.loss).couples_outputs
        return tags
