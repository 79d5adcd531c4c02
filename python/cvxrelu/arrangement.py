"""All activation patterns of a data matrix: the cells of a central hyperplane arrangement."""

from __future__ import annotations

import dataclasses
import math
import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ._native import core
from ._validation import FloatArray, WordArray, as_count, as_design, as_scalar, as_threads
from .arrangement_closed import closed_faces
from .exceptions import ArrangementTooLargeError
from .patterns import ActivationPatterns
from .row_blocks import is_dask, on_rows


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
        Of these, gates of thin cells that were found in quadruple precision.
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


def enumerate_patterns(
    X: npt.ArrayLike,
    *,
    closed: bool = False,
    max_patterns: int | None = None,
    decimals: int | None = None,
    tol: float | None = None,
    certify: bool = True,
    n_threads: int | None = None,
) -> ActivationPatterns:
    """Find every activation pattern 1[X g >= 0] of gates g in general position, each with a gate.

    These are the full-dimensional cells of the arrangement of hyperplanes x_j . g = 0. They come in antipodal pairs,
    one after the other; rows of X that are zero are active in all patterns. The pattern that is 0 everywhere is in
    the list if it is a cell; it adds nothing to a convex program, and ``patterns[patterns.words.any(axis=1)]`` leaves
    it out.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        Data matrix of any rank, with duplicate, opposite or zero rows or not. For a bias append a column of ones.
    closed : bool, default False
        Add the patterns that are attained only on hyperplanes, where 1[0 >= 0] is 1: the result is then exactly
        ``{1[X u >= 0] : u}``. They come last, each once: for u = 0 the pattern that is 1 everywhere, unless a cell has
        it, and more where rows are positively dependent, as x and -x are. With a column of ones there are none. A
        point with such a pattern lies on hyperplanes, and float64 numbers need not express one; then the pattern is
        right, the gate is only near the face, and the certificate is not `complete`.
    max_patterns : int, optional
        Raise instead of returning more patterns than this.
    decimals : int, optional
        Take the entries of X as decimal numbers with this many places, which data such as 0.1 + 0.2 = 0.3 need to be
        seen as degenerate as they were meant. Gates and patterns then belong to the rounded numbers.
    tol : float, optional
        Decide in floating point: what is below `tol`, for rows and vectors of norm one, counts as zero. By default
        all decisions are exact for the float64 numbers given.
    certify : bool, default True
        Check that every gate lies strictly inside its cell.
    n_threads : int, optional
        Threads; by default what OpenMP would take. The result does not depend on it.

    Returns
    -------
    ActivationPatterns
        With `certificate`, an :class:`ArrangementCertificate`.

    Raises
    ------
    ArrangementTooLargeError
        Before anything is allocated, when there are more than `max_patterns` or the result would not fit into 80 % of
        the memory that is available. Patterns on hyperplanes are counted while they are found.
    ValueError
        For bad shapes, entries that are not finite, a rank above 62, or contradicting settings; in the middle where
        signs that `tol` decides give more cells than any hyperplanes can, as rows do that differ by about `tol`.

    Warns
    -----
    UserWarning
        When some cells are so thin that no float64 gate was found inside (there may be none, as between the lines of
        (1, 1) and (1, 1 - 2^-53)), or no float64 gate was found on a face; their patterns are right all the same.

    Notes
    -----
    In general position there are :func:`pattern_bound` patterns of n samples and rank r, about 2 n^(r-1) / (r-1)!.
    Time is proportional to n for each pattern. The method pairs cells with no-broken-circuit sets of the rows, so it
    solves no linear program and never looks a pattern up.

    Examples
    --------
    >>> import numpy as np
    >>> from cvxrelu import enumerate_patterns
    >>> patterns = enumerate_patterns(np.array([[-1.0, 1.0], [0.0, 1.0], [2.0, 1.0]]))
    >>> len(patterns)
    6
    >>> patterns.certificate.complete
    True
    """
    if is_dask(X):
        return on_rows(enumerate_patterns, locals())
    data, mode, width = _prepare(X, decimals, tol)
    threads = as_threads(n_threads)
    limit = None if max_patterns is None else as_count(max_patterns, "max_patterns")
    _refuse_rounded(closed, mode)
    cells = core.Arrangement(data, width, bool(certify))
    if cells.rank == 0:
        return _single_cell(data, cells, mode)
    n_words, n_features = (data.shape[0] + 63) // 64, data.shape[1]
    capacity = _affordable(cells, data, width, limit, 8 * (n_words + n_features), threads)
    words = np.empty((capacity, n_words), dtype=np.uint64)
    gates = np.empty((capacity, n_features))
    found = cells.fill(words, gates, threads)
    words.resize((found, n_words), refcheck=False)
    gates.resize((found, n_features), refcheck=False)
    certificate = _certificate(cells, mode, bool(certify))
    if closed:
        parts = [(words, gates)]
        cells_only = certificate
        for words, gates, certificate in _with_faces(data, cells, cells_only, bool(certify), threads):
            parts.append((words, gates))
            if limit is not None and certificate.n_cells + certificate.n_on_hyperplanes > limit:
                raise ArrangementTooLargeError(f"X has {found} cells and more patterns, but max_patterns is {limit}")
        words, gates = (np.concatenate(part) for part in zip(*parts, strict=True))
    return ActivationPatterns(gates, words, data.shape[0], certificate=certificate)


