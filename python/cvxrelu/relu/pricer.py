"""Upper bounds on the dual norm max_u |t . (X u)_+|: in closed form, cell by cell, and by two kinds of trees."""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Sequence

import numpy as np

from ..arrangement.cells import pattern_bound
from ..arrangement.enumerate import iter_patterns
from ..base.arrays import FloatArray, WordArray
from ..base.bounds import masked_norm_bound, sums_of_rows
from ..base.native import core
from ..base.scaling import binary_order, shifted
from ..patterns.patterns import ActivationPatterns
from .output_tree import MOST_FEATURES, OutputTree

_CELLS_IN_A_CHUNK = 1 << 14

# Costs, in cone projections: a node of the tree over directions; its nodes for d features, near an optimum.
_PROJECTIONS_OF_A_DIRECTION = 2
_DIRECTIONS_OF_ONE_FEATURE = 8
_GROWTH_WITH_A_FEATURE = 5

DIRECTIONS_FOR_A_NODE = 10  # that cost no more than a node of the tree over rows

# A search for directions above the level first looks for walks' starts above a share of it, at a coarse accuracy.
_SHARE_OF_THE_LEVEL = 0.6
_COARSE = 0.3

_MOST_VIOLATED = 50  # patterns that one search returns

_COLUMN_ACCURACY = 1e-3  # of the bound for one of several outputs

_WALKS_FOR_A_LEVEL = 40  # that tell about how large that maximum is

_MOST_TURNS = 30  # of the outputs' direction in a climb
_TURNED = 1e-7  # of the value, below which a turn was the last

_ACCURACY = 1e-9  # of bounds that nothing is said about


@dataclasses.dataclass(frozen=True)
class _Aim:
    """How good a bound is to be."""

    accuracy: float
    until_violated: bool


@dataclasses.dataclass(frozen=True, eq=False)
class DualNorm:
    """An upper bound on max_u |t . (X u)_+| over unit vectors u, and how it was found."""

    bound: float
    exact: bool  # it is at most the level that was asked for, or as low as can be
    priced_by: str
    n_nodes: int = 0
    violated: WordArray | None = None  # packed patterns in whose cones it is above the level
    outlook: str = ""  # what more would cost, where a limit ended the search


