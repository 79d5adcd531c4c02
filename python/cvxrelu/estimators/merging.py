"""Equal samples as one."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray
from ..base.bits import row_keys
from ..gated.losses import Loss, Squared


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
        Distinct samples, with a column of ones where it was asked for, and their targets.
    weights : ndarray of shape (n_distinct,) or None
        Their weights; None where all are 1.
    constant : float
        The part of the loss that is left out.
    appearance : ndarray of shape (n_distinct,)
        ``X[appearance]`` has the samples in the order in which they first appeared.
    members : ndarray of shape (n_samples,)
        Which of them every sample is; -1 for samples without weight.
    """

    X: FloatArray
    y: FloatArray
    weights: FloatArray | None
    constant: float
    appearance: npt.NDArray[np.intp]
    members: npt.NDArray[np.intp]


def merge_samples(
    X: FloatArray, y: FloatArray, sample_weight: FloatArray | None, loss: Loss | None = None, *, bias: bool = False
) -> MergedSamples:
    """Bring samples into the order of their bytes, merge equal ones, and drop those without weight.

    With `bias` a column of ones is appended. The loss is by default the squared one.
    """
    loss = Squared() if loss is None else loss
    weights = np.ones(X.shape[0]) if sample_weight is None else sample_weight
    members, present = np.full(X.shape[0], -1), weights > 0
    if not present.all():
        X, y, weights = X[present], y[present], weights[present]
    # Equal are also 0.0 and -0.0; adding 0.0 leaves the former alone.
    what_must_be_equal = X + 0.0 if loss.means_suffice else np.column_stack([X, y]) + 0.0
    _, first, index = np.unique(row_keys(what_must_be_equal), return_index=True, return_inverse=True)
    members[present] = index
    constant, means, totals = 0.0, y[first], weights[first]
    if first.size < X.shape[0]:
        totals = np.bincount(index, weights=weights).astype(np.float64)
        deviations = (y - y[first][index]).reshape(y.shape[0], -1) * weights[:, None]
        shift = np.stack([np.bincount(index, weights=column) for column in deviations.T], axis=1) / totals[:, None]
        means = y[first] + shift.reshape(y[first].shape)
        if loss.quadratic:
            with np.errstate(
                over="ignore"
            ):  # targets whose squares float64 does not hold are refused where they are posed
                constant = float(weights @ loss.of_samples(y, means[index]))
        else:
            means = np.clip(means, y.min(axis=0), y.max(axis=0))  # rounding must not make a probability negative
            zero = np.zeros_like(y)
            constant = float(weights @ loss.of_samples(y, zero) - totals @ loss.of_samples(means, zero[first]))
    design = np.ones((first.size, X.shape[1] + bias))
    design[:, : X.shape[1]] = what_must_be_equal[first, : X.shape[1]]
    return MergedSamples(design, means, None if (totals == 1).all() else totals, constant, np.argsort(first), members)
