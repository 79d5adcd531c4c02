"""Rows of one array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, WordArray
from .passes import Chunk, RowBlock
from .rows import LocalParts, Parts, Rows

BLOCK_BYTES = 1 << 25  # so many that the kernels run at full speed, and few beside the memory of a machine


class ArrayRows(Rows):
    """Rows of one array in memory, with the words of their patterns, in blocks short enough to be interrupted between.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Validated rows.
    words : ndarray of shape (n_patterns, ceil(n_samples / 64))
        Packed patterns.
    n_threads : int
        Threads.
    folded : ndarray of shape (n_samples, 1), optional
        Roots of the weights that are in `X` and in the targets to come.
    """

    def __init__(self, X: FloatArray, words: WordArray, n_threads: int, folded: FloatArray | None = None) -> None:
        self.shape = (X.shape[0], X.shape[1])
        self.dtype = X.dtype
        self.n_threads = self.n_parallel = n_threads
        self.overhead = 0.0
        self._X, self._words, self._folded = X, words, folded
        self._step = max(64, BLOCK_BYTES // (8 * X.shape[1]) // 64 * 64)

    @property
    def chunks(self) -> Parts[Chunk]:  # type: ignore[override]
        return LocalParts(lambda: (Chunk(self._X[rows], rows.start) for rows in self._slices()))

    def _slices(self) -> Iterator[slice]:
        n = self.shape[0]
        return (slice(first, min(first + self._step, n)) for first in range(0, n, self._step))

    def with_ones(self) -> ArrayRows:
        return ArrayRows(np.hstack([self._X, np.ones((self.shape[0], 1))]), self._words, self.n_threads, self._folded)

    def masked(self, y: FloatArray, sample_weight: None, gates: FloatArray) -> Parts[RowBlock]:
        targets = y.reshape(self.shape[0], -1)

        def blocks() -> Iterator[RowBlock]:
            for rows in self._slices():
                words = np.ascontiguousarray(self._words[:, rows.start // 64 : -(-rows.stop // 64)])
                folded = None if self._folded is None else self._folded[rows]
                yield RowBlock(self._X[rows], np.asfortranarray(targets[rows]), words, rows.start, None, folded)

        return LocalParts(blocks)

    def assemble(self, blocks: Parts[Any], function: Callable[..., npt.NDArray[np.floating[Any]]], *args: Any) -> Any:
        return np.concatenate(blocks.collect(function, *args))