class Pricer:
    """Upper bounds on max_u |t . (X u)_+|: in closed form, over listed patterns, or over all of them.

    Costs are counted in cone projections. An enumeration takes one for each cell. A tree over rows takes two for every
    sample in a node, and nodes that double with every sample of one sign of t, at worst. A tree over directions has
    nodes of one or two, about five times as many with each feature, whatever the number of samples. The cheapest is
    taken. When a tree has cost as much as an enumeration, and `max_nodes` allows more, enumeration takes over.

    The maximum is homogeneous in X and in t. Powers of two are taken out of both where the squares of t_j x_j could
    leave the range of float64: a bound made of what underflows would be none.
    """

    def __init__(
        self, design: FloatArray, threads: int, *, max_nodes: int, deadline: float, method: str = "auto"
    ) -> None:
        self.order = binary_order(design)
        self.design = shifted(design, -self.order)
        self.lengths: FloatArray = np.sqrt(np.einsum("jk,jk->j", self.design, self.design))  # 0 where a square vanishes
        self.threads = threads
        self.max_nodes = max_nodes
        self.deadline = deadline
        self.method = method

    def over_outputs(
        self,
        theta: FloatArray,
        level: float,
        patterns: ActivationPatterns | None,
        *,
        weights: FloatArray | None = None,
        accuracy: float = _ACCURACY,
    ) -> DualNorm:
        """Bound max_u ||T' (X u)_+|| for T with a column for each output, over all u or over given patterns.

        With weights (p,) of given patterns, which are for several outputs, what is in a cone is divided by its weight.

        Within one cone the maximum is that of a convex quadratic, which is as hard as testing copositivity. For a few
        features the cones are subdivided until the bound is exact. Where that ends early, or is not for so many
        features, there is another bound: in orthogonal coordinates of the outputs the square is at most the sum of the
        maxima of the squares; with the right singular vectors of T all but one of them may vanish, and then it is
        equal.
        """
        if theta.shape[1] == 1:
            assert weights is None
            column = np.ascontiguousarray(theta[:, 0])
            if patterns is not None:
                return self.over_list(column, level, patterns)
            return self.over_all(column, level, accuracy=accuracy)
        tree = None
        if self.outputs_are_subdivided():
            _, tree = self._over_simplices(theta, level, (patterns, weights), _Aim(accuracy, False))
            if tree.exact:
                return tree
        axes = self._over_axes(theta, patterns)
        if weights is not None:
            axes = dataclasses.replace(axes, bound=axes.bound / float(weights.min()))
        return axes if tree is None else dataclasses.replace(tree, bound=min(tree.bound, axes.bound))

    def outputs_are_subdivided(self) -> bool:
        """Say whether the directions of several outputs are searched, and not only bounded output by output."""
        return self.method in ("auto", "subdivision") and self.design.shape[1] <= MOST_FEATURES

    def directions_above(
        self,
        theta: FloatArray,
        level: float,
        patterns: ActivationPatterns | None,
        weights: FloatArray | None = None,
    ) -> tuple[FloatArray, DualNorm]:
        """Look for unit vectors with ||T' (X u)_+|| above the level, and bound it where there are none.

        With weights of given patterns, as in :meth:`over_outputs`.
        """
        return self._over_simplices(theta, level, (patterns, weights), _Aim(_ACCURACY, True))

    def climbed(self, theta: FloatArray, starts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return unit vectors where ||T' (X u)_+|| is large, near the starts, and how large it is there.

        With the outputs' direction T' (X u)_+ held, a walk from cell to cell maximises their component along it; then
        that direction follows.
        """
        scaled, _, order = self._outputs_of_order_one(theta, 0.0)
        ends = np.zeros((len(starts), starts.shape[1]))
        values = np.zeros(len(starts))
        for k, start in enumerate(starts):
            point = start / max(float(np.linalg.norm(start)), np.finfo(float).tiny)
            for _ in range(_MOST_TURNS):
                outputs = np.maximum(self.design @ point, 0) @ scaled
                size = float(np.linalg.norm(outputs))
                if size <= values[k] * (1 + _TURNED):
                    break
                ends[k], values[k] = point, size
                column = np.ascontiguousarray(scaled @ (outputs / size))
                words, points, _, _ = core.walk_cells(self.design, column, point[None, :], 0.0, [1])
                if self._seconds_left() <= 0 or not len(words):
                    break
                point = points[0]
        return ends, shifted(values, order)

    def _outputs_of_order_one(self, theta: FloatArray, level: float) -> tuple[FloatArray, float, int]:
        _, level, order = self._of_order_one(np.linalg.norm(theta, axis=1), level)
        return shifted(theta, self.order - order), level, order

    def _over_simplices(
        self, theta: FloatArray, level: float, given: tuple[ActivationPatterns | None, FloatArray | None], aim: _Aim
    ) -> tuple[FloatArray, DualNorm]:
        """Return unit vectors above the level, and the bound; `given` are patterns and their weights."""
        patterns, weights = given
        nothing = patterns is not None and not len(patterns)
        if nothing or not theta.any() or not self.design.any():
            return np.zeros((0, self.design.shape[1])), DualNorm(0.0, True, "closed form")
        theta, level, order = self._outputs_of_order_one(theta, level)
        found = OutputTree(self.design, theta, patterns, weights).search(
            level, aim.accuracy, self.max_nodes, self.deadline, until_found=aim.until_violated
        )
        least = max(level, found.value)
        reached = f"{found.bound / least - 1:.1e} above the level" if least > 0 else f"{found.bound:.1e}"
        outlook = "" if found.complete else f"{found.n_nodes} nodes brought the bound to {reached}"
        way = "subdivision" if patterns is None else "given patterns"
        bound = _from_order_one(found.bound, order)
        return found.points, DualNorm(bound, found.complete, way, found.n_nodes, outlook=outlook)

    def _over_axes(self, theta: FloatArray, patterns: ActivationPatterns | None) -> DualNorm:
        """Bound it by the maxima for the columns of T in its principal axes."""
        _, lengths, right = np.linalg.svd(theta, full_matrices=False)
        parts = []
        for vector in right[lengths > 0]:
            column = np.ascontiguousarray(theta @ vector)
            if patterns is not None:
                parts.append(self.over_list(column, 0.0, patterns))
                continue
            _, reached = self.walk(column, self.design[:_WALKS_FOR_A_LEVEL], np.inf)
            parts.append(self.over_all(column, (1 + _COLUMN_ACCURACY) * reached, accuracy=_COLUMN_ACCURACY))
        return DualNorm(
            float(np.linalg.norm([part.bound for part in parts])) * (1 + 1e-14 * len(parts)),
            False,
            " and ".join(sorted({part.priced_by for part in parts})) or "closed form",
            sum(part.n_nodes for part in parts),
            outlook="; ".join(part.outlook for part in parts if part.outlook),
        )

    def over_list(self, theta: FloatArray, level: float, patterns: ActivationPatterns) -> DualNorm:
        """Bound the maximum over the cones of the given patterns."""
        theta, level, order = self._of_order_one(theta, level)
        bound, _, _ = core.price_patterns(self.design, patterns.words, theta, level, self.threads)
        return DualNorm(_from_order_one(bound, order), True, "given patterns")

    def walk(
        self, theta: FloatArray, starts: FloatArray, level: float, signs: Sequence[int] = (), seconds: float = np.inf
    ) -> tuple[WordArray, float]:
        """Return patterns above the level that walks from the starts end in, and the largest value that they find.

        Walks maximise t . (X u)_+ with the sign of each start, or with both.
        """
        theta, level, order = self._of_order_one(theta, level)
        words, _, _, best = core.walk_cells(self.design, theta, starts, level, list(signs), seconds)
        return words, shifted(best, order)

    def over_all(
        self, theta: FloatArray, level: float, *, accuracy: float = _ACCURACY, until_violated: bool = False
    ) -> DualNorm:
        """Bound the maximum over all u, or end soon after some u was found to be above the level.

        A bound is low enough at the level, and within the relative `accuracy` of the largest value that was found.
        """
        if not theta.any() or not self.design.any():
            return DualNorm(0.0, True, "closed form")
        theta, level, order = self._of_order_one(theta, level)
        norm = self._over_all(theta, level, _Aim(accuracy, until_violated))
        return dataclasses.replace(norm, bound=_from_order_one(norm.bound, order))

    def _of_order_one(self, theta: FloatArray, level: float) -> tuple[FloatArray, float, int]:
        """Return 2^-k t with max |t_j x_jk| of order one, the level on the scaled X, and the power of the bound."""
        own = 0
        products = theta * self.lengths
        if not products.any() or binary_order(products) != 0:
            products = theta * np.abs(self.design).max(axis=1)
            own = max(binary_order(products), binary_order(theta) - 1000)
        order = own + self.order
        return shifted(theta, -own), shifted(level, -order), order

    def _over_all(self, theta: FloatArray, level: float, aim: _Aim) -> DualNorm:
        cheap = masked_norm_bound(*sums_of_rows(theta[:, None] * self.design))
        if cheap <= level:
            return DualNorm(cheap, True, "closed form")
        method, allowed, instead = self.method, math.inf, False
        if method == "auto":
            costs = self._costs(theta)
            method = min(costs, key=lambda way: costs[way])
            # Where all cells may be enumerated, a tree gets no more than that would cost, and enumeration takes over.
            instead = costs["enumeration"] < self.max_nodes * self._projections_of_a_node()
            if instead:
                allowed = costs["enumeration"]
            elif method == "enumeration":
                method = min(("subdivision", "branch and bound"), key=lambda way: costs.get(way, math.inf))
        tree = None
        if method != "enumeration":
            tree = self._by_tree(method, theta, level, aim, allowed)
            if tree.exact or tree.violated is not None or not instead or self._seconds_left() <= 0:
                return dataclasses.replace(tree, bound=min(tree.bound, cheap))
        listed = self._by_enumeration(theta, level, aim.until_violated)
        if listed is not None:
            return dataclasses.replace(listed, n_nodes=tree.n_nodes if tree else 0)
        tree = tree or self._by_tree("subdivision", theta, level, aim)
        return dataclasses.replace(tree, bound=min(tree.bound, cheap))

    def _costs(self, theta: FloatArray) -> dict[str, float]:
        """Return what every way is expected to cost, in cone projections; for a tree over rows at worst."""
        n_features = self.design.shape[1]
        leaves = sum(2.0 ** min(int(np.sum(sign * theta > 0)), 1000) for sign in (1, -1))
        costs = {
            "enumeration": float(pattern_bound(*self.design.shape)),
            "branch and bound": leaves * self._projections_of_a_node(),
        }
        if self._directions_are_few():
            nodes = _DIRECTIONS_OF_ONE_FEATURE * _GROWTH_WITH_A_FEATURE ** (n_features - 1)
            costs["subdivision"] = float(_PROJECTIONS_OF_A_DIRECTION * nodes)
        return costs

    def _projections_of_a_node(self) -> int:
        return int(2 * self.design.shape[0])

    def _directions_are_few(self) -> bool:
        return bool(self.design.shape[1] <= core.MOST_DIRECTION_FEATURES)

    def _seconds_left(self) -> float:
        return max(0.0, self.deadline - time.monotonic())

    def _by_tree(self, way: str, theta: FloatArray, level: float, aim: _Aim, allowed: float = math.inf) -> DualNorm:
        """Bound the maximum by a tree of at most `max_nodes`, and of at most the allowed cost in projections."""
        if way == "subdivision" and self._directions_are_few():
            nodes = min(DIRECTIONS_FOR_A_NODE * self.max_nodes, int(min(allowed, 1e15)) // _PROJECTIONS_OF_A_DIRECTION)
            return self._over_directions(theta, level, aim, nodes)
        nodes = min(self.max_nodes, int(min(allowed, 1e15)) // self._projections_of_a_node())
        norm = self._over_rows(theta, level, nodes, aim.until_violated)
        if norm.exact or self._directions_are_few():
            return norm
        most = core.MOST_DIRECTION_FEATURES
        reason = f"{self.design.shape[1]} features are more than the {most} whose directions can be subdivided"
        return dataclasses.replace(norm, outlook=f"{norm.outlook}; {reason}" if norm.outlook else reason)

    def _over_directions(self, theta: FloatArray, level: float, aim: _Aim, max_nodes: int) -> DualNorm:
        searches = [(level, aim.accuracy)]
        if aim.until_violated and level > 0:
            searches.insert(0, (_SHARE_OF_THE_LEVEL * level, _COARSE))
        nodes = 0
        for threshold, accuracy in searches:
            tree = core.price_by_directions(
                self.design,
                theta,
                threshold,
                accuracy=accuracy,
                until_found=aim.until_violated and threshold == level,
                max_nodes=max(1, max_nodes - nodes),
                max_seconds=self._seconds_left(),
                n_threads=self.threads,
            )
            nodes += tree["n_nodes"]
            if aim.until_violated and len(tree["points"]):
                words, _, _, _ = core.walk_cells(self.design, theta, tree["points"], level, tree["signs"])
                if len(words):
                    return DualNorm(np.inf, False, "subdivision", nodes, words)
        if aim.until_violated and tree["value"] > level:  # by so little that no walk confirms it
            return self._over_directions(theta, level, dataclasses.replace(aim, until_violated=False), max_nodes)
        outlook = "" if tree["complete"] else _outlook(tree["rounds"], level, aim.accuracy)
        return DualNorm(tree["bound"], tree["complete"], "subdivision", nodes, outlook=outlook)

    def _over_rows(self, theta: FloatArray, level: float, max_nodes: int, until_violated: bool) -> DualNorm:
        bound, value, nodes, exact = 0.0, 0.0, 0, True
        for sign in (1.0, -1.0):
            lowest = max(level, value)
            enough = level if until_violated else np.inf
            tree = core.price_by_tree(self.design, sign * theta, lowest, enough, max_nodes, self._seconds_left())
            bound = max(bound, tree["bound"])
            value = max(value, tree["value"])
            nodes += tree["n_nodes"]
            exact = exact and tree["complete"]
            if until_violated and tree["value"] > level:
                words, _, _, _ = core.walk_cells(self.design, theta, tree["point"][None, :], level)
                return DualNorm(np.inf, False, "branch and bound", nodes, words)
        return DualNorm(bound, exact, "branch and bound", nodes)

    def _by_enumeration(self, theta: FloatArray, level: float, until_violated: bool) -> DualNorm | None:
        """Price every cell; None where the time is over, or where the list of cells is not verified to be complete."""
        bound = level
        complete = False
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "[0-9]+ of [0-9]+ cells are so thin", UserWarning)
            for chunk in iter_patterns(self.design, chunk=_CELLS_IN_A_CHUNK, n_threads=self.threads):
                highest, found, _ = core.price_patterns(self.design, chunk.words, theta, level, self.threads)
                bound = max(bound, highest)
                if until_violated and found:
                    worst = np.unique(found[:_MOST_VIOLATED])
                    return DualNorm(np.inf, False, "enumeration", 0, chunk.words[worst])
                if self._seconds_left() <= 0:
                    return None
                complete = chunk.certificate is not None and chunk.certificate.complete
        return DualNorm(bound, True, "enumeration") if complete else None


def _from_order_one(bound: float, order: int) -> float:
    """Return a bound times a power of two, from above where it is below the normal numbers."""
    return max(shifted(bound, order), np.finfo(np.float64).tiny) if bound > 0 else 0.0


def _outlook(rounds: Sequence[tuple[float, float, int]], level: float, accuracy: float) -> str:
    """Say how far a tree over directions came, and from the growth of its last two rounds how many nodes it needs."""
    _, bound, nodes = rounds[-1]
    if level <= 0:
        return f"{nodes} nodes were not enough"
    excess = bound / level - 1
    reached = f"{nodes} nodes brought the bound to {excess:.1e} above the level"
    earlier = [(before / level - 1, count) for _, before, count in rounds[:-1] if before / level - 1 > 1.01 * excess]
    if excess <= 0 or not earlier or not nodes > earlier[-1][1] > 0:
        return reached
    growth = math.log(nodes / earlier[-1][1]) / math.log(earlier[-1][0] / excess)
    needed = nodes * (excess / max(accuracy, 1e-9)) ** min(growth, 3.0)
    return f"{reached}; at that rate some {needed:.0e} would close it"


def as_pricing(pricing: str) -> str:
    """Return how all patterns are to be priced, after a check."""
    if pricing not in ("auto", "enumeration", "branch and bound", "subdivision"):
        raise ValueError(f'pricing must be "auto", "enumeration", "branch and bound" or "subdivision", not {pricing!r}')
    return pricing
