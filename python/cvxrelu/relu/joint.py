"""ReLU networks with several outputs, whose neurons serve all of them: trained together to a certified gap."""

from __future__ import annotations

import dataclasses
import os
import time
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import (
    FloatArray,
    IntArray,
    as_design,
    as_scalar,
    as_targets,
    as_threads,
    as_weights,
    result_dtype,
)
from ..base.callbacks import Callback
from ..base.native import core
from ..base.scaling import row_lengths
from ..exceptions import ConvergenceWarning
from ..networks.network import Network
from ..patterns.checks import checked_patterns
from ..patterns.patterns import ActivationPatterns
from .checkpoint import GenerationCheckpoint
from .layers import as_relu_layers
from .neurons import Neurons, NeuronSearch, placed
from .output_tree import MOST_FEATURES
from .pricer import DualNorm, Pricer
from .problem import pose_relu
from .program import evaluate, returned_blocks
from .solution import ReLUSolution, balanced_layers

_MOST_NEW = 20  # neurons in a round

_APART = 0.9999  # largest cosine of neurons that join together

_INNER_SHARE = 0.01  # of the tolerance, to which the neurons are trained

_SHARPENING, _LEAST_SHARE = 0.01, 1e-13  # of that, where the gap asks for more, and what it is not made less than

_LEVEL_SHARE = 0.5  # of the tolerance, which the dual norm of the residual may cost

_MOST_IDLE = 4  # rounds whose neurons do not improve the objective: then rounding decides

_IDLE = 1e-13  # of the objective


