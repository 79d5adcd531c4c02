"""Laws of gates: a class for each, known by its name to everything that draws gates."""

from __future__ import annotations

import functools
import math
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
    parameter: ClassVar[str] = ""  # what may follow the name and a colon, such as "k" in "sparse:k"

    def __init__(self, n_features: int, samples: Callable[[], FloatArray]) -> None:
        self.n_features = n_features

    @classmethod
    def with_parameter(cls, text: str) -> Callable[[int, Callable[[], FloatArray]], GateLaw]:
        """Return the law with what followed its name; only for laws that have a `parameter`."""
        raise NotImplementedError

    @abstractmethod
    def draw(self, index: npt.NDArray[np.intp], rng: np.random.Generator) -> FloatArray:
        """Draw gates, (index.size, n_features); `index` says which of all gates they are."""


LAWS: dict[str, type[GateLaw]] = {}


def register_law(law: type[GateLaw]) -> type[GateLaw]:
    """Make a law known by its name to :func:`sample_patterns` and the estimators; usable as a decorator."""
    LAWS[law.name] = law
    return law


def as_law(name: str) -> Callable[[int, Callable[[], FloatArray]], GateLaw]:
    """Return the law of this name, which may be followed by a colon and its parameter."""
    key, colon, text = name.partition(":")
    if key not in LAWS or (colon and not LAWS[key].parameter):
        known = ", ".join(f'"{law}{f"[:{kind.parameter}]" if kind.parameter else ""}"' for law, kind in LAWS.items())
        raise ValueError(f"gates must be {known} or an array, not {name!r}")
    return LAWS[key].with_parameter(text) if colon else LAWS[key]


def constant_column(X: FloatArray, law: str = "") -> int | None:
    """Return the largest column whose entries are equal and not zero; where a law is named, raise if there is none.

    The largest, because what centring leaves of a constant feature, a rounding error of 1e-16, cannot carry thresholds.
    """
    constant = np.flatnonzero((X == X[0]).all(axis=0) & (X[0] != 0))
    if constant.size == 0:
        if law:
            raise ValueError(f'gates="{law}" needs a constant column in X, such as a column of ones')
        return None
    return int(constant[np.abs(X[0, constant]).argmax()])


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
        bias = constant_column(X, self.name)
        assert bias is not None
        self._bias = bias
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
        for k in np.unique(feature):
            rows, middles = np.flatnonzero(feature == k), self._middles[k]
            beside = np.searchsorted(middles, self._columns[sample[rows], k])
            gates[rows, k] = sign[rows]
            gates[rows, self._bias] = -sign[rows] * middles[np.minimum(beside, middles.size - 1)] / self._scale
        return gates


@register_law
class Balanced(Gaussian):
    """Gaussian but for the bias, which makes it active on a share of the samples: "balanced:0.3", by default half."""

    name = "balanced"
    parameter = "share"

    def __init__(self, n_features: int, samples: Callable[[], FloatArray], share: float = 0.5) -> None:
        super().__init__(n_features, samples)
        self._X = samples()
        if len(self._X) < 2:
            raise ValueError('gates="balanced" needs two samples or more')
        self._bias = constant_column(self._X, self.name)
        self._active = min(max(round(share * len(self._X)), 1), len(self._X) - 1)

    @classmethod
    def with_parameter(cls, text: str) -> Callable[[int, Callable[[], FloatArray]], GateLaw]:
        share = _number(text, cls.name, float)
        if not 0 < share < 1:
            raise ValueError(f'gates="balanced:share" needs a share between 0 and 1, not {text!r}')
        return functools.partial(cls, share=share)

    def draw(self, index: npt.NDArray[np.intp], rng: np.random.Generator) -> FloatArray:
        gates = super().draw(index, rng)
        gates[:, self._bias] = 0
        products = np.sort(self._X @ gates.T, axis=0)
        first = len(self._X) - self._active
        gates[:, self._bias] = -(products[first - 1] + products[first]) / 2 / self._X[0, self._bias]
        return gates


