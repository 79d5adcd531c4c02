"""Weights of classes: a parameter of every classifier, and what it makes of the weights of samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray

CLASS_WEIGHT = """\
    class_weight : "balanced" or dict of label to weight, optional
        Weights of the classes, which multiply those of the samples; 1 for labels that a dict leaves out. "balanced"
        gives every class the same weight in all."""


def with_class_weight(class_weight: Any, labels: npt.NDArray[Any], weights: FloatArray | None) -> FloatArray:
    """Return the weights of samples times those of their classes."""
    classes, index = np.unique(labels, return_inverse=True)
    if isinstance(class_weight, dict):
        unknown = [label for label in class_weight if label not in classes]
        if unknown:
            raise ValueError(f"class_weight has {unknown[0]!r}, which is not among the labels in y")
        factors = np.array([class_weight.get(label, 1.0) for label in classes], dtype=np.float64)
        if not (np.isfinite(factors) & (factors >= 0)).all() or not factors.any():
            raise ValueError(
                f"class_weight must hold weights that are finite, not negative and not all zero, not {class_weight}"
            )
    elif isinstance(class_weight, str) and class_weight == "balanced":
        totals = np.bincount(index, weights=weights)
        factors = totals.sum() / (classes.size * np.where(totals > 0, totals, 1))
    else:
        raise ValueError(f'class_weight must be "balanced", a dict of label to weight, or None, not {class_weight!r}')
    return np.asarray(factors[index] if weights is None else factors[index] * weights, dtype=np.float64)
