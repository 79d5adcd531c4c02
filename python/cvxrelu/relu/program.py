"""The ReLU program in the core's terms."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import (
    FloatArray,
    IntArray,
    WordArray,
    as_design,
    as_scalar,
    as_targets,
    as_threads,
    as_weights,
    result_dtype,
)
from ..base.bounds import proved
from ..base.callbacks import Callback
from ..base.native import core
from ..base.scaling import row_lengths, shifted
from ..networks.network import Network
from ..networks.pruning import prune_lengths
from ..patterns.patterns import ActivationPatterns
from .layers import as_columns, as_relu_layers
from .problem import SquaredProblem, pose_relu
from .solution import ReLUSolution


class ReLUProgram:
    """The program over patterns that may be appended, in the units of `problem` but for what `solution` returns.

    It has one output.
    """

    def __init__(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        beta: float,
        n_threads: int | None,
        *,
        sample_weight: npt.ArrayLike | None = None,
        loss: str = "squared",
        delta: float = 1.0,
        unpenalised: npt.ArrayLike | str | None = None,
        ridge: float = 0.0,
    ) -> None:
        self.dtype = result_dtype(X, y)
        self.design = as_design(X)
        targets = np.ascontiguousarray(as_targets(y, self.design.shape[0]).reshape(-1))
        self.user_beta = as_scalar(beta, "beta", strict=True)
        self.threads = as_threads(n_threads)
        self.problem = pose_relu(
            self.design,
            targets,
            self.user_beta,
            sample_weight=sample_weight,
            unpenalised=unpenalised,
            loss=loss,
            delta=delta,
        )
        problem = self.problem
        self.X, self.beta = problem.X, problem.beta
        # Objectives over squares of blocks, in the user's units over that in these.
        ridge_order = 2 * problem.X_order + problem.dual_order - problem.y_order
        self.ridge = shifted(as_scalar(ridge, "ridge"), -ridge_order)
        self.core = core.ConeProgram(
            self.X,
            problem.y,
            problem.weights,
            problem.loss.core_name,
            problem.loss.delta,
            problem.basis,
            self.ridge,
            self.threads,
        )
        self.words: WordArray = np.zeros((0, (self.X.shape[0] + 63) // 64), dtype=np.uint64)
        self.gates: FloatArray = np.zeros((0, self.X.shape[1]))
        self.omega: FloatArray = np.zeros(0)
        self.point: dict[str, Any] = {}
        self.n_iter = 0
        self.n_newton = 0

    def append(self, patterns: ActivationPatterns, group_weights: npt.ArrayLike | None = None) -> None:
        words = np.ascontiguousarray(patterns.words)
        omega = (
            np.ones(len(words))
            if group_weights is None
            else as_weights(group_weights, len(words), "group_weights", positive=True)
        )
        self.core.append(words, omega)
        if not self.problem.root.all():
            # Rows without weight ask for nothing, and pricing does not know their bits.
            own, _ = core.pack_patterns(self.design, np.ascontiguousarray(patterns.gates), self.threads)
            ignored, _ = core.pack_patterns(-self.problem.root[:, None], np.ones((1, 1)), self.threads)
            words = (words & ~ignored) | (own & ignored)
        self.words = np.vstack([self.words, words])
        self.gates = np.vstack([self.gates, patterns.gates])
        self.omega = np.append(self.omega, omega)

    def beta_max(self) -> float:
        """Return the smallest penalty whose solution over the present patterns is zero, in the user's units."""
        return shifted(self.core.beta_max(), self.problem.X_order + self.problem.dual_order)

    def start(self, network: ReLUSolution | Network | tuple[npt.ArrayLike, npt.ArrayLike]) -> None:
        """Start from the neurons of a network that have listed patterns."""
        blocks, signs, words = self.blocks_of(network)
        owners = self._owners(blocks, words)
        chosen = np.flatnonzero(owners >= 0)
        self.core.start(
            owners[chosen].tolist(),
            signs[chosen].tolist(),
            np.asfortranarray(blocks[chosen].T),
        )

    def blocks_of(
        self, network: ReLUSolution | Network | tuple[npt.ArrayLike, npt.ArrayLike]
    ) -> tuple[FloatArray, IntArray, WordArray]:
        """Return the blocks of a network's neurons, signs, and the packed patterns 1[X u >= 0]."""
        if isinstance(network, ReLUSolution):
            blocks, signs, words = relu_blocks(self.X, network, self.threads)
            return self.problem.scaled_blocks(blocks), signs, words
        W1, w2, _ = as_relu_layers(network, self.X.shape[1], name="warm_start")
        layers = self.problem.scaled_layer(W1), self.problem.scaled_layer(w2)
        return relu_blocks(self.X, layers, self.threads)

    def _owners(self, blocks: FloatArray, words: WordArray) -> IntArray:
        """Return a listed pattern whose closed cone holds each block, up to rounding; -1 where there is none.

        Optimal blocks lie on the faces of their cones, where rounding decides the pattern 1[X u >= 0].
        """
        index = {row.tobytes(): i for i, row in enumerate(self.words)}
        owners = np.array([index.get(row.tobytes(), -1) for row in words], dtype=np.int64)
        lost = np.flatnonzero(owners < 0)
        if lost.size:
            masks = ActivationPatterns(gates=self.gates, words=self.words, n_samples=self.X.shape[0]).to_dense()
            norms = row_lengths(self.X)[:, None]
            products = self.X @ blocks[lost].T / np.where(norms > 0, norms, 1)
            outside = (~masks).T @ np.maximum(products, 0) + masks.T @ np.maximum(-products, 0)
            nearest = outside.argmin(axis=0)
            near = outside[nearest, np.arange(lost.size)] <= 1e-9 * row_lengths(blocks[lost])
            owners[lost[near]] = nearest[near]
        return owners

    def solve(self, tol: float, max_iter: int, callback: Callback | None) -> bool:
        """Solve over the present patterns; returns whether the callback asked to stop."""
        self.point = self.core.solve(self.beta, tol, max_iter, self._in_user_units(callback))
        self.n_iter += self.point["n_iter"]
        self.n_newton += self.point["n_newton"]
        return bool(self.point["stopped"])

    def prune(self) -> None:
        """Leave no more neurons than their outputs have dimensions: the same fit, and no larger penalty."""
        blocks, signs = self.point["blocks"].T, self.point["signs"]
        lengths = row_lengths(blocks)
        if lengths.size < 2:
            return
        units = blocks / lengths[:, None]
        pruned = prune_lengths(np.maximum(self.X @ units.T, 0) * signs, lengths)
        keep = np.flatnonzero(pruned > 0)
        if keep.size == lengths.size:
            return
        kept = {
            "blocks": np.asfortranarray((units[keep] * pruned[keep, None]).T),
            "signs": signs[keep],
            "active": self.point["active"][keep],
        }
        self.point |= kept
        self.core.start(kept["active"].tolist(), kept["signs"].tolist(), kept["blocks"])

    def _in_user_units(self, callback: Callback | None) -> Callback | None:
        if callback is None:
            return None

        def scaled(progress: dict[str, Any]) -> bool | None:
            return callback(progress | {key: self.problem.objective(progress[key]) for key in ("objective", "gap")})

        return scaled

    @property
    def residual(self) -> FloatArray:
        """Minus the gradient of the loss, y - f(X) for the squared one, of the last solve."""
        residual: FloatArray = self.point["residual"]
        return residual

    def blocks(self) -> tuple[FloatArray, IntArray, IntArray]:
        """Return blocks, signs and patterns of the last solve."""
        return self.point["blocks"].T, self.point["signs"], self.point["active"]

    def solution(
        self,
        tol: float,
        *,
        scope: str,
        dual: FloatArray | None = None,
        n_rounds: int = 0,
        n_nodes: int = 0,
        priced_by: str = "given patterns",
    ) -> ReLUSolution:
        """Return the last solve with the gap of the network as it is returned."""
        blocks, signs, active = self.blocks()
        theta: FloatArray = self.point["dual"] if dual is None else dual
        excess = (self.point["own_excess"], self.point["other_excess"]) if self.ridge > 0 else (0.0, 0.0)
        values = returned_blocks(self.problem, blocks, self.dtype)
        rounded = self.problem.scaled_blocks(values.astype(np.float64))
        gamma = self.point["unpenalised"]
        lengths = row_lengths(rounded)
        decay = self.omega[active] * lengths + 0.5 * self.ridge / self.beta * lengths**2
        objective, lower, gap = evaluate(
            self.problem, (rounded, signs.astype(np.float64)), self.problem.basis @ gamma, theta, decay, excess
        )
        scaled, at_zero = self.problem.objective, self.problem.at_zero
        relative = gap / at_zero if at_zero > 0 else scaled(gap)
        return ReLUSolution(
            beta=self.user_beta,
            active=active,
            signs=signs,
            blocks=values,
            objective=scaled(objective),
            gap=scaled(gap),
            relative_gap=relative,
            dual=self.problem.dual(theta),
            scope=scope,
            converged=relative <= tol,
            n_iter=self.n_iter,
            n_newton=self.n_newton,
            n_rounds=n_rounds,
            n_nodes=n_nodes,
            patterns=ActivationPatterns(gates=self.gates.copy(), words=self.words.copy(), n_samples=self.X.shape[0]),
            priced_by=priced_by,
            dual_objective=scaled(lower),
            loss=self.problem.loss.name,
            unpenalised_coef=self.problem.coefficients(gamma),
            unpenalised_map=self.problem.linear_map(self.design),
        )


