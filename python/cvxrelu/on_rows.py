"""The package's functions where `X` is a collection of rows: each has the name and the meaning of the one that sends
it here, and returns what that one returns. What needs all rows in one place is refused with the reason.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ._native import core
from ._validation import FloatArray, as_count, as_design, as_generator, as_patterns, as_scalar
from .block_passes import Chunk, network_residual, network_sums, pattern_digests, uniform_of_rows
from .block_solver import BlockProgram
from .checkpoint import PathCheckpoint
from .cone_measure import ConeMeasure
from .cone_measure import cone_measure as cone_measure_here
from .exceptions import ConvergenceWarning
from .group_lasso import Callback, GatedPath, GatedSolution
from .mkl import _Program as MKLProgram
from .mkl import _Stop as Stop
from .mkl_solution import MKLHistory, MKLSolution
from .patterns import ActivationPatterns
from .pricing import Certificate, as_relu_layers, proved
from .pricing import certify as certify_here
from .row_blocks import Rows, as_rows, is_dask
from .units import row_lengths

_GATHERED_BYTES = 1 << 27  # of rows that may be brought here where nothing else will do
_FINE_ROWS = 1 << 16  # a sample of the values of a column, for thresholds
_SUM_ROUNDING = 1e-12  # of sums over many rows, relative to the product of the norms


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
    from .sampling import UNDECIDED, _Thresholds

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
            raise ValueError(UNDECIDED)
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
    checkpoint: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> GatedPath:
    """As :func:`cvxrelu.gated_path`."""
    from .group_lasso import path_grid

    _, tol, max_iter = _checked(1.0, tol, max_iter, solver)
    program = BlockProgram(X, y, patterns, **settings)
    grid = path_grid(betas, n_betas, beta_min_ratio, program.beta_max)
    if on_interrupt not in ("raise", "return"):
        raise ValueError(f'on_interrupt must be "raise" or "return", not {on_interrupt!r}')
    file = None
    if checkpoint is not None:
        scalars = (program.zero.yy, program.beta_max(), program.ridge, float(program.omega.sum()), tol)
        file = PathCheckpoint(checkpoint, program.patterns, np.array([*program.rows.shape, *scalars]), grid)
    solutions: list[GatedSolution] = []
    stop = Stop(callback)
    interrupted = False
    try:
        if file is not None:
            solutions = _restored(program, *file.load())
        at = program.start(solutions[-1] if solutions else warm_start)
        for beta in grid[len(solutions) :]:
            solution = program.solve(float(beta), at, tol, max_iter, None if callback is None else stop)
            solutions.append(solution)
            at = program.history[-1]
            if stop.stopped:
                break
            if file is not None:
                file.save(solutions, program.state())
    except KeyboardInterrupt:
        if on_interrupt == "raise":
            raise
        interrupted = True
    _warn(solutions if callback is None else solutions[:-1], tol)
    return GatedPath(tuple(solutions), complete=not interrupted and len(solutions) == grid.size)


def _restored(program: BlockProgram, points: list[GatedSolution], state: dict[str, Any]) -> list[GatedSolution]:
    """Bring the program into the state after the points of a checkpoint; duals that were in blocks are made again."""
    if state:
        program.restore(state)
    restored = []
    for point in points:
        if point.dual.size == 0:
            at = program.start(point)
            point = dataclasses.replace(point, dual=program.dual(at, program.bound(at, point.beta).scale))
        restored.append(point)
    return restored


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


def solve_mkl(
    X: Any,
    y: Any,
    patterns: ActivationPatterns,
    beta: float,
    *,
    form: str = "beta",
    sample_weight: Any = None,
    init: Any = "ntk",
    max_iter: int = 10,
    relaxation: float = 0.75,
    finish: bool = True,
    tol: float = 1e-6,
    n_threads: int | None = None,
    callback: Callback | None = None,
) -> MKLSolution:
    """As :func:`cvxrelu.solve_mkl`, in the primal form: the kernels have n^2 entries, so nothing is reweighted."""
    if form not in ("beta", "simplex"):
        raise ValueError(f'form must be "beta" or "simplex", not {form!r}')
    if not finish:
        raise ValueError("finish=False asks for reweighting alone, which needs the kernels of all rows in memory")
    program = _RowMKL(X, y, patterns, as_scalar(beta, "beta", strict=True), form, sample_weight, tol, n_threads)
    solution, stopped = program.finish(program.certified(program.zero), callback)
    if not (solution.converged or stopped):
        warnings.warn(
            f"the duality gap is {solution.relative_gap:.1e} relative to the objective at zero, above tol={tol:.1e}",
            ConvergenceWarning,
            stacklevel=4,
        )
    return solution


class _RowMKL(MKLProgram):
    """The program of MKL with rows that are elsewhere."""

    def __init__(
        self,
        X: Any,
        y: Any,
        patterns: ActivationPatterns,
        beta: float,
        form: str,
        sample_weight: Any,
        tol: float,
        n_threads: int | None,
    ) -> None:
        self.program = BlockProgram(X, y, patterns, sample_weight=sample_weight, n_threads=n_threads)
        self.X = self.design = self.program.rows  # type: ignore[assignment]
        self.y = y
        self.patterns = patterns
        self.root = None
        self.beta = beta
        self.form = form
        self.tol = as_scalar(tol, "tol", strict=True)
        self.threads = self.program.threads
        self.at_zero = self.program.at_zero
        self.history = MKLHistory(np.zeros(0), np.zeros(0), np.zeros(0))

    @property
    def zero(self) -> FloatArray:
        """Coefficients of zero."""
        outputs = () if self.program.one_output else (self.program.n_outputs,)
        return np.zeros((len(self.patterns), self.program.rows.shape[1], *outputs))

    def at_beta(self, beta: float, warm_start: Any, callback: Callback | None) -> tuple[MKLSolution, bool]:
        stop = Stop(callback)
        tol = self.tol if self.form == "beta" else 0.1 * self.tol
        start = self.program.history[-1] if self.program.history else self.program.start(warm_start)
        group = self.program.solve(beta, start, tol, 10_000, None if callback is None else stop)
        if self.form == "simplex":
            return self.certified(group.coef), stop.stopped
        return self.solution(group.coef, group.objective, group.gap, group.dual), stop.stopped

    def certified(self, coef: Any) -> MKLSolution:
        program = self.program
        at = program.start(coef)
        norms = np.linalg.norm(at.coef.blocks, axis=0)
        sizes = np.linalg.norm(at.correlations, axis=0)
        fit = np.einsum("km,km->m", at.coef.blocks, at.correlations[:, at.coef.active]) if norms.size else norms
        if self.form == "beta":
            bound = program.bound(at, self.beta)
            objective, gap, scale = bound.objective, bound.gap, bound.scale
        else:
            # The dual is max <y, t> - 1/2 ||t||^2 - max_i ||X' D_i t||^2 / (2 beta), here at t = scale * residual.
            total, largest = float(norms.sum()), float(sizes.max())
            objective = 0.5 * at.rr + 0.5 * self.beta * total**2
            scale = at.yr / (at.rr + largest**2 / self.beta) if at.rr > 0 else 1.0
            gap = 0.5 * at.rr * (1 - scale) ** 2 + scale * float(np.maximum(largest * norms - fit, 0).sum())
            gap += 0.5 * self.beta * (total - scale * largest / self.beta) ** 2
        return self.solution(coef, objective, gap, program.dual(at, scale))


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


def ntk(X: Any, Z: Any = None, **settings: Any) -> Any:
    """As :func:`cvxrelu.ntk`, a dask array in blocks of rows."""
    from .dask_kernels import ntk

    return ntk(X, Z, **settings)


def masking_kernel(X: Any, patterns: ActivationPatterns, eta: Any, Z: Any = None, **settings: Any) -> Any:
    """As :func:`cvxrelu.masking_kernel`, a dask array in blocks of rows."""
    from .dask_kernels import masking_kernel

    return masking_kernel(X, patterns, eta, Z, **settings)


def count_patterns(X: Any, **settings: Any) -> int:
    """As :func:`cvxrelu.count_patterns`, counted in parts."""
    from .dask_arrangement import count_patterns

    return count_patterns(X, **_of_numbers_given(settings))


def iter_patterns(X: Any, **settings: Any) -> Iterator[ActivationPatterns]:
    """As :func:`cvxrelu.iter_patterns`, searched in parts."""
    from .dask_arrangement import iter_patterns

    return iter_patterns(X, **_of_numbers_given(settings))


def enumerate_patterns(X: Any, **settings: Any) -> ActivationPatterns:
    """As :func:`cvxrelu.enumerate_patterns`, searched in parts."""
    from .dask_arrangement import enumerate_patterns

    return enumerate_patterns(X, **_of_numbers_given(settings))


def _of_numbers_given(settings: dict[str, Any]) -> dict[str, Any]:
    decimals, tol, closed = (settings.pop(name) for name in ("decimals", "tol", "closed"))
    if decimals is not None or tol is not None or closed:
        raise ValueError("on a cluster cells are those of the numbers given: decimals, tol and closed do not apply")
    return settings


def cone_measure(X: Any, patterns: ActivationPatterns | None, **settings: Any) -> ConeMeasure:
    """As :func:`cvxrelu.cone_measure`; all cells are measured in parts, given ones here."""
    from .dask_arrangement import measure_cells

    if patterns is None:
        return measure_cells(X, **settings)
    return cone_measure_here(X.compute(), patterns, **settings)


def certify(
    X: Any,
    y: Any,
    network: Any,
    beta: float,
    *,
    sample_weight: Any = None,
    patterns: ActivationPatterns | None = None,
    dual: Any = None,
    tol: float = 1e-6,
    pricing: str = "auto",
    n_threads: int | None = None,
    **limits: Any,
) -> Certificate:
    """As :func:`cvxrelu.certify`, first by bounds that are sums over rows.

    Where these leave a gap above `tol` and all rows fit into `_GATHERED_BYTES`, they are brought here and priced as
    rows in memory are. Beyond that the bounds are what is returned, weaker than pricing, and `exact` is False.
    """
    rows = as_rows(X, n_threads)
    fits = 8 * rows.shape[0] * rows.shape[1] <= _GATHERED_BYTES
    one_output = len(getattr(y, "shape", np.shape(y))) == 1
    if one_output and dual is None and sample_weight is None and pricing == "auto":
        summed = _certify_by_sums(rows, y, network, beta, patterns, tol)
        if summed is None and not fits:
            raise ValueError("the network's values on these rows are so large that float64 does not hold their sums")
        if summed is not None and (not fits or summed.relative_gap <= tol):
            return summed
    elif not fits:
        raise ValueError(
            "several outputs, dual, sample_weight and pricing are not for so many rows in chunks: what bounds the "
            "networks there is the residual of this one, by sums over the rows"
        )
    data = np.concatenate(rows.chunks.collect(_rows_of))
    y, dual, sample_weight = (a.compute() if is_dask(a) else a for a in (y, dual, sample_weight))
    if patterns is not None:
        words, _ = core.pack_patterns(data, np.ascontiguousarray(patterns.gates), rows.n_threads)
        patterns = ActivationPatterns(patterns.gates, words, rows.shape[0])
    settings = {"sample_weight": sample_weight, "patterns": patterns, "dual": dual, "tol": tol, "pricing": pricing}
    return certify_here(data, y, network, beta, **settings, **limits, n_threads=n_threads)


def _rows_of(chunk: Chunk) -> FloatArray:
    return chunk.X


def _certify_by_sums(
    rows: Rows, y: Any, network: Any, beta: float, patterns: ActivationPatterns | None, tol: float
) -> Certificate | None:
    """Bound by :func:`cvxrelu.dual_norm.masked_norm_bound` for all patterns, by max_i ||X' D_i t|| for given ones.

    The dual point is the scaled residual of the network. None where the sums are above what float64 holds.
    """
    as_scalar(tol, "tol", strict=True)
    beta = as_scalar(beta, "beta")
    W1, w2, bias = as_relu_layers(network, rows.shape[1])
    if W1.shape[1] != rows.shape[1] + bias:
        raise ValueError(f"the network takes {W1.shape[1] - bias} features, but X has {rows.shape[1]}")
    if patterns is not None and bias:
        raise ValueError("patterns of a network with a bias are those of X with its ones column: append it to X")
    gates = np.zeros((0, rows.shape[1])) if patterns is None else as_patterns(patterns, rows).gates
    blocks = rows.masked(y, None, np.ascontiguousarray(gates))
    sums = blocks.sum(network_sums, W1, w2, bias, rows.n_threads)
    if not all(np.isfinite(part).all() for part in sums):
        return None
    correlations, total, spread, scalars, fits = sums
    rr, yr, yy, lengths = (float(value) for value in scalars)
    if patterns is None:
        nu = 0.5 * (float(row_lengths(total[None])[0]) + np.sqrt(lengths) * np.sqrt(np.linalg.norm(spread, 2)))
    else:
        nu = float(row_lengths(correlations.T).max())
    nu *= 1 + 1e-12
    scale = yr / rr if rr > 0 else 0.0
    if nu > 0:
        scale = float(np.clip(scale, -beta / nu, beta / nu))
    decay = 0.5 * (np.sum(W1**2, axis=1) + w2**2)
    gap = 0.5 * (1 - scale) ** 2 * rr + float(np.maximum(beta * decay - scale * w2 * fits, 0).sum())
    upper = 0.5 * rr + beta * float(decay.sum())
    rounding = _SUM_ROUNDING * (abs(scale) * np.sqrt(yy) * np.sqrt(rr) + scale**2 * rr)
    lower, gap = proved(upper, scale * yr - 0.5 * scale**2 * rr - rounding, gap)
    theta = rows.assemble(blocks, network_residual, W1, w2, bias, scale)
    return Certificate(
        beta=beta,
        upper_bound=upper,
        lower_bound=lower,
        gap=gap,
        relative_gap=gap / (0.5 * yy) if yy > 0 else gap,
        scope="all patterns" if patterns is None else "given patterns",
        dual=theta[:, 0],
        dual_norm=nu,
        exact=False,
        n_nodes=0,
        priced_by="closed form" if patterns is None else "given patterns",
    )
