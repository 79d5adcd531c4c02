"""Rows that no single array holds: the masked design as sums over blocks of them.

A solver asks for two things only: the sum over all blocks of a function of one block, and the values of a function
on every block. Here both go through the blocks one after the other; `dask.py` sends the function to the rows.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray
from .passes import Chunk, RowBlock

Part = TypeVar("Part")

Result = TypeVar("Result")

Arrays = tuple[npt.NDArray[Any], ...]


class Parts(ABC, Generic[Part]):
    """Chunks or blocks of rows, wherever they lie. Functions must not keep a part: it may be gone after the call."""

    @abstractmethod
    def collect(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Return ``function(part, *args)`` for every part, in the order of the rows."""

    @abstractmethod
    def sum(self, function: Callable[..., Arrays], *args: Any) -> Arrays:
        """Return the sum over the parts of the arrays of ``function(part, *args)``, always in the same order."""


class Rows(ABC):
    """Rows in chunks.

    Attributes
    ----------
    shape : tuple of (int, int)
        Rows and features.
    dtype : dtype
        Type of the entries; float32 where all chunks are.
    chunks : Parts of Chunk
        The rows.
    n_threads : int
        Threads for the kernels on one chunk.
    n_parallel : int
        Threads at work on all chunks.
    overhead : float
        Seconds that a pass takes beside the kernels, counted from bytes or tasks rather than measured, so that what
        is chosen by it is the same in every run.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    chunks: Parts[Chunk]
    n_threads: int
    n_parallel: int
    overhead: float

    @abstractmethod
    def with_ones(self) -> Rows:
        """Return the rows with a column of ones appended."""

    @abstractmethod
    def masked(self, y: Any, sample_weight: Any, gates: FloatArray) -> Parts[RowBlock]:
        """Return the blocks of the masked design of the gates, with validated targets and weights."""

    @abstractmethod
    def assemble(self, blocks: Parts[Any], function: Callable[..., npt.NDArray[np.floating[Any]]], *args: Any) -> Any:
        """Return the rows of ``function(part, *args)`` as one array of the kind that the rows came in."""


class LocalParts(Parts[Part]):
    """Parts that are made one at a time."""

    def __init__(self, parts: Callable[[], Iterator[Part]]) -> None:
        self._parts = parts

    def collect(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        return [function(part, *args) for part in self._parts()]

    def sum(self, function: Callable[..., Arrays], *args: Any) -> Arrays:
        total: Arrays | None = None
        for part in self._parts():
            total = add(total, function(part, *args))
        assert total is not None
        return total


def add(left: Arrays | None, right: Arrays) -> Arrays:
    """Return the sums of two tuples of arrays."""
    return right if left is None else tuple(a + b for a, b in zip(left, right, strict=True))


def is_rows(X: Any) -> bool:
    """Say whether `X` is a collection of rows rather than an array: a RowChunks, a memory map or a dask collection."""
    return isinstance(X, Rows | np.memmap) or is_dask(X)


def is_dask(X: Any) -> bool:
    """Say whether `X` is a dask collection, without importing dask."""
    return "dask" in sys.modules and hasattr(X, "__dask_graph__")