def iter_patterns(
    X: npt.ArrayLike,
    *,
    closed: bool = False,
    chunk: int = 1 << 18,
    decimals: int | None = None,
    tol: float | None = None,
    certify: bool = True,
    n_threads: int | None = None,
) -> Iterator[ActivationPatterns]:
    """Stream the patterns of :func:`enumerate_patterns`, in the same order, in bounded memory.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        As in :func:`enumerate_patterns`.
    closed
        As in :func:`enumerate_patterns`.
    chunk : int
        Patterns in each piece, at most. Memory is that of some `chunk` patterns with their gates, and with `closed`
        of a mask for each set of rows that a subspace is orthogonal to and that has more rows than its rank.
    decimals, tol, certify, n_threads
        As in :func:`enumerate_patterns`.

    Yields
    ------
    ActivationPatterns
        The next patterns. The certificate counts all patterns so far.

    Raises
    ------
    ValueError
        As :func:`enumerate_patterns`, and already at the call, before the first piece is asked for.
    """
    if is_dask(X):
        return on_rows(iter_patterns, locals())
    data, mode, width = _prepare(X, decimals, tol)
    chunk, threads = as_count(chunk, "chunk", minimum=2), as_threads(n_threads)
    _refuse_rounded(closed, mode)
    return _stream(data, mode, width, closed, chunk, bool(certify), threads)


def _stream(
    data: FloatArray, mode: str, width: float, closed: bool, chunk: int, certify: bool, threads: int
) -> Iterator[ActivationPatterns]:
    cells = core.Arrangement(data, width, certify)
    yield from _pieces(data, cells, mode, chunk, certify, threads)
    if closed and cells.rank > 0:
        so_far = _certificate(cells, mode, False)
        for words, gates, certificate in _with_faces(data, cells, so_far, certify, threads):
            for first in range(0, len(words), chunk):
                piece = slice(first, first + chunk)
                yield ActivationPatterns(gates[piece], words[piece], data.shape[0], certificate=certificate)


def _part(
    X: npt.ArrayLike, index: int, of: int, *, chunk: int = 1 << 18, certify: bool = True, n_threads: int | None = 1
) -> Iterator[ActivationPatterns]:
    """Stream one of several parts of the cells, for as many processes that know nothing of each other.

    The parts have all cells of X between them, each once, in the order of the whole, and with the same gates. They are
    of similar size when there are many thousand cells for each. The certificate counts this part so far; cells that no
    float64 gate was found for are warned of by every part that has some.
    """
    data, mode, _ = _prepare(X, None, None)
    cells = _part_of_cells(data, bool(certify), index, of)
    if cells.rank > 0 or index == 0:
        yield from _pieces(data, cells, mode, as_count(chunk, "chunk", minimum=2), bool(certify), as_threads(n_threads))


