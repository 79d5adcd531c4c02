"""Probabilities of classifiers by regression: scores divided by a temperature, found on samples that were left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from scipy.optimize import brentq
from scipy.special import softmax

from ..base.arrays import FloatArray
from ..gated.losses import Logistic, Loss, Softmax
from .classification import ClassificationMixin
from .fitting import HeldOut

CALIBRATED = """\
    temperature_ : float, or ndarray of shape (2,) or (n_labels, 2)
        What scores are divided by before the softmax makes probabilities of them, or for two classes, or each of
        several labels, the logistic function: there scores that are not positive and those that are have one each.
        They have the largest likelihood {where}. The likeliest class is the one that is
        predicted, whatever they are."""

_LEAST_SLOPE = 1e-3  # of scores that spread over 1: where they tell nothing the order of the classes remains


def temperature(scores: FloatArray, targets: FloatArray, weights: FloatArray) -> float:
    """Return the temperature at which scores have the largest likelihood.

    As in Platt's calibration two more samples look like those of every class, of which one is of another class: so the
    temperature of scores that never err stays above zero.

    Parameters
    ----------
    scores : ndarray of shape (m,) or (m, n_classes)
        Scores of samples that were left out, NaN where there are none.
    targets : ndarray of the same shape
        -1 and +1, or their means over equal samples.
    weights : ndarray of shape (m,)
        Weights of the samples.

    Returns
    -------
    float
        The temperature; 1 where there are no scores, or where they are all equal.
    """
    logits, shares = _of_classes(scores), _of_classes((1 + targets) / 2)
    if scores.ndim == 1:
        shares[:, 0] = 1 - shares[:, 1]
    known = np.isfinite(logits).all(axis=1) & (weights > 0)
    logits, shares, weights = logits[known], shares[known], weights[known]
    spread = np.ptp(logits, axis=1).max(initial=0.0)
    if spread == 0:
        return 1.0
    logits = logits / spread
    sizes = weights @ shares
    others = 1 / (sizes + 2) / (sizes.size - 1)  # of what is like class k each other class has so much
    aims = shares * (1 - sizes.size * others) + (shares @ others)[:, None]

    def slope_of_loss(slope: float) -> float:
        return float(weights @ ((softmax(slope * logits, axis=1) - aims) * logits).sum(axis=1))

    if slope_of_loss(_LEAST_SLOPE) >= 0:
        return float(spread / _LEAST_SLOPE)
    most = 1.0
    while slope_of_loss(most) < 0:
        most *= 2
    return float(spread / brentq(slope_of_loss, _LEAST_SLOPE, most, xtol=1e-12))


def _of_classes(column: FloatArray) -> FloatArray:
    return np.stack([np.zeros_like(column), column], axis=1) if column.ndim == 1 else column


def temperatures_of_sides(scores: FloatArray, targets: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the temperatures of scores that are not positive and of those that are.

    Where classes are of different sizes, a score that speaks for the larger one is right more often than one that
    speaks as loudly for the other. Between the sides, at 0, the probability is 1/2 for both.
    """
    sides = (scores <= 0, scores > 0)
    return np.array([temperature(scores[side], targets[side], weights[side]) for side in sides])


class CalibratedClassification(ClassificationMixin):
    """Classification by regression on -1 and +1, whose scores become probabilities by a temperature."""

    _CALIBRATED: ClassVar[bool] = True
    temperature_: Any

    def _calibrate(self, targets: FloatArray, weights: FloatArray | None, left_out: Sequence[HeldOut]) -> None:
        rows = np.concatenate([rows for rows, _ in left_out])
        scores, truth = np.concatenate([values for _, values in left_out]), targets[rows]
        weight = np.ones(rows.size) if weights is None else weights[rows]
        if isinstance(self.classes_, list):
            columns = zip(scores.T, truth.T, strict=True)
            self.temperature_ = np.array([temperatures_of_sides(*column, weight) for column in columns])
        else:
            find = temperatures_of_sides if len(self.classes_) == 2 else temperature
            self.temperature_ = find(scores, truth, weight)

    def _law(self) -> tuple[Loss, Any]:
        return (Softmax() if np.ndim(self.temperature_) == 0 else Logistic()), self.temperature_
