"""Losses of the gated program other than the squared one: targets that they take, and their program."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_scalar, as_weights
from ..base.columns import to_core
from ..base.native import core
from ..base.scaling import rescaled
from ..patterns.patterns import ActivationPatterns
from .program import GatedProgram

LOSSES = ("squared", "logistic", "softmax", "huber", "poisson")


def as_loss_targets(targets: FloatArray, loss: str) -> FloatArray:
    """Return the targets of shape (n_samples, n_outputs) in the core's terms, after checking that the loss has them.

    Labels -1 and +1 of the logistic loss become the probabilities 0 and 1.
    """
    if loss == "logistic":
        signs = np.abs(targets) == 1
        if signs.all():
            return np.where(targets > 0, 1.0, 0.0)
        _require(
            (targets >= 0) & (targets <= 1), targets, "labels -1 and +1, or probabilities between 0 and 1", "logistic"
        )
    elif loss == "softmax":
        if targets.shape[1] < 2:
            raise ValueError(
                "the softmax loss needs y of shape (n_samples, n_classes), one-hot rows, with 2 classes or more"
            )
        _require(targets >= 0, targets, "one-hot rows (or rows of probabilities)", "softmax")
        sums = targets.sum(axis=1)
        bad = np.flatnonzero(np.abs(sums - 1) > 1e-9)
        if bad.size:
            raise ValueError(
                f"the softmax loss needs rows that sum to 1, but those of y[{bad[0]}] sum to {sums[bad[0]]}"
            )
    elif loss == "poisson":
        _require(targets >= 0, targets, "counts that are not negative", "poisson")
    return targets


def _require(good: npt.NDArray[np.bool_], targets: FloatArray, what: str, loss: str) -> None:
    bad = np.argwhere(~good)
    if bad.size:
        sample, output = (int(k) for k in bad[0])
        where = f"y[{sample}]" if targets.shape[1] == 1 else f"y[{sample}, {output}]"
        raise ValueError(f"the {loss} loss needs {what}, but {where} is {targets[sample, output]}")


def sample_losses(loss: str, targets: FloatArray, values: FloatArray, delta: float = 1.0) -> FloatArray:
    """Return the loss of each sample, summed over outputs, for targets in the core's terms."""
    Y, F = targets.reshape(targets.shape[0], -1), values.reshape(values.shape[0], -1)
    if loss == "squared":
        losses = 0.5 * (Y - F) ** 2
    elif loss == "huber":
        clipped = np.clip(Y - F, -delta, delta)
        losses = clipped * (Y - F - 0.5 * clipped)
    elif loss == "poisson":
        losses = np.exp(F) - Y * F + _x_log_x(Y) - Y
    elif loss == "logistic":
        losses = np.logaddexp(0.0, F) - Y * F + _x_log_x(Y) + _x_log_x(1 - Y)
    else:
        losses = Y * (np.logaddexp.reduce(F, axis=1, keepdims=True) - F) + _x_log_x(Y)
    return np.asarray(losses.sum(axis=1))


def _x_log_x(x: FloatArray) -> FloatArray:
    return x * np.log(np.where(x > 0, x, 1.0))


def probabilities(loss: str, scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """Return probabilities of the classes from scores of the logistic or softmax loss: (n_samples, n_classes).

    Logistic scores of more than two classes, each against the rest, are normalised to sum to 1.
    """
    if loss == "softmax":
        logs = scores
    elif scores.ndim == 1:
        logs = -np.logaddexp(0.0, np.stack([scores, -scores], axis=1))
    else:
        logs = -np.logaddexp(0.0, -scores)
    law = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(law / law.sum(axis=1, keepdims=True))


class LossProgram(GatedProgram):
    """The program of another loss: weights of the samples stay with the loss, powers of two leave X, y and weights."""

    def __init__(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        patterns: ActivationPatterns,
        sample_weight: npt.ArrayLike | None,
        group_weights: npt.ArrayLike | None,
        ridge: float,
        n_threads: int | None,
        *,
        loss: str,
        delta: float,
    ) -> None:
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, not {loss!r}")
        super().__init__(X, y, patterns, None, group_weights, 0.0, None, n_threads)
        self.loss = loss
        self.delta = as_scalar(delta, "delta", strict=True)
        if loss == "huber":
            self.delta /= self.y_scale
        else:
            self.targets, self.y_scale = np.asfortranarray(as_loss_targets(self.y_scale * self.targets, loss)), 1.0
        n_samples = self.targets.shape[0]
        weights = np.ones(n_samples) if sample_weight is None else as_weights(sample_weight, n_samples, "sample_weight")
        self.weights, weight_scale = rescaled(weights)
        self.beta_scale = self.X_scale * self.y_scale * weight_scale
        self.ridge = as_scalar(ridge, "ridge") / (self.X_scale**2 * weight_scale)
        self.objective_scale = weight_scale * self.y_scale**2
        self.dual_scale = weight_scale * self.y_scale

    def beta_max(self) -> float:
        residual, _ = self._residual_at_zero()
        correlations = core.masked_correlations(self.design, self.patterns.words, residual, self.threads)
        return float((np.linalg.norm(correlations, axis=0) / self.omega).max()) * self.beta_scale

    def _residual_at_zero(self) -> tuple[FloatArray, float]:
        at_zero: tuple[FloatArray, float] = core.loss_residual(
            self.targets, self.weights, self.loss, self.delta, np.zeros_like(self.targets)
        )
        return at_zero

    def _at_zero(self) -> float:
        return self._residual_at_zero()[1]

    def _path(self, betas: list[float], *settings: Any) -> tuple[list[dict[str, Any]], bool]:
        problem = (self.design, self.patterns.words, self.targets, self.weights, self.loss, self.delta)
        path: tuple[list[dict[str, Any]], bool] = core.solve_with_loss(
            *problem, betas, self.omega, self.ridge, *settings
        )
        return path

    def _gap(self, beta: float, coef: FloatArray, dual: FloatArray) -> tuple[float, float, float]:
        problem = (self.design, self.patterns.words, self.targets, self.weights, self.loss, self.delta)
        gap: tuple[float, float, float] = core.loss_gap(
            *problem, beta, self.omega, self.ridge, to_core(coef), dual, self.threads
        )
        return gap
