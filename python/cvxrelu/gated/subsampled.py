"""The gated program of many rows in memory, solved like that of rows elsewhere: passes over all, steps on a subsample.

A solution in memory goes over all rows for every sweep and every product of its Newton steps. Where rows are many
beside the coefficients that can be non-zero, a subsample of them has the same curvature, and only passes see them all.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..base.arrays import FloatArray
from ..base.columns import blocks_of, columns_of
from ..patterns.patterns import ActivationPatterns
from ..rows.in_memory import ArrayRows
from .passes import PassesProgram
from .problem import GatedData, Penalty, Stopping
from .program import ExactProgram, Point

_MIN_ROWS = 50_000
_ROWS_PER_COEFFICIENT = 8  # a subsample has four: at most half of the rows, even if all patterns were active


def subsample_suffices(patterns: ActivationPatterns) -> bool:
    """Say whether rows are many beside coefficients."""
    return patterns.n_samples >= max(_MIN_ROWS, _ROWS_PER_COEFFICIENT * patterns.n_features * len(patterns))


class SubsampledProgram(ExactProgram):
    """As its base, with solver "auto" going by passes."""

    def _path(self, betas: list[float], start: FloatArray, stopping: Stopping) -> tuple[list[Point], bool]:
        if stopping.solver != "auto":
            return super()._path(betas, start, stopping)
        rows = ArrayRows(self.design, self.patterns.words, self.threads, self.root)
        data = GatedData(rows, self.targets, self.patterns, None, self.threads, own_patterns=True)
        intercept = None if self.columns is None else "intercept"
        program = PassesProgram(data, Penalty(self.omega, self.ridge, unpenalised=intercept))
        blocks = blocks_of(start, self.targets.shape[1]) if start.size else None
        callback = stopping.callback
        if callback is not None:

            def told(progress: dict[str, Any]) -> bool | None:
                return callback(progress | {"blocks": columns_of(progress["blocks"])})

            stopping = dataclasses.replace(stopping, callback=told)
        solutions, interrupted = program.path(np.array(betas), blocks, stopping)
        names = {field.name for field in dataclasses.fields(Point)} - {"blocks"}
        return [
            Point(blocks=columns_of(solution.blocks), **{name: getattr(solution, name) for name in names})
            for solution in solutions
        ], interrupted
