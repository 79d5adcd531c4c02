"""Laws of gates: a class for each, known by its name to everything that draws gates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray

_MOST_REDRAWS = 100


class GateLaw(ABC):
    """A law that gates g are drawn from, for given samples.

    Parameters
    ----------
    n_features : int
        Length of a gate.
    samples : callable
        Returns rows of the data matrix, (m, n_features): all where they are in memory, else some of them. A law that
        does not look at the data does not call it.
    """

    name: ClassVar[str]

    def __init__(self, n_features: int, samples: Callable[[], FloatArray]) -> None:
        self.n_features = n_features

    @abstractmethod
    def draw(self, index: npt.NDArray[np.intp], rng: np.random.Generator) -> FloatArray:
        """Draw gates, (index.size, n_features); `index` says which of all gates they are."""


LAWS: dict[str, type[GateLaw]] = {}


def register_law(law: type[GateLaw]) -> type[GateLaw]:
    """Make a law known by its name to :func:`sample_patterns` and the estimators; usable as a decorator."""
    LAWS[law.name] = law
    return law


def as_law(name: Any) -> type[GateLaw]:
    """Return the law of this name."""
    if name not in LAWS:
        known = ", ".join(f'"{law}"' for law in LAWS)
        raise ValueError(f"gates must be {known} or an array, not {name!r}")
    return LAWS[name]


@register_law
class Gaussian(GateLaw):
    """g ~ N(0, I)."""

    name = "gaussian"

    def draw(self, index: npt.NDArray[np.intp], rng: np.random.Generator) -> FloatArray:
        return rng.standard_normal((index.size, self.n_features))


@register_law
class Mixed(Gaussian):
    """Every second gate is s (x_k - t) with a random feature k, sign s and a threshold t between two of its values."""

    name = "mixed"

    def __init__(self, n_features: int, samples: Callable[[], FloatArray]) -> None:
        super().__init__(n_features, samples)
        X = samples()
        constant = np.flatnonzero((X == X[0]).all(axis=0) & (X[0] != 0))
        if constant.size == 0:
            raise ValueError('gates="mixed" needs a constant column in X, such as a column of ones')
        self._bias = int(constant[0])
        self._scale = float(X[0, self._bias])
        values = [np.unique(column) for column in X.T]
        middles = [v[:-1] / 2 + v[1:] / 2 for v in values]
        # Values that are neighbouring floats have no middle strictly between them.
        self._middles = [m[(m > v[:-1]) & (m < v[1:])] for m, v in zip(middles, values, strict=True)]
        # Thresholds are drawn beside a random sample's value, so they follow the data's density; sorted, so that
        # they do not depend on the order of the samples.
        self._columns = np.sort(X, axis=0)
        self._features = np.array([k for k in range(n_features) if self._middles[k].size], dtype=np.intp)

    def draw(self, index: npt.NDArray[np.intp], rng: np.random.Generator) -> FloatArray:
        gates = super().draw(index, rng)
        if self._features.size:
            odd = index % 2 == 1
            gates[odd] = self._thresholds(int(odd.sum()), rng)
        return gates

    def _thresholds(self, size: int, rng: np.random.Generator) -> FloatArray:
        gates = np.zeros((size, self.n_features))
        feature = self._features[rng.integers(self._features.size, size=size)]
        sample = rng.integers(self._columns.shape[0], size=size)
        sign = rng.choice([-1.0, 1.0], size=size)
        for row, (k, j, s) in enumerate(zip(feature, sample, sign, strict=True)):
            middles = self._middles[k]
            t = middles[min(np.searchsorted(middles, self._columns[j, k]), middles.size - 1)]
            gates[row, k] = s
            gates[row, self._bias] -= s * t / self._scale
        return gates


def draw_inside(
    law: GateLaw, n_gates: int, rng: np.random.Generator, look: Callable[[FloatArray], tuple[npt.NDArray[Any], ...]]
) -> tuple[FloatArray, tuple[npt.NDArray[Any], ...]]:
    """Draw gates strictly inside their cells, one too close to a border for floating point to tell again and again.

    Parameters
    ----------
    law : GateLaw
        The law.
    n_gates : int
        Number of gates.
    rng : Generator
        Source of the draws.
    look : callable
        Returns arrays with an entry for each of the gates given, the last of which are their margins: 0 where floating
        point cannot tell.

    Returns
    -------
    gates : ndarray of shape (n_gates, n_features)
    seen : tuple of ndarray
        What `look` returned for them.
    """
    gates = law.draw(np.arange(n_gates), rng)
    seen = look(gates)
    for _ in range(_MOST_REDRAWS):
        close = np.flatnonzero(seen[-1] == 0)
        if close.size == 0:
            return gates, seen
        gates[close] = law.draw(close, rng)
        for array, part in zip(seen, look(gates[close]), strict=True):
            array[close] = part
    raise ValueError(
        "drawn gates cannot be told from the borders of their cells: X is close to degenerate, or a column vanishes "
        "beside others in floating point, as a column of ones does beside features of 1e20: scale the features"
    )