def returned_blocks(
    problem: SquaredProblem, blocks: FloatArray, dtype: type[np.floating[Any]]
) -> npt.NDArray[np.floating[Any]]:
    """Return blocks in the user's units, in the type of the data; raise where that does not hold them."""
    values = problem.blocks(blocks)
    largest = float(np.abs(values).max(initial=0.0))
    limits = np.finfo(dtype)
    if blocks.any() and not float(limits.tiny) <= largest <= float(limits.max):
        raise ValueError(
            f"the weights of the network are not within the range of {np.dtype(dtype).name}: "
            "y and X are too far apart, scale one of them"
        )
    return np.ascontiguousarray(values.astype(dtype))


def evaluate(
    problem: SquaredProblem,
    layers: tuple[FloatArray, FloatArray],
    offset: FloatArray,
    theta: FloatArray,
    decay: FloatArray,
    excess: tuple[FloatArray | float, float] = (0.0, 0.0),
) -> tuple[float, float, float]:
    """Return a network's objective, the bound of a dual point, and the gap between as a sum of non-negative terms.

    `layers` are (W1, W2), `offset` is what the unpenalised columns add to the outputs, `decay` is the penalty of each
    neuron over beta, and `excess` is what the dual point exceeds its constraints by, as a ridge lets it, in the cone of
    each neuron and summed over the others. The objective is infinite where it is above what float64 holds.
    """
    W1, W2 = layers
    own, others = excess
    with np.errstate(over="ignore", invalid="ignore"):
        hidden = np.maximum(problem.X @ W1.T, 0)
        outputs = hidden @ W2 + offset
        objective = problem.value(outputs) + problem.beta * float(decay.sum())
    if not objective < np.inf:  # infinite terms of both signs make it nan
        return np.inf, *proved(np.inf, problem.dual_value(theta), np.inf)
    earned = as_columns(W2 * (hidden.T @ theta)).sum(axis=1)
    gap = problem.divergence(outputs, theta) + float(np.maximum(problem.beta * decay - earned + own, 0).sum()) + others
    return objective, *proved(objective, problem.dual_value(theta) - float(np.sum(own)) - others, gap)


