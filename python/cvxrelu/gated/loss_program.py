"""The gated program of losses other than the squared one."""

from __future__ import annotations

import numpy as np

from ..base.arrays import FloatArray
from ..base.native import core
from ..base.scaling import rescaled
from .losses import Loss
from .problem import GatedData, Penalty, Stopping
from .program import ExactProgram, Point


class LossProgram(ExactProgram):
    """As its base, but that weights of the samples stay with the loss; powers of two leave X, weights, perhaps y."""

    rotates = False

    def __init__(self, data: GatedData, penalty: Penalty, loss: Loss) -> None:
        self._scalable = loss.scalable
        self._taken: FloatArray | float = 0.0  # by the basis of the unpenalised columns
        super().__init__(GatedData(data.X, data.y, data.patterns, None, data.threads, data.dtype), penalty)
        self.loss = loss.name
        if loss.scalable:
            loss = loss.scaled(self.y_scale)
        else:
            self.targets, self.y_scale = np.asfortranarray(loss.core_targets(self.y_scale * self.targets)), 1.0
        n_samples = self.targets.shape[0]
        self.weights, weight_scale = rescaled(np.ones(n_samples) if data.sample_weight is None else data.sample_weight)
        self._loss = (self.targets, self.weights, loss.core_name, loss.delta)
        self.beta_scale = self.X_scale * self.y_scale * weight_scale
        self.ridge = penalty.ridge / self.X_scale / self.X_scale / weight_scale
        self.objective_scale = weight_scale * self.y_scale * self.y_scale
        self.dual_scale = weight_scale * self.y_scale
        null = self.span.basis @ self._best_amounts(np.zeros_like(self.targets))
        self._null = core.loss_residual(*self._loss, np.asfortranarray(null))

    def _project_out(self, extra: FloatArray) -> None:
        """As of its base for targets that can be shifted, such as Huber's; others stay as they are."""
        given = self.targets, self.y_scale
        super()._project_out(extra)
        if self._scalable:
            self._taken = self.span.basis.T @ self._unprojected
        else:
            self.targets, self.y_scale = given

    def _gradient(self) -> FloatArray:
        gradient: FloatArray = self._null[0]
        return gradient

    def _at_zero(self) -> float:
        return float(self._null[1])

    def _amounts(self, fitted: FloatArray) -> FloatArray:
        return self._best_amounts(fitted) + self._taken

    def _best_amounts(self, fitted: FloatArray) -> FloatArray:
        """Return the coefficients of the basis of the unpenalised columns with the least loss."""
        amounts: FloatArray = core.fit_unpenalised(*self._loss, self.span.basis, fitted)
        return amounts

    def _path(self, betas: list[float], start: FloatArray, stopping: Stopping) -> tuple[list[Point], bool]:
        points, interrupted = core.solve_with_loss(
            self.design,
            self.patterns.words,
            *self._loss,
            betas,
            group_weights=self.omega,
            ridge=self.ridge,
            unpenalised=self.span.basis,
            start=start,
            **self._settings(stopping),
        )
        return [Point(**point) for point in points], interrupted

    def _gap(self, beta: float, coef: FloatArray, dual: FloatArray) -> tuple[float, float, float]:
        gap: tuple[float, float, float] = core.loss_gap(
            self.design,
            self.patterns.words,
            *self._loss,
            beta,
            group_weights=self.omega,
            ridge=self.ridge,
            unpenalised=self.span.basis,
            coef=coef,
            dual=dual,
            n_threads=self.threads,
        )
        return gap
