"""Whether patterns belong to data."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, describe
from ..base.native import core
from ..base.scaling import rescaled
from ..rows.rows import Rows
from .patterns import ActivationPatterns


def as_patterns(patterns: Any, X: FloatArray | Rows) -> ActivationPatterns:
    """Return `patterns` after checking that they are patterns of as many samples and features as `X` has."""
    if not isinstance(patterns, ActivationPatterns):
        raise TypeError(f"patterns must be ActivationPatterns, not {describe(patterns)}")
    if (patterns.n_samples, patterns.n_features) != X.shape:
        raise ValueError(
            f"patterns belong to data of shape {(patterns.n_samples, patterns.n_features)}, but X has shape {X.shape}"
        )
    if len(patterns) == 0:
        raise ValueError("patterns is empty")
    return patterns


# Bits of so many gates on so many words of rows are computed again: enough to see that patterns are those of other
# data, and little work beside a solve.
_GATES_CHECKED, _WORDS_CHECKED = 32, 8

# A product x . g is clearly not zero above this share of |x| . |g|: the gates may have been found for data rounded to
# decimals or to float32, which moves products by less, and most products are larger.
_CLEAR = 1e-3


def checked_patterns(patterns: Any, X: FloatArray, n_threads: int, name: str = "patterns") -> ActivationPatterns:
    """Return `patterns` after checking that they belong to `X`: that most gates have the patterns they should have.

    Gates of cells that are very thin, or of patterns that are attained on hyperplanes only, need not have theirs, but
    they miss it by little; so only bits of products that are clearly not zero speak against them. Errors call the
    patterns `name`.
    """
    own = as_patterns(patterns, X)
    if own.words.shape[1] != (X.shape[0] + 63) // 64:
        raise ValueError(f"{name} belong to rows in chunks, and have no bits for X in memory: sample them from X")
    some, columns = _spread(len(own), _GATES_CHECKED), _spread(own.words.shape[1], _WORDS_CHECKED)
    rows = (64 * columns[:, None] + np.arange(64)).ravel()
    rows = rows[rows < X.shape[0]]
    samples, gates = rescaled(X[rows])[0], np.ascontiguousarray(own.gates[some])
    words, _ = core.pack_patterns(samples, gates, n_threads)
    differing = words ^ own.words[some[:, None], columns]
    if differing.any(axis=1).mean() > 0.5:
        wrong = np.unpackbits(differing.view(np.uint8), axis=1, count=rows.size, bitorder="little").astype(np.bool_)
        wrong &= np.abs(gates @ samples.T) > _CLEAR * (np.abs(gates) @ np.abs(samples).T)
        if wrong.any(axis=1).mean() > 0.5:
            raise ValueError(f"{name} belong to other data of the same shape: gates have other patterns on rows of X")
    return own


def _spread(size: int, most: int) -> npt.NDArray[np.int64]:
    """Return at most so many indices below `size`, evenly spaced."""
    return np.arange(0, size, -(-size // most), dtype=np.int64)
