"""The gated program whose blocks are under the nuclear norm: weight decay of networks with several outputs.

A gated neuron with input weights a and output weights b adds D_i X a b' to the outputs, and weight decay
beta/2 (||a||^2 + ||b||^2) over as many neurons for each gate as help is beta times the nuclear norm of their sum U_i.
The program is solved over the neurons themselves, with the gates that carry some, by Newton steps in a trust region
(Steihaug 1983), exact in the curvature between a and b. They stop at a stationary point, perhaps one of too few
neurons: a pass over all patterns then adds those with the top singular vectors of X' D_i R where they exceed beta,
until the duality gap of the convex program says that nothing is left to gain, for any number of neurons.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray
from ..base.columns import blocks_of, columns_of
from ..base.native import core
from ..base.scaling import require_held
from .problem import GatedData, Penalty, Stopping
from .program import ExactProgram, Point

_START_TOL = 1e-3  # of the program under the Frobenius norm, which gives the first neurons

_NEGLIGIBLE = 1e-10  # neurons with less of the largest product of norms are dropped

_INNER_SHARE = 0.1  # of the gap over all patterns, to which the chosen ones are solved

_MOST_STEPS = 100  # Newton steps between passes

_MOST_CG = 250

_MOST_IDLE_PASSES = 5  # without a smaller gap: then rounding decides


@dataclasses.dataclass
class _Neurons:
    """Neurons behind the gates of `active`: unit k is behind active[of[k]]."""

    active: npt.NDArray[np.int64]
    of: npt.NDArray[np.int64]
    a: FloatArray  # (K, d)
    b: FloatArray  # (K, c)

    def blocks(self, da: FloatArray | None = None, db: FloatArray | None = None) -> FloatArray:
        """Return the sums of a b' by gate, or their derivative: (len(active), d, c)."""
        if da is None or db is None:
            products = self.a[:, :, None] * self.b[:, None, :]
        else:
            products = da[:, :, None] * self.b[:, None, :] + self.a[:, :, None] * db[:, None, :]
        alone = len(products) == self.active.size
        return products if alone else np.add.reduceat(products, np.flatnonzero(np.diff(self.of, prepend=-1)))


def _balanced(active: npt.NDArray[np.int64], blocks: FloatArray) -> _Neurons:
    """Split blocks into the neurons of least weight decay: their singular triples."""
    left, s, right = np.linalg.svd(blocks, full_matrices=False)
    of, triple = np.nonzero(s > _NEGLIGIBLE * s.max(initial=0.0))
    kept, of = np.unique(of, return_inverse=True)
    root = np.sqrt(s[kept[of], triple])[:, None]
    return _Neurons(active[kept], of, root * left[kept[of], :, triple], root * right[kept[of], triple])


