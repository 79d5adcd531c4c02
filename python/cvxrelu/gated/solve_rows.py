"""The gated program over rows that are elsewhere."""

from __future__ import annotations

import dataclasses
import os
import warnings
from typing import Any

import numpy as np

from ..base.arrays import as_count, as_scalar
from ..base.callbacks import Callback, Stop
from ..exceptions import ConvergenceWarning
from ..patterns.patterns import ActivationPatterns
from .checkpoint import PathCheckpoint
from .grid import path_grid
from .passes import BlockProgram
from .solution import GatedPath, GatedSolution


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
                stacklevel=4,
            )
