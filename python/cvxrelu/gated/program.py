"""The gated program in the core's terms: what every kind of it offers, and the one that C++ solves over all rows."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_real, as_unpenalised
from ..base.callbacks import Callback
from ..base.columns import blocks_of, columns_of
from ..base.native import core
from ..base.scaling import as_dtype, require_held, rescaled
from ..base.span import Span
from ..patterns.patterns import ActivationPatterns
from .problem import GatedData, Penalty, Stopping
from .solution import GatedSolution, linear_map_of
from .sums import Iterate, SparseBlocks

Start = GatedSolution | npt.ArrayLike | None

_LEAST_RIDGE = (
    1e-22  # relative to ||X||^2: a dual point that rounding takes out of its constraints costs (eps c)^2 / ridge
)
_LEAST_PENALTY = 1e-30  # relative to ||X|| ||y||; products with it must stay within the range of float32


class Program(Protocol):
    """A gated program, posed once for any penalty (:func:`cvxrelu.gated.pose.pose`)."""

    @property
    def patterns(self) -> ActivationPatterns:
        """The patterns."""
        ...

    @property
    def at_zero(self) -> float:
        """Objective of zero coefficients."""
        ...

    def beta_max(self) -> float:
        """The smallest penalty whose solution is zero."""
        ...

    def path(self, betas: FloatArray, start: Start, stopping: Stopping) -> tuple[list[GatedSolution], bool]:
        """Solve for one penalty after the other; also say whether Ctrl-C ended the path."""
        ...

    def iterate(self, coef: npt.NDArray[np.floating[Any]]) -> Iterate:
        """Return coefficients (p, d[, c]) with what a pass over all rows says of them; for the squared loss."""
        ...

    def dual(self, point: Iterate, scale: float) -> Any:
        """Return a multiple of the residual of an iterate, as a dual point."""
        ...

    def unpenalised_coef(self, point: Iterate) -> FloatArray | None:
        """Return the coefficients of the unpenalised columns beside those of an iterate; None where there are none."""
        ...

    @property
    def unpenalised_map(self) -> FloatArray | None:
        """Unpenalised columns in terms of samples and ones, as in :class:`GatedSolution`."""
        ...


@dataclasses.dataclass(eq=False)
class Point:
    """A solution in the units of a program, as the core returns it; columns of `blocks` are vec(W_i) of `active`."""

    beta: float
    active: npt.NDArray[np.int64]
    blocks: FloatArray
    dual: FloatArray
    objective: float
    gap: float
    relative_gap: float
    converged: bool
    n_iter: int
    n_sweeps: int = 0
    n_newton: int = 0
    n_cg: int = 0
    n_direct: int = 0
    inner_solvers: tuple[str, ...] = ()


class ExactProgram:
    """The program with the squared loss over arrays: weights folded into the rows, powers of two out of X and y.

    With X = a X', y = b y' the blocks are W = (b / a) W', and penalties belong to a b, ridges to a^2.

    More outputs than samples, or outputs that others make up, are combinations of fewer: with y' = R Q', Q orthonormal,
    the program of R has the solution W' Q, since neither the squared loss nor the norms of blocks change when outputs
    are rotated.
    """

    loss = "squared"
    block_norm = "frobenius"
    rotates = True

    def __init__(self, data: GatedData, penalty: Penalty) -> None:
        assert isinstance(data.X, np.ndarray)
        self.dtype = data.dtype
        self.patterns = data.patterns
        self.threads = data.threads
        self.n_outputs = None if data.y.ndim == 1 else int(data.y.shape[1])
        self.omega = penalty.omega(len(data.patterns))
        design, targets = data.X, data.y.reshape(data.y.shape[0], -1)
        self.root: FloatArray | None = None
        if data.sample_weight is not None:
            self.root = np.sqrt(data.sample_weight)[:, None]
            design, targets = self.root * design, self.root * targets
        self.design, self.X_scale = rescaled(design)
        self.targets, self.y_scale = rescaled(np.asfortranarray(targets))
        self.rotation: FloatArray | None = None  # Q
        # Coefficients that are rounded to float32 are no longer those of the combinations.
        if self.rotates and self.dtype == np.float64:
            self.rotation = _combinations(self.targets)
            if self.rotation is not None:
                self.targets = np.asfortranarray(self.targets @ self.rotation)
        self.span = Span(np.zeros((design.shape[0], 0)))
        self.columns: Span | None = None
        self.unpenalised_map: FloatArray | None = None
        if penalty.unpenalised is not None:
            extra = as_unpenalised(penalty.unpenalised, design.shape[0])
            self._project_out(extra)
            self.unpenalised_map = linear_map_of(data.X, extra)
        self.beta_scale = self.X_scale * self.y_scale
        self.objective_scale = self.y_scale * self.y_scale  # may be infinite or 0: see _require_held
        self.dual_scale = self.y_scale
        self.ridge = penalty.ridge / self.X_scale / self.X_scale

    def _project_out(self, extra: FloatArray) -> None:
        """Take the part in the span of unpenalised columns out of the targets."""
        # A basis first and then its weights: weights round columns that are alike, such as ones and times, to copies.
        self.columns = Span(extra)
        self.span = Span(self.columns.basis if self.root is None else self.root * self.columns.basis)
        rest = self.span.without(self.targets)
        # What rounding leaves of targets in the span of the columns is nothing to fit.
        rounding = 16 * np.finfo(float).eps * np.linalg.norm(self.targets, axis=0)
        rest = np.where(np.linalg.norm(rest, axis=0) > rounding, rest, 0.0)
        given, (self.targets, scale) = self.targets, rescaled(np.asfortranarray(rest))
        self._unprojected, self.y_scale = given / scale, self.y_scale * scale

    @property
    def at_zero(self) -> float:
        return self._at_zero() * self.objective_scale

    def beta_max(self) -> float:
        correlations = core.masked_correlations(self.design, self.patterns.words, self._gradient(), self.threads)
        largest = float((self._dual_norms(correlations) / self.omega).max())
        return require_held(largest, self.beta_scale, "X, y and weights", "beta_max")

    def _dual_norms(self, correlations: FloatArray) -> FloatArray:
        """Return the dual norms of the core's columns of blocks."""
        return np.asarray(np.linalg.norm(correlations, axis=0))

    def _require_held(self) -> None:
        """Refuse problems whose results float64 does not hold in the user's units."""
        if self._at_zero() == 0:
            self.objective_scale = 1.0  # so are all objectives, in units that need not be held
        require_held(self._at_zero(), self.objective_scale, "y and weights", "the objective at zero")
        require_held(1.0, self.beta_scale, "X, y and weights", "beta_max")
        require_held(self.y_scale, 1 / self.X_scale, "ratios of y to X", "a coefficient")
        if not np.isfinite(self.ridge):
            raise ValueError("ridge is too large beside X: their ratio is not within float64")
        if 0 < self.ridge < _LEAST_RIDGE * _norm(self.design) ** 2:
            raise ValueError("ridge is too small beside X: rounding alone costs more than it, leave it out")

    def path(self, betas: FloatArray, start: Start, stopping: Stopping) -> tuple[list[GatedSolution], bool]:
        self._require_held()
        with np.errstate(over="ignore"):
            scaled_betas = betas / self.beta_scale
        require_thresholds(scaled_betas, self.omega)
        least = _LEAST_PENALTY * self.beta_scale * _norm(self.design) * _norm(self.targets)
        if (betas < least).any():
            raise ValueError(
                f"beta = {betas.min():.3g} is too small beside X and y: "
                f"below {least:.3g} floating point takes it for zero"
            )
        scaled = dataclasses.replace(stopping, callback=self._in_user_units(stopping.callback))
        points, interrupted = self._path([float(beta) for beta in scaled_betas], self._start(start), scaled)
        solutions = [self._solution(point, float(beta), stopping) for point, beta in zip(points, betas, strict=False)]
        return solutions, interrupted

    def iterate(self, coef: npt.NDArray[np.floating[Any]]) -> Iterate:
        """Return coefficients (p, d[, c]) with what a pass over all rows says of them, in the user's units."""
        self._require_held()
        columns = self._start(coef)
        active = np.flatnonzero(columns.any(axis=0))
        residual = self._residual(columns[:, active], active)
        correlations = core.masked_correlations(self.design, self.patterns.words, residual, self.threads)
        scalars = [float(np.vdot(a, b)) for a, b in ((residual, residual), (self.targets, residual))]
        rr, yr, yy = (self.objective_scale * value for value in (*scalars, 2 * self._at_zero()))
        blocks = np.asfortranarray(self.y_scale / self.X_scale * columns[:, active])
        return Iterate(SparseBlocks(active, blocks), self.beta_scale * correlations, rr, yr, yy)

    def dual(self, point: Iterate, scale: float) -> FloatArray:
        """Return the dual point of an iterate."""
        return self._user_dual(scale * self._residual(self._core_blocks(point.coef), point.coef.active))

    def unpenalised_coef(self, point: Iterate) -> FloatArray | None:
        """Return the best coefficients of the unpenalised columns beside those of an iterate."""
        return self._unpenalised_coef(self._core_blocks(point.coef), point.coef.active)

    def _core_blocks(self, coef: SparseBlocks) -> FloatArray:
        return np.asfortranarray(self.X_scale / self.y_scale * coef.blocks)

    def _fitted(self, columns: FloatArray, active: npt.NDArray[np.int64]) -> FloatArray:
        words, n_outputs = self.patterns.words[active], self.targets.shape[1]
        fitted: FloatArray = core.masked_fitted(self.design, words, np.asfortranarray(columns), n_outputs, self.threads)
        return self.span.without(fitted)

    def _residual(self, columns: FloatArray, active: npt.NDArray[np.int64]) -> FloatArray:
        """Return a residual, orthogonal to the unpenalised columns relative to itself, however much was fitted."""
        return self.span.without(self.targets - self._fitted(columns, active))

    def _gradient(self) -> FloatArray:
        """Minus the gradient of the loss at zero."""
        return self.targets

    def _at_zero(self) -> float:
        return 0.5 * float(np.vdot(self.targets, self.targets))

    def _path(self, betas: list[float], start: FloatArray, stopping: Stopping) -> tuple[list[Point], bool]:
        points, interrupted = core.solve_group_lasso(
            self.design,
            self.patterns.words,
            self.targets,
            betas,
            group_weights=self.omega,
            ridge=self.ridge,
            unpenalised=self.span.basis,
            block_norm=getattr(core.BlockNorm, self.block_norm),
            start=start,
            **self._settings(stopping),
        )
        return [Point(**point) for point in points], interrupted

    def _settings(self, stopping: Stopping) -> dict[str, Any]:
        return {
            "tol": stopping.tol,
            "max_iter": stopping.max_iter,
            "solver": stopping.solver,
            "n_threads": self.threads,
            "callback": stopping.callback,
            "keep": stopping.keep,
        }

    def _gap(self, beta: float, coef: FloatArray, dual: FloatArray) -> tuple[float, float, float]:
        """Return objective, gap and the factor that makes `dual` feasible, for columns of all patterns."""
        gap: tuple[float, float, float] = core.group_lasso_gap(
            self.design,
            self.patterns.words,
            self.targets,
            beta,
            group_weights=self.omega,
            ridge=self.ridge,
            unpenalised=self.span.basis,
            block_norm=getattr(core.BlockNorm, self.block_norm),
            coef=coef,
            dual=dual,
            n_threads=self.threads,
        )
        return gap

    def _in_user_units(self, callback: Callback | None) -> Callback | None:
        if callback is None:
            return None
        factors = {"beta": self.beta_scale, "objective": self.objective_scale, "gap": self.objective_scale}

        def scaled(progress: dict[str, Any]) -> bool | None:
            told = progress | {key: factor * progress[key] for key, factor in factors.items()}
            columns = progress["blocks"]
            told["blocks"] = self.user_coef(columns)
            if self.columns is not None:
                told["unpenalised_coef"] = self._unpenalised_coef(np.asfortranarray(columns), progress["support"])
            return callback(told)

        return scaled

    def _start(self, start: Start) -> FloatArray:
        if start is None:
            return np.zeros((0, 0), order="F")
        coef = checked_start(start, self.patterns, self.n_outputs)
        return columns_of((coef if self.rotation is None else coef @ self.rotation) * (self.X_scale / self.y_scale))

    def user_coef(self, columns: FloatArray) -> FloatArray:
        """From the core's columns to blocks (k, d[, c]) in the user's units."""
        with np.errstate(over="ignore", invalid="ignore"):  # `as_dtype` refuses what comes of it
            return self._of_outputs((self.y_scale / self.X_scale) * blocks_of(columns, self.targets.shape[1]))

    def _user_dual(self, dual: FloatArray) -> FloatArray:
        return self._of_outputs(self.dual_scale * (dual if self.root is None else self.root * dual))

    def _of_outputs(self, values: FloatArray) -> FloatArray:
        """Return an array whose last axis are the user's outputs, without that axis where there is one as a vector."""
        if self.rotation is not None:
            values = values @ self.rotation.T
        return values[..., 0] if self.n_outputs is None else values

    def _unpenalised_coef(self, columns: FloatArray, active: npt.NDArray[np.int64]) -> FloatArray | None:
        """Return the best coefficients of the unpenalised columns beside the core's columns of blocks.

        In float64: an offset of the targets may be large beside what the blocks fit.
        """
        if self.columns is None:
            return None
        words = self.patterns.words[active]
        fitted = core.masked_fitted(self.design, words, columns, self.targets.shape[1], self.threads)
        with np.errstate(over="ignore"):
            coef = self.y_scale * self.columns.coefficients(self.span.coefficients(self._amounts(fitted)))
        if not np.isfinite(coef).all():
            raise ValueError("unpenalised columns are too small beside y: float64 does not hold their coefficients")
        return self._of_outputs(coef)

    def _amounts(self, fitted: FloatArray) -> FloatArray:
        """Return the best coefficients of the basis of the unpenalised columns: what projections took."""
        return np.asarray(self.span.basis.T @ (self._unprojected - fitted))

    def _rounded(self, point: Point, tol: float) -> Point:
        """Return the point whose coefficients are float32 in the user's units, certified by the dual point at hand."""
        factor = self.y_scale / self.X_scale
        columns = np.asfortranarray(as_dtype(factor * point.blocks, np.float32).astype(np.float64) / factor)
        coef = np.zeros((columns.shape[0], len(self.patterns)), order="F")
        coef[:, point.active] = columns
        objective, gap, scale = self._gap(point.beta, coef, point.dual)
        zero = self._at_zero()
        relative_gap = gap / zero if zero > 0 else 0.0
        return dataclasses.replace(
            point,
            blocks=columns,
            dual=scale * point.dual,
            objective=objective,
            gap=gap,
            relative_gap=relative_gap,
            converged=relative_gap <= tol,
        )

    def _solution(self, point: Point, beta: float, stopping: Stopping) -> GatedSolution:
        if self.dtype == np.float32:
            point = self._rounded(point, stopping.tol)
        blocks = as_dtype(self.user_coef(point.blocks), self.dtype)
        return GatedSolution(
            beta=beta,
            active=point.active,
            blocks=np.ascontiguousarray(blocks),
            objective=point.objective * self.objective_scale,
            gap=point.gap * self.objective_scale,
            relative_gap=point.relative_gap,
            dual=self._user_dual(point.dual),
            converged=bool(point.converged),
            n_iter=point.n_iter,
            n_sweeps=point.n_sweeps,
            n_newton=point.n_newton,
            n_cg=point.n_cg,
            n_direct=point.n_direct,
            solver=stopping.solver,
            unpenalised_coef=self._unpenalised_coef(point.blocks, point.active),
            patterns=self.patterns,
            loss=self.loss,
            inner_solvers=point.inner_solvers,
            block_norm=self.block_norm,
            unpenalised_map=self.unpenalised_map,
        )


