"""Searches for cells that tell a callback and the log how far they are."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from ..base.arrays import FloatArray, WordArray
from ..base.callbacks import Callback

_LOGGER = logging.getLogger("cvxrelu")

#: A report is due after this many seconds, and a line in the log.
_REPORT, _LINE = 0.1, 10.0


def count_cells(cells: Any, threads: int, callback: Callback | None = None) -> int:
    """Count the cells that are left, in pieces where somebody listens."""
    if callback is None and not _LOGGER.isEnabledFor(logging.INFO):
        return int(cells.count((1 << 63) - 1, threads))
    return _in_pieces(cells, 0, callback, lambda _, size: cells.count_next(max(size, cells.room), threads))


def fill_cells(cells: Any, words: WordArray, gates: FloatArray, threads: int, callback: Callback | None = None) -> int:
    """List the cells that are left, for which there is room; return how many."""
    if callback is None and not _LOGGER.isEnabledFor(logging.INFO):
        return int(cells.fill(words, gates, threads))

    def piece(found: int, size: int) -> int:
        rows = slice(found, found + max(size, cells.room))
        return int(cells.fill(words[rows], gates[rows], threads))

    return _in_pieces(cells, 8 * (words.shape[1] + gates.shape[1]), callback, piece)


def _in_pieces(cells: Any, row_bytes: int, callback: Callback | None, search: Callable[[int, int], int]) -> int:
    """Search until there is nothing left, in pieces that take about as long as reports are apart."""
    most, found, size = cells.left, 0, 1 << 14
    start = line = time.perf_counter()
    where = f"{cells.n_hyperplanes} hyperplanes in rank {cells.rank}"
    _LOGGER.info("%s: at most %.6g cells, %.3g bytes", where, most, most * row_bytes)

    def tell() -> None:
        if callback is not None:
            share = 1.0 - cells.left / most
            callback({"n_cells": found, "share": share, "bound": most, "bytes": most * row_bytes})

    tell()
    while not cells.finished:
        before = time.perf_counter()
        found += search(found, size)
        now = time.perf_counter()
        size = size * 2 if now - before < _REPORT / 2 else max(size // 2, 1) if now - before > 2 * _REPORT else size
        tell()
        if now - line > _LINE:
            line = now
            searched = 100 * (1 - cells.left / most)
            _LOGGER.info("%s: %d cells after %.0f s, %.1f %% searched", where, found, now - start, searched)
    _LOGGER.info("%s: %d cells in %.3g s", where, found, time.perf_counter() - start)
    return found
