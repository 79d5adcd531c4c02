"""Rows that are read chunk by chunk, from memory maps, arrays or functions."""

from __future__ import annotations

import copy
import mmap
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, WordArray, as_count, as_targets, as_threads, as_weights
from .in_memory import BLOCK_BYTES
from .passes import Chunk, RowBlock, checked_chunk, masked_block, pack_chunk
from .rows import LocalParts, Parts, Rows

_READ_RATE = 2e9  # bytes a second, from a disk or the system's cache


class RowChunks(Rows):
    """Rows of a data matrix that are read chunk by chunk, in every function that takes an `X` too large for memory.

    Parameters
    ----------
    chunks : memmap, or sequence of arrays or callables
        A memory map of shape (n_samples, n_features), or its rows as arrays (memory maps for instance) of shape
        (m, n_features), or functions without arguments that return such arrays, called once in every pass.
        Chunks without rows are left out. Nothing is copied: what changes between passes is another problem.
    chunk_rows : int, optional
        Rows that are read at a time from an array; by default some 32 MiB of them.
    masks : {"auto", "disk", "recompute"}
        Where the masks of the rows are between passes: as bits in a temporary file, or nowhere. Reading a bit costs
        an eighth of a byte where computing it costs `n_features` multiply-adds, so "auto" is "disk" wherever the
        temporary directory has room for ``n_samples * n_patterns / 8`` bytes. What was chosen is in `masks_used`.
    n_threads : int, optional
        Threads; by default what OpenMP would take.
    """

    def __init__(
        self,
        chunks: npt.NDArray[Any] | Sequence[npt.ArrayLike | Callable[[], npt.ArrayLike]],
        *,
        chunk_rows: int | None = None,
        masks: str = "auto",
        n_threads: int | None = None,
    ) -> None:
        if masks not in ("auto", "disk", "recompute"):
            raise ValueError(f'masks must be "auto", "disk" or "recompute", not {masks!r}')
        self._masks = masks
        self._ones = False
        self.masks_used: str | None = None
        self._masked: tuple[FloatArray, Callable[[int, Chunk], WordArray]] | None = None
        self.n_threads = self.n_parallel = as_threads(n_threads)
        sources = [chunks] if isinstance(chunks, np.ndarray) else list(chunks)
        # Where rows come from: (source, its index, first of its rows, one past the last).
        self._pieces: list[tuple[Any, int, int, int]] = []
        dtypes = set()
        n_features = None
        for index, source in enumerate(sources):
            array = np.asanyarray(source() if callable(source) else source)
            if array.ndim != 2 or (n_features is not None and array.shape[1] != n_features) or array.shape[1] == 0:
                wanted = "n_features" if n_features is None else n_features
                raise ValueError(f"chunk {index} of X must have shape (m, {wanted}), not {array.shape}")
            n_features = array.shape[1]
            step = max(64, BLOCK_BYTES // (8 * n_features) // 64 * 64)
            if chunk_rows is not None:
                step = as_count(chunk_rows, "chunk_rows")
            if callable(source):
                step = max(1, array.shape[0])
            for first in range(0, array.shape[0], step):
                piece = source if callable(source) else array
                self._pieces.append((piece, index, first, min(first + step, array.shape[0])))
            dtypes.add(array.dtype)
        if not self._pieces:
            raise ValueError("X has no rows")
        assert n_features is not None
        self._starts = np.cumsum([0] + [last - first for *_, first, last in self._pieces])
        self._seen = np.zeros(len(self._pieces), dtype=bool)
        self.shape = (int(self._starts[-1]), n_features)
        self.dtype = np.dtype(np.float32 if dtypes == {np.dtype(np.float32)} else np.float64)
        self.overhead = self.shape[0] * n_features * self.dtype.itemsize / _READ_RATE
        self.chunks = LocalParts(self._all_chunks)

    def with_ones(self) -> RowChunks:
        rows = copy.copy(self)
        rows._ones = True
        rows._masked = None
        rows.shape = (self.shape[0], self.shape[1] + 1)
        rows.chunks = LocalParts(rows._all_chunks)
        return rows

    def _all_chunks(self) -> Iterator[Chunk]:
        for index in range(len(self._pieces)):
            yield self._load(index)
            self._done_with(index)

    def _load(self, index: int) -> Chunk:
        source, chunk, first, last = self._pieces[index]
        if callable(source):
            rows = np.asanyarray(source())
            if rows.shape[0] != last - first:
                raise ValueError(f"chunk {chunk} of X had {last - first} rows in the first pass, now {rows.shape[0]}")
        else:
            rows = source[first:last]
        checked = checked_chunk(
            rows,
            chunk,
            int(self._starts[index]),
            self.shape[1] - self._ones,
            offset=first,
            ones=self._ones,
            seen=bool(self._seen[index]),
        )
        self._seen[index] = True
        return checked

    def _done_with(self, index: int) -> None:
        """Take the pages of a memory map out of this process; the system's cache keeps them while it has room."""
        source = self._pieces[index][0]
        if isinstance(source, np.memmap) and source.mode in ("r", "r+") and hasattr(mmap, "MADV_DONTNEED"):
            source._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]

    def masked(self, y: Any, sample_weight: Any, gates: FloatArray) -> Parts[RowBlock]:
        n = self.shape[0]
        targets = as_targets(y, n).reshape(n, -1)
        weights = None if sample_weight is None else as_weights(sample_weight, n, "sample_weight")
        words = self._words(gates)

        def blocks() -> Iterator[RowBlock]:
            for index in range(len(self._pieces)):
                rows = slice(int(self._starts[index]), int(self._starts[index + 1]))
                chunk = self._load(index)
                yield masked_block(
                    chunk, targets[rows], None if weights is None else weights[rows], words(index, chunk)
                )
                del chunk
                self._done_with(index)

        return LocalParts(blocks)

    def _words(self, gates: FloatArray) -> Callable[[int, Chunk], WordArray]:
        """Return the function that gives the masks of a chunk, the last one if the gates are the same."""
        if self._masked is not None and np.array_equal(self._masked[0], gates):
            return self._masked[1]
        words = self._new_words(gates)
        self._masked = gates, words
        return words

    def _new_words(self, gates: FloatArray) -> Callable[[int, Chunk], WordArray]:
        widths = -(-np.diff(self._starts) // 64)
        starts = len(gates) * np.cumsum([0, *widths])
        room = shutil.disk_usage(tempfile.gettempdir()).free
        used = self._masks if self._masks != "auto" else "disk" if 16 * starts[-1] < room else "recompute"
        self.masks_used = used
        if used == "recompute" or len(gates) == 0:
            return lambda index, chunk: pack_chunk(chunk, gates, self.n_threads)
        with tempfile.TemporaryFile() as file:
            file.truncate(8 * int(starts[-1]))
            # The map outlives the file's name and handle; the space is given back with the map.
            stored = np.memmap(file, dtype=np.uint64, mode="r+", shape=(int(starts[-1]),))
        written = np.zeros(len(widths), dtype=bool)

        def words(index: int, chunk: Chunk) -> WordArray:
            part = stored[starts[index] : starts[index + 1]].reshape(len(gates), -1)
            if not written[index]:
                part[:] = pack_chunk(chunk, gates, self.n_threads)
                written[index] = True
            result = np.array(part)
            stored._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]
            return result

        return words

    def assemble(self, blocks: Parts[Any], function: Callable[..., npt.NDArray[np.floating[Any]]], *args: Any) -> Any:
        return np.concatenate(blocks.collect(function, *args))

    def __repr__(self) -> str:
        return f"RowChunks({self.shape[0]} rows of {self.shape[1]} features in {len(self._pieces)} chunks)"
