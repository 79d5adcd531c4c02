"""Samples of activation patterns from a law of gates."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from ..base.arrays import FloatArray, as_count, as_design, as_generator, as_threads
from ..base.bits import merge_patterns
from ..base.native import core
from ..rows.open import as_rows
from ..rows.rows import is_rows
from .laws import as_law, draw_inside
from .patterns import ActivationPatterns
from .sampling_rows import sample_of_rows


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
    gates : str or array_like of shape (n_gates, n_features)
        The law of a gate, or the name of another that was registered (:mod:`cvxrelu.patterns.laws`). "gaussian":
        g ~ N(0, I). "mixed": every second gate compares one random feature with a
        threshold between two of its training values (and is Gaussian where no feature has two); this needs a
        constant column in `X`. "balanced" or "balanced:0.3": Gaussian but for the entry of a constant column,
        with which a gate is active on half, or another share, of the samples. "sparse:k": Gaussian on at most k
        features. "pairs": a random direction in two features, with a threshold between two values that samples have
        along it; this needs a constant column. "patches:28x28" or "patches:32x32x3": Gaussian on a patch of 3x3 pixels
        of images, whose features are the pixels row by row, channel after channel. No law depends on the order of the
        samples. An array is taken as it is, also where a gate lies on the border of its cell.
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
        return sample_of_rows(as_rows(X, n_threads), n_gates, gates, random_state)
    return sample_of_design(as_design(X), n_gates, gates, random_state, as_threads(n_threads))


def sample_of_design(
    X: FloatArray, n_gates: int | None, gates: str | npt.ArrayLike, random_state: Any, threads: int
) -> ActivationPatterns:
    """As :func:`sample_patterns`, of a validated design."""
    if isinstance(gates, str):
        if n_gates is None:
            raise ValueError(f"n_gates is needed to draw {gates} gates")
        law = as_law(gates)(X.shape[1], lambda: X)
        drawn, (words, _) = draw_inside(
            law,
            as_count(n_gates, "n_gates"),
            as_generator(random_state),
            lambda some: core.pack_patterns(X, some, threads),
        )
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
