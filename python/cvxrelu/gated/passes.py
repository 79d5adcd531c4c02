"""The gated program over rows that no single array holds, by few passes over them.

A pass sends the coefficients to the blocks of rows, which recompute their residuals, and brings back the sums of
``X' D_i R`` (p x d c numbers) and of three scalars. That is all that a certificate needs: the gap is the same sum of
non-negative terms as in memory, at the coefficients that are returned. Between passes a sample of the rows, which is
held here, proposes the next coefficients (`sample_model`). Its model is built where the objective is smallest over
the combinations of the last iterates, which their gradients tell without another pass: a poor sample costs passes,
never the answer. Where passes do not help enough, the sample is doubled, up to all rows if `sample_rows` allows. Where
passes are dear and the working set is small, its Gram statistics are gathered instead (`gram_model`): they propose the
solution over the working set itself. Which is cheaper is counted, not measured, so that a fit repeated gives the same
bits; `inner_solvers` tells which it was.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_count, as_real, as_scalar, as_threads, as_weights
from ..base.callbacks import Callback
from ..patterns.checks import as_patterns
from ..patterns.patterns import ActivationPatterns
from ..rows.open import as_rows
from ..rows.passes import Block
from ..rows.rows import Parts
from .gram_model import GramModel
from .solution import GatedSolution
from .subsample_model import SampleModel
from .sums import SparseBlocks, dual_rows, gradients, gram_columns, sample_rows

_MEMORY = 5  # iterates whose combinations are searched

_FIRST_ROWS = 4096

_ROWS_PER_COEFFICIENT = 4  # of the sample, for a model that is good to some half of its curvature

_SAMPLE_BYTES = 1 << 27

# Of a thread, in a second: additions of table entries in a pass, multiply-adds of a matrix product.
_PASS_RATE, _GRAM_RATE = 1e10, 1.5e10

_GRAM_COEFFICIENTS = 2048  # their Gram matrix, 32 MiB, is what every block of rows sends

_GRAM_STEPS = 10  # Newton steps with it


@dataclasses.dataclass(frozen=True, eq=False)
class Iterate:
    """Coefficients with what a pass over all rows says of them.

    Attributes
    ----------
    coef : SparseBlocks
        Coefficients.
    correlations : ndarray of shape (d c, p)
        vec(A_i' R).
    rr, yr, yy : float
        ||R||^2, <Y, R> and ||Y||^2.
    """

    coef: SparseBlocks
    correlations: FloatArray
    rr: float
    yr: float
    yy: float

    def dense(self) -> FloatArray:
        """Coefficients of all patterns as columns (d c, p)."""
        coef = np.zeros_like(self.correlations)
        if self.coef.active.size:
            coef[:, self.coef.active] = self.coef.blocks
        return coef


@dataclasses.dataclass(frozen=True)
class Bound:
    """Objective, duality gap, and the factor s of the dual point s R."""

    objective: float
    gap: float
    scale: float


class BlockProgram:
    """The program over blocks of rows, in the sense of :func:`cvxrelu.solve_gated`."""

    def __init__(
        self,
        X: Any,
        y: Any,
        patterns: ActivationPatterns,
        *,
        sample_weight: Any = None,
        group_weights: Any = None,
        ridge: float = 0.0,
        unpenalised: Any = None,
        n_threads: int | None = None,
        sample_size: int | None = None,
    ) -> None:
        if unpenalised is not None:
            raise ValueError("unpenalised columns are not available for rows in chunks: append them to X instead")
        self.rows = as_rows(X, n_threads)
        self.patterns = as_patterns(patterns, self.rows)
        self.one_output = len(getattr(y, "shape", np.shape(y))) == 1
        self.dtype = np.float32 if self.rows.dtype == np.float32 == getattr(y, "dtype", None) else np.float64
        self.omega = (
            np.ones(len(patterns))
            if group_weights is None
            else as_weights(group_weights, len(patterns), "group_weights", positive=True)
        )
        self.ridge = as_scalar(ridge, "ridge")
        self.threads = as_threads(n_threads)
        n, d = self.rows.shape
        most = n if sample_size is None else as_count(sample_size, "sample_size")
        self.most_rows = min(
            n, most if sample_size is not None else max(_FIRST_ROWS, _SAMPLE_BYTES // (8 * d + len(patterns) // 8))
        )
        gates = np.ascontiguousarray(patterns.gates)
        self.blocks: Parts[Block] = self.rows.masked(y, sample_weight, gates)
        self.model: SampleModel | None = None
        self.gram: GramModel | None = None
        self.share = 0.0
        self.history: list[Iterate] = []
        self.zero = self._pass(SparseBlocks(np.zeros(0, dtype=np.int64), np.zeros((0, 0), order="F")))

    @property
    def at_zero(self) -> float:
        """Objective of zero coefficients."""
        return 0.5 * self.zero.yy

    def _pass(self, coef: SparseBlocks) -> Iterate:
        correlations, scalars = self.blocks.sum(gradients, coef, self.rows.n_threads)
        return Iterate(coef, correlations, *(float(value) for value in scalars))

    def beta_max(self) -> float:
        """The smallest penalty whose solution is zero."""
        return float((np.linalg.norm(self.zero.correlations, axis=0) / self.omega).max())

    def bound(self, at: Iterate, beta: float) -> Bound:
        """Objective and duality gap, a sum of non-negative terms (`duality.hpp`)."""
        threshold = beta * self.omega
        lengths = np.linalg.norm(at.correlations, axis=0)
        if self.ridge == 0:
            most = float((lengths / threshold).max())
            best = at.yr / at.rr if at.rr > 0 else 1.0
            limit = 1 / most if most > 0 else abs(best)
            scale = min(max(best, -limit), limit)
        else:
            scale = self._best_scale(at, lengths, threshold)
        active, W = at.coef.active, at.coef.blocks
        norms = np.linalg.norm(W, axis=0)
        penalty = threshold[active] * norms + 0.5 * self.ridge * norms**2
        terms = penalty - scale * np.einsum("km,km->m", W, at.correlations[:, active]) if active.size else penalty
        conjugate = 0.0
        if self.ridge > 0:
            squares = 0.5 * np.maximum(abs(scale) * lengths - threshold, 0) ** 2 / self.ridge
            terms = terms + squares[active]
            conjugate = float(np.delete(squares, active).sum())
        gap = 0.5 * (1 - scale) ** 2 * at.rr + float(np.maximum(terms, 0).sum()) + conjugate
        return Bound(0.5 * at.rr + float(penalty.sum()), gap, scale)

    def _best_scale(self, at: Iterate, lengths: FloatArray, threshold: FloatArray) -> float:
        """The s with the largest dual objective at s R with a ridge (`duality.cpp`)."""
        if at.rr == 0:
            return 1.0
        size, scale = abs(at.yr), np.inf
        following = size / at.rr
        while following < scale:
            scale = following
            beyond = scale * lengths > threshold
            level = self.ridge * size + float(lengths[beyond] @ threshold[beyond])
            following = level / (self.ridge * at.rr + float(lengths[beyond] @ lengths[beyond]))
        return float(np.copysign(scale, at.yr))

    def solve(self, beta: float, start: Iterate, tol: float, max_iter: int, callback: Callback | None) -> GatedSolution:
        """Solve from an iterate whose pass is known; the last iterate is left in `history`."""
        target = tol * self.at_zero
        at, bound = start, self.bound(start, beta)
        best = (at, bound)
        self.history = [at]
        work = np.zeros(4, dtype=np.int64)
        groups = np.zeros(0, dtype=np.int64)
        gaps = [np.inf, np.inf]
        inner_solvers: list[str] = []
        for iteration in range(1, max_iter + 1):
            support, blocks = self._user_blocks(at.coef)
            stop = callback is not None and callback(
                {
                    "beta": beta,
                    "iteration": iteration,
                    "objective": bound.objective,
                    "gap": bound.gap,
                    "relative_gap": self._relative(bound.gap),
                    "active": int(support.size),
                    "support": support,
                    "blocks": blocks,
                }
            )
            if bound.gap <= target or stop or iteration == max_iter:
                break
            grow = bound.gap > 0.5 * gaps[-2]
            gaps.append(bound.gap)
            # What Gram statistics could not do at once, as where the working set was another, the sample prepares.
            failed = inner_solvers[-1:] == ["gram"] and bound.gap > 0.5 * gaps[-2]
            passes = 0.0 if failed else _passes_left(gaps, target)
            proposal, groups, counts, inner = self._propose(at, beta, bound.gap, target, groups, grow, passes)
            inner_solvers.append(inner)
            work += counts
            at = self._pass(proposal)
            bound = self.bound(at, beta)
            self.history = [*self.history, at][-_MEMORY:]
            if bound.gap < best[1].gap:
                best = (at, bound)
        at, bound = best
        self.history = [at]
        return self._solution(beta, at, bound, target, iteration, work, inner_solvers)

    def _relative(self, gap: float) -> float:
        return gap / self.at_zero if self.at_zero > 0 else 0.0

    def _propose(
        self,
        at: Iterate,
        beta: float,
        gap: float,
        target: float,
        groups: npt.NDArray[np.int64],
        grow: bool,
        passes: float,
    ) -> tuple[SparseBlocks, npt.NDArray[np.int64], npt.NDArray[np.int64], str]:
        """Return the solution of a model at the best combination of the last iterates, its groups, and which model.

        `passes` is how many the sample would still need.
        """
        p = len(self.patterns)
        if self.model is not None and self.model.n_rows < self.rows.shape[0]:
            centre, gradient = self._best_combination(beta)
            groups = self._working_set(at, centre, gradient, beta, groups)
            if self._gram_pays(groups, passes):
                gram = self._gathered(groups)
                threshold = beta * self.omega[gram.groups]
                near = centre[:, gram.groups], gradient[:, gram.groups], at.rr, threshold
                coef = gram.solve(*near, self.ridge, max(0.01 * gap, 0.1 * target))
                return self._rounded(coef), groups, np.zeros(4, dtype=np.int64), "gram"
        first = self.model is None
        self._sample(at, grow)
        assert self.model is not None
        if first and at.coef.active.size == 0:
            # Nothing is known yet: the sample as it is, roughly.
            everything = np.arange(p)
            centre = np.zeros((at.correlations.shape[0], p))
            coef, solved = self.model.solve(centre, None, everything, beta, self.omega, self.ridge, 1e-2 * gap)
        else:
            centre, gradient = self._best_combination(beta)
            groups = self._working_set(at, centre, gradient, beta, groups)
            exact = self.model.n_rows == self.rows.shape[0]
            coef, solved = self.model.solve(
                centre[:, groups],
                None if exact else gradient[:, groups],
                groups,
                beta,
                self.omega,
                self.ridge,
                max(0.03 * gap, 0.1 * target),
            )
        counts = np.array([solved.n_sweeps, solved.n_newton, solved.n_cg, solved.n_direct])
        return self._rounded(coef), groups, counts, "sample"

    def _rounded(self, coef: SparseBlocks) -> SparseBlocks:
        """Return coefficients as they will be returned, so that a pass certifies those."""
        if self.dtype != np.float32:
            return coef
        return SparseBlocks(coef.active, np.asfortranarray(coef.blocks.astype(np.float32).astype(np.float64)))

    def _gram_pays(self, groups: npt.NDArray[np.int64], passes: float) -> bool:
        """Say whether gathering Gram statistics takes less time than the passes that it saves, by counted work."""
        n, d = self.rows.shape
        n_added = groups.size if self.gram is None else int(np.isin(groups, self.gram.groups, invert=True).sum())
        size = d * (groups.size if self.gram is None else self.gram.groups.size + n_added)
        if size * self.n_outputs > _GRAM_COEFFICIENTS:
            return False
        one_pass = self.rows.overhead + n * self.patterns.gates.size * self.n_outputs / (
            4 * _PASS_RATE * self.rows.n_parallel
        )
        gather = 0.0
        if n_added:
            gather = self.rows.overhead + n * size * d * n_added / (2 * _GRAM_RATE * self.rows.n_parallel)
        inner = _GRAM_STEPS * (size * self.n_outputs) ** 3 / (3 * _GRAM_RATE * self.threads)
        return bool(gather + inner < (passes - 1) * one_pass)

    def _gathered(self, groups: npt.NDArray[np.int64]) -> GramModel:
        """Have the Gram statistics of all of these groups; those of before stay."""
        old = np.zeros(0, dtype=np.int64) if self.gram is None else self.gram.groups
        added = np.setdiff1d(groups, old)
        if added.size:
            (columns,) = self.blocks.sum(gram_columns, np.concatenate([old, added]), added.size)
            self.gram = GramModel(added, columns) if self.gram is None else self.gram.extended(added, columns)
        assert self.gram is not None
        return self.gram

    def _sample(self, at: Iterate, grow: bool) -> None:
        """Have a sample that is long enough for the non-zero blocks, and longer than before if that was too poor."""
        n = self.rows.shape[0]
        held = 0 if self.model is None else self.model.n_rows
        wanted = max(_FIRST_ROWS, _ROWS_PER_COEFFICIENT * at.coef.blocks.size // max(1, self.n_outputs), held)
        if grow and held:
            wanted = max(wanted, 2 * held)
        wanted = min(n if 2 * wanted > n else wanted, self.most_rows)
        if self.model is not None and (wanted <= 1.2 * held or held >= n):
            return
        self.take_sample(1.0 if wanted >= n else wanted / n)

    def take_sample(self, share: float) -> None:
        """Bring a share of the rows here; it is the same rows for the same share."""
        parts = self.blocks.collect(sample_rows, share)
        X, Y, masks = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        self.share = share
        self.model = SampleModel(X, Y, masks, X.shape[0] / self.rows.shape[0], self.patterns.gates, self.threads)

    def state(self) -> dict[str, Any]:
        """Return what proposes the next coefficients, for a checkpoint."""
        gram = {} if self.gram is None else {"groups": self.gram.groups, "gram": self.gram.gram}
        return {"share": self.share} | gram

    def restore(self, state: dict[str, Any]) -> None:
        """Come into the state of a checkpoint."""
        if float(state["share"]) > 0:
            self.take_sample(float(state["share"]))
        if "gram" in state:
            self.gram = GramModel(state["groups"], state["gram"])

    @property
    def n_outputs(self) -> int:
        """Columns of the targets."""
        return int(self.zero.correlations.shape[0]) // self.rows.shape[1]

    def _working_set(
        self,
        at: Iterate,
        centre: FloatArray,
        gradient: FloatArray,
        beta: float,
        groups: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """Return non-zero groups, groups of before that are not clearly inactive, and the worst violators."""
        threshold = beta * self.omega
        violation = np.maximum(
            np.linalg.norm(at.correlations, axis=0) / threshold, np.linalg.norm(gradient, axis=0) / threshold
        )
        nonzero = np.any(centre != 0, axis=0)
        nonzero[at.coef.active] = True
        kept = nonzero.copy()
        kept[groups] |= violation[groups] > 0.95
        violators = np.flatnonzero(~kept & (violation > 1 + 1e-10))
        most = max(30, int(nonzero.sum()) // 2)
        kept[violators[np.argsort(-violation[violators], kind="stable")[:most]]] = True
        return np.flatnonzero(kept)

    def _best_combination(self, beta: float) -> tuple[FloatArray, FloatArray]:
        """Return coefficients and gradient where the objective is smallest over affine combinations of the iterates.

        The loss is quadratic, so that gradients at the iterates give it, and its gradient, at all combinations. The
        penalty is majorised by ``||w|| <= (||w||^2 / l + l) / 2`` at the lengths l of the combination before.
        """
        last = self.history[-1]
        base = last.dense()
        if len(self.history) == 1:
            return base, last.correlations
        steps = np.stack([other.dense() - base for other in self.history[:-1]])
        changes = np.stack([other.correlations - last.correlations for other in self.history[:-1]])
        curvature = -np.einsum("ikm,jkm->ij", changes, steps)
        curvature = 0.5 * (curvature + curvature.T)
        slope = np.einsum("km,ikm->i", last.correlations, steps)
        weights = np.zeros(len(steps))
        used = np.flatnonzero(steps.any(axis=(0, 1)) | base.any(axis=0))
        steps_used, base_used, threshold = steps[:, :, used], base[:, used], beta * self.omega[used]
        for _ in range(20):
            point = base_used + np.tensordot(weights, steps_used, 1)
            lengths = np.linalg.norm(point, axis=0)
            inverse = threshold / np.maximum(lengths, 1e-8 * lengths.max(initial=1e-300)) + self.ridge
            matrix = curvature + np.einsum("ikm,jkm,m->ij", steps_used, steps_used, inverse)
            right = slope - np.einsum("ikm,km,m->i", steps_used, base_used, inverse)
            weights = np.linalg.lstsq(matrix, right, rcond=1e-12)[0]
        return base + np.tensordot(weights, steps, 1), last.correlations + np.tensordot(weights, changes, 1)

    def _solution(
        self,
        beta: float,
        at: Iterate,
        bound: Bound,
        target: float,
        n_iter: int,
        work: npt.NDArray[np.int64],
        inner_solvers: list[str],
    ) -> GatedSolution:
        support, blocks = self._user_blocks(at.coef)
        held = 0 if self.model is None else self.model.n_rows
        return GatedSolution(
            beta=float(beta),
            active=support,
            blocks=blocks.astype(self.dtype),
            objective=bound.objective,
            gap=bound.gap,
            relative_gap=self._relative(bound.gap),
            dual=self.dual(at, bound.scale),
            converged=bound.gap <= target,
            n_iter=n_iter,
            n_sweeps=int(work[0]),
            n_newton=int(work[1]),
            n_cg=int(work[2]),
            n_direct=int(work[3]),
            solver=f"passes over all rows, steps on a sample of {held}",
            unpenalised_coef=None,
            patterns=self.patterns,
            inner_solvers=tuple(inner_solvers),
        )

    def _user_blocks(self, coef: SparseBlocks) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """Indices of the blocks in increasing order, and the blocks (k, d[, c])."""
        order = np.argsort(coef.active)
        blocks = coef.blocks[:, order].T.reshape(-1, self.n_outputs, self.rows.shape[1]).swapaxes(1, 2)
        return coef.active[order], np.ascontiguousarray(blocks[..., 0] if self.one_output else blocks)

    def dual(self, at: Iterate, scale: float) -> Any:
        """The dual point: an array, or a dask array that is computed when it is wanted."""
        rows = self.rows.assemble(self.blocks, dual_rows, at.coef, scale, self.rows.n_threads)
        return rows[:, 0] if self.one_output else rows

    def start(self, warm_start: GatedSolution | npt.ArrayLike | None) -> Iterate:
        """Return the iterate of given coefficients."""
        if warm_start is None:
            return self.zero
        coef = as_real(warm_start.coef if isinstance(warm_start, GatedSolution) else warm_start, "warm_start")
        shape: tuple[int, ...] = (len(self.patterns), self.rows.shape[1])
        if not self.one_output:
            shape = (*shape, self.n_outputs)
        if coef.shape != shape:
            raise ValueError(f"warm_start must have shape {shape}, not {coef.shape}")
        if not np.isfinite(coef).all():
            raise ValueError("warm_start must be finite")
        columns = coef.reshape(*shape[:2], self.n_outputs).swapaxes(1, 2).reshape(shape[0], -1).T
        active = np.flatnonzero(columns.any(axis=0))
        return self._pass(SparseBlocks(active, np.asfortranarray(columns[:, active])))


def _passes_left(gaps: list[float], target: float) -> float:
    """Return how many passes a target is away at the rate of the last one."""
    gap, before = gaps[-1], gaps[-2]
    if not np.isfinite(before):
        return 1.0
    rate = min(max(gap / before, 1e-3), 0.9)
    return float(np.ceil(np.log(target / gap) / np.log(rate)))
