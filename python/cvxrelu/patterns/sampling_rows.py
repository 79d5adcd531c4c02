"""Samples of patterns of rows that are elsewhere."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_count, as_design, as_generator
from ..base.bits import merge_keys, row_keys
from ..base.native import core
from ..rows.passes import Chunk, uniform_of_rows
from ..rows.rows import Rows
from .laws import as_law, draw_inside
from .patterns import ActivationPatterns

_FINE_ROWS = 1 << 16  # a sample of the values of a column, for thresholds


class RowPatterns(ActivationPatterns):
    """Distinct patterns of rows that are elsewhere: their gates. The bits stay with the rows; `words` is empty."""

    def to_dense(self) -> Any:
        raise ValueError("these patterns are of rows in chunks: use activations(Z) on the rows that are wanted")

    def reorder_samples(self, order: npt.NDArray[np.intp]) -> Any:
        raise ValueError("these patterns are of rows in chunks, whose order they do not know")


def sample_of_rows(rows: Rows, n_gates: int | None, gates: str | npt.ArrayLike, random_state: Any) -> RowPatterns:
    """As :func:`cvxrelu.sample_patterns`; a law learns from a sample of the rows where they are many."""
    d = rows.shape[1]
    if isinstance(gates, str):
        if n_gates is None:
            raise ValueError(f"n_gates is needed to draw {gates} gates")
        share = min(1.0, _FINE_ROWS / rows.shape[0])
        law = as_law(gates)(d, lambda: np.concatenate(rows.chunks.collect(_some_rows, share)))
        drawn, (keys, nonzero, _) = draw_inside(
            law, as_count(n_gates, "n_gates"), as_generator(random_state), lambda some: _look(rows, some)
        )
    else:
        drawn = as_design(gates, "gates", d)
        if n_gates is not None and n_gates != drawn.shape[0]:
            raise ValueError(f"n_gates is {n_gates}, but gates has {drawn.shape[0]} rows")
        keys, nonzero, _ = _look(rows, drawn)
    if not nonzero.any():
        raise ValueError("every gate is inactive on every sample: draw more gates, or others")
    draws = drawn[nonzero]
    first, draw_pattern, counts = merge_keys(keys[nonzero])
    return RowPatterns(
        gates=draws[first],
        words=np.zeros((first.size, 0), dtype=np.uint64),
        n_samples=rows.shape[0],
        counts=counts,
        zero_count=int(nonzero.size - nonzero.sum()),
        draws=draws,
        draw_pattern=draw_pattern,
    )


def _look(rows: Rows, gates: FloatArray) -> tuple[npt.NDArray[np.void], npt.NDArray[np.bool_], FloatArray]:
    """Return for every gate a key of its pattern on all rows, whether it is ever active, and its smallest margin."""
    parts = rows.chunks.collect(pattern_digests, np.ascontiguousarray(gates), rows.n_threads)
    keys = row_keys(np.concatenate([part[0] for part in parts], axis=1)).copy()
    return keys, np.any([part[2] for part in parts], axis=0), np.min([part[1] for part in parts], axis=0)


def _some_rows(chunk: Chunk, share: float) -> FloatArray:
    return chunk.X[uniform_of_rows(chunk.first, chunk.X.shape[0]) < share]


def pattern_digests(chunk: Chunk, gates: FloatArray, n_threads: int) -> tuple[Any, FloatArray, Any]:
    """Return for each gate a digest of its pattern on the chunk (p, 16), its margin, and whether it is ever active."""
    words, margin = core.pack_patterns(chunk.X, gates, n_threads)
    digests = [hashlib.blake2b(row, digest_size=16).digest() for row in words]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16), margin, words.any(axis=1)
