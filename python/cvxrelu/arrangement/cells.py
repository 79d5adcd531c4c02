"""The search for cells, and what is proved of it."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..base.arrays import FloatArray, WordArray, as_count
from ..base.callbacks import Callback
from ..base.memory import available_memory
from ..exceptions import ArrangementTooLargeError
from ..patterns.patterns import ActivationPatterns
from .problem import Problem
from .watch import count_cells, fill_cells


@dataclasses.dataclass(frozen=True)
class ArrangementCertificate:
    """How an enumeration was verified.

    Completeness: the cells are counted as no-broken-circuit sets, whose ranks are decided as `mode` says; exactly, by
    default. Soundness: every gate is checked to lie strictly inside its own cell. Both together prove the list.

    Attributes
    ----------
    n_cells : int
        Full-dimensional cells found.
    n_verified : int
        Cells whose gate was checked to lie strictly inside, with error-bounded dot products, and patterns of
        hyperplanes whose gate was checked to have exactly this pattern. 0 with ``certify=False``.
    n_repaired : int
        Of these, gates of thin cells that were found in arithmetic of 128 bits.
    n_exact_fallbacks : int
        Ranks and signs that floating point could not decide, and that exact integer arithmetic did.
    n_hyperplanes : int
        Rows of X that are not zero and not parallel to an earlier one.
    rank : int
        Rank of X.
    mode : {"exact", "decimals", "tol"}
        What the decisions are exact for: the float64 numbers given, their decimal roundings, or neither.
    arithmetic : str
        The arithmetic of the elimination.
    n_on_hyperplanes : int
        Patterns that are attained only on hyperplanes; 0 without ``closed=True``.
    """

    n_cells: int
    n_verified: int
    n_repaired: int
    n_exact_fallbacks: int
    n_hyperplanes: int
    rank: int
    mode: str
    arithmetic: str
    n_on_hyperplanes: int = 0

    @property
    def complete(self) -> bool:
        """Whether all patterns are proved to be there and all gates to have them, strictly inside where in a cell."""
        return self.mode != "tol" and self.n_verified == self.n_cells + self.n_on_hyperplanes


def pattern_bound(n: int, rank: int) -> int:
    """Return the largest number of cells that n hyperplanes through the origin can have.

    Parameters
    ----------
    n : int
        Hyperplanes: rows of the data matrix that are not zero, parallel ones counted once.
    rank : int
        Rank of the data matrix.

    Returns
    -------
    int
        ``2 * sum(C(n - 1, k) for k < rank)`` (Cover, 1965), attained in general position; 1 without hyperplanes.
    """
    n, rank = as_count(n, "n", minimum=0), as_count(rank, "rank", minimum=0)
    if n == 0 or rank == 0:
        return 1
    return 2 * sum(math.comb(n - 1, k) for k in range(min(rank, n)))


def list_part(
    problem: Problem, index: int, of: int, chunk: int, certify: bool, n_threads: int
) -> Iterator[ActivationPatterns]:
    """Stream one of several parts of the cells, for as many processes that know nothing of each other.

    The parts have all cells of the problem between them, each once, in the order of the whole, and with the same gates.
    They are of similar size when there are many thousand cells for each. The certificate counts this part so far; cells
    that no float64 gate was found for are warned of by every part that has some.
    """
    cells = part_of_cells(problem, certify, index, of)
    if cells.rank > 0 or index == 0:
        yield from pieces(problem, cells, chunk, certify, n_threads)


def count_part(problem: Problem, index: int, of: int, n_threads: int) -> tuple[int, list[int]]:
    """Count the cells of a part as :func:`list_part` has them, and the sets that the search visits, by size."""
    cells = part_of_cells(problem, False, index, of)
    found = int(index == 0) if cells.rank == 0 else count_cells(cells, n_threads)
    return found, cells.counts["sets"]


def part_of_cells(problem: Problem, certify: bool, index: int, of: int) -> Any:
    cells = problem.search(certify)
    cells.restrict(index, of)
    return cells


def pieces(problem: Problem, cells: Any, chunk: int, certify: bool, threads: int) -> Iterator[ActivationPatterns]:
    """Yield the cells that are left, at most `chunk` at a time."""
    if cells.rank == 0:
        yield single_cell(problem, cells)
    for words, gates, certificate in filled(problem, cells, chunk, certify, threads):
        yield ActivationPatterns(gates, words, problem.n_samples, certificate=certificate)


def filled(
    problem: Problem, cells: Any, chunk: int, certify: bool, threads: int
) -> Iterator[tuple[WordArray, FloatArray, ArrangementCertificate]]:
    """Yield masks and gates of the cells that are left, at most `chunk` at a time, and what is proved of all so far."""
    while not cells.finished:
        capacity = max(chunk, cells.room)
        words = np.empty((capacity, cells.n_words), dtype=np.uint64)
        gates = np.empty((capacity, cells.gate_size))
        found = cells.fill(words, gates, threads)
        if found == 0:
            continue
        certificate = certificate_of(cells, problem.mode, certify)
        words.resize((found, cells.n_words), refcheck=False)
        gates.resize((found, cells.gate_size), refcheck=False)
        for first in range(0, found, chunk):
            piece = slice(first, first + chunk)
            rest = max(0, found - first - chunk)  # of which some may be those that were not verified
            so_far = dataclasses.replace(
                certificate,
                n_cells=certificate.n_cells - rest,
                n_verified=max(0, certificate.n_verified - rest),
            )
            yield words[piece], gates[piece], so_far


def list_cells(
    problem: Problem,
    cells: Any,
    limit: int | None,
    threads: int,
    *,
    gates: bool = True,
    callback: Callback | None = None,
) -> tuple[WordArray, FloatArray]:
    """Return the masks and gates of all cells, where there is room for them; without gates an array without columns."""
    n_words, n_features = cells.n_words, cells.gate_size if gates else 0
    capacity = affordable(problem, cells, limit, 8 * (n_words + n_features), threads)
    words = np.empty((capacity, n_words), dtype=np.uint64)
    points = np.empty((capacity, n_features))
    found = fill_cells(cells, words, points, threads, callback)
    words.resize((found, n_words), refcheck=False)
    points.resize((found, n_features), refcheck=False)
    return words, points


def refuse_too_many(cells: Any) -> None:
    """Raise where counting one by one might pass what an integer of 64 bits holds."""
    bound = pattern_bound(cells.n_hyperplanes, cells.rank)
    if bound >= 1 << 63:
        raise ArrangementTooLargeError(f"X may have up to {bound:.3g} patterns, too many to count one by one")


def affordable(problem: Problem, cells: Any, limit: int | None, row_bytes: int, threads: int) -> int:
    """Return for how many patterns there must be room; raise when that is too many."""
    of_pair = int(cells.cells_of_pair)
    bound = pattern_bound(cells.n_hyperplanes, cells.rank) * of_pair // 2
    in_memory = int(0.8 * available_memory()) // row_bytes
    most = in_memory if limit is None else min(limit, in_memory)
    if bound <= most:
        return bound
    # Independent rows have 2^rank cells, and every further hyperplane is cut into 2^(rank - 1) cells or more.
    least = (cells.n_hyperplanes - cells.rank + 2) * 2 ** (cells.rank - 1) * of_pair // 2
    if least > most:
        exact = f"at least {least} and at most {bound}"
    else:
        counter = problem.search(False)
        count = counter.count(min(most, (1 << 62)), threads)
        if count <= most:
            return int(count) + int(cells.room)
        exact = f"{count}" if counter.finished else f"at least {count} and at most {bound}"
    reason = f"max_patterns is {limit}" if limit is not None and most == limit else f"{in_memory} fit into memory"
    raise ArrangementTooLargeError(
        f"X has {exact} patterns, {row_bytes} bytes each ({bound * row_bytes:.3g} bytes at most), but {reason}: "
        "stream them with iter_patterns, or draw some with sample_patterns"
    )


def certificate_of(cells: Any, mode: str, certify: bool) -> ArrangementCertificate:
    counts, each = cells.counts, cells.cells_of_pair
    missing = each * (counts["pairs"] - counts["verified"])
    if certify and missing and cells.finished:
        what = (
            "cells are so thin that no float64 gate was found inside: their patterns are right, their gates are not. "
            "If X holds decimal numbers, such cells come from their binary rounding, and decimals=... does without"
            if each == 2
            else "regions are so thin or so far away that no float64 point was found inside: their patterns are right, "
            "their points are not"
        )
        warnings.warn(f"{missing} of {each * counts['pairs']} {what}", UserWarning, stacklevel=3)
    return ArrangementCertificate(
        n_cells=each * counts["pairs"],
        n_verified=each * counts["verified"],
        n_repaired=each * counts["repaired"],
        n_exact_fallbacks=counts["exact_decisions"] + counts["exact_gate_signs"],
        n_hyperplanes=cells.n_hyperplanes,
        rank=cells.rank,
        mode=mode,
        arithmetic=cells.arithmetic,
    )


def single_cell(problem: Problem, cells: Any) -> ActivationPatterns:
    """Without hyperplanes the only cell is the whole space."""
    n, d = problem.n_samples, problem.n_features
    bits = np.zeros((1, 64 * ((n + 63) // 64)), dtype=np.uint8)
    bits[0, :n] = 1
    words = np.packbits(bits, axis=1, bitorder="little").view("<u8").astype(np.uint64)
    certificate = ArrangementCertificate(1, 1, 0, 0, 0, 0, problem.mode, cells.arithmetic)
    return ActivationPatterns(np.eye(1, d), words, n, certificate=certificate)