def checked_start(
    start: GatedSolution | npt.ArrayLike, patterns: ActivationPatterns, n_outputs: int | None
) -> FloatArray:
    """Return coefficients to start from as blocks (p, d, c), checked; `n_outputs` None is a vector of targets."""
    coef = as_real(start.coef if isinstance(start, GatedSolution) else start, "warm_start")
    shape: tuple[int, ...] = (len(patterns), patterns.n_features)
    if n_outputs is not None:
        shape = (*shape, n_outputs)
    if coef.shape != shape:
        raise ValueError(f"warm_start must have shape {shape}, not {coef.shape}")
    if not np.isfinite(coef).all():
        raise ValueError("warm_start must be finite")
    return coef.reshape(*shape[:2], -1)


def require_thresholds(betas: FloatArray, omega: FloatArray) -> None:
    """Refuse penalties whose products with the weights of the blocks float64 does not hold."""
    with np.errstate(over="ignore"):
        largest = float(betas.max() * omega.max())
    if not np.isfinite(largest):
        raise ValueError("beta is too large beside X and y: beta times group_weights is not within float64")


def _norm(array: FloatArray) -> float:
    """Frobenius norm. Not by BLAS, whose threads would spin for a tenth of a second beside those of the core."""
    return float(np.sqrt(np.einsum("ij,ij->", array, array)))


def _combinations(targets: FloatArray) -> FloatArray | None:
    """Return orthonormal Q, (c, r), with targets = targets Q Q' to rounding in every output, or None where r is c."""
    n, c = targets.shape
    if c > n:
        return np.asarray(np.linalg.qr(targets.T)[0])
    if c == 1:
        return None
    _, values, right = np.linalg.svd(np.linalg.qr(targets, mode="r"))
    rounding = float(np.finfo(np.float64).eps)
    rank = int((values > n * rounding * values[0]).sum())
    if not 0 < rank < c:
        return None
    rotation = np.ascontiguousarray(right[:rank].T)
    left = targets - (targets @ rotation) @ rotation.T
    # A small output beside large ones is no rounding error of theirs.
    exact = np.abs(left).max(axis=0) <= 16 * rounding * np.abs(targets).max(axis=0)
    return rotation if exact.all() else None
