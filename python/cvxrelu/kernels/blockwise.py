"""Kernels of the rows of dask arrays, as dask arrays in blocks of two chunks each."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_design, as_weights, result_dtype
from ..base.native import core
from ..patterns.checks import as_patterns
from ..patterns.patterns import ActivationPatterns
from ..rows.dask import DaskRows
from .closed_form import closed_form, kind_and_depth
from .gates import evaluation_gates, require_evaluation


def ntk(
    X: Any,
    Z: Any = None,
    *,
    kind: str = "gated",
    depth: int = 1,
    patterns: ActivationPatterns | None = None,
    n_threads: int | None = None,
) -> npt.NDArray[Any]:
    """As :func:`cvxrelu.ntk`."""
    if patterns is not None:
        if kind == "relu" or patterns.counts is None:
            raise ValueError('patterns must be drawn, and kind "gated" or "gated-both", for the kernel of their gates')
        assert patterns.n_draws is not None
        eta = (2.0 if kind == "gated-both" else 1.0) * patterns.counts / patterns.n_draws
        return masking_kernel(X, patterns, eta, Z, at="cell-average", n_threads=n_threads)
    kind_and_depth(kind, depth)  # now, not in a task
    return _blockwise(X, Z, _ntk_block, kind, depth, n_threads or 1)


def masking_kernel(
    X: Any,
    patterns: ActivationPatterns,
    eta: Any,
    Z: Any = None,
    *,
    at: str = "representative",
    block: str = "cross",
    n_threads: int | None = None,
) -> npt.NDArray[Any]:
    """As :func:`cvxrelu.masking_kernel`."""
    if block not in ("cross", "self"):
        raise ValueError(f'block must be "cross" or "self", not {block!r}')
    if block == "self" and Z is None:
        raise ValueError('block="self" needs Z')
    if at == "refined":
        raise ValueError('at="refined" enumerates the cells of all rows together: not for rows in chunks')
    require_evaluation(at, patterns)
    as_patterns(patterns, DaskRows(_as_dask(X)))
    eta = as_weights(eta, len(patterns), "eta")
    empty = np.zeros((0, patterns.n_features))
    gates, pattern, weights = evaluation_gates(patterns, eta, at, empty, empty)
    training = np.ascontiguousarray(patterns.gates[pattern])
    if Z is None:
        gates, weights = np.ascontiguousarray(patterns.gates[eta > 0]), eta[eta > 0]
        training = gates
    left, right = (Z, Z) if block == "self" else (X, Z)
    both = gates if block == "self" else training, gates
    return _blockwise(left, right, _masking_block, both, weights, n_threads or 1)


def _as_dask(X: Any) -> Any:
    if hasattr(X, "__dask_graph__"):
        return X
    design = as_design(X)
    return da.from_array(design, chunks=(1 << 12, design.shape[1]))


def _blockwise(X: Any, Z: Any, function: Any, *args: Any) -> npt.NDArray[Any]:
    """Return the array with blocks ``function(rows of Z or X, rows of X, *args)``."""
    columns = DaskRows(_as_dask(X))
    rows = columns if Z is None else DaskRows(_as_dask(Z))
    if rows.shape[1] != columns.shape[1]:
        raise ValueError(f"Z has {rows.shape[1]} features, but {columns.shape[1]} are expected")
    dtype = result_dtype(rows, columns)
    kernel: npt.NDArray[Any] = da.blockwise(
        function,
        "ij",
        rows.array,
        "ik",
        columns.array,
        "jk",
        *[part for arg in args for part in (arg, None)],
        dtype=dtype,
        result=dtype,
        concatenate=True,
        meta=np.zeros((0, 0), dtype),
    )
    return kernel


def _ntk_block(Z: Any, X: Any, kind: str, depth: int, n_threads: int, result: Any) -> Any:
    if 0 in (Z.shape[0], X.shape[0]):
        return np.zeros((Z.shape[0], X.shape[0]), result)
    return closed_form(X, Z, kind, depth, n_threads).astype(result, copy=False)


def _masking_block(
    Z: Any, X: Any, both: tuple[FloatArray, FloatArray], weights: FloatArray, n_threads: int, result: Any
) -> Any:
    """Return the kernel of two blocks of rows, with the gates that stand for the patterns at X and at Z."""
    x_gates, z_gates = both
    if 0 in (Z.shape[0], X.shape[0]):
        return np.zeros((Z.shape[0], X.shape[0]), result)
    X, Z = as_design(X), as_design(Z, "Z")
    x_words, _ = core.pack_patterns(X, x_gates, n_threads)
    z_words, _ = core.pack_patterns(Z, z_gates, n_threads)
    return core.masking_kernel(X, x_words, Z, z_words, weights, n_threads).astype(result, copy=False)
