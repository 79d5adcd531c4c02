"""The gated-ReLU program: a group lasso over masked copies of the data, solved to a certified duality gap."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from ._native import core
from ._validation import (
    FloatArray,
    as_count,
    as_design,
    as_patterns,
    as_scalar,
    as_targets,
    as_threads,
    as_weights,
    result_dtype,
)
from .exceptions import ConvergenceWarning
from .patterns import ActivationPatterns
from .row_blocks import is_rows, on_rows

if TYPE_CHECKING:
    from .network import Network

Result = TypeVar("Result")
Callback = Callable[[dict[str, Any]], bool | None]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class GatedSolution:
    """A certified solution of the gated-ReLU program, as :func:`solve_gated` states it.

    Attributes
    ----------
    beta : float
        Penalty.
    active : ndarray of shape (n_active,), int64
        Indices of the patterns with non-zero coefficients.
    blocks : ndarray of shape (n_active, n_features) or (n_active, n_features, n_outputs)
        Their coefficients.
    objective : float
        Value of the objective.
    gap : float
        Duality gap: no coefficients over these patterns have an objective below ``objective - gap``.
    relative_gap : float
        The gap relative to the objective of the zero solution.
    dual : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        The dual point t that proves it: ``||X' D_i t|| <= beta * group_weights[i]`` for every pattern.
    converged : bool
        Whether the relative gap is within the tolerance.
    n_iter, n_sweeps, n_newton, n_cg, n_direct : int
        Passes over all patterns, sweeps of block-coordinate descent, Newton steps, conjugate-gradient iterations in
        them, and Newton steps that factorised a matrix in sample space instead.
    solver : str
        The inner solver that was asked for.
    loss : str
        The loss.
    unpenalised_coef : ndarray of shape (q,) or (q, n_outputs), or None
        Coefficients of the unpenalised columns.
    patterns : ActivationPatterns
        The patterns that were given.
    inner_solvers : tuple of str
        What ended each working set, in their order: "newton", "dual" or "bcd"; for steps between passes over many rows
        "sample" or "gram" (a sample of the rows, or Gram statistics of all). Where `solver` is "auto" this is what was
        chosen.
    """

    beta: float
    active: npt.NDArray[np.int64]
    blocks: npt.NDArray[np.floating[Any]]
    objective: float
    gap: float
    relative_gap: float
    dual: FloatArray
    converged: bool
    n_iter: int
    n_sweeps: int
    n_newton: int
    n_cg: int
    n_direct: int
    solver: str
    unpenalised_coef: npt.NDArray[np.floating[Any]] | None
    patterns: ActivationPatterns
    loss: str = "squared"
    inner_solvers: tuple[str, ...] = ()

    @property
    def dual_objective(self) -> float:
        """A bound from below on the objective of every solution: ``objective - gap``."""
        return self.objective - self.gap

    @property
    def coef(self) -> npt.NDArray[np.floating[Any]]:
        """Coefficients of all patterns, of shape (n_patterns, n_features) or (n_patterns, n_features, n_outputs)."""
        coef = np.zeros((len(self.patterns), *self.blocks.shape[1:]), dtype=self.blocks.dtype)
        coef[self.active] = self.blocks
        return coef

    def predict(self, Z: npt.ArrayLike, *, unpenalised: npt.ArrayLike | None = None) -> npt.NDArray[np.floating[Any]]:
        """Evaluate sum_i 1[z . g_i >= 0] z' w_i.

        Parameters
        ----------
        Z : array_like of shape (m, n_features)
            Samples.
        unpenalised : array_like of shape (m, q), optional
            Their unpenalised columns, if the solution has some.

        Returns
        -------
        ndarray of shape (m,) or (m, n_outputs)
            Values of the gated network: with another loss than the squared one log-odds, scores before the softmax, or
            logarithms of means.
        """
        if is_rows(Z):
            return on_rows(self.predict, {"X": Z, "model": self})
        design = as_design(Z, "Z", self.patterns.n_features)
        gates = self.patterns[self.active].activations(design)
        values = np.einsum("mp,md,pd...->m...", gates.astype(np.float64), design, self.blocks, optimize=True)
        if self.unpenalised_coef is not None:
            if unpenalised is None:
                raise ValueError("this solution has unpenalised columns: predict needs those of Z too")
            extra = as_design(unpenalised, "unpenalised", self.unpenalised_coef.shape[0])
            values = values + extra @ self.unpenalised_coef
        return np.asarray(values, dtype=self.blocks.dtype)

    def to_network(self) -> Network:
        """Return the gated network with the same values at every point (unpenalised columns excepted)."""
        from .network import network_from_blocks

        return network_from_blocks(self.patterns.gates[self.active], self.blocks)

    def __repr__(self) -> str:
        return (
            f"GatedSolution(beta={self.beta:.4g}, objective={self.objective:.8g}, "
            f"relative_gap={self.relative_gap:.1e}, {self.active.size} of {len(self.patterns)} patterns active)"
        )


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class GatedPath(Sequence[GatedSolution]):
    """Certified solutions for decreasing penalties, made by :func:`gated_path`; a sequence of them.

    Attributes
    ----------
    solutions : tuple of GatedSolution
        One for each penalty that was finished.
    complete : bool
        False when a callback or Ctrl-C ended the path early.
    """

    solutions: tuple[GatedSolution, ...]
    complete: bool

    @property
    def betas(self) -> FloatArray:
        """Penalties."""
        return np.array([solution.beta for solution in self.solutions])

    @property
    def objectives(self) -> FloatArray:
        """Objectives."""
        return np.array([solution.objective for solution in self.solutions])

    @property
    def relative_gaps(self) -> FloatArray:
        """Relative duality gaps."""
        return np.array([solution.relative_gap for solution in self.solutions])

    @property
    def n_active(self) -> npt.NDArray[np.int64]:
        """Numbers of patterns with non-zero coefficients."""
        return np.array([solution.active.size for solution in self.solutions])

    def __len__(self) -> int:
        return len(self.solutions)

    @overload
    def __getitem__(self, index: int) -> GatedSolution: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[GatedSolution, ...]: ...
    def __getitem__(self, index: int | slice) -> GatedSolution | tuple[GatedSolution, ...]:
        return self.solutions[index]

    def __repr__(self) -> str:
        if not self.solutions:
            return "GatedPath(empty)"
        return f"GatedPath({len(self)} penalties from {self.betas[0]:.4g} to {self.betas[-1]:.4g})"


def beta_max(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    patterns: ActivationPatterns,
    *,
    sample_weight: npt.ArrayLike | None = None,
    group_weights: npt.ArrayLike | None = None,
    unpenalised: npt.ArrayLike | None = None,
    loss: str = "squared",
    delta: float = 1.0,
    n_threads: int | None = None,
) -> float:
    """Return the smallest penalty whose solution is zero: max_i ||X' D_i r|| / group_weights[i].

    Here r is minus the gradient of the loss at zero: y for "squared", y - 1/2 for "logistic" (y the probability of the
    positive class), y - 1/c for "softmax", y cut off at +-delta for "huber", y - 1 for "poisson"; times the weights.

    Parameters
    ----------
    X, y, patterns, sample_weight, group_weights, unpenalised, loss, delta, n_threads
        As in :func:`solve_gated`.

    Returns
    -------
    float
        The penalty.
    """
    if is_rows(X):
        return _on_rows(beta_max, locals())
    program = _program(X, y, patterns, sample_weight, group_weights, 0.0, unpenalised, loss, delta, n_threads)
    return program.beta_max()


def solve_gated(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    patterns: ActivationPatterns,
    beta: float,
    *,
    sample_weight: npt.ArrayLike | None = None,
    group_weights: npt.ArrayLike | None = None,
    ridge: float = 0.0,
    unpenalised: npt.ArrayLike | None = None,
    loss: str = "squared",
    delta: float = 1.0,
    warm_start: GatedSolution | npt.ArrayLike | None = None,
    tol: float = 1e-6,
    max_iter: int = 200,
    solver: str = "auto",
    n_threads: int | None = None,
    callback: Callback | None = None,
) -> GatedSolution:
    r"""Train a gated-ReLU network over given patterns to a certified global optimum.

    Solves the convex program

    .. math::
        \min_{w}\; \tfrac12 \sum_j s_j \Big\| y_j - \sum_i D_{i,jj}\, x_j^\top w_i \Big\|^2
        + \beta \sum_i \omega_i \|w_i\| + \tfrac{\text{ridge}}{2} \sum_i \|w_i\|^2,

    which, without `ridge` and with unit weights, has the same minimum as training
    ``f(x) = sum_j 1[x . g_j >= 0] (x . w1_j) w2_j`` with weight decay ``beta / 2`` on both layers [1]_ [2]_. Note the
    loss: one half, no mean; a penalty ``b`` for a mean loss ``1 / (2 n)`` is ``beta = n b``.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        Data matrix. For a bias append a column of ones (it is then inside the gates and the penalty).
    y : array_like of shape (n_samples,) or (n_samples, n_outputs)
        Targets. With several outputs a block is a matrix under its Frobenius norm.
    patterns : ActivationPatterns
        Patterns of `X`.
    beta : float
        Penalty, positive; from :func:`beta_max` on the solution is zero.
    sample_weight : array_like of shape (n_samples,), optional
        Weights s of the samples; k counts as k copies.
    group_weights : array_like of shape (n_patterns,), optional
        Positive weights omega of the blocks in the penalty; by default ones.
    ridge : float, default 0
        Factor of the additional squared penalty (elastic net).
    unpenalised : array_like of shape (n_samples, q), optional
        Columns fitted beside the network without penalty, such as ones for an intercept or X for a linear skip. For
        the squared loss only.
    loss : {"squared", "logistic", "softmax", "huber", "poisson"}
        The squared loss above, or in its place, each zero where the prediction f is perfect:

        - "logistic": KL(y || 1 / (1 + exp(-f))), which is log(1 + exp(-f)) for the positive class. Targets are labels
          -1 and +1, or probabilities of the positive class, such as 0 and 1. Several outputs are several labels.
        - "softmax": KL(y || softmax(f)), which is the cross-entropy for one-hot rows of `y`, of shape (n_samples,
          n_classes). Rows of probabilities are taken as well.
        - "huber": (y - f)^2 / 2 up to an error of `delta`, linear beyond.
        - "poisson": half the deviance, exp(f) - y f + y log y - y, for counts y (any number that is not negative) with
          mean exp(f).

        The relative gap is relative to this loss at f = 0: n log 2 for labels, n log c for one-hot rows. Where it is
        zero (all targets zero, all counts one, all probabilities equal), so are the solution, its gap and the relative
        gap.
    delta : float, default 1.0
        Error from which on the Huber loss is linear; positive.
    warm_start : GatedSolution or array_like, optional
        Coefficients to start from, of any earlier solution over the same patterns.
    tol : float, default 1e-6
        Duality gap to reach, relative to the objective of the zero solution.
    max_iter : int, default 200
        Most passes over all patterns.
    solver : {"auto", "newton", "dual", "bcd"}
        Inside a working set: sweeps of block-coordinate descent with Newton steps on the non-zero blocks ("newton"), a
        semismooth Newton method in the dual ("dual"), block-coordinate descent with Anderson acceleration ("bcd"), or
        Newton steps until their flops exceed what the dual method is expected to take, and then that ("auto"). From
        50,000 samples on, and 8 for each coefficient, "auto" takes steps on a sample of them between certified passes
        over all, or on Gram statistics of all where that costs less.
    n_threads : int, optional
        Threads; by default what OpenMP would take. The same number gives the same bits.
    callback : callable, optional
        Called after every pass with a dict of beta, iteration, objective, gap, relative_gap, active, and the blocks at
        present that are not zero: ``support``, their indices, and ``blocks``. Returning True stops with the best
        certified solution so far.

    Returns
    -------
    GatedSolution
        Coefficients (float32 when `X` and `y` are; the arithmetic and the certificate are float64), objective,
        duality gap and dual point.

    Raises
    ------
    ValueError
        For bad shapes, entries that are not finite, patterns of other data, or settings out of range.
    TypeError
        For arrays that are not of real numbers; sparse `X` too.
    KeyboardInterrupt
        On Ctrl-C, within 0.2 s.

    Warns
    -----
    ConvergenceWarning
        When `tol` is not reached.

    References
    ----------
    .. [1] Pilanci, M., and Ergen, T. "Neural networks are convex regularizers: exact polynomial-time convex
       optimization formulations for two-layer networks." ICML 2020.
    .. [2] Mishkin, A., Sahiner, A., and Pilanci, M. "Fast convex optimization for two-layer ReLU networks: equivalent
       model classes and cone decompositions." ICML 2022.

    Examples
    --------
    >>> import numpy as np, cvxrelu
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 3))
    >>> y = np.abs(X[:, 0])
    >>> patterns = cvxrelu.sample_patterns(X, 50, random_state=0)
    >>> solution = cvxrelu.solve_gated(X, y, patterns, 0.1 * cvxrelu.beta_max(X, y, patterns))
    >>> solution.converged, solution.relative_gap < 1e-6
    (True, True)
    """
    if is_rows(X):
        return _on_rows(solve_gated, locals())
    program = _program(X, y, patterns, sample_weight, group_weights, ridge, unpenalised, loss, delta, n_threads)
    betas = np.array([as_scalar(beta, "beta", strict=True)])
    solutions, _ = program.solve(betas, warm_start, tol, max_iter, solver, callback)
    _warn(solutions, tol, callback)
    return solutions[0]


def gated_path(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    patterns: ActivationPatterns,
    *,
    betas: npt.ArrayLike | None = None,
    n_betas: int = 50,
    beta_min_ratio: float = 1e-2,
    sample_weight: npt.ArrayLike | None = None,
    group_weights: npt.ArrayLike | None = None,
    ridge: float = 0.0,
    unpenalised: npt.ArrayLike | None = None,
    loss: str = "squared",
    delta: float = 1.0,
    warm_start: GatedSolution | npt.ArrayLike | None = None,
    tol: float = 1e-6,
    max_iter: int = 200,
    solver: str = "auto",
    n_threads: int | None = None,
    callback: Callback | None = None,
    on_interrupt: str = "raise",
    checkpoint: str | os.PathLike[str] | None = None,
) -> GatedPath:
    """Solve :func:`solve_gated`'s program for a sequence of penalties, each from the solution before.

    Parameters
    ----------
    X, y, patterns
        As in :func:`solve_gated`.
    betas : array_like of shape (n_betas,), optional
        Penalties, solved from the largest to the smallest. By default `n_betas` of them in geometric progression
        from :func:`beta_max` down to ``beta_min_ratio * beta_max``.
    n_betas : int, default 50
        Length of the default path.
    beta_min_ratio : float, default 1e-2
        End of the default path.
    sample_weight, group_weights, ridge, unpenalised, loss, delta, warm_start
        As in :func:`solve_gated`.
    tol, max_iter, solver, n_threads, callback
        As in :func:`solve_gated`; `tol` and `max_iter` hold for every point. A callback that returns True ends the path
        with the point at hand.
    on_interrupt : {"raise", "return"}
        On Ctrl-C raise KeyboardInterrupt, or return the points that are finished.
    checkpoint : str or path-like, optional
        A file that is written after every point, whole or not at all, with the one before as ``<checkpoint>.previous``.
        Where it exists the path goes on from it, to the numbers that it would have had without the interruption. An
        array is then treated as rows in chunks (:class:`RowChunks`).

    Returns
    -------
    GatedPath
        The solutions, in the order of decreasing penalties.
    """
    if is_rows(X) or checkpoint is not None:
        return _on_rows(gated_path, locals())
    program = _program(X, y, patterns, sample_weight, group_weights, ridge, unpenalised, loss, delta, n_threads)
    grid = path_grid(betas, n_betas, beta_min_ratio, program.beta_max)
    if on_interrupt not in ("raise", "return"):
        raise ValueError(f'on_interrupt must be "raise" or "return", not {on_interrupt!r}')
    solutions, interrupted = program.solve(
        grid, warm_start, tol, max_iter, solver, callback, keep=on_interrupt == "return"
    )
    _warn(solutions, tol, callback)
    return GatedPath(tuple(solutions), complete=not interrupted and len(solutions) == grid.size)


def path_grid(betas: Any, n_betas: int, beta_min_ratio: float, beta_max: Callable[[], float]) -> FloatArray:
    """Return the decreasing penalties of :func:`gated_path`, checked."""
    if betas is not None:
        return np.sort(as_weights(betas, np.size(betas), "betas", positive=True))[::-1]
    ratio = as_scalar(beta_min_ratio, "beta_min_ratio", strict=True)
    if ratio >= 1:
        raise ValueError(f"beta_min_ratio must be below 1, not {ratio}")
    largest = beta_max()
    if largest == 0:
        raise ValueError("beta_max is zero, since y is uncorrelated with every block: give betas")
    return np.geomspace(largest, ratio * largest, as_count(n_betas, "n_betas"))


def _warn(solutions: list[GatedSolution], tol: float, callback: Callback | None) -> None:
    # A callback may stop on purpose, and then it is the last point that is unfinished.
    for solution in solutions if callback is None else solutions[:-1]:
        if not solution.converged:
            warnings.warn(
                f"the duality gap at beta={solution.beta:.4g} is {solution.relative_gap:.1e} relative to the objective "
                f"at zero, above tol={tol:.1e}, after {solution.n_iter} passes: raise max_iter or tol",
                ConvergenceWarning,
                stacklevel=3,
            )


def _on_rows(function: Callable[..., Result], arguments: dict[str, Any]) -> Result:
    """Call the function of the same name for rows in chunks, whose loss is squared."""
    loss, _ = arguments.pop("loss"), arguments.pop("delta")
    if loss != "squared":
        raise ValueError(f'rows in chunks need loss="squared", not {loss!r}')
    return on_rows(function, arguments)


def _program(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    patterns: ActivationPatterns,
    sample_weight: npt.ArrayLike | None,
    group_weights: npt.ArrayLike | None,
    ridge: float,
    unpenalised: npt.ArrayLike | None,
    loss: str,
    delta: float,
    n_threads: int | None,
) -> _Program:
    if loss == "squared":
        from .sampled_program import SampledProgram, sample_suffices

        sampled = isinstance(patterns, ActivationPatterns) and unpenalised is None and sample_suffices(patterns)
        kind = SampledProgram if sampled else _Program
        return kind(X, y, patterns, sample_weight, group_weights, ridge, unpenalised, n_threads)
    from .losses import LossProgram

    if unpenalised is not None:
        raise ValueError(f'unpenalised columns need loss="squared", not {loss!r}')
    return LossProgram(X, y, patterns, sample_weight, group_weights, ridge, n_threads, loss=loss, delta=delta)


class _Program:
    """The program in the core's terms: weights folded into the rows, powers of two taken out of X and y."""

    loss = "squared"

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
        self.design, self.X_scale = _rescaled(design)
        self.targets, self.y_scale = _rescaled(np.asfortranarray(targets))
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
            self.targets = np.asfortranarray(self.targets - self.basis @ (self.basis.T @ self.targets))

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
        gap: tuple[float, float, float] = core.group_lasso_gap(*problem, _to_core(coef), dual, self.threads)
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
        coef = np.asarray(warm_start, dtype=np.float64)
        if coef.shape != shape:
            raise ValueError(f"warm_start must have shape {shape}, not {coef.shape}")
        if not np.isfinite(coef).all():
            raise ValueError("warm_start must be finite")
        coef = coef * (self.X_scale / self.y_scale)
        return _to_core(coef.reshape(shape[0], shape[1], n_outputs))

    def _user_blocks(self, columns: FloatArray) -> npt.NDArray[np.floating[Any]]:
        """From the core's columns vec(W_i) to blocks (k, d, c) in the user's units."""
        blocks = columns.T.reshape(-1, self.targets.shape[1], self.design.shape[1]).swapaxes(1, 2)
        return (self.y_scale / self.X_scale) * blocks

    def _solution(self, point: dict[str, Any], beta: float, tol: float, solver: str) -> GatedSolution:
        n_outputs = self.targets.shape[1]
        objective, gap = point["objective"], point["gap"]
        zero = self._at_zero()
        relative_gap, converged = point["relative_gap"], point["converged"]
        dual = point["dual"]
        blocks = self._user_blocks(point["blocks"])
        if self.dtype == np.float32:
            # What is returned is what is certified: the rounded coefficients, by the dual point found with the others.
            factor = self.y_scale / self.X_scale
            blocks = blocks.astype(np.float32)
            coef = np.zeros((len(self.patterns), *blocks.shape[1:]))
            coef[point["active"]] = blocks.astype(np.float64) / factor
            objective, gap, scale = self._gap(point["beta"], coef, dual)
            dual = scale * dual
            relative_gap = gap / zero if zero > 0 else 0.0
            converged = relative_gap <= tol
        extra_coef: npt.NDArray[np.floating[Any]] | None = None
        if self.extra is not None:
            # The fit's part in the unpenalised columns is what the projection took from y and from the blocks' fit.
            fitted = core.masked_fitted(
                self.design,
                self.patterns.words[point["active"]],
                point["blocks"],
                n_outputs,
                self.threads,
            )
            rest = self._unprojected - fitted
            extra_coef = np.asarray(np.linalg.lstsq(self.extra, rest * self.y_scale, rcond=None)[0], dtype=self.dtype)
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
        )


def _to_core(coef: FloatArray) -> FloatArray:
    """From (p, d, c) to the core's columns vec(W_i) of shape (d c, p)."""
    return np.asfortranarray(coef.swapaxes(1, 2).reshape(coef.shape[0], -1).T)


def _rescaled(array: FloatArray) -> tuple[FloatArray, float]:
    """Take out a power of two where the entries would leave the range of float32 products."""
    largest = float(np.abs(array).max())
    if largest == 0 or 2.0**-20 < largest < 2.0**20:
        return array, 1.0
    scale = float(2.0 ** np.floor(np.log2(largest)))
    return array / scale, scale
