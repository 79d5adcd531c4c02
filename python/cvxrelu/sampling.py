"""Samples of activation patterns from a law of gates."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ._native import core
from ._validation import FloatArray, as_count, as_design, as_generator, as_threads
from .patterns import ActivationPatterns, merge_patterns
from .row_blocks import is_rows, on_rows


def sample_patterns(
    X: npt.ArrayLike,
    n_gates: int | None = None,
    *,
    gates: str | npt.ArrayLike = "gaussian",
    random_state: Any = None,
    n_threads: int | None = None,
) -> ActivationPatterns:
    """Draw gates and keep the distinct activation patterns 1[X g >= 0] that they attain.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        Data matrix. For a bias append a column of ones.
    n_gates : int, optional
        Number of draws. Not needed when `gates` is an array.
    gates : {"gaussian", "mixed"} or array_like of shape (n_gates, n_features)
        The law of a gate. "gaussian": g ~ N(0, I). "mixed": every second gate compares one random feature with a
        threshold between two of its training values (and is Gaussian where no feature has two); this needs a
        constant column in `X`. Neither law depends on the order of the samples. An array is taken as it is, also
        where a gate lies on the border of its cell.
    random_state : None, int, numpy.random.Generator or RandomState
        Source of the draws.
    n_threads : int, optional
        Threads; by default what OpenMP would take. The result does not depend on it.

    Returns
    -------
    ActivationPatterns
        Distinct patterns in the order of their first draw, with multiplicities. Drawn gates lie strictly inside
        their cells (a draw too close to a border for floating point to tell is drawn again); the pattern that is
        0 everywhere is left out, and counted in ``zero_count``.

    Raises
    ------
    ValueError
        For bad shapes, entries that are not finite, an unknown law, when nothing but the zero pattern was drawn, or
        when floating point cannot tell drawn gates from borders, as where columns differ too much in scale.
    """
    if is_rows(X):
        return on_rows(sample_patterns, locals())
    X = as_design(X)
    threads = as_threads(n_threads)
    if isinstance(gates, str):
        if n_gates is None:
            raise ValueError(f"n_gates is needed to draw {gates} gates")
        drawn, words = _draw(X, as_count(n_gates, "n_gates"), gates, as_generator(random_state), threads)
    else:
        drawn = as_design(gates, "gates", X.shape[1])
        if n_gates is not None and n_gates != drawn.shape[0]:
            raise ValueError(f"n_gates is {n_gates}, but gates has {drawn.shape[0]} rows")
        words, _ = core.pack_patterns(X, drawn, threads)

    nonzero = words.any(axis=1)
    if not nonzero.any():
        raise ValueError("every gate is inactive on every sample: draw more gates, or others")
    draws, words = drawn[nonzero], words[nonzero]
    first, draw_pattern, counts = merge_patterns(words)
    return ActivationPatterns(
        gates=draws[first],
        words=words[first],
        n_samples=X.shape[0],
        counts=counts,
        zero_count=int(nonzero.size - nonzero.sum()),
        draws=draws,
        draw_pattern=draw_pattern,
    )


def _draw(
    X: FloatArray, n_gates: int, law: str, rng: np.random.Generator, threads: int
) -> tuple[FloatArray, npt.NDArray[np.uint64]]:
    """Draw gates strictly inside their cells, with their packed patterns."""
    if law == "gaussian":
        thresholds = None
    elif law == "mixed":
        thresholds = _Thresholds(X)
    else:
        raise ValueError(f'gates must be "gaussian", "mixed" or an array, not {law!r}')

    def draw(index: npt.NDArray[np.intp]) -> FloatArray:
        gates = rng.standard_normal((index.size, X.shape[1]))
        if thresholds is not None and thresholds.features.size:
            odd = index % 2 == 1
            gates[odd] = thresholds.draw(int(odd.sum()), rng)
        return gates

    gates = draw(np.arange(n_gates))
    words, margin = core.pack_patterns(X, gates, threads)
    for _ in range(100):
        close = np.flatnonzero(margin == 0)
        if close.size == 0:
            return gates, words
        gates[close] = draw(close)
        words[close], margin[close] = core.pack_patterns(X, gates[close], threads)
    raise ValueError(UNDECIDED)


UNDECIDED = (
    "drawn gates cannot be told from the borders of their cells: X is close to degenerate, or a column vanishes beside "
    "others in floating point, as a column of ones does beside features of 1e20: scale the features"
)


class _Thresholds:
    """Gates s (x_k - t) with a random feature k, sign s and a threshold t between two training values."""

    def __init__(self, X: FloatArray) -> None:
        constant = np.flatnonzero((X == X[0]).all(axis=0) & (X[0] != 0))
        if constant.size == 0:
            raise ValueError('gates="mixed" needs a constant column in X, such as a column of ones')
        self.bias = int(constant[0])
        self.scale = float(X[0, self.bias])
        values = [np.unique(column) for column in X.T]
        self.middles = [v[:-1] / 2 + v[1:] / 2 for v in values]
        # Values that are neighbouring floats have no middle strictly between them.
        self.middles = [m[(m > v[:-1]) & (m < v[1:])] for m, v in zip(self.middles, values, strict=True)]
        # Thresholds are drawn beside a random sample's value, so they follow the data's density; sorted, so that
        # they do not depend on the order of the samples.
        self.columns = np.sort(X, axis=0)
        self.features = np.array([k for k in range(X.shape[1]) if self.middles[k].size], dtype=np.intp)

    def draw(self, size: int, rng: np.random.Generator) -> FloatArray:
        gates = np.zeros((size, self.columns.shape[1]))
        feature = self.features[rng.integers(self.features.size, size=size)]
        sample = rng.integers(self.columns.shape[0], size=size)
        sign = rng.choice([-1.0, 1.0], size=size)
        for row, (k, j, s) in enumerate(zip(feature, sample, sign, strict=True)):
            middles = self.middles[k]
            t = middles[min(np.searchsorted(middles, self.columns[j, k]), middles.size - 1)]
            gates[row, k] = s
            gates[row, self.bias] -= s * t / self.scale
        return gates
