"""ReLU networks over given activation patterns: a convex program with a cone for each, solved to a certified gap."""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._native import core
from ._validation import (
    FloatArray,
    WordArray,
    as_callback,
    as_count,
    as_design,
    as_scalar,
    as_threads,
    checked_patterns,
    result_dtype,
)
from .exceptions import ConvergenceWarning
from .gated_program import Callback
from .patterns import ActivationPatterns
from .pricing import (
    as_relu_layers,
    as_target,
    dual_value,
    network_gap,
    objective_of,
    proved,
)
from .units import ScaledProblem, row_lengths

if TYPE_CHECKING:
    from .network import Network

IntArray = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ReLUSolution:
    """A two-layer ReLU network with its certificate, as :func:`solve_relu` and :func:`train_relu` return it.

    Attributes
    ----------
    beta : float
        Penalty.
    active : ndarray of shape (n_neurons,), int64
        Index of the pattern of every neuron.
    signs : ndarray of shape (n_neurons,), int64
        Sign of its second layer, 1 or -1.
    blocks : ndarray of shape (n_neurons, n_features)
        Its product of layers u: the network is ``f(x) = sum_k signs[k] (x . blocks[k])_+``.
    objective : float
        Objective of the network.
    gap : float
        ``objective - dual_objective``, computed as a sum of non-negative terms.
    relative_gap : float
        The gap relative to the objective of the zero network.
    dual : ndarray of shape (n_samples,)
        The dual point t that proves it: ``|t . (X u)_+| <= beta`` for every unit vector u within the scope.
    scope : {"given patterns", "all patterns"}
        Which networks the certificate is about.
    converged : bool
        Whether the relative gap is within the tolerance.
    n_iter, n_newton, n_rounds, n_nodes : int
        Passes over the patterns, semismooth Newton steps, rounds of column generation, nodes of branch and bound.
    patterns : ActivationPatterns
        The patterns that `active` counts.
    priced_by : {"given patterns", "closed form", "enumeration", "branch and bound"}
        How the dual point was found to be feasible: over the list, or in which of three ways over all patterns.
    dual_objective : float
        No network within the scope has an objective below it: the value of the dual point, or 0.
    """

    beta: float
    active: IntArray
    signs: IntArray
    blocks: npt.NDArray[np.floating[Any]]
    objective: float
    gap: float
    relative_gap: float
    dual: FloatArray
    scope: str
    converged: bool
    n_iter: int
    n_newton: int
    n_rounds: int
    n_nodes: int
    patterns: ActivationPatterns
    priced_by: str = "given patterns"
    dual_objective: float = 0.0

    @property
    def n_neurons(self) -> int:
        """Neurons of the network."""
        return int(self.active.size)

    def predict(self, Z: npt.ArrayLike) -> npt.NDArray[np.floating[Any]]:
        """Evaluate the network.

        Parameters
        ----------
        Z : array_like of shape (m, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (m,)
            ``sum_k signs[k] (z . blocks[k])_+``.
        """
        design = as_design(Z, "Z", self.patterns.n_features)
        values = np.maximum(design @ self.blocks.T.astype(np.float64), 0) @ self.signs
        return values.astype(self.blocks.dtype, copy=False)

    def to_network(self) -> Network:
        """Return the network with balanced layers, ``||w1_j|| = |w2_j|``: its weight decay is the penalty."""
        from .network import Network

        W1, w2 = balanced_layers(self.blocks.astype(np.float64), self.signs)
        return Network(W1, w2)

    def __repr__(self) -> str:
        return (
            f"ReLUSolution(beta={self.beta:.4g}, objective={self.objective:.8g}, relative_gap={self.relative_gap:.1e}, "
            f"{self.n_neurons} neurons, {self.scope})"
        )