class JointTraining:
    """Rounds of training the neurons and of looking for directions u with ||R' (X u)_+|| > beta, R the residual.

    Over given patterns neurons stay in their cones, and directions are those within them.
    """

    def __init__(
        self,
        X: npt.ArrayLike,
        Y: npt.ArrayLike,
        beta: float,
        patterns: ActivationPatterns | None = None,
        *,
        sample_weight: npt.ArrayLike | None = None,
        group_weights: npt.ArrayLike | None = None,
        unpenalised: npt.ArrayLike | str | None = None,
        loss: str = "squared",
        delta: float = 1.0,
        n_threads: int | None = None,
        max_nodes: int = 1_000_000,
        pricing: str = "auto",
        max_seconds: float = np.inf,
    ) -> None:
        self.dtype = result_dtype(X, Y)
        self.design = as_design(X)
        targets = as_targets(Y, self.design.shape[0])
        self.user_beta = as_scalar(beta, "beta", strict=True)
        self.threads = as_threads(n_threads)
        settings: dict[str, Any] = {"sample_weight": sample_weight, "unpenalised": unpenalised}
        self.problem = pose_relu(self.design, targets, self.user_beta, loss=loss, delta=delta, **settings)
        if patterns is not None and self.design.shape[1] > MOST_FEATURES:
            raise ValueError(
                f"several outputs over given patterns are for up to {MOST_FEATURES} features, not "
                f"{self.design.shape[1]}: the cones of patterns are subdivided. Use train_relu, over all patterns"
            )
        self.patterns = None if patterns is None else checked_patterns(patterns, self.design, self.threads)
        self.weights: FloatArray | None = None
        if group_weights is not None and self.patterns is not None:
            self.weights = as_weights(group_weights, len(self.patterns), "group_weights", positive=True)
        masks = None if self.patterns is None else self.patterns.to_dense()
        self.search = NeuronSearch(self.problem, masks, self.weights)
        self.n_features = self.design.shape[1]
        deadline = time.monotonic() + max_seconds
        self.pricer = Pricer(self.problem.X, self.threads, max_nodes=max_nodes, deadline=deadline, method=pricing)
        self.neurons = Neurons.none(self.problem)
        self.norm: DualNorm | None = None
        self.scope = "given patterns"
        # The best dual point so far within the scope, what it proves, and how it was found to be feasible.
        self.dual: FloatArray = np.zeros_like(self.problem.y)
        self.proved, self.priced_by = 0.0, "closed form"
        self.n_rounds = self.n_nodes = 0
        self.promised = 0.0  # a share of what the directions at hand may gain
        self.stopped = False
        self.checkpoint: tuple[GenerationCheckpoint, np.random.Generator] | None = None

    def start(self, network: ReLUSolution | Network | tuple[npt.ArrayLike, npt.ArrayLike]) -> None:
        """Start from the neurons of a network, over given patterns from those within their cones."""
        given: Any = network
        if isinstance(network, ReLUSolution):
            given = balanced_layers(network.blocks.astype(np.float64), network.signs)
        W1, W2, _ = as_relu_layers(given, self.design.shape[1], several=True, name="warm_start")
        for found, wanted in ((W1, self.design), (W2, self.problem.y)):
            if found.shape[1] != wanted.shape[1]:
                what = "features" if wanted is self.design else "outputs"
                raise ValueError(f"warm_start has {found.shape[1]} {what}, but the data have {wanted.shape[1]}")
        a, b = self.problem.scaled_layer(W1), self.problem.scaled_layer(W2)
        keep = a.any(axis=1) & b.any(axis=1)
        a, b = a[keep], b[keep]
        sizes = row_lengths(a)
        new = self._placed(a / sizes[:, None], b * sizes[:, None])
        root = np.sqrt(row_lengths(new.b))[:, None]
        self.neurons = Neurons(new.a * root, new.b / root, new.on, new.held, new.owner)

    def keep_in(self, path: str | os.PathLike[str], rng: np.random.Generator) -> None:
        """Save every round, and go on from what is there."""
        file = GenerationCheckpoint(path, self.problem, self.user_beta)
        saved = file.load()
        if saved is not None:
            finished, _ = saved
            self.start(finished)
            self.n_rounds, self.n_nodes = finished.n_rounds, finished.n_nodes
        self.checkpoint = file, rng

    def run(
        self, tol: float, max_rounds: int, starts: FloatArray, callback: Callback | None, *, everywhere: bool = True
    ) -> None:
        """Train until no direction is above what the tolerance allows; `everywhere` says that all are searched."""
        problem = self.problem
        best, idle = np.inf, 0
        final = _INNER_SHARE * tol * problem.at_zero
        self.scope = "all patterns" if self.patterns is None and everywhere else "given patterns"
        while True:
            aim = max(final, self.promised)
            self.neurons = self.search.run(self.neurons, aim)
            objective = self.search.objective(self.neurons)
            idle = 0 if objective < best - _IDLE * max(best, problem.at_zero) or best == np.inf else idle + 1
            best = min(best, objective)
            residual = self.search.residual(self.neurons)
            if self.checkpoint is not None:
                file, rng = self.checkpoint
                file.save(self.so_far(tol), rng)
            if callback is not None:
                self.stopped = bool(callback(self._told(tol)))
            late = time.monotonic() >= self.pricer.deadline
            if self.stopped or late or idle == _MOST_IDLE or self.n_rounds >= max_rounds:
                break
            self.n_rounds += 1
            new = self._violating(residual, self._level(tol), starts)
            if not len(new):
                if aim == final:
                    # Neurons that are small beside others have small gradients, whatever they are worth.
                    if final <= _LEAST_SHARE * problem.at_zero or self._within(tol):
                        break
                    final *= _SHARPENING
                self.norm = None  # the neurons at hand to the end, then once more
            else:
                self.neurons = self.search.added(self.neurons, new)
        if self.stopped and self.patterns is None:
            self.scope = "given patterns"
        if self.norm is None:
            listed = None if self.scope == "all patterns" else self._patterns()[1]
            level = self._level(tol)
            accuracy = max(level / problem.beta - 1, 1e-10)
            self.pricer.deadline = max(self.pricer.deadline, time.monotonic() + 1)
            self.norm = self.pricer.over_outputs(residual, level, listed, weights=self.weights, accuracy=accuracy)
            self.n_nodes += self.norm.n_nodes

    def _told(self, tol: float) -> dict[str, Any]:
        """Return what a callback is told: the network so far with the best bound so far."""
        finished = self.so_far(tol)
        return {
            "iteration": self.n_rounds,
            "objective": finished.objective,
            "gap": finished.gap,
            "relative_gap": finished.relative_gap,
            "active": len(self.neurons),
            "finished": finished,
        }

    def _level(self, tol: float) -> float:
        outputs = self.neurons.outputs(self.problem.X)
        size = float(self.search.decay(self.neurons).sum())
        return self.problem.pricing_threshold(outputs + self.problem.best_offset(outputs), size, _LEVEL_SHARE * tol)

    def _violating(self, residual: FloatArray, level: float, starts: FloatArray) -> Neurons:
        """Return neurons of unit length in directions above the level, their outputs the slopes of the objective."""
        points = np.zeros((0, self.problem.X.shape[1]))
        if self.patterns is None:
            units = self.neurons.a / np.maximum(row_lengths(self.neurons.a), np.finfo(float).tiny)[:, None]
            points, values = self.pricer.climbed(residual, np.vstack([starts, units]))
            points = points[np.argsort(-values, kind="stable")[: int((values > level).sum())]]
        if not len(points) and self.pricer.outputs_are_subdivided():
            listed = None if self.scope == "all patterns" else self._patterns()[1]
            points, norm = self.pricer.directions_above(residual, level, listed, self.weights)
            self.n_nodes += norm.n_nodes
            self._keep(residual, norm)
            if norm.exact and not len(points):
                self.norm = norm
            if self.patterns is None and len(points):
                points, _ = self.pricer.climbed(residual, points)
        chosen: list[int] = []
        for k in range(len(points)):
            if len(chosen) < _MOST_NEW and (not chosen or (points[chosen] @ points[k]).max() < _APART):
                chosen.append(k)
        points = points[chosen]
        new = self._placed(points, np.maximum(points @ self.problem.X.T, 0) @ residual)
        sizes = np.maximum(row_lengths(new.b), np.finfo(float).tiny)
        above = np.maximum(1 - self.search.penalties(new) / sizes, 0.0)
        excess = float((sizes * above).max(initial=0.0))
        self.promised = _INNER_SHARE * excess * float(self.neurons.sizes().sum())
        return dataclasses.replace(new, b=new.b * above[:, None])

    def _keep(self, residual: FloatArray, norm: DualNorm) -> None:
        """Keep a multiple of the residual as the dual point, where it proves more within a scope that will not grow."""
        if self.scope == "given patterns" and self.patterns is None:
            return
        theta = self.problem.feasible(residual, norm.bound)
        proved = self.problem.dual_value(theta)
        if proved > self.proved:
            self.dual, self.proved, self.priced_by = theta, proved, norm.priced_by

    def _placed(self, points: FloatArray, outputs: FloatArray) -> Neurons:
        """Return neurons at unit vectors, over given patterns those within one's cone."""
        if self.search.masks is None:
            return placed(self.problem.X, points, outputs, np.zeros(0, dtype=np.int64))
        masks = self.search.masks
        products = self.problem.X @ points.T / np.maximum(self.search.lengths, np.finfo(float).tiny)[:, None]
        outside = (~masks).T @ np.maximum(products, 0) + masks.T @ np.maximum(-products, 0)
        near = outside <= 1e-9 * len(products)
        weights = np.ones((masks.shape[1], 1)) if self.weights is None else self.weights[:, None]
        cheapest = near & (weights <= np.where(near, weights, np.inf).min(axis=0, initial=np.inf))
        owner = np.where(cheapest, outside, np.inf).argmin(axis=0)
        inside = near.any(axis=0)
        return placed(self.problem.X, points[inside], outputs[inside], owner[inside], masks)

    def _within(self, tol: float) -> bool:
        """Say whether the last search proves the neurons at hand to the tolerance; without one it is so."""
        return self.norm is None or self._proved(tol).converged

    def _proved(self, tol: float) -> ReLUSolution:
        assert self.norm is not None
        theta = self.problem.feasible(self.search.residual(self.neurons), self.norm.bound)
        return self._certified(tol, theta, self.norm.priced_by)

    def solution(self, tol: float) -> ReLUSolution:
        """Return the network with its certificate; warn where the gap is above the tolerance."""
        assert self.norm is not None
        solution = self._proved(tol)
        if not solution.converged and not self.stopped:
            outlook = f" ({self.norm.outlook})" if self.norm.outlook else ""
            warnings.warn(
                f"the duality gap over {solution.scope} is {solution.relative_gap:.1e} relative to the objective at "
                f"zero, above tol={tol:.1e}, after {self.n_rounds} rounds: raise the limits, or tol{outlook}",
                ConvergenceWarning,
                stacklevel=3,
            )
        return solution

    def so_far(self, tol: float) -> ReLUSolution:
        """Return the network at hand with the best bound that a search has proved yet, none before the first."""
        return self._certified(tol, self.dual, self.priced_by)

    def _certified(self, tol: float, theta: FloatArray, priced_by: str) -> ReLUSolution:
        problem, neurons = self.problem, self.neurons
        sizes = row_lengths(neurons.b)[:, None]
        values = returned_blocks(problem, neurons.a * sizes, self.dtype)
        signs = neurons.b / sizes
        rounded = problem.scaled_blocks(values.astype(np.float64))
        outputs = np.maximum(problem.X @ rounded.T, 0) @ signs
        gamma = problem.best_coefficients(outputs) if problem.basis.size else np.zeros((0, outputs.shape[1]))
        weights = self.search.penalties(neurons) / problem.beta
        decay = weights * row_lengths(rounded) * row_lengths(signs)
        objective, lower, gap = evaluate(problem, (rounded, signs), problem.basis @ gamma, theta, decay)
        relative = gap / problem.at_zero if problem.at_zero > 0 else problem.objective(gap)
        active, patterns = self._patterns()
        return ReLUSolution(
            beta=self.user_beta,
            active=active,
            signs=signs,
            blocks=values,
            objective=problem.objective(objective),
            gap=problem.objective(gap),
            relative_gap=relative,
            dual=problem.dual(theta),
            scope=self.scope,
            converged=relative <= tol,
            n_iter=self.n_rounds,
            n_newton=self.search.n_newton,
            n_rounds=self.n_rounds,
            n_nodes=self.n_nodes,
            patterns=patterns,
            priced_by=priced_by,
            dual_objective=problem.objective(lower),
            loss=problem.loss.name,
            unpenalised_coef=problem.coefficients(gamma),
            unpenalised_map=problem.linear_map(self.design),
        )

    def _patterns(self) -> tuple[IntArray, ActivationPatterns]:
        """Return the pattern of each neuron, and the list of them: where none are given, of cells that it borders."""
        if self.patterns is not None:
            return self.neurons.owner, self.patterns
        neurons, X = self.neurons, self.problem.X
        rng = np.random.default_rng(0)
        gates = neurons.a / np.maximum(row_lengths(neurons.a), np.finfo(float).tiny)[:, None]
        products = np.abs(gates @ X.T) / np.maximum(self.search.lengths, np.finfo(float).tiny)
        room = np.where(neurons.held | (self.search.lengths == 0), 1.0, products).min(axis=1, initial=1.0)
        aside = rng.standard_normal(gates.shape)
        gates = np.ascontiguousarray(gates + 0.5 * (room / row_lengths(aside))[:, None] * aside)
        words, _ = core.pack_patterns(self.design, gates, self.threads)
        _, first, active = np.unique(words, axis=0, return_index=True, return_inverse=True)
        listed = ActivationPatterns(gates=gates[first], words=words[first], n_samples=len(self.design))
        return np.asarray(active, dtype=np.int64).reshape(-1), listed
