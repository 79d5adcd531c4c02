"""What a gated program is posed of, and when its solver stops: records in place of long lists of arguments."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import (
    FloatArray,
    as_count,
    as_design,
    as_scalar,
    as_targets,
    as_threads,
    as_weights,
    result_dtype,
)
from ..base.callbacks import Callback, as_callback
from ..patterns.checks import as_patterns
from ..patterns.patterns import ActivationPatterns
from ..rows.open import as_rows
from ..rows.rows import Rows, is_rows


@dataclasses.dataclass(frozen=True, eq=False)
class GatedData:
    """Samples, targets and patterns that have been checked.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features), or Rows
        Samples: float64, finite and C-ordered, or rows that are elsewhere.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Targets; for rows that are elsewhere perhaps a dask collection, checked block by block.
    patterns : ActivationPatterns
        Patterns of `X`.
    sample_weight : ndarray of shape (n_samples,), or None
        Weights; for rows that are elsewhere as `y`.
    threads : int
        Threads.
    dtype : type
        What coefficients are returned in.
    own_patterns : bool
        Whether the patterns are known to be those of `X`, so that their bits need not be compared.
    """

    X: FloatArray | Rows
    y: Any
    patterns: ActivationPatterns
    sample_weight: Any
    threads: int
    dtype: type[np.float32] | type[np.float64] = np.float64
    own_patterns: bool = False

    @classmethod
    def checked(
        cls, X: Any, y: Any, patterns: Any, sample_weight: Any = None, n_threads: int | None = None
    ) -> GatedData:
        """Return what a user passes, checked."""
        if is_rows(X):
            rows = as_rows(X, n_threads)
            dtype = np.float32 if rows.dtype == np.float32 == getattr(y, "dtype", None) else np.float64
            return cls(rows, y, as_patterns(patterns, rows), sample_weight, as_threads(n_threads), dtype, True)
        design = as_design(X)
        targets = as_targets(y, design.shape[0])
        own = as_patterns(patterns, design)
        weights = None if sample_weight is None else as_weights(sample_weight, design.shape[0], "sample_weight")
        return cls(design, targets, own, weights, as_threads(n_threads), result_dtype(X, y))


@dataclasses.dataclass(frozen=True, eq=False)
class Penalty:
    """The penalty but for its factor beta, as :func:`cvxrelu.solve_gated` states it.

    Attributes
    ----------
    group_weights : array_like of shape (n_patterns,), or None
        Weights omega of the blocks; None for ones.
    ridge : float
        Factor of the squared penalty.
    block_norm : {"frobenius", "nuclear"}
        Norm of a block with several outputs.
    unpenalised : array_like of shape (n_samples, q), "intercept", or None
        Columns without penalty.
    """

    group_weights: npt.ArrayLike | None = None
    ridge: float = 0.0
    block_norm: str = "frobenius"
    unpenalised: npt.ArrayLike | str | None = None

    def __post_init__(self) -> None:
        if self.block_norm not in ("frobenius", "nuclear"):
            raise ValueError(f'block_norm must be "frobenius" or "nuclear", not {self.block_norm!r}')
        as_scalar(self.ridge, "ridge")

    @property
    def has_intercept(self) -> bool:
        """Whether the one unpenalised column is that of ones, asked for by its name."""
        return isinstance(self.unpenalised, str) and self.unpenalised == "intercept"

    def omega(self, n_patterns: int) -> FloatArray:
        """Return the weights of the blocks."""
        if self.group_weights is None:
            return np.ones(n_patterns)
        return as_weights(self.group_weights, n_patterns, "group_weights", positive=True)


@dataclasses.dataclass(frozen=True, eq=False)
class Stopping:
    """How a program is solved, and when that ends.

    Attributes
    ----------
    tol : float
        Duality gap to reach, relative to the objective of the zero solution.
    max_iter : int
        Most passes over all patterns for a penalty.
    solver : {"auto", "newton", "dual", "bcd"}
        Method inside a working set.
    callback : callable or None
        Hears of every pass; returning True ends the path with the point at hand.
    keep : bool
        On Ctrl-C return the points that are finished, in place of raising KeyboardInterrupt.
    """

    tol: float = 1e-6
    max_iter: int = 200
    solver: str = "auto"
    callback: Callback | None = None
    keep: bool = False

    def __post_init__(self) -> None:
        as_callback(self.callback)
        if self.solver not in ("auto", "newton", "dual", "bcd"):
            raise ValueError(f'solver must be "auto", "newton", "dual" or "bcd", not {self.solver!r}')
        as_scalar(self.tol, "tol", strict=True)
        as_count(self.max_iter, "max_iter")