class NuclearProgram(ExactProgram):
    """As its base, with the nuclear norm of the blocks in the penalty."""

    block_norm = "nuclear"

    def __init__(self, data: GatedData, penalty: Penalty) -> None:
        super().__init__(data, penalty)
        if self.ridge != 0:
            raise ValueError(f'block_norm="nuclear" needs ridge=0, not {penalty.ridge}')

    def beta_max(self) -> float:
        return require_held(self._largest(), self.beta_scale, "X, y and weights", "beta_max")

    def _largest(self) -> float:
        return float((self._spectral_norms(self._correlations(self.targets)) / self.omega).max())

    def _correlations(self, R: FloatArray, active: npt.NDArray[np.int64] | None = None) -> FloatArray:
        """X' D_i R for the active patterns or all: (m, d, c)."""
        words = self.patterns.words if active is None else self.patterns.words[active]
        columns = core.masked_correlations(self.design, words, R, self.threads)
        return blocks_of(columns, R.shape[1])

    @staticmethod
    def _spectral_norms(blocks: FloatArray) -> FloatArray:
        return np.asarray(np.linalg.svd(blocks, compute_uv=False).max(axis=1, initial=0.0))

    def _certified(
        self,
        beta: float,
        active: npt.NDArray[np.int64],
        blocks: FloatArray,
        dual: FloatArray,
        correlations: FloatArray,
        among: npt.NDArray[np.int64] | None = None,
    ) -> tuple[float, float, float]:
        """Objective, gap over all patterns (or `among` some), and the factor that makes `dual` feasible there.

        `correlations` are X' D_i `dual` for all patterns, or for those. The gap is a sum of non-negative terms,
        1/2 ||R - t||^2 + sum_i [beta omega_i ||U_i||_* - <U_i, X' D_i t>], for the feasible t.
        """
        limits = beta * (self.omega if among is None else self.omega[among])
        with np.errstate(divide="ignore"):
            scale = min(1.0, float((limits / self._spectral_norms(correlations)).min(initial=np.inf)))
        R = self._residual(columns_of(blocks), active)
        norms = np.linalg.svd(blocks, compute_uv=False).sum(axis=1)
        chosen = correlations[active] if among is None else correlations
        aligned = np.einsum("idc,idc->i", blocks, scale * chosen)
        slack = np.maximum(beta * self.omega[active] * norms - aligned, 0.0)
        gap = 0.5 * float(((R - scale * dual) ** 2).sum()) + float(slack.sum())
        objective = 0.5 * float((R**2).sum()) + beta * float(self.omega[active] @ norms)
        return objective, gap, scale

    def _gap(self, beta: float, coef: FloatArray, dual: FloatArray) -> tuple[float, float, float]:
        active = np.flatnonzero(coef.any(axis=0))
        blocks = blocks_of(coef[:, active], self.targets.shape[1])
        return self._certified(beta, active, blocks, dual, self._correlations(np.asfortranarray(dual)))

    def _path(self, betas: list[float], start: FloatArray, stopping: Stopping) -> tuple[list[Point], bool]:
        if stopping.solver != "auto":
            raise ValueError(f'block_norm="nuclear" has one solver: it needs solver="auto", not {stopping.solver!r}')
        points: list[Point] = []
        try:
            # The gap of the zero solution, relative to its objective, is (1 - beta / beta_max)^2 below beta_max.
            zero_from = self._largest() * (1 - min(1.0, stopping.tol**0.5))
            neurons = self._neurons(start) if start.size else None
            for beta in betas:
                if beta >= zero_from:
                    neurons = self._neurons(np.zeros((self.design.shape[1] * self.targets.shape[1], 0)))
                elif neurons is None:
                    loose = Stopping(_START_TOL, stopping.max_iter)
                    (rough,), _ = super()._path([beta], start, loose)
                    neurons = self._neurons(rough.blocks, rough.active)
                point, neurons, stopped = self._point(beta, neurons, stopping)
                points.append(point)
                if stopped:
                    break
        except KeyboardInterrupt:
            if not stopping.keep:
                raise
            return points, True
        return points, False

    def _neurons(self, columns: FloatArray, active: npt.NDArray[np.int64] | None = None) -> _Neurons:
        """Split the core's blocks of active patterns, by default of those that are not zero among all."""
        if active is None:
            active = np.flatnonzero(columns.any(axis=0))
            columns = columns[:, active]
        return _balanced(active, blocks_of(columns, self.targets.shape[1]))

    def _point(self, beta: float, neurons: _Neurons, stopping: Stopping) -> tuple[Point, _Neurons, bool]:
        """Solve for one penalty; also say whether the callback asked to stop."""
        at_zero = self._at_zero()
        best: Point | None = None
        idle = n_newton = n_cg = 0
        newton: list[str] = []
        stopped = False
        for iteration in range(1, stopping.max_iter + 1):
            blocks = neurons.blocks()
            R = self._residual(columns_of(blocks), neurons.active)
            correlations = self._correlations(R)
            objective, gap, scale = self._certified(beta, neurons.active, blocks, R, correlations)
            relative_gap = gap / at_zero if at_zero > 0 else 0.0
            idle += 1
            if best is None or gap < best.gap:
                idle = 0
                columns, reached = columns_of(blocks), relative_gap <= stopping.tol
                best = Point(
                    beta=beta,
                    active=neurons.active,
                    blocks=columns,
                    dual=scale * R,
                    objective=objective,
                    gap=gap,
                    relative_gap=relative_gap,
                    converged=reached,
                    n_iter=iteration,
                )
            if stopping.callback is not None:
                told = {"beta": beta, "iteration": iteration, "objective": objective, "gap": gap}
                told |= {"relative_gap": relative_gap, "active": int(neurons.active.size)}
                stopped = bool(stopping.callback(told | {"support": neurons.active, "blocks": columns_of(blocks)}))
            converged = relative_gap <= stopping.tol
            if stopped or converged or iteration == stopping.max_iter or idle == _MOST_IDLE_PASSES:
                break
            neurons = self._with_violators(beta, neurons, R, correlations)
            goal = max(_INNER_SHARE * gap, 0.3 * stopping.tol * at_zero)
            neurons, steps, cg = self._newton(beta, neurons, goal)
            n_newton, n_cg = n_newton + steps, n_cg + cg
            newton.append("newton")
        assert best is not None
        best = dataclasses.replace(best, n_iter=iteration, n_newton=n_newton, n_cg=n_cg, inner_solvers=tuple(newton))
        return best, neurons, stopped

    def _with_violators(self, beta: float, neurons: _Neurons, R: FloatArray, correlations: FloatArray) -> _Neurons:
        """Add neurons with the singular vectors of correlations above the penalty, by an exact line search."""
        excess = self._spectral_norms(correlations) - beta * self.omega
        most = max(20, neurons.active.size)
        violating = np.argsort(-excess, kind="stable")[:most]
        violating = np.sort(violating[excess[violating] > 0])
        if not violating.size:
            return neurons
        left, s, right = np.linalg.svd(correlations[violating], full_matrices=False)
        above = np.maximum(s - beta * self.omega[violating, None], 0.0)
        # Along this direction the objective falls with slope sum above^2, and has the curvature of its fit.
        direction = np.einsum("idk,ik,ikc->idc", left, above, right)
        fit = self._fitted(columns_of(direction), violating)
        curvature = float((fit**2).sum())
        step = float((above**2).sum()) / curvature if curvature > 0 else 0.0
        active = np.union1d(neurons.active, violating)
        blocks = np.zeros((active.size, *correlations.shape[1:]))
        blocks[np.searchsorted(active, neurons.active)] = neurons.blocks()
        blocks[np.searchsorted(active, violating)] += step * direction
        return _balanced(active, blocks)

    def _newton(self, beta: float, neurons: _Neurons, goal: float) -> tuple[_Neurons, int, int]:
        """Minimise over the neurons until their gap, over their own gates, is within the goal; also count the steps."""
        steps = cg_steps = 0
        beta_of = beta * self.omega[neurons.active][neurons.of][:, None]
        squares = self.patterns[neurons.active].to_dense().astype(np.float64).T @ self.design**2
        split = neurons.a.size
        d, c = neurons.a.shape[1], neurons.b.shape[1]

        def value(at: _Neurons) -> tuple[float, FloatArray]:
            R = self._residual(columns_of(at.blocks()), at.active)
            penalty = float((beta_of * at.a**2).sum() + (beta_of * at.b**2).sum())
            return 0.5 * (float((R**2).sum()) + penalty), R

        objective, R = value(neurons)
        radius, last_gap, flat = np.inf, np.inf, False
        for _ in range(_MOST_STEPS):
            correlations = self._correlations(R, neurons.active)
            _, gap, _ = self._certified(beta, neurons.active, neurons.blocks(), R, correlations, neurons.active)
            C = correlations[neurons.of]
            on_a = beta_of * neurons.a - np.einsum("kdc,kc->kd", C, neurons.b)
            on_b = beta_of * neurons.b - np.einsum("kdc,kd->kc", C, neurons.a)
            gradient = np.concatenate([on_a.ravel(), on_b.ravel()])
            size = float(np.linalg.norm(gradient))
            if gap <= goal or size == 0 or (flat and gap > 0.5 * last_gap):
                break
            last_gap = gap

            def curved(v: FloatArray, at: _Neurons = neurons, C: FloatArray = C) -> FloatArray:
                da, db = v[:split].reshape(-1, d), v[split:].reshape(-1, c)
                fit = self._fitted(columns_of(at.blocks(da, db)), at.active)
                change = self._correlations(fit, at.active)[at.of]
                on_a = beta_of * da + np.einsum("kdc,kc->kd", change, at.b) - np.einsum("kdc,kc->kd", C, db)
                on_b = beta_of * db + np.einsum("kdc,kd->kc", change, at.a) - np.einsum("kdc,kd->kc", C, da)
                return np.concatenate([on_a.ravel(), on_b.ravel()])

            # The diagonal of the curvature without what couples a and b.
            on_a = (neurons.b**2).sum(axis=1, keepdims=True) * squares[neurons.of] + beta_of
            on_b = (neurons.a**2 * squares[neurons.of]).sum(axis=1, keepdims=True) + beta_of
            diagonal = np.concatenate([on_a.ravel(), np.repeat(on_b, c, axis=1).ravel()])
            forcing = min(0.1, np.sqrt(size / (1 + abs(objective))))
            step, predicted, bounded, n_cg = _steihaug(curved, gradient, diagonal, radius, forcing)
            steps += 1
            cg_steps += n_cg
            trial = dataclasses.replace(
                neurons,
                a=neurons.a + step[:split].reshape(-1, d),
                b=neurons.b + step[split:].reshape(-1, c),
            )
            reached, residual = value(trial)
            length = float(np.sqrt((diagonal * step**2).sum()))
            ratio = (objective - reached) / predicted if predicted > 0 else 0.0
            flat = predicted <= 1e-12 * objective  # below what differences of objectives can say
            if flat:
                ratio = 1.0
            if ratio < 0.25:
                radius = 0.25 * length
            elif ratio > 0.75 and bounded:
                radius = 2 * length
            if ratio > 1e-4:
                neurons, objective, R = trial, reached, residual
        return _balanced(neurons.active, neurons.blocks()), steps, cg_steps


