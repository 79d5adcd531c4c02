"""The package's functions where `X` is a collection of rows: each has the name and the meaning of the one that sends
it here, and returns what that one returns. What needs all rows in one place is refused with the reason.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from ._validation import FloatArray, as_count, as_design, as_generator, as_scalar
from .block_passes import Chunk, pattern_digests, uniform_of_rows
from .block_solver import BlockProgram
from .exceptions import ConvergenceWarning
from .group_lasso import Callback, GatedPath, GatedSolution
from .patterns import ActivationPatterns
from .row_blocks import Rows, as_rows

_FINE_ROWS = 1 << 16  # a sample of the values of a column, for thresholds


class RowPatterns(ActivationPatterns):
    """Distinct patterns of rows that are elsewhere: their gates. The bits stay with the rows; `words` is empty."""

    def to_dense(self) -> Any:
        raise ValueError("these patterns are of rows in chunks: use activations(Z) on the rows that are wanted")

    def reorder_samples(self, order: npt.NDArray[np.intp]) -> Any:
        raise ValueError("these patterns are of rows in chunks, whose order they do not know")


def sample_patterns(
    X: Any,
    n_gates: int | None = None,
    *,
    gates: str | npt.ArrayLike = "gaussian",
    random_state: Any = None,
    n_threads: int | None = None,
) -> ActivationPatterns:
    """As :func:`cvxrelu.sample_patterns`; thresholds of "mixed" gates lie between values of a sample of the rows."""
    from .sampling import _Thresholds

    rows = as_rows(X, n_threads)
    d = rows.shape[1]
    if isinstance(gates, str):
        if n_gates is None:
            raise ValueError(f"n_gates is needed to draw {gates} gates")
        if gates not in ("gaussian", "mixed"):
            raise ValueError(f'gates must be "gaussian", "mixed" or an array, not {gates!r}')
        rng = as_generator(random_state)
        thresholds = None
        if gates == "mixed":
            share = min(1.0, _FINE_ROWS / rows.shape[0])
            thresholds = _Thresholds(np.concatenate(rows.chunks.collect(_some_rows, share)))

        def draw(index: npt.NDArray[np.intp]) -> FloatArray:
            drawn = rng.standard_normal((index.size, d))
            if thresholds is not None and thresholds.features.size:
                odd = index % 2 == 1
                drawn[odd] = thresholds.draw(int(odd.sum()), rng)
            return drawn

        drawn = draw(np.arange(as_count(n_gates, "n_gates")))
        keys, margin, nonzero = _digests(rows, drawn)
        for _ in range(100):
            close = np.flatnonzero(margin == 0)
            if close.size == 0:
                break
            drawn[close] = draw(close)
            keys[close], margin[close], nonzero[close] = _digests(rows, drawn[close])
        else:
            raise ValueError("X is so close to degenerate that drawn gates cannot be told from borders of their cells")
    else:
        drawn = as_design(gates, "gates", d)
        if n_gates is not None and n_gates != drawn.shape[0]:
            raise ValueError(f"n_gates is {n_gates}, but gates has {drawn.shape[0]} rows")
        keys, _, nonzero = _digests(rows, drawn)
    if not nonzero.any():
        raise ValueError("every gate is inactive on every sample: draw more gates, or others")
    draws = drawn[nonzero]
    _, first, index, counts = np.unique(keys[nonzero], return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    return RowPatterns(
        gates=draws[first[order]],
        words=np.zeros((order.size, 0), dtype=np.uint64),
        n_samples=rows.shape[0],
        counts=counts[order].astype(np.int64),
        zero_count=int(nonzero.size - nonzero.sum()),
        draws=draws,
        draw_pattern=rank[index].astype(np.int64),
    )


def _digests(rows: Rows, gates: FloatArray) -> tuple[Any, FloatArray, npt.NDArray[np.bool_]]:
    """Return for every gate a key of its pattern on all rows, its smallest margin, and whether it is ever active."""
    parts = rows.chunks.collect(pattern_digests, np.ascontiguousarray(gates), rows.n_threads)
    digests = np.concatenate([part[0] for part in parts], axis=1)
    keys = np.ascontiguousarray(digests).view(np.dtype((np.void, digests.shape[1])))[:, 0]
    margin = np.min([part[1] for part in parts], axis=0)
    return keys.copy(), margin, np.any([part[2] for part in parts], axis=0)


def _some_rows(chunk: Chunk, share: float) -> FloatArray:
    return chunk.X[uniform_of_rows(chunk.first, chunk.X.shape[0]) < share]


def beta_max(X: Any, y: Any, patterns: ActivationPatterns, **settings: Any) -> float:
    """As :func:`cvxrelu.beta_max`."""
    return BlockProgram(X, y, patterns, **settings).beta_max()


def solve_gated(
    X: Any,
    y: Any,
    patterns: ActivationPatterns,
    beta: float,
    *,
    warm_start: Any = None,
    tol: float = 1e-6,
    max_iter: int = 200,
    solver: str = "auto",
    callback: Callback | None = None,
    **settings: Any,
) -> GatedSolution:
    """As :func:`cvxrelu.solve_gated`."""
    beta, tol, max_iter = _checked(beta, tol, max_iter, solver)
    program = BlockProgram(X, y, patterns, **settings)
    solution = program.solve(beta, program.start(warm_start), tol, max_iter, callback)
    if callback is None:
        _warn([solution], tol)
    return solution


def gated_path(
    X: Any,
    y: Any,
    patterns: ActivationPatterns,
    *,
    betas: Any = None,
    n_betas: int = 50,
    beta_min_ratio: float = 1e-2,
    warm_start: Any = None,
    tol: float = 1e-6,
    max_iter: int = 200,
    solver: str = "auto",
    callback: Callback | None = None,
    on_interrupt: str = "raise",
    **settings: Any,
) -> GatedPath:
    """As :func:`cvxrelu.gated_path`."""
    from .group_lasso import path_grid

    _, tol, max_iter = _checked(1.0, tol, max_iter, solver)
    program = BlockProgram(X, y, patterns, **settings)
    grid = path_grid(betas, n_betas, beta_min_ratio, program.beta_max)
    if on_interrupt not in ("raise", "return"):
        raise ValueError(f'on_interrupt must be "raise" or "return", not {on_interrupt!r}')
    solutions: list[GatedSolution] = []
    stop = _Stop(callback)
    interrupted = False
    try:
        at = program.start(warm_start)
        for beta in grid:
            solutions.append(program.solve(float(beta), at, tol, max_iter, None if callback is None else stop))
            at = program.history[-1]
            if stop.stopped:
                break
    except KeyboardInterrupt:
        if on_interrupt == "raise":
            raise
        interrupted = True
    _warn(solutions if callback is None else solutions[:-1], tol)
    return GatedPath(tuple(solutions), complete=not interrupted and len(solutions) == grid.size)


def _checked(beta: Any, tol: Any, max_iter: Any, solver: str) -> tuple[float, float, int]:
    if solver not in ("auto", "newton"):
        raise ValueError(f'solver must be "auto" for rows in chunks, not {solver!r}')
    return as_scalar(beta, "beta", strict=True), as_scalar(tol, "tol", strict=True), as_count(max_iter, "max_iter")


def _warn(solutions: list[GatedSolution], tol: float) -> None:
    for solution in solutions:
        if not solution.converged:
            warnings.warn(
                f"the duality gap at beta={solution.beta:.4g} is {solution.relative_gap:.1e} relative to the objective "
                f"at zero, above tol={tol:.1e}, after {solution.n_iter} passes over the rows: raise max_iter or tol",
                ConvergenceWarning,
                stacklevel=5,
            )


class _Stop:
    def __init__(self, callback: Callback | None) -> None:
        self.callback = callback
        self.stopped = False

    def __call__(self, progress: dict[str, Any]) -> bool:
        self.stopped = self.callback is not None and bool(self.callback(progress))
        return self.stopped


def predict(X: Any, model: Any, **settings: Any) -> Any:
    """Return ``model.predict`` on rows: blockwise for dask, else chunk by chunk in one array."""
    rows = as_rows(X)
    # The patterns of a solution may hold bits of all training rows: what travels is the network alone.
    network = model.to_network() if hasattr(model, "to_network") else model
    n_outputs = 1 if network.w2.ndim == 1 else network.w2.shape[1]
    values = rows.assemble(rows.chunks, _predicted, network, n_outputs, rows.dtype)
    return values[:, 0] if network.w2.ndim == 1 else values


def _predicted(chunk: Chunk, network: Any, n_outputs: int, dtype: np.dtype[Any]) -> Any:
    return network.predict(chunk.X, n_threads=1).reshape(-1, n_outputs).astype(dtype, copy=False)
