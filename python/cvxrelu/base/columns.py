"""Blocks of coefficients as the core's columns, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import FloatArray


def columns_of(blocks: npt.NDArray[np.floating[Any]]) -> FloatArray:
    """Return blocks W_i, (p, d) or (p, d, c), as the core's columns vec(W_i) of shape (d c, p)."""
    p, d, *outputs = blocks.shape
    c = outputs[0] if outputs else 1
    return np.asfortranarray(blocks.reshape(p, d, c).swapaxes(1, 2).reshape(p, c * d).T, dtype=np.float64)


def blocks_of(columns: FloatArray, n_outputs: int) -> FloatArray:
    """Return columns vec(W_i) of shape (d c, p) as blocks (p, d, c)."""
    size, p = columns.shape
    return columns.T.reshape(p, n_outputs, size // n_outputs).swapaxes(1, 2)