def _steihaug(
    curved: Any, gradient: FloatArray, diagonal: FloatArray, radius: float, forcing: float
) -> tuple[FloatArray, float, bool, int]:
    """Return a step in the trust region ||step||_diagonal <= radius, its predicted gain, whether it ends at the border.

    Preconditioned conjugate gradients (Steihaug 1983), to a relative residual of `forcing`.
    """
    x = np.zeros_like(gradient)
    Hx = np.zeros_like(gradient)
    r = gradient.copy()
    z = r / diagonal
    p = -z
    rz = start = float(r @ z)
    bounded = False
    n_cg = 0
    while n_cg < _MOST_CG and not bounded and rz > forcing**2 * start:
        n_cg += 1
        Hp = curved(p)
        curvature = float(p @ Hp)
        pp = float(p @ (diagonal * p))
        step = rz / curvature if curvature > 0 else np.inf
        xp, xx = float(x @ (diagonal * p)), float(x @ (diagonal * x))
        if xx + 2 * step * xp + step**2 * pp >= radius**2 or curvature <= 0:
            limit = radius if np.isfinite(radius) else np.sqrt(max(xx, rz))
            step = (-xp + np.sqrt(max(xp**2 + pp * (limit**2 - xx), 0.0))) / pp
            bounded = True
        x = x + step * p
        Hx = Hx + step * Hp
        r = r + step * Hp
        z = r / diagonal
        before, rz = rz, float(r @ z)
        p = -z + (rz / before) * p
    return x, -float(gradient @ x + 0.5 * (x @ Hx)), bounded, n_cg
