"""What a pass over the rows computes on one block of them: functions that travel to where the rows lie."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..base.arrays import FloatArray, WordArray, refuse_masked
from ..base.native import core


@dataclasses.dataclass(frozen=True, eq=False)
class Chunk:
    """Rows as they were given.

    Attributes
    ----------
    X : ndarray of shape (m, n_features)
        The rows, finite.
    first : int
        Index of the first of them among all rows.
    """

    X: FloatArray
    first: int


@dataclasses.dataclass(frozen=True, eq=False)
class RowBlock:
    """Rows of the masked design; roots of the sample weights are folded into `X` and `Y`.

    Attributes
    ----------
    X : ndarray of shape (m, n_features), Y : ndarray of shape (m, n_outputs)
        Rows and targets.
    words : ndarray of shape (n_patterns, ceil(m / 64))
        Packed patterns of these rows.
    first : int
        Index of the first of them among all rows.
    root : ndarray of shape (m, 1), or None
        Roots of the sample weights.
    folded : ndarray of shape (m, 1), or None
        Roots of weights that were in `X` and `Y` before, and are no weights of this program.
    """

    X: FloatArray
    Y: FloatArray
    words: WordArray
    first: int
    root: FloatArray | None
    folded: FloatArray | None = None

    @property
    def ones(self) -> FloatArray:
        """The column of ones, (m, 1), with the roots of the weights."""
        root = self.folded if self.root is None else self.root
        return np.ones((self.X.shape[0], 1)) if root is None else root


def checked_chunk(
    X: Any, index: int, first: int, n_features: int, *, offset: int = 0, ones: bool = False, seen: bool = False
) -> Chunk:
    """Return rows as float64, with ones appended if asked for, or say which chunk and which row is no good.

    `index` is that of the user's chunk, `offset` the row of it where these begin. Rows that were `seen` before are not
    looked through again.
    """
    rows = np.asarray(X)
    if rows.ndim != 2 or rows.shape[1] != n_features:
        raise ValueError(f"chunk {index} of X has shape {rows.shape}, but {n_features} features are expected")
    refuse_masked(X, f"chunk {index} of X")
    if rows.dtype.kind not in "biuf" or rows.dtype.itemsize > 8:
        raise TypeError(f"chunk {index} of X must be an array of real numbers, not of dtype {rows.dtype}")
    given, rows = rows, np.ascontiguousarray(rows, dtype=np.float64)
    if not seen and given.dtype.kind in "iu":
        for row, column in np.argwhere(np.abs(rows) >= 2.0**53):  # up to here float64 has all integers
            if int(given[row, column]) != int(rows[row, column]):
                raise ValueError(
                    f"row {offset + row} of chunk {index} of X, row {first + row} of all, has "
                    f"{given[row, column]} in column {column}, an integer that float64 rounds to "
                    f"{rows[row, column]:.17g}: subtract a common part first, or leave identifiers out"
                )
    if not seen and not np.isfinite(rows).all():
        row, column = (int(k) for k in np.argwhere(~np.isfinite(rows))[0])
        raise ValueError(
            f"X must be finite, but row {offset + row} of chunk {index}, row {first + row} of all, "
            f"has {rows[row, column]} in column {column}"
        )
    return Chunk(np.hstack([rows, np.ones((rows.shape[0], 1))]) if ones else rows, first)


def pack_chunk(chunk: Chunk, gates: FloatArray, n_threads: int) -> WordArray:
    """Return the packed patterns of gates on a chunk."""
    words: WordArray = core.pack_patterns(chunk.X, gates, n_threads)[0]
    return words


def masked_block(chunk: Chunk, targets: FloatArray, weights: FloatArray | None, words: WordArray) -> RowBlock:
    """Return a chunk with its targets (m, c) and masks as a block of the masked design."""
    if weights is None:
        return RowBlock(chunk.X, np.asfortranarray(targets), words, chunk.first, None)
    root = np.sqrt(weights)[:, None]
    return RowBlock(root * chunk.X, np.asfortranarray(root * targets), words, chunk.first, root)


def uniform_of_rows(first: int, size: int) -> FloatArray:
    """Numbers in [0, 1) from the row's index alone (SplitMix64; Steele, Lea and Flood, 2014)."""
    with np.errstate(over="ignore"):
        z = np.arange(first + 1, first + size + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((z ^ (z >> np.uint64(31))) / 2.0**64, dtype=np.float64)