def _count_part(X: npt.ArrayLike, index: int, of: int, *, n_threads: int | None = 1) -> int:
    """Count the cells of a part as :func:`_part` has them."""
    cells = _part_of_cells(as_design(X), False, index, of)
    return int(index == 0) if cells.rank == 0 else int(cells.count((1 << 63) - 1, as_threads(n_threads)))


def _part_of_cells(data: FloatArray, certify: bool, index: int, of: int) -> Any:
    cells = core.Arrangement(data, 0.0, certify)
    cells.restrict(index, of)
    return cells


def _pieces(
    data: FloatArray, cells: Any, mode: str, chunk: int, certify: bool, threads: int
) -> Iterator[ActivationPatterns]:
    """Yield the cells that are left, at most `chunk` at a time."""
    if cells.rank == 0:
        yield _single_cell(data, cells, mode)
    n_words, n_features = (data.shape[0] + 63) // 64, data.shape[1]
    while not cells.finished:
        capacity = max(chunk, cells.room)
        words = np.empty((capacity, n_words), dtype=np.uint64)
        gates = np.empty((capacity, n_features))
        found = cells.fill(words, gates, threads)
        if found == 0:
            continue
        certificate = _certificate(cells, mode, certify)
        words.resize((found, n_words), refcheck=False)
        gates.resize((found, n_features), refcheck=False)
        for first in range(0, found, chunk):
            piece = slice(first, first + chunk)
            yield ActivationPatterns(gates[piece], words[piece], data.shape[0], certificate=certificate)


def _with_faces(
    data: FloatArray, cells: Any, certificate: ArrangementCertificate, certify: bool, threads: int
) -> Iterator[tuple[WordArray, FloatArray, ArrangementCertificate]]:
    """Yield the patterns on hyperplanes with certificates that count them as well."""
    missing = 0
    for words, gates in closed_faces(data, cells, threads):
        right = int((core.pack_patterns(data, gates, threads)[0] == words).all(axis=1).sum()) if certify else 0
        missing += len(words) - right
        certificate = dataclasses.replace(
            certificate,
            n_verified=certificate.n_verified + right,
            n_on_hyperplanes=certificate.n_on_hyperplanes + len(words),
        )
        yield words, gates, certificate
    if certify and missing:
        warnings.warn(
            f"{missing} of {certificate.n_on_hyperplanes} patterns on hyperplanes have no float64 gate that was "
            "found: these patterns are right, their gates are only near",
            UserWarning,
            stacklevel=3,
        )


def _refuse_rounded(closed: bool, mode: str) -> None:
    if closed and mode == "tol":
        raise ValueError("closed=True needs exact decisions, which tol does not make: leave one of them out")


def count_patterns(
    X: npt.ArrayLike,
    *,
    closed: bool = False,
    decimals: int | None = None,
    tol: float | None = None,
    n_threads: int | None = None,
) -> int:
    """Count the patterns of :func:`enumerate_patterns` without storing them.

    Parameters
    ----------
    X, closed, decimals, tol, n_threads
        As in :func:`enumerate_patterns`.

    Returns
    -------
    int
        The number of full-dimensional cells, and of the patterns on hyperplanes that `closed` adds.

    Raises
    ------
    ArrangementTooLargeError
        When there can be 2^63 cells or more.
    """
    if is_dask(X):
        return on_rows(count_patterns, locals())
    data, mode, width = _prepare(X, decimals, tol)
    threads = as_threads(n_threads)
    _refuse_rounded(closed, mode)
    cells = core.Arrangement(data, width, False)
    if cells.rank == 0:
        return 1
    bound = pattern_bound(cells.n_hyperplanes, cells.rank)
    if bound >= 1 << 63:
        raise ArrangementTooLargeError(f"X may have up to {bound:.3g} patterns, too many to count one by one")
    faces = sum(len(words) for words, _ in closed_faces(data, cells, threads)) if closed else 0
    return int(cells.count((1 << 63) - 1, threads)) + faces


