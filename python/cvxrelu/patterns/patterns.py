"""Activation patterns D_i = diag(1[X g_i >= 0]) with the gates that attain them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, WordArray, as_design, as_threads
from ..base.bits import BoolArray, unpack_patterns
from ..base.native import core
from .measure import measure_cells


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ActivationPatterns:
    """Distinct activation patterns of a data matrix, packed, one gate for each.

    Made by :func:`enumerate_patterns` (all of them) or :func:`sample_patterns`. Immutable, picklable, and indexable
    by an integer array, a boolean mask or a slice.

    Attributes
    ----------
    gates : ndarray of shape (n_patterns, n_features)
        Row i is a vector g_i with pattern i, strictly inside its cell unless the caller gave it on a border.
    words : ndarray of shape (n_patterns, ceil(n_samples / 64)), uint64
        Bit j % 64 of ``words[i, j // 64]`` is 1 where ``x_j . g_i >= 0``. Bits past the last sample are 0.
    n_samples : int
        Rows of the data matrix.
    counts : ndarray of shape (n_patterns,), int64, or None
        For samples: how many draws had this pattern.
    zero_count : int
        For samples: how many draws had the pattern that is 0 on every sample, which is left out because it adds
        nothing to any program. ``counts.sum() + zero_count`` draws were made.
    draws : ndarray of shape (counts.sum(), n_features) or None
        For samples: every gate drawn, but for those of the zero pattern. Averages over a cell need them.
    draw_pattern : ndarray of shape (counts.sum(),), int64, or None
        The index of the pattern of every draw.
    certificate : object or None
        How completeness and gates were verified; None for samples.
    """

    gates: FloatArray
    words: WordArray
    n_samples: int
    counts: npt.NDArray[np.int64] | None = None
    zero_count: int = 0
    draws: FloatArray | None = None
    draw_pattern: npt.NDArray[np.int64] | None = None
    certificate: Any = None

    def __post_init__(self) -> None:
        for array in (self.gates, self.words, self.counts, self.draws, self.draw_pattern):
            if array is not None:
                array.flags.writeable = False

    @property
    def n_features(self) -> int:
        """Columns of the data matrix."""
        return int(self.gates.shape[1])

    @property
    def n_draws(self) -> int | None:
        """Draws that were made, those of the zero pattern included; None where nothing was drawn."""
        return None if self.counts is None else int(self.counts.sum()) + self.zero_count

    def __len__(self) -> int:
        return int(self.gates.shape[0])

    def __repr__(self) -> str:
        drawn = "" if self.counts is None else f", {self.n_draws} draws"
        return (
            f"ActivationPatterns({len(self)} patterns of {self.n_samples} samples, {self.n_features} features{drawn})"
        )

    def __getitem__(self, index: Any) -> ActivationPatterns:
        """Return the chosen patterns, one chosen twice with its draws twice; the draws of others are forgotten."""
        chosen = _chosen(index, len(self))
        parts: dict[str, Any] = {"zero_count": 0, "certificate": None}
        if self.draws is not None and self.draw_pattern is not None:
            copies = np.bincount(chosen, minlength=len(self))
            times = copies[self.draw_pattern]
            draw = np.repeat(np.arange(len(self.draws)), times)
            copy = np.arange(draw.size) - np.repeat(np.cumsum(times) - times, times)
            pattern = self.draw_pattern[draw]
            first = np.cumsum(copies) - copies  # of the copies of a pattern, in the order of patterns
            parts["draws"] = self.draws[draw]
            parts["draw_pattern"] = np.argsort(chosen, kind="stable")[first[pattern] + copy]
        if self.counts is not None:
            parts["counts"] = self.counts[chosen]
        return dataclasses.replace(self, gates=self.gates[chosen], words=self.words[chosen], **parts)

    def to_dense(self) -> BoolArray:
        """Return the masks as a boolean array of shape (n_samples, n_patterns)."""
        return unpack_patterns(self.words, self.n_samples)

    def reorder_samples(self, order: npt.NDArray[np.intp]) -> ActivationPatterns:
        """Return the same patterns on the samples in another order (or on some of them).

        Parameters
        ----------
        order : ndarray of int
            Sample j of the result is sample ``order[j]``.

        Returns
        -------
        ActivationPatterns
        """
        words = np.zeros((len(self), (order.size + 63) // 64), dtype=np.uint64)
        octets = words.view(np.uint8)
        step = max(1, (1 << 26) // max(1, self.n_samples))
        for start in range(0, len(self), step):
            dense = np.take(unpack_patterns(self.words[start : start + step], self.n_samples).T, order, axis=1)
            packed = np.packbits(dense, axis=1, bitorder="little")
            octets[start : start + step, : packed.shape[1]] = packed
        return dataclasses.replace(self, words=words.view("<u8").astype(np.uint64, copy=False), n_samples=order.size)

    def activations(self, Z: npt.ArrayLike, *, n_threads: int | None = None) -> BoolArray:
        """Return which gates are active on other samples.

        Parameters
        ----------
        Z : array_like of shape (m, n_features)
            Samples.
        n_threads : int, optional
            Threads; by default what OpenMP would take.

        Returns
        -------
        ndarray of shape (m, n_patterns), bool
            ``z_j . g_i >= 0``, decided exactly for the numbers given.
        """
        Z = as_design(Z, "Z", self.n_features)
        words, _ = core.pack_patterns(Z, self.gates, as_threads(n_threads))
        return unpack_patterns(words, Z.shape[0])

    def measure(
        self,
        X: npt.ArrayLike,
        *,
        method: str = "auto",
        n_draws: int = 1_000_000,
        random_state: Any = None,
        n_threads: int | None = None,
    ) -> FloatArray:
        """Return the probabilities P[h in K_i] of the patterns' cells for a standard Gaussian vector h.

        Parameters and errors are those of :func:`cone_measure`, which also returns the accuracy.

        Returns
        -------
        ndarray of shape (n_patterns,)
            Over all cells of an arrangement they sum to one, with the zero pattern's share.
        """
        return measure_cells(
            X, self, method=method, n_draws=n_draws, random_state=random_state, n_threads=n_threads
        ).probabilities


def _chosen(index: Any, size: int) -> npt.NDArray[np.intp]:
    """Return the positions that an index means: an integer, a slice, integers or a mask, in one dimension."""
    if not isinstance(index, slice):
        array = np.asarray(index)
        if array.size == 0 and array.ndim == 1:
            array = array.astype(np.intp)
        single = array.ndim == 0 and array.dtype.kind in "iu"
        if (
            index is None
            or isinstance(index, tuple)
            or not (single or array.ndim == 1)
            or array.dtype.kind not in "iub"
        ):
            raise IndexError(
                "patterns are indexed by an integer, a slice, a list of integers or a boolean mask, not by "
                f"{'an array of shape ' + str(array.shape) if array.ndim > 1 else repr(index)}"
            )
        index = array
    return np.atleast_1d(np.arange(size)[index])
