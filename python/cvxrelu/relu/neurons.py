"""Neurons of a network with several outputs, trained together by Newton steps.

A neuron adds (X a_k)_+ b_k' to the outputs and costs beta/2 (||a_k||^2 + ||b_k||^2). Where no sample changes its sign
the objective is smooth; its neurons often rest where some do. Such samples are held, x_j . a_k = 0, and the steps stay
in what is left. A step that the objective does not like ends at the first samples that it crosses, which are held from
there on; a sample is let go to the side on which the objective falls, by the sign of its multiplier: with the residual
R and L the gradient in a_k without the held samples, L = -sum_j m_j x_j, and a neuron rests where
0 <= m_j <= -R_j . b_k. Neurons that must stay in the cone of a pattern have its multipliers, and its border for a wall.

The program in the neurons is not convex: this is a local search, which the pricing of directions takes out of points
that are not optimal.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, IntArray
from ..base.scaling import row_lengths
from .problem import SquaredProblem

BoolArray = npt.NDArray[np.bool_]

_MOST_STEPS = 200

_NEGLIGIBLE = 1e-9  # neurons with less of the largest product of norms are dropped

_PARALLEL = 1e-12  # of one less the cosine of neurons that become one

_BORDER = 1e-10  # of a sample's product with a neuron, relative to their lengths

_LEAST_SHIFT, _MOST_SHIFT = 1e-3, 1e12  # of the curvature, relative to the penalty, where a step does not help

_DECREASE = 1e-4  # of what was predicted


@dataclasses.dataclass(frozen=True, eq=False)
class Neurons:
    """Layers of neurons, with the samples at which each is on and those that it is held at."""

    a: FloatArray  # (K, d)
    b: FloatArray  # (K, c)
    on: BoolArray  # (K, n)
    held: BoolArray  # (K, n)
    owner: IntArray  # the pattern in whose cone each stays, (K,); empty where they are free

    @classmethod
    def none(cls, problem: SquaredProblem) -> Neurons:
        (n, d), c = problem.X.shape, problem.y.shape[1]
        no = np.zeros((0, n), dtype=bool)
        return cls(np.zeros((0, d)), np.zeros((0, c)), no, no, np.zeros(0, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.a)

    def of(self, which: npt.NDArray[np.integer] | BoolArray) -> Neurons:
        owner = self.owner[which] if self.owner.size else self.owner
        return Neurons(self.a[which], self.b[which], self.on[which], self.held[which], owner)

    def outputs(self, X: FloatArray) -> FloatArray:
        return np.asarray(np.maximum(X @ self.a.T, 0) @ self.b)

    def sizes(self) -> FloatArray:
        return np.asarray(row_lengths(self.a) * row_lengths(self.b))


def joined(first: Neurons, second: Neurons) -> Neurons:
    """Return both lists as one."""
    return Neurons(
        *(np.concatenate([getattr(first, f.name), getattr(second, f.name)]) for f in dataclasses.fields(Neurons))
    )


def placed(
    X: FloatArray, points: FloatArray, outputs: FloatArray, owner: IntArray, masks: BoolArray | None = None
) -> Neurons:
    """Return neurons at unit vectors, held at the samples whose hyperplanes these lie on.

    `masks` (n, p) are those of the patterns in whose cones they stay.
    """
    products = points @ X.T
    held = (np.abs(products) <= _BORDER * row_lengths(X)) & X.any(axis=1)
    on = products > 0 if masks is None else masks.T[owner]
    return Neurons(points, outputs, on, held, owner)


class NeuronSearch:
    """Newton's method for the neurons of a problem; with masks of patterns (n, p), each in the cone of its owner.

    The penalty of a neuron is beta, times the weight of its owner where the patterns have weights (p,).
    """

    def __init__(
        self, problem: SquaredProblem, masks: BoolArray | None = None, weights: FloatArray | None = None
    ) -> None:
        self.problem = problem
        self.X = problem.X
        self.lengths = row_lengths(problem.X)
        self.masks = masks
        self.weights = weights
        self.n_newton = 0

    def penalties(self, neurons: Neurons) -> FloatArray:
        """Return the penalty of each neuron."""
        if self.weights is None:
            return np.full(len(neurons), self.problem.beta)
        return self.problem.beta * self.weights[neurons.owner]

    def decay(self, neurons: Neurons) -> FloatArray:
        """Return what each neuron costs, over beta, its layers balanced."""
        return self.penalties(neurons) / self.problem.beta * neurons.sizes()

    def objective(self, neurons: Neurons) -> float:
        outputs = neurons.outputs(self.X)
        loss = self.problem.value(outputs + self.problem.best_offset(outputs))
        squares = (neurons.a**2).sum(axis=1) + (neurons.b**2).sum(axis=1)
        return loss + 0.5 * float(self.penalties(neurons) @ squares)

    def residual(self, neurons: Neurons) -> FloatArray:
        outputs = neurons.outputs(self.X)
        return self.problem.residual(outputs + self.problem.best_offset(outputs))

    def added(self, neurons: Neurons, new: Neurons) -> Neurons:
        """Add neurons whose weights are the slopes with which the objective falls, by a search along their sum."""
        new = self._tidy(new)
        slope = float((new.b**2).sum())
        fit = np.maximum(self.X @ new.a.T, 0) @ new.b
        outputs = neurons.outputs(self.X)
        outputs = outputs + self.problem.best_offset(outputs)
        curvature = float(np.vdot(fit, self.problem.curved(outputs, fit)))
        step = slope / max(curvature, np.finfo(float).tiny)
        before = self.objective(neurons)
        for _ in range(40):
            root = np.sqrt(step * row_lengths(new.b))
            grown = dataclasses.replace(
                new, a=root[:, None] * new.a, b=new.b * (step / np.maximum(root, np.finfo(float).tiny))[:, None]
            )
            candidate = joined(neurons, grown)
            if self.objective(candidate) < before:
                return candidate
            step /= 4
        return neurons

    def run(self, neurons: Neurons, tol: float) -> Neurons:
        """Step until the gradient times the neurons is within `tol`, and no held sample is better let go."""
        neurons = self._balanced(self._tidy(neurons))
        value, shift = self.objective(neurons), 0.0
        for _ in range(_MOST_STEPS):
            if not len(neurons):
                break
            bases = self._bases(neurons)
            residual = self.residual(neurons)
            gradient, hessian = self._model(neurons, bases, residual)
            least = float(self.penalties(neurons).min())
            scale = np.sqrt(2 * value / least)
            if float(np.linalg.norm(gradient)) * scale <= tol:
                freed = self._freed(neurons, residual, tol / scale)
                if freed is None:
                    break
                neurons = freed
                continue
            self.n_newton += 1
            step = _solved(hessian, gradient, shift * least)
            predicted = -float(gradient @ step) - 0.5 * float(step @ hessian @ step)
            da, db = self._unpacked(step, bases, neurons)
            trial = self._moved(neurons, residual, da, db, value - _DECREASE * max(predicted, 0.0))
            if trial is None:
                shift = max(8 * shift, _LEAST_SHIFT)
                if shift > _MOST_SHIFT:
                    break
                continue
            shift = 0.0 if shift <= _LEAST_SHIFT else shift / 4
            neurons = self._balanced(self._tidy(trial))
            value = self.objective(neurons)
        return neurons

    def _tidy(self, neurons: Neurons) -> Neurons:
        """Join neurons that are parallel, with the least penalty of one: they cost no more."""
        sizes = neurons.sizes()
        order = np.lexsort([-sizes, self.penalties(neurons)])
        order = order[sizes[order] > 0]
        units = neurons.a / np.maximum(row_lengths(neurons.a), np.finfo(float).tiny)[:, None]
        b, lengths = neurons.b.copy(), row_lengths(neurons.a)
        kept: list[int] = []
        for k in order:
            near = [i for i in kept if units[i] @ units[k] > 1 - _PARALLEL]
            if near:
                b[near[0]] += b[k] * (lengths[k] / lengths[near[0]])
            else:
                kept.append(int(k))
        kept.sort()
        return dataclasses.replace(neurons, b=b).of(np.array(kept, dtype=np.int64))

    def _balanced(self, neurons: Neurons) -> Neurons:
        """Give both layers of a neuron the same length, put it on the hyperplanes it is held at, drop small ones."""
        sizes = neurons.sizes()
        neurons = neurons.of(sizes > _NEGLIGIBLE * sizes.max(initial=0.0))
        a = neurons.a.copy()
        for k, basis in enumerate(self._bases(neurons)):
            a[k] = basis @ (basis.T @ a[k])
        keep = row_lengths(a) > _NEGLIGIBLE * row_lengths(neurons.a)
        neurons = dataclasses.replace(neurons, a=a).of(keep)
        root = np.sqrt(row_lengths(neurons.b) / row_lengths(neurons.a))
        return dataclasses.replace(neurons, a=neurons.a * root[:, None], b=neurons.b / root[:, None])

    def _bases(self, neurons: Neurons) -> list[FloatArray]:
        """Orthonormal bases of what the held samples leave of each a_k."""
        bases = []
        for held in neurons.held:
            rows = self.X[held] / self.lengths[held, None]
            _, values, right = np.linalg.svd(rows)
            bases.append(right[int((values > 1e-9).sum()) :].T)
        return bases

    def _model(self, neurons: Neurons, bases: list[FloatArray], residual: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradient and Hessian in the free coordinates of all a_k, and in the b_k after them."""
        n, c, K = len(self.X), neurons.b.shape[1], len(neurons)
        widths = [basis.shape[1] for basis in bases]
        ends = np.cumsum([0, *widths])
        size = int(ends[-1]) + K * c
        hidden = np.maximum(self.X @ neurons.a.T, 0)
        outputs = hidden @ neurons.b
        outputs = outputs + self.problem.best_offset(outputs)
        J = np.zeros((size, n, c))
        coupling = np.zeros((size, size))
        gradient, diagonal = np.zeros(size), np.zeros(size)
        penalties = self.penalties(neurons)
        for k, basis in enumerate(bases):
            on = neurons.on[k] & ~neurons.held[k]
            rows = np.where(on[:, None], self.X @ basis, 0.0)
            own = slice(ends[k], ends[k + 1])
            out = slice(ends[-1] + k * c, ends[-1] + (k + 1) * c)
            J[own] = rows.T[:, :, None] * neurons.b[k]
            J[out] = hidden[:, k][None, :, None] * np.eye(c)[:, None, :]
            correlation = rows.T @ residual
            diagonal[own] = diagonal[out] = penalties[k]
            gradient[own] = penalties[k] * (basis.T @ neurons.a[k]) - correlation @ neurons.b[k]
            gradient[out] = penalties[k] * neurons.b[k] - hidden[:, k] @ residual
            coupling[own, out] = -correlation
            coupling[out, own] = -correlation.T
        curved = self.problem.curved(outputs, J).reshape(size, -1)
        flat = J.reshape(size, -1)
        hessian = flat @ curved.T + coupling + np.diag(diagonal)
        return gradient, 0.5 * (hessian + hessian.T)

    @staticmethod
    def _unpacked(step: FloatArray, bases: list[FloatArray], neurons: Neurons) -> tuple[FloatArray, FloatArray]:
        ends = np.cumsum([0, *(basis.shape[1] for basis in bases)])
        da = np.array([basis @ step[ends[k] : ends[k + 1]] for k, basis in enumerate(bases)])
        return da.reshape(neurons.a.shape), step[ends[-1] :].reshape(neurons.b.shape)

    def _moved(
        self, neurons: Neurons, residual: FloatArray, da: FloatArray, db: FloatArray, goal: float
    ) -> Neurons | None:
        """Return the neurons after a step, to its end or to the samples that it ends at; None where neither helps."""
        before, after = neurons.a @ self.X.T, (neurons.a + da) @ self.X.T
        touching = np.abs(before) <= _BORDER * self.lengths * row_lengths(neurons.a)[:, None]
        side = np.where(neurons.on, 1.0, -1.0)
        crossed = (side * after < 0) & ~neurons.held & (self.lengths > 0)
        if self.masks is None:
            whole = dataclasses.replace(
                neurons, a=neurons.a + da, b=neurons.b + db, on=np.where(neurons.held, neurons.on, after > 0)
            )
            if self.objective(whole) <= goal:
                return whole
            crossed &= neurons.b @ residual.T < 0
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(crossed, np.where(touching, 0.0, np.clip(before / (before - after), 0.0, 1.0)), np.inf)
        first = share.min(axis=1, initial=np.inf)
        length = np.minimum(first, 1.0)[:, None]
        ending = crossed & (share <= first[:, None])
        a = neurons.a + length * da
        on = neurons.on if self.masks is not None else np.where(neurons.held | ending, neurons.on, a @ self.X.T > 0)
        ended = dataclasses.replace(neurons, a=a, b=neurons.b + length * db, on=on, held=neurons.held | ending)
        reached = self.objective(ended)
        if reached <= goal or (ending.any() and reached <= self.objective(neurons)):
            return ended
        # Samples that a neuron lies on hold it without a step.
        stuck = touching & crossed
        return dataclasses.replace(neurons, held=neurons.held | stuck) if stuck.any() else None

    def _freed(self, neurons: Neurons, residual: FloatArray, tol: float) -> Neurons | None:
        """Let go of the sample of each neuron that is held against the objective most; None where there is none."""
        on, held = neurons.on.copy(), neurons.held.copy()
        penalties = self.penalties(neurons)
        for k in np.flatnonzero(held.any(axis=1)):
            rows = np.flatnonzero(held[k])
            excluded = on[k] & ~held[k] if self.masks is None else on[k]
            slope = penalties[k] * neurons.a[k] - self.X[excluded].T @ (residual[excluded] @ neurons.b[k])
            units = self.X[rows] / self.lengths[rows, None]
            multipliers = -np.linalg.lstsq(units.T, slope, rcond=None)[0]
            if self.masks is None:
                most = -self.lengths[rows] * (residual[rows] @ neurons.b[k])
                below, above = -multipliers, multipliers - most
            else:
                below = np.where(on[k, rows], -np.inf, -multipliers)
                above = np.where(on[k, rows], multipliers, -np.inf)
            excess = np.maximum(below, above)
            worst = int(excess.argmax())
            if excess[worst] > tol:
                held[k, rows[worst]] = False
                on[k, rows[worst]] = above[worst] > below[worst]
        if (held == neurons.held).all():
            return None
        return dataclasses.replace(neurons, on=on, held=held)


def _solved(hessian: FloatArray, gradient: FloatArray, shift: float) -> FloatArray:
    """Return a Newton step; with the eigenvalues' sizes in their place where the Hessian is not positive definite."""
    shifted = hessian + shift * np.eye(len(hessian))
    try:
        factor = np.linalg.cholesky(shifted)
        return -np.asarray(np.linalg.solve(factor.T, np.linalg.solve(factor, gradient)))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(hessian)
        sizes = np.maximum(np.abs(values), 1e-6 * np.abs(values).max()) + shift
        return -np.asarray(vectors @ ((vectors.T @ gradient) / sizes))