def _prepare(X: npt.ArrayLike, decimals: int | None, tol: float | None) -> tuple[FloatArray, str, float]:
    """Return the matrix to work on, the mode and the tolerance (0: exact)."""
    data = as_design(X)
    if decimals is not None and tol is not None:
        raise ValueError("decimals and tol exclude each other: the first is exact, the second is not")
    if tol is not None:
        return data, "tol", as_scalar(tol, "tol", strict=True)
    if decimals is None:
        return data, "exact", 0.0
    places = as_count(decimals, "decimals", minimum=0)
    rounded = np.rint(data * 10.0**places)
    bad = np.argwhere(~(np.abs(rounded) < 2.0**53))
    if bad.size:
        j, k = map(int, bad[0])
        raise ValueError(f"decimals={places} needs more than 53 bits for X[{j}, {k}] = {data[j, k]}: use fewer")
    return rounded, "decimals", 0.0


def _affordable(cells: Any, data: FloatArray, tol: float, limit: int | None, row_bytes: int, threads: int) -> int:
    """Return for how many patterns there must be room; raise when that is too many."""
    bound = pattern_bound(cells.n_hyperplanes, cells.rank)
    in_memory = int(0.8 * _available_memory()) // row_bytes
    most = in_memory if limit is None else min(limit, in_memory)
    if bound <= most:
        return bound
    # Independent rows have 2^rank cells, and every further hyperplane is cut into 2^(rank - 1) cells or more.
    least = (cells.n_hyperplanes - cells.rank + 2) * 2 ** (cells.rank - 1)
    if least > most:
        exact = f"at least {least} and at most {bound}"
    else:
        counter = core.Arrangement(data, tol, False)
        count = counter.count(min(most, (1 << 62)), threads)
        if count <= most:
            return int(count) + int(cells.room)
        exact = f"{count}" if counter.finished else f"at least {count} and at most {bound}"
    reason = f"max_patterns is {limit}" if limit is not None and most == limit else f"{in_memory} fit into memory"
    raise ArrangementTooLargeError(
        f"X has {exact} patterns, {row_bytes} bytes each ({bound * row_bytes:.3g} bytes at most), but {reason}: "
        "stream them with iter_patterns, or draw some with sample_patterns"
    )


def _available_memory() -> int:
    try:
        with open("/proc/meminfo") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _certificate(cells: Any, mode: str, certify: bool) -> ArrangementCertificate:
    counts = cells.counts
    missing = counts["pairs"] - counts["verified"]
    if certify and missing and cells.finished:
        warnings.warn(
            f"{2 * missing} of {2 * counts['pairs']} cells are so thin that no float64 gate was found inside: their "
            "patterns are right, their gates are not. If X holds decimal numbers, such cells come from their binary "
            "rounding, and decimals=... does without",
            UserWarning,
            stacklevel=3,
        )
    return ArrangementCertificate(
        n_cells=2 * counts["pairs"],
        n_verified=2 * counts["verified"],
        n_repaired=2 * counts["repaired"],
        n_exact_fallbacks=counts["exact_decisions"] + counts["exact_gate_signs"],
        n_hyperplanes=cells.n_hyperplanes,
        rank=cells.rank,
        mode=mode,
        arithmetic=cells.arithmetic,
    )


def _single_cell(data: FloatArray, cells: Any, mode: str) -> ActivationPatterns:
    """Without hyperplanes the only cell is the whole space."""
    n, d = data.shape
    bits = np.zeros((1, 64 * ((n + 63) // 64)), dtype=np.uint8)
    bits[0, :n] = 1
    words = np.packbits(bits, axis=1, bitorder="little").view("<u8").astype(np.uint64)
    certificate = ArrangementCertificate(1, 1, 0, 0, 0, 0, mode, cells.arithmetic)
    return ActivationPatterns(np.eye(1, d), words, n, certificate=certificate)
