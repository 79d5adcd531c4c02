"""Bounds on max_u ||T' (X u)_+|| over unit vectors, T with a column for each output, by subdivision into simplices.

The orthants are simplicial cones, {sum_k lambda_k v_k, lambda >= 0} with unit generators v_k, and are halved on. On one
of them a sample whose sign is the same at all generators is linear, and another one is near the chord of its slope a:

    (z)_+ = (a z + chord) / 2 +- (chord - a z) / 2,    chord = sum_k lambda_k (z_k)_+ >= (z)_+ >= a z,

so that F(u) = T'(X u)_+ is a linear map M lambda up to an error of length at most r . lambda. There are two bounds on
the longest M lambda with ||u|| = 1. In the Gram matrix G of the generators, ||M lambda||^2 = sum lambda_k lambda_l
M_k . M_l is at most the largest (M_k . M_l) / G_kl, for lambda and G are not negative: the test of copositivity of
Bundfuss and Duer (Linear Algebra and its Applications 428, 2008). And it is at most the spectral norm of the map in u,
which is attained where a maximiser of the whole space lies in the cone. Errors of both are quadratic in the width of
the cone, but for the samples that change their sign next to a maximiser, as they do at a neuron of a trained network;
so a cone is cut along such a sample where it makes most of the error, and halved across its longest edge elsewhere.

Nodes grow about tenfold with each feature, hardly with the outputs. O(n d c) for a node.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray
from ..patterns.patterns import ActivationPatterns

MOST_FEATURES = 8  # 2^d orthants to begin with

_BATCH = 1 << 17  # entries of samples times generators that are looked at at once

_RANK = 1e-14  # of a singular value, below which a direction counts as none, with its share in the error

_BORDER = 1e-12  # of a sample's length: nearer to its hyperplane a generator lies on it

_SAME = 13  # digits in which multiples of a sample agree

_ROUNDING = 4e-16  # of a sum, relative to its terms' sizes and their number

_SHARE = 0.3  # of a cone's error, from which on it is cut along the sample that makes it

_UNDECIDED = 1e-9  # of the largest error, for a sample without one whose sign tells which listed cone it is

_MOST_POINTS = 64  # above the level


@dataclasses.dataclass(frozen=True, eq=False)
class OutputBound:
    """What a search over simplices found."""

    bound: float
    value: float  # the largest at a generator
    points: FloatArray  # generators above the level, best first
    n_nodes: int
    complete: bool  # low enough: at the level, or within the accuracy of the value


@dataclasses.dataclass(eq=False)
class _Cones:
    """A batch of simplicial cones with their bounds."""

    generators: FloatArray  # (B, r, r), in rows
    bound: FloatArray
    at: FloatArray  # the function at generators, (B, r)
    new: FloatArray  # the generator that halves each, (B, r)
    edge: FloatArray  # the two that it lies between, (B, 2)

    def of(self, which: npt.NDArray[Any]) -> _Cones:
        return _Cones(*(getattr(self, field.name)[which] for field in dataclasses.fields(self)))


class OutputTree:
    """A search for max_u ||T' (X u)_+||, over all unit vectors or over those whose patterns are listed.

    With weights (p,) of listed patterns, what is found for u is divided by that of its pattern, by the least one where
    a cone meets several.
    """

    def __init__(
        self,
        X: FloatArray,
        theta: FloatArray,
        patterns: ActivationPatterns | None = None,
        weights: FloatArray | None = None,
    ) -> None:
        _, lengths, right = np.linalg.svd(X, full_matrices=False)
        self.axes = right[: max(1, int((lengths > _RANK * lengths[0]).sum()))].T
        dropped = 2 * _RANK * lengths[0] * float(np.linalg.norm(theta))
        first, self.X, self.theta, joined = _without_parallels(X @ self.axes, theta)
        self.sizes: FloatArray = np.linalg.norm(self.theta, axis=1)
        self.lengths: FloatArray = np.linalg.norm(self.X, axis=1)
        self.maps = (self.theta[:, :, None] * self.X[:, None, :]).reshape(len(self.X), -1)
        self.error = dropped + joined + _ROUNDING * (len(X) + 20) * float(self.sizes @ self.lengths)
        masks = None if patterns is None else patterns.to_dense()[first].astype(np.float64)
        if masks is not None:  # parts of a listed cone may be left out that are this near to what is looked at
            self.error += 2 * _BORDER * float(self.sizes @ self.lengths)
        self.masks = masks if masks is None else (masks, 1 - masks)
        self.undecided = 0.0 if masks is None else _UNDECIDED * float(self.sizes.max(initial=0.0))
        self.weights = weights
        if weights is not None:
            self.error /= float(weights.min())

    def search(
        self, level: float, accuracy: float, max_nodes: int, deadline: float, *, until_found: bool = False
    ) -> OutputBound:
        """Search until the bound is at most the level, or within the relative accuracy of the value."""
        r = self.X.shape[1]
        corners = np.array(np.meshgrid(*[[1.0, -1.0]] * r)).reshape(r, -1).T
        generators = corners[:, :, None] * np.eye(r)
        n_nodes, value, closed = 0, 0.0, 0.0
        points, values = np.zeros((0, r)), np.zeros(0)
        size = max(16, _BATCH // (self.X.shape[0] * r))
        waiting: list[_Cones] = []
        while True:
            for start in range(0, len(generators), size):
                cones = self._bounded(generators[start : start + size])
                n_nodes += len(cones.bound)
                value = max(value, float(cones.at.max(initial=0.0)))
                points, values = _kept(points, values, cones, level)
                waiting.append(cones)
            target = max(level, (1 + accuracy) * value, value + 4 * self.error)
            if not waiting:
                break
            everything = _Cones(
                *(
                    np.concatenate([getattr(part, field.name) for part in waiting])
                    for field in dataclasses.fields(_Cones)
                )
            )
            open_ = everything.bound > target
            closed = max(closed, float(everything.bound[~open_].max(initial=0.0)))
            left = everything.of(open_)
            found = until_found and len(values) > 0
            if found or not left.bound.size or n_nodes >= max_nodes or time.monotonic() >= deadline:
                closed = max(closed, float(left.bound.max(initial=0.0)))
                break
            order = np.argsort(-left.bound, kind="stable")
            generators = _halved(left.of(order[:size]))
            waiting = [left.of(order[size:])]
        bound = max(closed, value)
        return OutputBound(bound, value, points @ self.axes.T, n_nodes, bound <= target * (1 + 1e-15))

    def _bounded(self, V: FloatArray) -> _Cones:
        """Return cones with their bounds, those left out that no listed pattern meets."""
        Z = V @ self.X.T
        weights = np.ones(len(V))
        if self.masks is not None:
            V, Z, weights = self._listed(V, Z)
        high, low = Z.max(axis=1, initial=-np.inf), Z.min(axis=1, initial=np.inf)
        turning = (high > 0) & (low < 0)
        slope = np.where(turning, high / np.where(turning, high - low, 1.0), high > 0)
        positive = np.maximum(Z, 0)
        line = slope[:, None, :] * Z
        half_error = 0.5 * np.where(turning[:, None, :], positive - line, 0.0)
        M = np.where(turning[:, None, :], positive - half_error, positive) @ self.theta
        radius = half_error @ self.sizes
        G = V @ V.transpose(0, 2, 1)
        products = M @ M.transpose(0, 2, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(G > 0, products / G, np.where(products > 0, np.inf, 0.0))
            least = np.maximum(G.min(axis=(1, 2), initial=np.inf), 0.0)
            reach = np.fmin(radius.max(axis=1, initial=0.0) / np.sqrt(least), np.linalg.norm(radius, axis=1))
        copositive = np.sqrt(np.maximum(ratios.max(axis=(1, 2), initial=0.0), 0.0)) + reach
        maps = (slope @ self.maps).reshape(len(V), self.theta.shape[1], self.X.shape[1])
        spectral = np.sqrt(np.linalg.eigvalsh(maps.transpose(0, 2, 1) @ maps)[:, -1].clip(0)) + 2 * reach
        at = np.linalg.norm(positive @ self.theta, axis=2)
        turns = turning & (np.minimum(high, -low) > _BORDER * self.lengths)
        if self.masks is not None:  # while some sample may have either sign, a generator need not be in a listed cone
            at = np.where(turns.any(axis=1)[:, None], 0.0, at)
        at /= weights[:, None]
        bound = np.minimum(copositive, spectral) * ((1 + 1e-14) / weights) + self.error
        errors = half_error.max(axis=1, initial=0.0) * self.sizes + self.undecided
        new, edge = self._cuts(V, Z, G, np.where(turns, errors, 0.0))
        return _Cones(V, bound, at, new, edge)

    def _listed(self, V: FloatArray, Z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the cones that listed patterns meet, with their products, and the least weight of these patterns."""
        assert self.masks is not None
        border = _BORDER * self.lengths
        on = ((Z >= -border).all(axis=1) & (Z > border).any(axis=1)).astype(np.float64)
        off = ((Z <= border).all(axis=1) & (Z < -border).any(axis=1)).astype(np.float64)
        masks, others = self.masks
        meets = on @ others + off @ masks == 0
        met = meets.any(axis=1)
        weights = np.ones(masks.shape[1]) if self.weights is None else self.weights
        return V[met], Z[met], np.where(meets[met], weights, np.inf).min(axis=1)

    @staticmethod
    def _cuts(V: FloatArray, Z: FloatArray, G: FloatArray, errors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the generator that halves each cone, and the edge that it is on."""
        size, r = V.shape[:2]
        each = np.arange(size)
        longest = np.argmin(G.reshape(size, r * r), axis=1)
        edge = np.stack([longest // r, longest % r], axis=1)
        weights = np.ones((size, 2))
        if errors.shape[1]:
            row = errors.argmax(axis=1)
            cut = errors[each, row] > _SHARE * errors.sum(axis=1)
            z = Z[each, :, row]
            ends = np.stack([z.argmax(axis=1), z.argmin(axis=1)], axis=1)
            edge = np.where(cut[:, None], ends, edge)
            above, below = z.max(axis=1, initial=0.0), -z.min(axis=1, initial=0.0)
            weights = np.where(cut[:, None], np.stack([below, above], axis=1), weights)
        new = weights[:, :1] * V[each, edge[:, 0]] + weights[:, 1:] * V[each, edge[:, 1]]
        return new / np.linalg.norm(new, axis=1, keepdims=True), edge


def _without_parallels(X: FloatArray, theta: FloatArray) -> tuple[npt.NDArray[np.intp], FloatArray, FloatArray, float]:
    """Join positive multiples of a sample: return which stay, samples of length one, theta, and what it may err by."""
    lengths = np.linalg.norm(X, axis=1)
    units = X / np.where(lengths > 0, lengths, 1.0)[:, None]
    _, first, of = np.unique(np.round(units, _SAME), axis=0, return_index=True, return_inverse=True)
    of = of.reshape(-1)
    moved = np.linalg.norm(units - units[first[of]], axis=1) * lengths
    total = np.zeros((len(first), theta.shape[1]))
    np.add.at(total, of, lengths[:, None] * theta)
    return first, units[first], total, float(moved @ np.linalg.norm(theta, axis=1))


def _halved(cones: _Cones) -> FloatArray:
    """Return the generators of both halves of each cone."""
    each = np.arange(len(cones.bound))
    halves = []
    for end in (0, 1):
        half = cones.generators.copy()
        half[each, cones.edge[:, end]] = cones.new
        halves.append(half)
    return np.concatenate(halves)


def _kept(points: FloatArray, values: FloatArray, cones: _Cones, level: float) -> tuple[FloatArray, FloatArray]:
    """Add generators above the level to those known, apart from each other."""
    above = np.argwhere(cones.at > level)
    if not len(above):
        return points, values
    points = np.vstack([points, cones.generators[above[:, 0], above[:, 1]]])
    values = np.append(values, cones.at[above[:, 0], above[:, 1]])
    best = np.argsort(-values, kind="stable")
    kept: list[int] = []
    for k in best:
        if len(kept) == _MOST_POINTS:
            break
        if not kept or float((points[kept] @ points[k]).max()) < 0.999:
            kept.append(int(k))
    return points[kept], values[kept]
