"""The gated program of many rows in memory, solved like that of rows elsewhere: passes over all, steps on a sample.

A solution in memory goes over all rows for every sweep and every product of its Newton steps. Where rows are many
beside the coefficients that can be non-zero, a sample of them has the same curvature, and only passes see them all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..patterns.patterns import ActivationPatterns
from ..rows.in_memory import ArrayRows
from .passes import BlockProgram
from .program import GatedProgram

_MIN_ROWS = 50_000

_ROWS_PER_COEFFICIENT = 8  # a sample has four: at most half of the rows, even if all patterns were active


def sample_suffices(patterns: ActivationPatterns) -> bool:
    """Say whether rows are many beside coefficients."""
    return patterns.n_samples >= max(_MIN_ROWS, _ROWS_PER_COEFFICIENT * patterns.n_features * len(patterns))


class SampledProgram(GatedProgram):
    """As its base, with solver "auto" going by passes."""

    def _path(self, betas: list[float], *settings: Any) -> tuple[list[dict[str, Any]], bool]:
        start, tol, max_iter, solver, threads, callback, keep = settings
        if solver != "auto":
            return super()._path(betas, *settings)
        rows = ArrayRows(self.design, self.patterns.words, threads)
        program = BlockProgram(
            rows, self.targets, self.patterns, group_weights=self.omega, ridge=self.ridge, n_threads=threads
        )
        d, c = self.design.shape[1], self.targets.shape[1]
        at = program.start(start.T.reshape(-1, c, d).swapaxes(1, 2) if start.size else None)
        points: list[dict[str, Any]] = []
        stopped = False

        def stop(progress: dict[str, Any]) -> bool:
            nonlocal stopped
            stopped = bool(callback(progress))
            return stopped

        try:
            for beta in betas:
                solution = program.solve(beta, at, tol, max_iter, None if callback is None else stop)
                at = program.history[-1]
                blocks = solution.blocks.swapaxes(1, 2).reshape(solution.active.size, c * d).T
                points.append(vars(solution) | {"blocks": np.asfortranarray(blocks)})
                if stopped:
                    break
        except KeyboardInterrupt:
            if not keep:
                raise
            return points, True
        return points, False