def relu_blocks(X: FloatArray, network: Any, n_threads: int) -> tuple[FloatArray, IntArray, WordArray]:
    """Return the blocks u = |w2| w1 of a network's neurons, signs, and the packed patterns 1[X u >= 0].

    Neurons of one sign that share a pattern may be added up: the function on `X` stays and the penalty does not grow.
    """
    if isinstance(network, ReLUSolution):
        if network.signs.ndim != 1:
            raise ValueError(f"warm_start has {network.signs.shape[1]} outputs, but y has one")
        blocks, signs = network.blocks.astype(np.float64), network.signs.astype(np.int64)
        if blocks.shape[1] != X.shape[1]:
            raise ValueError(f"warm_start has {blocks.shape[1]} features, but X has {X.shape[1]}")
        words = network.patterns.words[network.active]
        if words.shape[1] != (X.shape[0] + 63) // 64:
            raise ValueError(f"warm_start belongs to {network.patterns.n_samples} samples, but X has {X.shape[0]}")
        return blocks, signs, words
    W1, w2, _ = as_relu_layers(network, X.shape[1], name="warm_start")
    if W1.shape[1] != X.shape[1]:
        raise ValueError(f"warm_start has {W1.shape[1]} features, but X has {X.shape[1]}")
    blocks = np.ascontiguousarray(np.abs(w2)[:, None] * W1)
    keep = blocks.any(axis=1)
    blocks, signs = blocks[keep], np.where(w2[keep] > 0, 1, -1).astype(np.int64)
    words, _ = core.pack_patterns(X, blocks, n_threads)
    return blocks, signs, words
