"""Estimators and rows in chunks: memory maps, dask arrays and data frames.

The gated estimators are fitted by passes over the chunks. The others need all rows in one place, a kernel matrix or the
cones of all patterns, and bring them there. Predictions are made chunk by chunk for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import validate_data

from ..base.memory import machine_memory
from ..base.scaling import predictions_in
from ..networks.network import Network
from ..rows.open import as_rows
from ..rows.passes import Chunk
from ..rows.predict import predict_rows
from ..rows.rows import Rows, is_dask

Estimator = TypeVar("Estimator")


def gathered(*arrays: Any) -> tuple[Any, ...]:
    """Return arrays with dask collections among them computed here, after a look at whether there is room."""
    if not any(is_dask(array) for array in arrays):
        return arrays
    import dask

    size = sum(_n_bytes(array) for array in arrays if is_dask(array))
    if size > machine_memory():
        raise MemoryError(
            f"this estimator needs all rows in one place, {size / 2**30:.3g} GiB, but this machine has "
            f"{machine_memory() / 2**30:.3g} GiB: the gated estimators take rows in chunks"
        )
    return tuple(dask.compute(*arrays))


def _n_bytes(array: Any) -> float:
    """Return the size of a dask collection; that of a data frame, which does not know how long it is, by counting."""
    if hasattr(array, "to_dask_array"):
        return 8.0 * int(array.size.compute())
    return float(array.nbytes)


def on_blocks(function: Callable[[Any], Any], values: Any) -> npt.NDArray[np.floating[Any]]:
    """Return a function of the values of rows: of a dask array when that is computed, block by block."""
    if not is_dask(values):
        own: npt.NDArray[np.floating[Any]] = function(values)
        return own
    one = np.asarray(function(np.zeros((1, *values.shape[1:]), dtype=values.dtype)))
    mapped: npt.NDArray[np.floating[Any]] = values.map_blocks(
        function,
        chunks=(values.chunks[0], *((size,) for size in one.shape[1:])),
        new_axis=[1] if one.ndim > values.ndim else None,
        drop_axis=[1] if one.ndim < values.ndim else None,
        meta=one[:0],
    )
    return mapped


def evaluate_on_rows(estimator: Any, X: Any, network: Network | None = None) -> npt.NDArray[np.floating]:
    """Return a model's values on rows: a dask array for dask collections, else an array.

    Where the values are those of a network, it is what travels, and not the estimator.
    """
    rows = as_rows(X)
    _check_features(estimator, X, rows, reset=False)
    if network is not None:
        return predict_rows(rows, network)
    width = np.ndim(estimator._evaluate_design(np.zeros((1, rows.shape[1]))))
    values: npt.NDArray[np.floating] = rows.assemble(rows.chunks, _evaluated, estimator, rows.dtype)
    return values[:, 0] if width == 1 else values


def _evaluated(chunk: Chunk, estimator: Any, dtype: np.dtype[Any]) -> npt.NDArray[np.floating]:
    values: npt.NDArray[np.floating] = estimator._evaluate_design(chunk.X)
    return predictions_in(values.reshape(chunk.X.shape[0], -1), dtype)


def described(estimator: Any, X: Any) -> Rows:
    """Return the rows of `X`, after setting what an estimator says of them."""
    rows = as_rows(X, estimator.n_threads)
    _check_features(estimator, X, rows, reset=True)
    return rows


def _check_features(estimator: Any, X: Any, rows: Rows, *, reset: bool) -> None:
    """Set or check the number and the names of features as scikit-learn does, which does not know dask's frames."""
    shown: Any = rows
    if hasattr(X, "columns"):
        import pandas  # as dask's frames do

        shown = pandas.DataFrame(columns=X.columns)
    validate_data(estimator, shown, skip_check_array=True, reset=reset)