def solve_relu(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    patterns: ActivationPatterns,
    beta: float,
    *,
    sample_weight: npt.ArrayLike | None = None,
    warm_start: ReLUSolution | Network | tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    tol: float = 1e-6,
    max_iter: int = 200,
    n_threads: int | None = None,
    callback: Callback | None = None,
) -> ReLUSolution:
    r"""Train a two-layer ReLU network over given patterns to a certified global optimum.

    Solves the convex program [1]_

    .. math::
        \min_{v, w}\; \tfrac12 \Big\| \sum_i D_i X (v_i - w_i) - y \Big\|^2 + \beta \sum_i (\|v_i\| + \|w_i\|),
        \qquad (2 D_i - I) X v_i \ge 0,\; (2 D_i - I) X w_i \ge 0,

    which is the training of ReLU networks whose neurons have these patterns, with weight decay ``beta / 2`` on both
    layers and the loss ``1/2 ||f(X) - y||^2`` without 1/n. Patterns are priced by projections onto their cones, and
    a working set of them is solved by a semismooth Newton augmented Lagrangian method [2]_. The gap is that of the
    actual network, so an inexact constraint cannot flatter it.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        Data matrix. For a bias append a column of ones.
    y : array_like of shape (n_samples,)
        Targets.
    patterns : ActivationPatterns
        Patterns of `X`.
    beta : float
        Penalty, positive.
    sample_weight : array_like of shape (n_samples,), optional
        Weights s_j >= 0 of the loss, ``1/2 sum_j s_j (f(x_j) - y_j)^2``.
    warm_start : ReLUSolution, Network or (W1, w2), optional
        A network to start from; neurons in the cone of none of `patterns` are left out.
    tol : float, default 1e-6
        Duality gap to reach, relative to the objective of the zero network.
    max_iter : int, default 200
        Most passes over all patterns.
    n_threads : int, optional
        Threads; by default what OpenMP would take.
    callback : callable, optional
        Called after every pass with a dict of iteration, objective, gap, relative_gap and active; returning True
        stops with the best certified network so far.

    Returns
    -------
    ReLUSolution
        Its `scope` is "given patterns": for all networks see :func:`train_relu` and :func:`certify`.

    Raises
    ------
    ValueError
        For bad shapes, entries that are not finite, patterns of other data, or settings out of range.
    TypeError
        For arguments of other kinds, such as a `callback` that cannot be called.
    KeyboardInterrupt
        On Ctrl-C.

    Warns
    -----
    ConvergenceWarning
        When `tol` is not reached.

    References
    ----------
    .. [1] Pilanci, M., and Ergen, T. "Neural networks are convex regularizers: exact polynomial-time convex
       optimization formulations for two-layer networks." ICML 2020.
    .. [2] Li, X., Sun, D., and Toh, K.-C. "A highly efficient semismooth Newton augmented Lagrangian method for
       solving lasso problems." SIAM Journal on Optimization 28, 2018.

    Examples
    --------
    >>> import numpy as np, cvxrelu
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((50, 3))
    >>> y = np.abs(X[:, 0])
    >>> patterns = cvxrelu.sample_patterns(X, 50, random_state=0)
    >>> cvxrelu.solve_relu(X, y, patterns, beta=0.5).converged
    True
    """
    as_callback(callback)
    program = ReLUProgram(X, y, beta, n_threads, sample_weight)
    program.append(checked_patterns(patterns, program.design, program.threads))
    if warm_start is not None:
        program.start(warm_start)
    tol = as_scalar(tol, "tol", strict=True)
    stopped = program.solve(tol, as_count(max_iter, "max_iter"), callback)
    solution = program.solution(tol, scope="given patterns")
    if not solution.converged and not stopped:
        warnings.warn(
            f"the duality gap at beta={solution.beta:.4g} is {solution.relative_gap:.1e} relative to the objective at "
            f"zero, above tol={tol:.1e}, after {solution.n_iter} passes: raise max_iter or tol",
            ConvergenceWarning,
            stacklevel=2,
        )
    return solution


