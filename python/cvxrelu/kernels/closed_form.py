"""Neural tangent kernels of infinite width, of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_count, as_design, as_threads, result_dtype
from ..base.memory import require_fit
from ..base.native import core


def closed_form(
    X: npt.ArrayLike, Z: npt.ArrayLike | None, kind: str, depth: int, n_threads: int | None
) -> npt.NDArray[np.floating[Any]]:
    """As :func:`cvxrelu.ntk`, without patterns."""
    core_kind, depth = kind_and_depth(kind, depth)
    dtype = result_dtype(X) if Z is None else result_dtype(X, Z)
    design = as_design(X)
    other = None if Z is None else as_design(Z, "Z", design.shape[1])
    require_memory(design.shape[0] if other is None else other.shape[0], design.shape[0])
    kernel = core.ntk(design, other, core_kind, depth, as_threads(n_threads))
    return kernel_in(kernel, dtype, design, design if other is None else other)


def kernel_in(
    kernel: npt.NDArray[np.float64], dtype: Any, X: FloatArray, Z: FloatArray
) -> npt.NDArray[np.floating[Any]]:
    """Return a kernel of X and Z in the type of the results; ValueError where it does not hold it.

    The diagonal of a Gram matrix, of samples with themselves, tells for all of it: by the Cauchy-Schwarz inequality no
    entry is larger. To look at all entries would take a fifth of the time that the kernel does.
    """
    with np.errstate(over="ignore", under="ignore"):
        result = np.asarray(kernel).astype(dtype, copy=False)
        largest = np.abs(X).max() * np.abs(Z).max()
    # Products below this lose digits, and at last all of them.
    vanish = X.any() and Z.any() and largest < np.finfo(dtype).tiny / np.finfo(dtype).eps
    if vanish or not np.isfinite(result.diagonal() if Z is X else result).all():
        kind = "small" if vanish else "large"
        raise ValueError(f"samples are too {kind}: {np.dtype(dtype).name} does not hold their kernel, so scale them")
    return result


def kind_and_depth(kind: str, depth: int) -> tuple[Any, int]:
    """Return the core's name of a kind, and the depth, after checking that they go together."""
    kinds = {"gated": core.NtkKind.gated, "gated-both": core.NtkKind.gated_both, "relu": core.NtkKind.relu}
    if kind not in kinds:
        raise ValueError(f"kind must be one of {', '.join(map(repr, kinds))}, not {kind!r}")
    depth = as_count(depth, "depth")
    if depth > 1 and kind != "relu":
        raise ValueError(f'depth must be 1 for kind="{kind}", not {depth}')
    return kinds[kind], depth


def require_memory(rows: int, columns: int, copies: int = 1) -> None:
    """Raise before a kernel matrix, or so many, is begun that cannot fit into this machine's memory."""
    what = "a kernel matrix" if copies == 1 else f"{copies} kernel matrices"
    require_fit(rows, columns, what, "take fewer samples, or solve_gated, which needs no kernel matrix", copies)
