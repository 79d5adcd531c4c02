"""The one place that turns what users pass into arrays that the core takes."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import numpy.typing as npt

from .limits import require_address_space
from .native import core

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
        real = np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be an array of real numbers, not {describe(value)}") from None
    except OverflowError:
        real = np.full(np.shape(value), np.inf)  # an integer beyond 1e308, which the next line names
    refuse_altered(value, real, name)
    return real


def refuse_masked(value: Any, name: str) -> None:
    """Raise where entries are masked, below which there are others."""
    if np.ma.is_masked(value):
        raise ValueError(f"{name} has masked entries, which would be read as numbers: fill them in or leave them out")


_HELD = 2.0**53  # integers up to here are float64 numbers


def refuse_altered(value: Any, real: npt.NDArray[Any], name: str) -> None:
    """Raise where the numbers made of a value are not those given: masked entries, integers that float64 rounds."""
    refuse_masked(value, name)
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return
    large = np.argwhere(np.abs(real) >= _HELD)  # most integers are seen to be small from their rounded values
    if len(large) == 0:
        return
    # What was given before NumPy made one type of it, or a data frame one of its columns.
    if hasattr(value, "toarray"):
        given = value.toarray()
    else:
        given = value.to_numpy(dtype=object) if hasattr(value, "to_numpy") else np.asarray(value, dtype=object)
    given = np.broadcast_to(given, real.shape)
    for place in map(tuple, large):
        entry = given[place]
        if isinstance(entry, numbers.Integral) and int(entry) != float(real[place]):
            where = f"[{', '.join(map(str, place))}]" if place else ""
            text = str(entry) if abs(int(entry)) < 10**40 else "too large"
            raise ValueError(
                f"{name}{where} is {text}, an integer that float64 rounds to {real[place]:.17g}: subtract a common "
                "part first, or leave identifiers out (enumerate_patterns and Arrangement take integers of any size)"
            )


def describe(value: Any) -> str:
    """Say what kind of thing a value is, for an error."""
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


def as_unpenalised(columns: Any, n_samples: int, n_columns: int | None = None, samples: str = "X") -> FloatArray:
    """Return the columns that are fitted without penalty; "intercept" is one of ones."""
    if isinstance(columns, str):
        if columns != "intercept":
            raise ValueError(f'unpenalised must be an array of columns or "intercept", not {columns!r}')
        columns = np.ones((n_samples, 1))
    checked = as_design(columns, "unpenalised", n_columns)
    if checked.shape[0] != n_samples:
        raise ValueError(f"unpenalised has {checked.shape[0]} rows, but {samples} has {n_samples} samples")
    return checked


def as_penalties(values: Any, name: str) -> FloatArray:
    """Return a list of positive penalties, as long as it may be."""
    array = as_real(values, name)
    if array.ndim != 1:
        raise ValueError(f"{name} must be a list of penalties, of shape (n_betas,), not {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} is empty: give at least one penalty")
    return as_weights(array, array.size, name, positive=True)


def as_scalar(value: Any, name: str, *, minimum: float = 0.0, strict: bool = False) -> float:
    """Return a finite real number that is at least (or above) `minimum`."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, not {describe(value)}")
    number = float(value)
    if not np.isfinite(number) or number < minimum or (strict and number == minimum):
        rule = f"above {minimum:g}" if strict else f"at least {minimum:g}"
        raise ValueError(f"{name} must be finite and {rule}, not {number}")
    return number


def as_count(value: Any, name: str, *, minimum: int = 1) -> int:
    """Return an integer that is at least `minimum`."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, not {describe(value)}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, not {value}")
    return int(value)


def as_flag(value: Any, name: str) -> bool:
    """Return True or False; a string such as "False" would count as true."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def as_threads(n_threads: Any) -> int:
    """Return the number of threads: None is what OpenMP would take (OMP_NUM_THREADS and threadpoolctl count).

    Raises MemoryError where a limit on the address space does not allow for them.
    """
    threads: int = core.default_threads() if n_threads is None else as_count(n_threads, "n_threads")
    if threads > MAX_THREADS:
        raise ValueError(f"n_threads must be at most {MAX_THREADS}, not {threads}")
    require_address_space(threads)
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


IntArray = npt.NDArray[np.int64]


def append_ones(X: FloatArray) -> FloatArray:
    """Return [X, 1], the samples whose last feature carries the biases."""
    return np.hstack([X, np.ones((X.shape[0], 1))])
