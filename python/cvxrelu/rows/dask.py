"""Rows of a dask array or data frame: functions go to the blocks, sums of a few numbers for each pattern come back.

dask schedules, ships and recovers; on a `distributed` client the blocks stay in its workers' memory, and a block that
is lost with a worker is made again from the collection. Without a client dask's threads do the work here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_count, as_threads, refuse_altered
from .passes import Chunk, RowBlock, checked_chunk, masked_block, pack_chunk
from .rows import Arrays, Part, Parts, Rows, add

_TASK_SECONDS = 1e-3  # of the scheduler for a task

_FAN_IN = 8  # partial sums that are added in one task, so that none gathers more than that many


class DaskParts(Parts[Part]):
    """Parts that dask makes, or has made and holds."""

    def __init__(self, parts: list[Any]) -> None:
        self.delayed = parts

    def collect(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        return list(dask.compute(*self._mapped(function, *args)))

    def sum(self, function: Callable[..., Arrays], *args: Any) -> Arrays:
        level = self._mapped(function, *args)
        while len(level) > 1:
            level = [dask.delayed(_sum)(level[k : k + _FAN_IN]) for k in range(0, len(level), _FAN_IN)]
        total: Arrays = dask.compute(level[0])[0]
        return total

    def _mapped(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        # Arguments are one node of the graph each, not a copy in every task.
        shared = [dask.delayed(arg, pure=False) for arg in args]
        return [dask.delayed(function, pure=False)(part, *shared) for part in self.delayed]


def _sum(parts: list[Arrays]) -> Arrays:
    total: Arrays | None = None
    for part in parts:
        total = add(total, part)
    assert total is not None
    return total


class DaskRows(Rows):
    """Rows of a dask array or data frame, chunked along rows only.

    Attributes
    ----------
    array : dask array
        The rows.
    """

    def __init__(self, X: Any, n_threads: int | None = None) -> None:
        _require_package()
        X = _as_array(X, "X")
        if X.ndim != 2 or X.shape[1] == 0:
            raise ValueError(f"X must have shape (n_samples, n_features), not {X.shape}")
        if len(X.chunks[1]) > 1:
            raise ValueError(
                f"X is chunked along features into {len(X.chunks[1])} parts, but a row must be in one chunk: "
                "pass X.rechunk({1: -1})"
            )
        if 0 in X.shape:
            raise ValueError(f"X is empty: its shape is {X.shape}")
        self.array = X
        self.shape = (int(X.shape[0]), int(X.shape[1]))
        self.dtype = np.dtype(np.float32 if X.dtype == np.float32 else np.float64)
        # A worker runs as many tasks at a time as it has threads: a task takes one, unless told otherwise.
        self.n_threads = 1 if n_threads is None else as_count(n_threads, "n_threads")
        self.n_parallel = n_threads_of_cluster() * self.n_threads
        self._sizes = X.chunks[0]
        starts = np.cumsum([0, *self._sizes])
        self._used = [index for index, size in enumerate(self._sizes) if size > 0]
        pieces = X.to_delayed().ravel()
        make = dask.delayed(checked_chunk, pure=False)
        self._chunks = [make(pieces[index], index, int(starts[index]), self.shape[1]) for index in self._used]
        self.chunks: DaskParts[Chunk] = DaskParts(self._chunks)
        self.overhead = _TASK_SECONDS * len(self._chunks)

    def with_ones(self) -> DaskRows:
        rows = copy.copy(self)
        rows.shape = (self.shape[0], self.shape[1] + 1)
        rows._chunks = [dask.delayed(_append_ones, pure=False)(chunk) for chunk in self._chunks]
        rows.chunks = DaskParts(rows._chunks)
        return rows

    def masked(self, y: Any, sample_weight: Any, gates: FloatArray) -> Parts[RowBlock]:
        targets = self._aligned(y, "y")
        weights = None if sample_weight is None else self._aligned(sample_weight, "sample_weight")
        shared = dask.delayed(gates, pure=False)
        make = dask.delayed(_make_block, pure=False)
        blocks = [
            make(
                self._chunks[k],
                targets[index],
                None if weights is None else weights[index],
                shared,
                self.n_threads,
            )
            for k, index in enumerate(self._used)
        ]
        return DaskParts(list(dask.persist(*blocks)))

    def _aligned(self, values: Any, name: str) -> Any:
        """Return values of the rows in chunks like theirs."""
        array = _as_array(values, name) if hasattr(values, "__dask_graph__") else da.from_array(np.asanyarray(values))
        if array.ndim not in (1, 2) or array.shape[0] != self.shape[0]:
            raise ValueError(f"{name} has shape {array.shape}, but X has {self.shape[0]} samples")
        array = array.rechunk((self._sizes, *[-1] * (array.ndim - 1)))
        return array.to_delayed().reshape(len(self._sizes))

    def assemble(self, blocks: Parts[Any], function: Callable[..., npt.NDArray[np.floating[Any]]], *args: Any) -> Any:
        assert isinstance(blocks, DaskParts)
        first = np.asarray(dask.compute(dask.delayed(function)(blocks.delayed[0], *args))[0])
        rows = [
            da.from_delayed(part, (self._sizes[index], first.shape[1]), dtype=first.dtype)
            for part, index in zip(blocks._mapped(function, *args), self._used, strict=True)
        ]
        return da.concatenate(rows)


def _append_ones(chunk: Chunk) -> Chunk:
    return Chunk(np.hstack([chunk.X, np.ones((chunk.X.shape[0], 1))]), chunk.first)


def _make_block(chunk: Chunk, targets: Any, weights: Any, gates: FloatArray, n_threads: int) -> RowBlock:
    Y = _checked_rows(targets, "y", chunk.first)
    s = None if weights is None else _checked_rows(weights, "sample_weight", chunk.first)
    if s is not None and (s < 0).any():
        bad = int(np.argmax(s < 0))
        raise ValueError(f"sample_weight must be non-negative, but sample_weight[{chunk.first + bad}] is {s[bad]}")
    return masked_block(chunk, Y.reshape(Y.shape[0], -1), s, pack_chunk(chunk, gates, n_threads))


def _checked_rows(values: Any, name: str, first: int) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    refuse_altered(values, array, f"{name}[{first}:]")
    if not np.isfinite(array).all():
        where = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(f"{name} must be finite, but {name}[{first + int(where[0])}] is {array[tuple(where)]}")
    return array


def _as_array(X: Any, name: str) -> Any:
    if hasattr(X, "to_dask_array"):
        X = _in_one_type(X, name).to_dask_array(lengths=True)
    if not isinstance(X, da.Array):
        raise TypeError(f"{name} must be a dask array or data frame, not {type(X).__name__}")
    if np.isnan(X.shape[0]):
        raise ValueError(f"{name} has chunks of unknown sizes: call {name}.compute_chunk_sizes() first")
    return X


def _in_one_type(X: Any, name: str) -> Any:
    """Return a data frame or a Series whose columns NumPy has a type for that alters none; missing ones become NaN.

    Nullable columns become float64, as scikit-learn takes them, and so do long integers, which NumPy would round in
    silence beside columns of another type.
    """
    dtypes = dict(X.dtypes.items()) if X.ndim == 2 else {X.name: X.dtype}
    mixed = len(set(dtypes.values())) > 1
    changed = [
        name
        for name, dtype in dtypes.items()
        if (dtype.kind in "biuf" and not isinstance(dtype, np.dtype))
        or (mixed and dtype.kind in "iu" and dtype.itemsize == 8)
    ]
    if not changed:
        return X
    types: Any = dict.fromkeys(changed, np.float64) if X.ndim == 2 else np.float64
    return X.map_partitions(_in_types, types, name, meta=X._meta.astype(types))


def _in_types(part: Any, types: Any, name: str) -> Any:
    cast = part.astype(types)
    columns = list(types) if part.ndim == 2 else slice(None)
    refuse_altered(part[columns], cast[columns].to_numpy(), f"a partition of {name}")
    return cast


def client_at_hand() -> Any:
    """Return the `distributed` client in use, None where there is none."""
    try:
        from distributed import default_client

        return default_client()
    except (ImportError, ValueError):
        return None


def n_threads_of_cluster() -> int:
    """Return the threads that work at a time: of all workers, or those of this process."""
    client = client_at_hand()
    return as_threads(None) if client is None else max(1, sum(client.nthreads().values()))


def _require_package() -> None:
    """Say at once when the cluster at hand cannot run this package's functions."""
    client = client_at_hand()
    if client is None:
        return

    def has_package() -> bool:  # nested, so that it is shipped as code and needs nothing there
        from importlib.util import find_spec

        return find_spec("cvxrelu") is not None

    lacking = [address for address, there in client.run(has_package).items() if not there]
    if not client.run_on_scheduler(has_package):
        lacking.append("the scheduler")
    if lacking:
        raise ImportError(f"cvxrelu is not installed on {len(lacking)} nodes of the cluster: {', '.join(lacking[:3])}")
