"""The gated-ReLU program in the core's terms, between the public functions and the native solver."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import (
    FloatArray,
    as_count,
    as_design,
    as_real,
    as_scalar,
    as_targets,
    as_threads,
    as_weights,
    result_dtype,
)
from ..base.callbacks import Callback
from ..base.columns import to_core
from ..base.native import core
from ..base.scaling import rescaled
from ..patterns.checks import as_patterns
from ..patterns.patterns import ActivationPatterns
from .solution import GatedSolution

_LEAST_PENALTY = 1e-30  # relative to ||X|| ||y||; its products must stay within the range of float32


class GatedProgram:
    """The program in the core's terms: weights folded into the rows, powers of two taken out of X and y."""

    loss = "squared"
    block_norm = "frobenius"

    def __init__(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        patterns: ActivationPatterns,
        sample_weight: npt.ArrayLike | None,
        group_weights: npt.ArrayLike | None,
        ridge: float,
        unpenalised: npt.ArrayLike | None,
        n_threads: int | None,
    ) -> None:
        self.dtype = result_dtype(X, y)
        design = as_design(X)
        targets = as_targets(y, design.shape[0])
        self.patterns = as_patterns(patterns, design)
        self.threads = as_threads(n_threads)
        self.one_output = targets.ndim == 1
        self.omega = (
            np.ones(len(patterns))
            if group_weights is None
            else as_weights(group_weights, len(patterns), "group_weights", positive=True)
        )
        targets = targets.reshape(targets.shape[0], -1)

        self.root: FloatArray | None = None
        if sample_weight is not None:
            self.root = np.sqrt(as_weights(sample_weight, design.shape[0], "sample_weight"))[:, None]
            design, targets = self.root * design, self.root * targets
        self.design, self.X_scale = rescaled(design)
        self.targets, self.y_scale = rescaled(np.asfortranarray(targets))
        # With X = a X', y = b y' the blocks are W = (b / a) W', and the penalties belong to a b and a^2.
        self.beta_scale = self.X_scale * self.y_scale
        self.objective_scale = self.y_scale**2
        self.dual_scale = self.y_scale
        self.ridge = as_scalar(ridge, "ridge") / self.X_scale**2

        self.extra: FloatArray | None = None
        self.basis = np.zeros((design.shape[0], 0), order="F")
        if unpenalised is not None:
            self.extra = as_design(unpenalised, "unpenalised")
            if self.extra.shape[0] != design.shape[0]:
                raise ValueError(f"unpenalised has {self.extra.shape[0]} rows, but X has {design.shape[0]} samples")
            if self.root is not None:
                self.extra = self.root * self.extra
            left, values, _ = np.linalg.svd(self.extra, full_matrices=False)
            rank = int((values > values[0] * max(self.extra.shape) * np.finfo(float).eps).sum())
            self.basis = np.asfortranarray(left[:, :rank])
            self._unprojected = self.targets
            rest = self.targets - self.basis @ (self.basis.T @ self.targets)
            # What rounding leaves of targets in the span of the columns is nothing to fit.
            rounding = 16 * np.finfo(float).eps * np.linalg.norm(self.targets, axis=0)
            self.targets = np.asfortranarray(np.where(np.linalg.norm(rest, axis=0) > rounding, rest, 0.0))

    def beta_max(self) -> float:
        correlations = core.masked_correlations(self.design, self.patterns.words, self.targets, self.threads)
        return float((np.linalg.norm(correlations, axis=0) / self.omega).max()) * self.beta_scale

    def solve(
        self,
        betas: FloatArray,
        warm_start: GatedSolution | npt.ArrayLike | None,
        tol: float,
        max_iter: int,
        solver: str,
        callback: Callback | None,
        keep: bool = False,
    ) -> tuple[list[GatedSolution], bool]:
        if solver not in ("auto", "newton", "dual", "bcd"):
            raise ValueError(f'solver must be "auto", "newton", "dual" or "bcd", not {solver!r}')
        tol = as_scalar(tol, "tol", strict=True)
        least = _LEAST_PENALTY * self.beta_scale * _norm(self.design) * _norm(self.targets)
        if (betas < least).any():
            raise ValueError(
                f"beta = {betas.min():.3g} is too small beside X and y: "
                f"below {least:.3g} floating point takes it for zero"
            )
        points, interrupted = self._path(
            [float(beta) for beta in betas / self.beta_scale],
            self._start(warm_start),
            tol,
            as_count(max_iter, "max_iter"),
            solver,
            self.threads,
            self._in_user_units(callback),
            keep,
        )
        return [
            self._solution(point, beta, tol, solver) for point, beta in zip(points, betas, strict=False)
        ], interrupted

    def _path(self, betas: list[float], *settings: Any) -> tuple[list[dict[str, Any]], bool]:
        problem = (self.design, self.patterns.words, self.targets, betas, self.omega, self.ridge, self.basis)
        path: tuple[list[dict[str, Any]], bool] = core.solve_group_lasso(*problem, *settings)
        return path

    def _gap(self, beta: float, coef: FloatArray, dual: FloatArray) -> tuple[float, float, float]:
        problem = (self.design, self.patterns.words, self.targets, beta, self.omega, self.ridge, self.basis)
        gap: tuple[float, float, float] = core.group_lasso_gap(*problem, to_core(coef), dual, self.threads)
        return gap

    def _at_zero(self) -> float:
        return 0.5 * float(np.vdot(self.targets, self.targets))

    def _in_user_units(self, callback: Callback | None) -> Callback | None:
        if callback is None:
            return None
        factors = {"beta": self.beta_scale, "objective": self.objective_scale, "gap": self.objective_scale}

        def scaled(progress: dict[str, Any]) -> bool | None:
            told = progress | {key: factor * progress[key] for key, factor in factors.items()}
            blocks = self._user_blocks(progress["blocks"])
            return callback(told | {"blocks": blocks[..., 0] if self.one_output else blocks})

        return scaled

    def _start(self, warm_start: GatedSolution | npt.ArrayLike | None) -> FloatArray:
        n_outputs = self.targets.shape[1]
        if warm_start is None:
            return np.zeros((0, 0), order="F")
        if isinstance(warm_start, GatedSolution):
            warm_start = warm_start.coef
        shape: tuple[int, ...] = (len(self.patterns), self.design.shape[1])
        if not self.one_output:
            shape = (*shape, n_outputs)
        coef = as_real(warm_start, "warm_start")
        if coef.shape != shape:
            raise ValueError(f"warm_start must have shape {shape}, not {coef.shape}")
        if not np.isfinite(coef).all():
            raise ValueError("warm_start must be finite")
        coef = coef * (self.X_scale / self.y_scale)
        return to_core(coef.reshape(shape[0], shape[1], n_outputs))

    def _user_blocks(self, columns: FloatArray) -> npt.NDArray[np.floating[Any]]:
        """From the core's columns vec(W_i) to blocks (k, d, c) in the user's units."""
        blocks = columns.T.reshape(-1, self.targets.shape[1], self.design.shape[1]).swapaxes(1, 2)
        return (self.y_scale / self.X_scale) * blocks

    def _solution(self, point: dict[str, Any], beta: float, tol: float, solver: str) -> GatedSolution:
        n_outputs = self.targets.shape[1]
        objective, gap = point["objective"], point["gap"]
        relative_gap, converged = point["relative_gap"], point["converged"]
        dual = point["dual"]
        columns = point["blocks"]
        blocks = self._user_blocks(columns)
        if self.dtype == np.float32:
            # What is returned is what is certified: the rounded coefficients, by the dual point found with the others.
            factor = self.y_scale / self.X_scale
            blocks = blocks.astype(np.float32)
            coef = np.zeros((len(self.patterns), *blocks.shape[1:]))
            coef[point["active"]] = blocks.astype(np.float64) / factor
            columns = to_core(coef[point["active"]])
            objective, gap, scale = self._gap(point["beta"], coef, dual)
            dual = scale * dual
            zero = self._at_zero()
            relative_gap = gap / zero if zero > 0 else 0.0
            converged = relative_gap <= tol
        extra_coef: npt.NDArray[np.floating[Any]] | None = None
        if self.extra is not None:
            # The fit's part in the unpenalised columns is what the projection took from y and from the blocks' fit.
            fitted = core.masked_fitted(
                self.design,
                self.patterns.words[point["active"]],
                columns,
                n_outputs,
                self.threads,
            )
            rest = self._unprojected - fitted
            # Not rounded to float32: an offset of the targets may be large beside what the blocks fit.
            extra_coef = np.linalg.lstsq(self.extra, rest * self.y_scale, rcond=None)[0]
        dual = self.dual_scale * (dual if self.root is None else self.root * dual)
        return GatedSolution(
            beta=float(beta),
            active=point["active"],
            blocks=np.ascontiguousarray(blocks[..., 0] if self.one_output else blocks),
            objective=objective * self.objective_scale,
            gap=gap * self.objective_scale,
            relative_gap=relative_gap,
            dual=dual[:, 0] if self.one_output else dual,
            converged=bool(converged),
            n_iter=point["n_iter"],
            n_sweeps=point["n_sweeps"],
            n_newton=point["n_newton"],
            n_cg=point["n_cg"],
            n_direct=point["n_direct"],
            solver=solver,
            unpenalised_coef=extra_coef if extra_coef is None or not self.one_output else extra_coef[:, 0],
            patterns=self.patterns,
            loss=self.loss,
            inner_solvers=point["inner_solvers"],
            block_norm=self.block_norm,
        )


def _norm(array: FloatArray) -> float:
    """Frobenius norm. Not by BLAS, whose threads would spin for a tenth of a second beside those of the core."""
    return float(np.sqrt(np.einsum("ij,ij->", array, array)))
