"""Equal samples as one."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray
from ..gated.losses import sample_losses


@dataclasses.dataclass(frozen=True, eq=False)
class MergedSamples:
    """Distinct samples in an order of their own.

    Equal samples count as one with the sum of their weights and the weighted mean of their targets, which changes a
    loss by a constant (the Huber loss excepted: there the targets must be equal too); those without weight are left
    out. So a weight of k is the same problem as k copies, and the order of the samples does not matter: not up to
    rounding, but number for number.

    Attributes
    ----------
    X, y : ndarray
        Distinct samples and their targets.
    weights : ndarray of shape (n_distinct,) or None
        Their weights; None where all are 1.
    constant : float
        The part of the loss that is left out.
    appearance : ndarray of shape (n_distinct,)
        ``X[appearance]`` has the samples in the order in which they first appeared.
    """

    X: FloatArray
    y: FloatArray
    weights: FloatArray | None
    constant: float
    appearance: npt.NDArray[np.intp]


def merge_samples(
    X: FloatArray, y: FloatArray, sample_weight: FloatArray | None, loss: str = "squared"
) -> MergedSamples:
    """Bring samples into the order of their bytes, merge equal ones, and drop those without weight."""
    weights = np.ones(X.shape[0]) if sample_weight is None else sample_weight
    if not weights.all():
        present = weights > 0
        X, y, weights = X[present], y[present], weights[present]
    X = np.ascontiguousarray(X) + 0.0  # turns -0.0 into 0.0
    told_apart_by = np.column_stack([X, y]) + 0.0 if loss == "huber" else X
    keys = told_apart_by.view(np.dtype((np.void, X.itemsize * told_apart_by.shape[1])))[:, 0]
    _, first, index = np.unique(keys, return_index=True, return_inverse=True)
    constant, means, totals = 0.0, y[first], weights[first]
    if first.size < X.shape[0]:
        totals = np.bincount(index, weights=weights).astype(np.float64)
        spread = (y - y[first][index]).reshape(y.shape[0], -1) * weights[:, None]
        shift = np.stack([np.bincount(index, weights=column) for column in spread.T], axis=1) / totals[:, None]
        means = y[first] + shift.reshape(y[first].shape)
        if loss == "squared":
            constant = float(weights @ sample_losses(loss, y, means[index]))
        else:
            means = np.clip(means, y.min(axis=0), y.max(axis=0))  # rounding must not make a probability negative
            zero = np.zeros_like(y)
            constant = float(weights @ sample_losses(loss, y, zero) - totals @ sample_losses(loss, means, zero[first]))
    return MergedSamples(X[first], means, None if (totals == 1).all() else totals, constant, np.argsort(first))