class ReLUProgram:
    """The program over patterns that may be appended, in the units of `problem` but for what `solution` returns."""

    def __init__(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        beta: float,
        n_threads: int | None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> None:
        self.dtype = result_dtype(X, y)
        self.design = as_design(X)
        targets = as_target(y, self.design.shape[0])
        self.user_beta = as_scalar(beta, "beta", strict=True)
        self.threads = as_threads(n_threads)
        self.problem = ScaledProblem(self.design, targets, self.user_beta, sample_weight)
        self.X, self.y, self.beta = self.problem.X, self.problem.y, self.problem.beta
        self.core = core.ConeProgram(self.X, self.y, self.threads)
        self.words: WordArray = np.zeros((0, (self.X.shape[0] + 63) // 64), dtype=np.uint64)
        self.gates: FloatArray = np.zeros((0, self.X.shape[1]))
        self.point: dict[str, Any] = {}
        self.n_iter = 0
        self.n_newton = 0

    def append(self, patterns: ActivationPatterns) -> None:
        words = np.ascontiguousarray(patterns.words)
        self.core.append(words)
        if not self.problem.root.all():
            # Rows without weight ask for nothing, and pricing does not know their bits.
            own, _ = core.pack_patterns(self.design, np.ascontiguousarray(patterns.gates), self.threads)
            ignored, _ = core.pack_patterns(-self.problem.root[:, None], np.ones((1, 1)), self.threads)
            words = (words & ~ignored) | (own & ignored)
        self.words = np.vstack([self.words, words])
        self.gates = np.vstack([self.gates, patterns.gates])

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
        """y - f(X) of the last solve."""
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
        values = self._as_returned(blocks)
        rounded = self.problem.scaled_blocks(values.astype(np.float64))
        objective, lower, gap = evaluate(self.X, self.y, rounded, signs, theta, self.beta)
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
        )

    def _as_returned(self, blocks: FloatArray) -> npt.NDArray[np.floating[Any]]:
        """Return blocks in the user's units, in the type of the data; raise where that does not hold them."""
        values = self.problem.blocks(blocks)
        largest = float(np.abs(values).max(initial=0.0))
        limits = np.finfo(self.dtype)
        if blocks.any() and not float(limits.tiny) <= largest <= float(limits.max):
            raise ValueError(
                f"the weights of the network are not within the range of {np.dtype(self.dtype).name}: "
                "y and X are too far apart, scale one of them"
            )
        return np.ascontiguousarray(values.astype(self.dtype))


def evaluate(
    X: FloatArray, y: FloatArray, blocks: FloatArray, signs: IntArray, theta: FloatArray, beta: float
) -> tuple[float, float, float]:
    """Return the objective of a network given by blocks, the bound of a feasible dual point, and the gap between."""
    lengths = row_lengths(blocks)
    residual = y - np.maximum(X @ blocks.T, 0) @ signs
    objective = objective_of(residual, lengths, beta)
    gap = network_gap(X, residual, theta, blocks, signs.astype(np.float64), lengths, beta)
    return objective, *proved(objective, dual_value(y, theta), gap)


def balanced_layers(blocks: FloatArray, signs: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return (W1, w2) with ``w1_j |w2_j| = u_j`` and ``||w1_j|| = |w2_j|``."""
    root = np.sqrt(row_lengths(blocks))
    keep = root > 0
    return blocks[keep] / root[keep, None], root[keep] * signs[keep]


def relu_blocks(X: FloatArray, network: Any, n_threads: int) -> tuple[FloatArray, IntArray, WordArray]:
    """Return the blocks u = |w2| w1 of a network's neurons, signs, and the packed patterns 1[X u >= 0].

    Neurons of one sign that share a pattern may be added up: the function on `X` stays and the penalty does not grow.
    """
    if isinstance(network, ReLUSolution):
        blocks, signs = network.blocks.astype(np.float64), network.signs
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


def prune_lengths(outputs: FloatArray, lengths: FloatArray) -> FloatArray:
    """Return lengths with at most rank(outputs) non-zeros that give the same combination and no larger sum.

    `outputs` has a column for each neuron, its output per unit length. A null combination moves the lengths until
    one is zero, in the direction in which their sum falls fastest; at an optimum the sum cannot change.
    """
    lengths = lengths.copy()
    if lengths.size < outputs.shape[0]:
        outputs = np.asarray(np.linalg.qr(outputs, mode="r"), dtype=np.float64)  # has the same null combinations
    _, values, right = np.linalg.svd(outputs, full_matrices=outputs.shape[0] < lengths.size)
    null = right[int((values > 1e-12 * values.max(initial=0.0)).sum()) :].T.copy()
    null = _vanishing_on(null, lengths <= 0)
    while null.shape[1]:
        falling = null @ null.sum(axis=0)
        direction = -falling if np.abs(falling).max() > 1e-9 else null[:, 0]
        if not (direction < 0).any():
            direction = -direction
        shrinking = np.flatnonzero(direction < 0)
        ratios = lengths[shrinking] / -direction[shrinking]
        lengths = np.maximum(lengths + ratios.min() * direction, 0)
        lengths[shrinking[ratios.argmin()]] = 0
        lengths[lengths <= 1e-15 * lengths.max()] = 0
        null = _vanishing_on(null, (lengths == 0) & null.any(axis=1))
    return lengths


def _vanishing_on(basis: FloatArray, rows: npt.NDArray[np.bool_]) -> FloatArray:
    """Return an orthonormal basis of the part of a column space, given by one, that is zero on some rows."""
    for row in np.flatnonzero(rows):
        size = float(np.linalg.norm(basis[row]))
        if basis.shape[1] and size > 1e-12:
            # The reflection that turns the row into a multiple of its first entry; that column leaves.
            mirror = basis[row].copy()
            mirror[0] += np.copysign(size, mirror[0])
            basis = (basis - np.outer(basis @ mirror, 2 / (mirror @ mirror) * mirror))[:, 1:]
        basis[row] = 0
    return basis
