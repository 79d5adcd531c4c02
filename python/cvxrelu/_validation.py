"""The one place that turns what users pass into arrays that the core takes."""

from __future__ import annotations

import numbers
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._native import core

if TYPE_CHECKING:
    from .patterns import ActivationPatterns
    from .row_blocks import Rows

FloatArray = npt.NDArray[np.float64]
MAX_THREADS = 4096  # what OpenMP does with more than the system can start is to end the process
WordArray = npt.NDArray[np.uint64]


def as_real(value: Any, name: str) -> FloatArray:
    """Return an array of real numbers as float64."""
    if hasattr(value, "toarray") and hasattr(value, "nnz"):
        raise TypeError(f"{name} is sparse, which is not supported: pass {name}.toarray() if it fits in memory")
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            if array.dtype.kind != "O":
                raise TypeError
            array = array.astype(np.float64)
        if array.dtype.itemsize > 8 and array.dtype.kind == "f":
            raise TypeError
        return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be an array of real numbers, not {_describe(value)}") from None


def _describe(value: Any) -> str:
    dtype = getattr(value, "dtype", None)
    return f"{type(value).__name__} of dtype {dtype}" if dtype is not None else type(value).__name__


def _require_finite(array: FloatArray, name: str) -> None:
    if not np.isfinite(array).all():
        where = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite, but {name}[{', '.join(map(str, where))}] is {array[where]}")


def as_design(X: Any, name: str = "X", n_features: int | None = None) -> FloatArray:
    """Return `X` as a C-ordered float64 array of shape (n_samples, n_features) with finite entries."""
    array = as_real(X, name)
    if array.ndim != 2:
        hint = f"; use {name}.reshape(-1, 1) for a single feature" if array.ndim == 1 else ""
        raise ValueError(f"{name} must have shape (n_samples, n_features), not {array.shape}{hint}")
    if 0 in array.shape:
        raise ValueError(f"{name} is empty: its shape is {array.shape}")
    if n_features is not None and array.shape[1] != n_features:
        raise ValueError(f"{name} has {array.shape[1]} features, but {n_features} are expected")
    _require_finite(array, name)
    return np.ascontiguousarray(array)


def as_targets(y: Any, n_samples: int, name: str = "y") -> FloatArray:
    """Return `y` as a float64 array of shape (n_samples,) or (n_samples, n_outputs) with finite entries."""
    array = as_real(y, name)
    if array.ndim not in (1, 2) or (array.size == 0 and n_samples > 0):
        raise ValueError(f"{name} must have shape (n_samples,) or (n_samples, n_outputs), not {array.shape}")
    if array.shape[0] != n_samples:
        raise ValueError(f"{name} has {array.shape[0]} entries, but X has {n_samples} samples")
    _require_finite(array, name)
    return array


def as_weights(weights: Any, size: int, name: str, *, positive: bool = False) -> FloatArray:
    """Return non-negative (or positive) weights of the given length, not all zero."""
    array = as_real(weights, name)
    if array.shape != (size,):
        raise ValueError(f"{name} must have shape ({size},), not {array.shape}")
    _require_finite(array, name)
    bad = np.flatnonzero(array <= 0 if positive else array < 0)
    if bad.size:
        rule = "positive" if positive else "non-negative"
        raise ValueError(f"{name} must be {rule}, but {name}[{bad[0]}] is {array[bad[0]]}")
    if not array.any():
        raise ValueError(f"{name} are all zero")
    return np.ascontiguousarray(array)


def as_penalties(values: Any, name: str) -> FloatArray:
    """Return a list of positive penalties, as long as it may be."""
    array = as_real(values, name)
    if array.ndim != 1:
        raise ValueError(f"{name} must be a list of penalties, of shape (n_betas,), not {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} is empty: give at least one penalty")
    return as_weights(array, array.size, name, positive=True)


def as_callback(callback: Any) -> None:
    """Check that a callback can be called, before what it is to hear of begins."""
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, not {_describe(callback)}")


def as_patterns(patterns: Any, X: FloatArray | Rows) -> ActivationPatterns:
    """Return `patterns` after checking that they are patterns of as many samples and features as `X` has."""
    from .patterns import ActivationPatterns

    if not isinstance(patterns, ActivationPatterns):
        raise TypeError(f"patterns must be ActivationPatterns, not {_describe(patterns)}")
    if (patterns.n_samples, patterns.n_features) != X.shape:
        raise ValueError(
            f"patterns belong to data of shape {(patterns.n_samples, patterns.n_features)}, but X has shape {X.shape}"
        )
    if len(patterns) == 0:
        raise ValueError("patterns is empty")
    return patterns


_GATES_CHECKED, _WORDS_CHECKED = 32, 8  # whose bits tell other data apart, and cost nothing beside a solve
_CLEAR = 1e-3  # of |x| . |g|: more than exact, decimal or float32 arithmetic differ by, less than most products


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
    samples, gates = X[rows], np.ascontiguousarray(own.gates[some])
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


def as_scalar(value: Any, name: str, *, minimum: float = 0.0, strict: bool = False) -> float:
    """Return a finite real number that is at least (or above) `minimum`."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, not {_describe(value)}")
    number = float(value)
    if not np.isfinite(number) or number < minimum or (strict and number == minimum):
        rule = f"above {minimum:g}" if strict else f"at least {minimum:g}"
        raise ValueError(f"{name} must be finite and {rule}, not {number}")
    return number


def as_count(value: Any, name: str, *, minimum: int = 1) -> int:
    """Return an integer that is at least `minimum`."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, not {_describe(value)}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, not {value}")
    return int(value)


def as_threads(n_threads: Any) -> int:
    """Return the number of threads: None is what OpenMP would take (OMP_NUM_THREADS and threadpoolctl count)."""
    if n_threads is None:
        return core.default_threads()
    threads = as_count(n_threads, "n_threads")
    if threads > MAX_THREADS:
        raise ValueError(f"n_threads must be at most {MAX_THREADS}, not {threads}")
    return threads


def as_generator(random_state: Any) -> np.random.Generator:
    """Return a generator from None, a seed, a Generator, a BitGenerator or a legacy RandomState."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(0, 2**32, size=4, dtype=np.uint32))
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError):
        raise ValueError(f"random_state must be None, a seed or a generator, not {random_state!r}") from None


def result_dtype(*arrays: Any) -> type[np.float32] | type[np.float64]:
    """Return float32 when every array given is float32, else float64: what results are returned in."""
    dtypes = [getattr(array, "dtype", None) for array in arrays]
    return np.float32 if dtypes and all(dtype == np.float32 for dtype in dtypes) else np.float64


def machine_memory() -> float:
    """Return the bytes of memory of this machine, infinite where the system does not tell."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return np.inf


def require_fit(rows: int, columns: int, what: str, advice: str, copies: int = 1) -> None:
    """Raise MemoryError for so many float64 arrays of this shape where they cannot fit into this machine's memory."""
    available = machine_memory()
    needed = 8 * rows * columns * copies
    if needed > available:
        raise MemoryError(
            f"{what} of shape ({rows}, {columns}) would take {needed / 2**30:.3g} GiB, but this machine has "
            f"{available / 2**30:.3g} GiB: {advice}"
        )
