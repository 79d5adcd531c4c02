"""The gated program over rows that no single array holds, by few passes over them.

A pass sends the coefficients to the blocks of rows, which recompute their residuals, and brings back the sums of
``X' D_i R`` (p x d c numbers) and of three scalars. That is all that a certificate needs: the gap is the same sum of
non-negative terms as in memory, at the coefficients that are returned. Between passes a subsample of the rows, which is
held here, proposes the next coefficients (`subsample_model`). Its model is built where the objective is smallest over
the combinations of the last iterates, which their gradients tell without another pass: a poor subsample costs passes,
never the answer. Where passes do not help enough, the subsample is doubled, up to all rows where they fit. Where
passes are dear and the working set is small, its Gram statistics are gathered instead (`gram_model`): they propose the
solution over the working set itself. Which is cheaper is counted, not measured, so that a fit repeated gives the same
bits; `inner_solvers` tells which it was.

"Groups" are indices of patterns, as in the solver of the core.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_count
from ..base.callbacks import Callback, Stop
from ..base.columns import blocks_of, columns_of
from ..base.digests import digest_of
from ..base.native import core
from ..base.scaling import as_dtype, row_lengths
from ..rows.passes import RowBlock
from ..rows.rows import Parts, Rows
from .checkpoint import PathCheckpoint
from .combination import best_combination
from .gram_model import GramModel
from .problem import GatedData, Penalty, Stopping
from .program import Start, checked_start, require_thresholds
from .rounding import gradients_beside, rounded
from .row_means import RowMeans
from .solution import GatedSolution
from .subsample_model import SubsampleModel
from .sums import (
    Bound,
    Iterate,
    SparseBlocks,
    digests_of_rows,
    dual_rows,
    gradients,
    gram_columns,
    group_lasso_bound,
    subsample,
)

Groups = npt.NDArray[np.int64]

_MEMORY = 5  # iterates whose combinations are searched
_FIRST_ROWS = 4096
_ROWS_PER_COEFFICIENT = 4  # of the subsample: its curvature is then within about a half of that of all rows
_SUBSAMPLE_BYTES = 1 << 27
# What a thread does in a second: it adds so many entries of tables in a pass (bit_product.hpp), and multiplies and adds
# so many numbers in a matrix product.
_PASS_RATE, _GRAM_RATE = 1e10, 1.5e10
_GRAM_COEFFICIENTS = 2048  # at most: every block of rows then sends a Gram matrix of 32 MiB to where they are added
_GRAM_STEPS = 10  # Newton steps with it


@dataclasses.dataclass
class _Run:
    """The solution for one penalty while it is under way."""

    beta: float
    target: float  # of the gap
    point: Iterate
    bound: Bound
    groups: Groups = dataclasses.field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    gaps: list[float] = dataclasses.field(default_factory=lambda: [np.inf, np.inf])
    inner_solvers: list[str] = dataclasses.field(default_factory=list)
    work: npt.NDArray[np.int64] = dataclasses.field(default_factory=lambda: np.zeros(4, dtype=np.int64))
    n_iter: int = 0

    def passes_left(self) -> float:
        """Return how many passes the target is away at the rate of the last one."""
        gap, before = self.gaps[-1], self.gaps[-2]
        if not np.isfinite(before):
            return 1.0
        rate = min(max(gap / before, 1e-3), 0.9)
        return float(np.ceil(np.log(self.target / gap) / np.log(rate)))


class PassesProgram:
    """The program over blocks of rows, in the sense of :func:`cvxrelu.solve_gated`."""

    def __init__(self, data: GatedData, penalty: Penalty, *, subsample_size: int | None = None) -> None:
        if not (penalty.unpenalised is None or penalty.has_intercept):
            raise ValueError('rows in chunks take unpenalised="intercept" alone: append other columns to X instead')
        assert isinstance(data.X, Rows)
        self.rows = data.X
        self.patterns = data.patterns
        self.dtype = data.dtype
        self.threads = data.threads
        self.one_output = len(getattr(data.y, "shape", np.shape(data.y))) == 1
        self.omega = penalty.omega(len(data.patterns))
        self.ridge = penalty.ridge
        n, d = self.rows.shape
        if subsample_size is None:
            room = max(_FIRST_ROWS, _SUBSAMPLE_BYTES // (8 * d + len(data.patterns) // 8))
        else:
            room = as_count(subsample_size, "subsample_size")
        self.most_rows = min(n, room)
        gates = np.ascontiguousarray(data.patterns.gates)
        self.blocks: Parts[RowBlock] = self.rows.masked(data.y, data.sample_weight, gates)
        self.model: SubsampleModel | None = None
        self.gram: GramModel | None = None
        self.share = 0.0
        self.history: list[Iterate] = []
        # Of each solution of a path whose dual point is in blocks: what that is made of.
        self.duals: list[tuple[SparseBlocks, float] | None] = []
        self.means = RowMeans(self.blocks, self.rows.n_threads) if penalty.has_intercept else None
        none = np.zeros(0, dtype=np.int64)
        zero = self._summed(SparseBlocks(none, np.zeros((0, 0), order="F")))
        # How long a block is, is known only now: the targets may lie elsewhere.
        empty = np.zeros((len(zero.correlations), 0), order="F")
        self.zero = dataclasses.replace(zero, coef=dataclasses.replace(zero.coef, blocks=empty))

    @property
    def at_zero(self) -> float:
        return 0.5 * self.zero.yy

    @property
    def n_outputs(self) -> int:
        """Columns of the targets."""
        return int(self.zero.correlations.shape[0]) // self.rows.shape[1]

    def _pass(self, coef: SparseBlocks) -> Iterate:
        return self._summed(coef) if coef.active.size else self.zero

    def _summed(self, coef: SparseBlocks) -> Iterate:
        coef = self._completed(coef)
        return self._iterate(coef, *self.blocks.sum(gradients, coef, self.rows.n_threads))

    def _pass_beside(self, coef: SparseBlocks, other: SparseBlocks, scale: float) -> tuple[Iterate, float]:
        coef = self._completed(coef)
        *sums, apart = self.blocks.sum(gradients_beside, coef, other, scale, self.rows.n_threads)
        correlations, scalars, rest = sums
        return self._iterate(coef, correlations, scalars, rest), float(apart)

    def _completed(self, coef: SparseBlocks) -> SparseBlocks:
        return coef if self.means is None else self.means.complete(coef)

    def _iterate(self, coef: SparseBlocks, correlations: FloatArray, scalars: FloatArray, rest: FloatArray) -> Iterate:
        rr, yr, yy, size = (float(value) for value in scalars)
        if size > 0 and not np.finfo(float).tiny <= 0.5 * yy < np.inf:
            kind = "small" if yy < 1 else "large"
            raise ValueError(f"y and weights are too {kind}: the objective at zero is not within float64")
        if self.means is not None:
            at_zero = self.zero.yy if coef.active.size else None
            return self.means.iterate(coef, correlations, scalars[:3], rest, at_zero)
        return Iterate(coef, correlations, rr, yr, yy)

    def beta_max(self) -> float:
        return float((row_lengths(self.zero.correlations.T) / self.omega).max())

    def bound(self, point: Iterate, beta: float) -> Bound:
        """Objective and duality gap of an iterate."""
        return group_lasso_bound(point, beta * self.omega, self.ridge)

    def iterate(self, coef: Start) -> Iterate:
        """Return coefficients (p, d[, c]) with what a pass over all rows says of them."""
        if coef is None:
            return self.zero
        columns = columns_of(checked_start(coef, self.patterns, None if self.one_output else self.n_outputs))
        active = np.flatnonzero(columns.any(axis=0))
        return self._pass(SparseBlocks(active, np.asfortranarray(columns[:, active])))

    def dual(self, point: Iterate, scale: float) -> Any:
        """Return the dual point: an array, or a dask array that is computed when it is wanted."""
        return self._dual(point.coef, scale)

    def unpenalised_coef(self, point: Iterate) -> FloatArray | None:
        """Return the intercept as the coefficient of a column of ones."""
        if point.coef.intercept is None:
            return None
        intercept: FloatArray = point.coef.intercept.sum(axis=0)
        return intercept if self.one_output else intercept[None]

    @property
    def unpenalised_map(self) -> FloatArray | None:
        return None if self.means is None else np.eye(self.rows.shape[1] + 1)[:, -1:]

    def _dual(self, coef: SparseBlocks, scale: float) -> Any:
        rows = self.rows.assemble(self.blocks, dual_rows, coef, scale, self.rows.n_threads)
        return rows[:, 0] if self.one_output else rows

    def path(
        self, betas: FloatArray, start: Start, stopping: Stopping, checkpoint: PathCheckpoint | None = None
    ) -> tuple[list[GatedSolution], bool]:
        """Solve for one penalty after the other, each from the one before; also say whether Ctrl-C ended the path.

        With a checkpoint go on from what it holds, and write it after every point.
        """
        if stopping.solver not in ("auto", "newton"):
            raise ValueError(f'solver must be "auto" for rows in chunks, not {stopping.solver!r}')
        require_thresholds(betas, self.omega)
        solutions: list[GatedSolution] = []
        self.duals = []
        stop = Stop(stopping.callback)
        heard = None if stopping.callback is None else stop
        try:
            if checkpoint is not None:
                solutions = self._restored(*checkpoint.load())
            point = self.iterate(solutions[-1] if solutions else start)
            for beta in betas[len(solutions) :]:
                solution, point = self._solve(float(beta), point, stopping, heard)
                solutions.append(solution)
                if stop.stopped:
                    break
                if checkpoint is not None:
                    checkpoint.save(solutions, self._state())
        except KeyboardInterrupt:
            if not stopping.keep:
                raise
            return solutions, True
        return solutions, False

    def digests(self, start: Start, stopping: Stopping) -> dict[str, str]:
        """Return a digest of everything but gates and betas that a path depends on; costs a pass over the rows.

        Rows in other chunks are another problem: their sums are rounded in another way.
        """
        parts = np.array(self.blocks.collect(digests_of_rows))
        coef = (
            None if start is None else checked_start(start, self.patterns, None if self.one_output else self.n_outputs)
        )
        return {
            "sample weights": digest_of(parts[:, 0]),
            "samples": digest_of(self.rows.shape, parts[:, 1]),
            "targets": digest_of(self.one_output, parts[:, 2]),
            "group weights": digest_of(self.omega),
            "ridge": digest_of(self.ridge),
            "intercept": digest_of(self.means is not None),
            "coefficients to start from": digest_of(np.zeros(0) if coef is None else coef),
            "tol and max_iter": digest_of(stopping.tol, stopping.max_iter),
            "types": digest_of(np.dtype(self.dtype).name),
        }

    def _restored(self, points: list[GatedSolution], state: dict[str, Any]) -> list[GatedSolution]:
        """Come into the state after the points of a checkpoint; dual points that were in blocks are made again."""
        if state:
            if float(state["share"]) > 0:
                self._take_subsample(float(state["share"]))
            if "gram" in state:
                self.gram = GramModel(state["groups"], state["gram"], int(state["order"]))
        self.duals = [None] * len(points)
        restored = []
        for k, solution in enumerate(points):
            if solution.dual.size == 0:
                blocks, scale = np.asfortranarray(state[f"{k}_blocks"]), float(state[f"{k}_scale"])
                coef = SparseBlocks(state[f"{k}_active"], blocks, state.get(f"{k}_intercept"))
                self.duals[k] = coef, scale
                solution = dataclasses.replace(solution, dual=self._dual(coef, scale))
            restored.append(dataclasses.replace(solution, unpenalised_map=self.unpenalised_map))
        return restored

    def _state(self) -> dict[str, Any]:
        """Return what proposes the next coefficients, and what dual points in blocks are made of, for a checkpoint."""
        state: dict[str, Any] = {"share": self.share}
        if self.gram is not None:
            state |= {"groups": self.gram.groups, "gram": self.gram.gram, "order": self.gram.order}
        for k, made_of in enumerate(self.duals):
            if made_of is not None:
                coef, state[f"{k}_scale"] = made_of
                state |= {f"{k}_active": coef.active, f"{k}_blocks": coef.blocks}
                if coef.intercept is not None:
                    state[f"{k}_intercept"] = coef.intercept
        return state

    def _solve(
        self, beta: float, start: Iterate, stopping: Stopping, callback: Callback | None
    ) -> tuple[GatedSolution, Iterate]:
        """Solve from an iterate whose pass is known; also return the last iterate."""
        run = _Run(beta, stopping.tol * self.at_zero, start, self.bound(start, beta))
        best = (run.point, run.bound)
        self.history = [run.point]
        for run.n_iter in range(1, stopping.max_iter + 1):
            stop = callback is not None and callback(self._progress(run))
            if run.bound.gap <= run.target or stop or run.n_iter == stopping.max_iter:
                break
            run.point = self._pass(self._propose(run))
            run.bound = self.bound(run.point, beta)
            self.history = [*self.history, run.point][-_MEMORY:]
            if run.bound.gap < best[1].gap:
                best = (run.point, run.bound)
        run.point, run.bound = best
        dual_coef = run.point.coef
        if self.dtype == np.float32:
            threshold = beta * self.omega
            run.point, run.bound = rounded(run.point, run.bound, threshold, self.ridge, self._pass_beside)
        return self._solution(run, dual_coef), run.point

    def _progress(self, run: _Run) -> dict[str, Any]:
        support, blocks = self._user_blocks(run.point.coef)
        intercept = self.unpenalised_coef(run.point)
        return ({} if intercept is None else {"unpenalised_coef": intercept}) | {
            "beta": run.beta,
            "iteration": run.n_iter,
            "objective": run.bound.objective,
            "gap": run.bound.gap,
            "relative_gap": self._relative(run.bound.gap),
            "active": int(support.size),
            "support": support,
            "blocks": blocks,
        }

    def _relative(self, gap: float) -> float:
        return gap / self.at_zero if self.at_zero > 0 else 0.0

    def _propose(self, run: _Run) -> SparseBlocks:
        """Return the solution of a model at the best combination of the last iterates."""
        grow = run.bound.gap > 0.5 * run.gaps[-2]  # that two passes have not halved
        run.gaps.append(run.bound.gap)
        # Where Gram statistics have just helped little, as where the next working set was another, it is the
        # subsample's turn.
        failed = run.inner_solvers[-1:] == ["gram"] and run.bound.gap > 0.5 * run.gaps[-2]
        passes = 0.0 if failed else run.passes_left()
        if self.model is not None and self.model.n_rows < self.rows.shape[0]:
            centre, gradient = self._centre(run)
            run.groups = self._working_set(run, centre, gradient)
            if self._gram_pays(run.groups, passes):
                run.inner_solvers.append("gram")
                gram = self._gathered(run.groups)
                near = centre[:, gram.groups], gradient[:, gram.groups], run.point.rr
                threshold = run.beta * self.omega[gram.groups]
                gap = max(0.01 * run.bound.gap, 0.1 * run.target)
                return gram.solve(*near, threshold, self.ridge, gap)
        run.inner_solvers.append("sample")
        first = self.model is None
        model = self._subsampled(run.point, grow)
        penalty = Penalty(self.omega, self.ridge)
        if first and run.point.coef.active.size == 0:
            # Nothing is known yet: the subsample as it is, roughly.
            centre = np.zeros((run.point.correlations.shape[0], len(self.patterns)))
            coef, solved = model.solve(centre, None, run.beta, penalty, 1e-2 * run.bound.gap)
        else:
            centre, gradient = self._centre(run)
            groups = run.groups = self._working_set(run, centre, gradient)
            exact = model.n_rows == self.rows.shape[0]
            gap = max(0.03 * run.bound.gap, 0.1 * run.target)
            at = None if exact else gradient[:, groups]
            coef, solved = model.solve(centre[:, groups], at, run.beta, penalty, gap, groups=groups)
        run.work += [solved.n_sweeps, solved.n_newton, solved.n_cg, solved.n_direct]
        return coef

    def _gram_pays(self, groups: Groups, passes: float) -> bool:
        """Say whether Gram statistics take less time than the passes that they save, by counted work."""
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

    def _gathered(self, groups: Groups) -> GramModel:
        """Have the Gram statistics of all of these groups; those of before stay."""
        old = np.zeros(0, dtype=np.int64) if self.gram is None else self.gram.groups
        added = np.setdiff1d(groups, old)
        if added.size:
            every = np.concatenate([old, added])
            assert self.model is not None
            order = self.model.order if self.gram is None else self.gram.order
            (columns,) = self.blocks.sum(gram_columns, every, added.size, order)
            if self.means is not None:
                columns = self.means.centred(columns, every, added, order)
            self.gram = GramModel(added, columns, order) if self.gram is None else self.gram.extended(added, columns)
        assert self.gram is not None
        return self.gram

    def _subsampled(self, point: Iterate, grow: bool) -> SubsampleModel:
        """Have a subsample long enough for the non-zero blocks, and longer than before if that was too poor."""
        n = self.rows.shape[0]
        held = 0 if self.model is None else self.model.n_rows
        wanted = max(_FIRST_ROWS, _ROWS_PER_COEFFICIENT * point.coef.blocks.size // max(1, self.n_outputs), held)
        if grow and held:
            wanted = max(wanted, 2 * held)
        wanted = min(n if 2 * wanted > n else wanted, self.most_rows)
        if self.model is None or (wanted > 1.2 * held and held < n):
            self._take_subsample(1.0 if wanted >= n else wanted / n)
        assert self.model is not None
        return self.model

    def _take_subsample(self, share: float) -> None:
        """Bring a share of the rows here; it is the same rows for the same share."""
        parts = self.blocks.collect(subsample, share)
        X, Y, ones, masks = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        self.share = share
        free, intercept = None, self.unpenalised_coef(self.zero)
        if intercept is not None:
            Y, free = Y - ones * intercept, ones
        sampled = X.shape[0] / self.rows.shape[0]
        self.model = SubsampleModel((X, Y, masks), sampled, self.patterns.gates, self.threads, free)

    def _centre(self, run: _Run) -> tuple[FloatArray, FloatArray]:
        return best_combination(self.history, run.beta * self.omega, self.ridge)

    def _working_set(self, run: _Run, centre: FloatArray, gradient: FloatArray) -> Groups:
        """Return non-zero groups, groups of before that are not clearly inactive, and the worst violators."""
        threshold = run.beta * self.omega
        violation = np.maximum(row_lengths(run.point.correlations.T) / threshold, row_lengths(gradient.T) / threshold)
        nonzero = np.any(centre != 0, axis=0)
        nonzero[run.point.coef.active] = True
        # Half as many as are non-zero, where a solver in memory takes as many: the next pass shows which were wrong,
        # and a model of more groups needs a longer subsample.
        groups = core.working_set(run.groups.tolist(), violation, nonzero.tolist(), int(nonzero.sum()) // 2)
        return np.sort(np.array(groups, dtype=np.int64))

    def _solution(self, run: _Run, dual_coef: SparseBlocks) -> GatedSolution:
        """Return the iterate, whose dual point is the residual of `dual_coef` times the scale of the bound."""
        support, blocks = self._user_blocks(run.point.coef)
        dual = self._dual(dual_coef, run.bound.scale)
        self.duals.append(None if isinstance(dual, np.ndarray) else (dual_coef, run.bound.scale))
        n_sweeps, n_newton, n_cg, n_direct = (int(count) for count in run.work)
        return GatedSolution(
            beta=run.beta,
            active=support,
            blocks=as_dtype(blocks, self.dtype),
            objective=run.bound.objective,
            gap=run.bound.gap,
            relative_gap=self._relative(run.bound.gap),
            dual=dual,
            converged=run.bound.gap <= run.target,
            n_iter=run.n_iter,
            n_sweeps=n_sweeps,
            n_newton=n_newton,
            n_cg=n_cg,
            n_direct=n_direct,
            solver="auto",
            unpenalised_coef=self.unpenalised_coef(run.point),
            patterns=self.patterns,
            inner_solvers=tuple(run.inner_solvers),
            n_subsampled=0 if self.model is None else self.model.n_rows,
            unpenalised_map=self.unpenalised_map,
        )

    def _user_blocks(self, coef: SparseBlocks) -> tuple[Groups, FloatArray]:
        """Indices of the blocks in increasing order, and the blocks (k, d[, c])."""
        order = np.argsort(coef.active)
        blocks = blocks_of(coef.blocks[:, order], self.n_outputs)
        return coef.active[order], np.ascontiguousarray(blocks[..., 0] if self.one_output else blocks)