@register_law
class Sparse(Gaussian):
    """Gaussian on at most k features, "sparse:k", by default two: each set of features is as likely as another.

    A constant column, where there is one, is in every gate besides: it decides for samples that are zero there.
    """

    name = "sparse"
    parameter = "k"

    def __init__(self, n_features: int, samples: Callable[[], FloatArray], order: int = 2) -> None:
        super().__init__(n_features, samples)
        bias = constant_column(samples())
        self._others = np.array([k for k in range(n_features) if k != bias], dtype=np.intp)
        self._always = np.array([] if bias is None else [bias], dtype=np.intp)
        sets = np.array([math.comb(self._others.size, k) for k in range(1, min(order, self._others.size) + 1)])
        self._law = np.cumsum(sets / sets.sum())

    @classmethod
    def with_parameter(cls, text: str) -> Callable[[int, Callable[[], FloatArray]], GateLaw]:
        order = _number(text, cls.name, int)
        if order < 1:
            raise ValueError(f'gates="sparse:k" needs a k of at least 1, not {text!r}')
        return functools.partial(cls, order=order)

    def draw(self, index: npt.NDArray[np.intp], rng: np.random.Generator) -> FloatArray:
        gates = super().draw(index, rng)
        sizes = 1 + np.searchsorted(self._law, rng.random(index.size), side="right")
        for gate, size in zip(gates, sizes, strict=True):
            chosen = rng.choice(self._others, size=min(int(size), self._others.size), replace=False)
            kept = gate[[*chosen, *self._always]]
            gate[:] = 0
            gate[[*chosen, *self._always]] = kept
        return gates


@register_law
class Pairs(Gaussian):
    """A random direction in two random features, with a threshold between two values that samples have along it.

    The threshold lies between the value of a random sample and the next larger one, so thresholds follow the data's
    density. Features without two values are left out. Gates are on one feature where only one is left, and Gaussian
    where none is.
    """

    name = "pairs"

    def __init__(self, n_features: int, samples: Callable[[], FloatArray]) -> None:
        super().__init__(n_features, samples)
        self._X = samples()
        self._bias = constant_column(self._X, self.name)
        self._features = np.flatnonzero((self._X != self._X[0]).any(axis=0))

    def draw(self, index: npt.NDArray[np.intp], rng: np.random.Generator) -> FloatArray:
        gates = super().draw(index, rng)
        for gate in gates if self._features.size else ():
            pair = rng.choice(self._features, size=min(2, self._features.size), replace=False)
            direction = gate[pair]
            # Sums and ranks that do not depend on the order of the samples.
            along = np.sort((self._X[:, pair] * direction).sum(axis=1))
            value = along[rng.integers(along.size)]
            after = np.searchsorted(along, value, side="right")
            neighbour = along[after if after < along.size else np.searchsorted(along, value) - 1]
            gate[:] = 0
            gate[pair] = direction
            gate[self._bias] = -(value / 2 + neighbour / 2) / self._X[0, self._bias]
        return gates


@register_law
class Patches(Gaussian):
    """Gaussian on a random square patch of images, "patches:28x28" or "patches:32x32x3" for three channels.

    Features are the pixels row by row, one channel after the other; a fourth number is the side of the patch, by
    default 3, which lies within the image and goes through all channels. A constant column may follow; it is in every
    gate.
    """

    name = "patches"
    parameter = "heightxwidth"

    def __init__(
        self, n_features: int, samples: Callable[[], FloatArray], shape: tuple[int, int, int, int] | None = None
    ) -> None:
        super().__init__(n_features, samples)
        if shape is None:
            raise ValueError('gates="patches" needs the shape of the images, such as gates="patches:28x28"')
        height, width, channels, self._side = shape
        self._shape = (channels, height, width)
        pixels = height * width * channels
        if n_features not in (pixels, pixels + 1):
            raise ValueError(f"images of {height}x{width}x{channels} have {pixels} pixels, but X has {n_features}")
        if n_features == pixels + 1 and constant_column(samples()[:, -1:]) is None:
            raise ValueError(f"X has a column beyond the {pixels} pixels, which is not constant")
        self._pixels = pixels

    @classmethod
    def with_parameter(cls, text: str) -> Callable[[int, Callable[[], FloatArray]], GateLaw]:
        numbers = [_number(part, cls.name, int) for part in text.split("x")]
        numbers += (1, 3)[max(len(numbers) - 2, 0) :]
        if len(numbers) != 4 or min(numbers) < 1 or numbers[3] > min(numbers[:2]):
            raise ValueError(f'gates="patches:{cls.parameter}" needs positive sizes that hold a patch, not {text!r}')
        return functools.partial(cls, shape=tuple(numbers))

    def draw(self, index: npt.NDArray[np.intp], rng: np.random.Generator) -> FloatArray:
        gates = super().draw(index, rng)
        _, height, width = self._shape
        tops = rng.integers(height - self._side + 1, size=index.size)
        lefts = rng.integers(width - self._side + 1, size=index.size)
        for gate, top, left in zip(gates, tops, lefts, strict=True):
            inside = np.zeros(self._shape, dtype=bool)
            inside[:, top : top + self._side, left : left + self._side] = True
            gate[: self._pixels][~inside.reshape(-1)] = 0
        return gates


def _number(text: str, law: str, kind: type[Any]) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f'gates="{law}:{LAWS[law].parameter}" needs numbers, not {text!r}') from None


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
