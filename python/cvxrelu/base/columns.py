"""Blocks of coefficients as the core's columns, and back."""

from __future__ import annotations

import numpy as np

from .arrays import (
    FloatArray,
)


def to_core(coef: FloatArray) -> FloatArray:
    """From (p, d, c) to the core's columns vec(W_i) of shape (d c, p)."""
    p, d, c = coef.shape
    return np.asfortranarray(coef.swapaxes(1, 2).reshape(p, c * d).T)
