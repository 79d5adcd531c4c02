"""Packed patterns: 64 samples to a word, the first in the lowest bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import WordArray

BoolArray = npt.NDArray[np.bool_]


def unpack_patterns(words: WordArray, n_samples: int) -> BoolArray:
    """Return packed patterns as a boolean array of shape (n_samples, n_patterns)."""
    octets = words.astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(octets, axis=1, count=n_samples, bitorder="little").view(np.bool_).T


def merge_patterns(
    words: WordArray,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find equal rows.

    Parameters
    ----------
    words : ndarray of shape (n_draws, n_words), uint64
        Packed patterns.

    Returns
    -------
    first : ndarray of shape (n_patterns,)
        Index of the first draw of each distinct pattern, increasing.
    index : ndarray of shape (n_draws,)
        The distinct pattern of each draw, in the order of `first`.
    counts : ndarray of shape (n_patterns,)
        How many draws share it.
    """
    return merge_keys(row_keys(words))


def merge_keys(
    keys: npt.NDArray[np.void],
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find equal keys; what :func:`merge_patterns` returns."""
    _, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    return first[order], rank[inverse].astype(np.int64), counts[order].astype(np.int64)


def pack_mask(mask: npt.NDArray[np.bool_]) -> WordArray:
    """Return one pattern as words."""
    octets = np.zeros(8 * ((mask.size + 63) // 64), dtype=np.uint8)
    octets[: (mask.size + 7) // 8] = np.packbits(mask, bitorder="little")
    return octets.view("<u8").astype(np.uint64)


def row_keys(words: npt.NDArray[Any]) -> npt.NDArray[np.void]:
    """Return one key for each row, equal where rows are: bytes that can be sorted and searched."""
    return np.ascontiguousarray(words).view(np.dtype((np.void, words.itemsize * words.shape[1])))[:, 0]
