"""All activation patterns of a data matrix: the cells of a central hyperplane arrangement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import overload

import numpy as np
import numpy.typing as npt

from ..base.arrays import as_count, as_threads
from ..base.callbacks import Callback, as_callback, out_of_reach
from ..exceptions import ArrangementTooLargeError
from ..patterns.patterns import ActivationPatterns
from ..rows.rows import is_dask
from .affine import Regions, list_regions, region_pieces, unbounded_patterns
from .cells import certificate_of, list_cells, pieces, refuse_too_many, single_cell
from .characteristic import whitney_numbers, without_infinity
from .faces import certified_faces, closed_faces
from .problem import Problem, prepare
from .watch import count_cells


@overload
def enumerate_patterns(
    X: npt.ArrayLike,
    *,
    offsets: None = None,
    closed: bool = False,
    max_patterns: int | None = None,
    decimals: int | None = None,
    tol: float | None = None,
    certify: bool = True,
    n_threads: int | None = None,
    callback: Callback | None = None,
) -> ActivationPatterns: ...


@overload
def enumerate_patterns(
    X: npt.ArrayLike,
    *,
    offsets: npt.ArrayLike,
    max_patterns: int | None = None,
    decimals: int | None = None,
    tol: float | None = None,
    certify: bool = True,
    n_threads: int | None = None,
    callback: Callback | None = None,
) -> Regions: ...


def enumerate_patterns(
    X: npt.ArrayLike,
    *,
    offsets: npt.ArrayLike | None = None,
    closed: bool = False,
    max_patterns: int | None = None,
    decimals: int | None = None,
    tol: float | None = None,
    certify: bool = True,
    n_threads: int | None = None,
    callback: Callback | None = None,
) -> ActivationPatterns | Regions:
    """Find every activation pattern 1[X g >= 0] of gates g in general position, each with a gate.

    These are the full-dimensional cells of the arrangement of hyperplanes x_j . g = 0. They come in antipodal pairs,
    one after the other; rows of X that are zero are active in all patterns. The pattern that is 0 everywhere is in
    the list if it is a cell; it adds nothing to a convex program, and ``patterns[patterns.words.any(axis=1)]`` leaves
    it out.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        Data matrix of any rank, with duplicate, opposite or zero rows or not. For a bias append a column of ones.
        Floats are taken as they are; integers of any size, ``fractions.Fraction``, ``decimal.Decimal``, SymPy rationals
        and strings such as "1/3" are as exact.
    offsets : array_like of shape (n_samples,), optional
        Numbers b, of the same kinds: the result has the regions of the affine hyperplanes x_j . u = b_j instead, whose
        patterns are 1[X u >= b]. A row that is zero is active everywhere, or nowhere, as 0 >= b_j says.
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
    callback : callable, optional
        Told of the search before it begins and about ten times a second, with a dict: `n_cells` found so far
        (or regions), the `share` of what was to be searched at most, the `bound` of cells that there may be, and the
        `bytes` that these would take. Where it returns True the search ends with
        ArrangementTooLargeError. The logger "cvxrelu" is told as much, at level INFO, every ten seconds.
        With a dask array it is told after every part of the search that has come back.

    Returns
    -------
    ActivationPatterns or Regions
        With `certificate`, an :class:`ArrangementCertificate`; with offsets :class:`Regions`, which says also which are
        bounded.

    Raises
    ------
    ArrangementTooLargeError
        Before anything is allocated, when there are more than `max_patterns` or the result would not fit into 80 % of
        the memory that is available, or X has a rank above 62. Patterns on hyperplanes are counted while they are
        found.
    TypeError
        For entries that are no rational numbers.
    ValueError
        For bad shapes, entries that are not finite, or contradicting settings; in the middle where signs that `tol`
        decides give more cells than any hyperplanes can, as rows do that differ by about `tol`.

    Warns
    -----
    UserWarning
        When floats are dependent to rounding but not exactly, so that a tolerance is more likely to be meant. When
        some cells are so thin that no float64 gate was found inside (there may be none, as between the lines of
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
        from . import cluster

        cluster.refuse_other_numbers(decimals, tol, closed)
        found: ActivationPatterns | Regions = cluster.enumerate_parts(
            X, offsets, max_patterns=max_patterns, certify=certify, n_threads=n_threads, callback=as_callback(callback)
        )
        return found
    callback = as_callback(callback)
    X, offsets = out_of_reach(callback, X, offsets)
    problem = prepare(X, decimals, tol, offsets)
    threads = as_threads(n_threads)
    limit = None if max_patterns is None else as_count(max_patterns, "max_patterns")
    _refuse_rounded(closed, problem.mode)
    cells = problem.search(bool(certify))
    if offsets is not None:
        _refuse_closed(closed)
        problem.warn_if_nearly_degenerate(cells)
        return list_regions(problem, cells, limit, bool(certify), threads, callback)
    if cells.rank == 0:
        return single_cell(problem, cells)
    problem.warn_if_nearly_degenerate(cells)
    words, gates = list_cells(problem, cells, limit, threads, callback=callback)
    n_cells = len(words)
    certificate = certificate_of(cells, problem.mode, bool(certify))
    if closed:
        parts = [(words, gates)]
        cells_only = certificate
        for words, gates, certificate in certified_faces(problem, cells, cells_only, bool(certify), threads):
            parts.append((words, gates))
            if limit is not None and certificate.n_cells + certificate.n_on_hyperplanes > limit:
                raise ArrangementTooLargeError(f"X has {n_cells} cells and more patterns, but max_patterns is {limit}")
        words, gates = (np.concatenate(part) for part in zip(*parts, strict=True))
    return ActivationPatterns(gates, words, problem.n_samples, certificate=certificate)


@overload
def iter_patterns(
    X: npt.ArrayLike,
    *,
    offsets: None = None,
    closed: bool = False,
    chunk: int = 1 << 18,
    decimals: int | None = None,
    tol: float | None = None,
    certify: bool = True,
    n_threads: int | None = None,
) -> Iterator[ActivationPatterns]: ...


@overload
def iter_patterns(
    X: npt.ArrayLike,
    *,
    offsets: npt.ArrayLike,
    chunk: int = 1 << 18,
    decimals: int | None = None,
    tol: float | None = None,
    certify: bool = True,
    n_threads: int | None = None,
) -> Iterator[Regions]: ...


def iter_patterns(
    X: npt.ArrayLike,
    *,
    offsets: npt.ArrayLike | None = None,
    closed: bool = False,
    chunk: int = 1 << 18,
    decimals: int | None = None,
    tol: float | None = None,
    certify: bool = True,
    n_threads: int | None = None,
) -> Iterator[ActivationPatterns] | Iterator[Regions]:
    """Stream the patterns of :func:`enumerate_patterns`, in the same order, in bounded memory.

    Parameters
    ----------
    X, offsets, closed
        As in :func:`enumerate_patterns`.
    chunk : int
        Patterns in each piece, at most. Memory is that of some `chunk` patterns with their gates; with `closed` also of
        a mask for each set of rows that a subspace is orthogonal to and that has more rows than its rank; with
        `offsets` also of the patterns of the unbounded regions.
    decimals, tol, certify, n_threads
        As in :func:`enumerate_patterns`.

    Yields
    ------
    ActivationPatterns or Regions
        The next patterns. The certificate counts all patterns so far.

    Raises
    ------
    ValueError
        As :func:`enumerate_patterns`, and already at the call, before the first piece is asked for.
    """
    if is_dask(X):
        from . import cluster

        cluster.refuse_other_numbers(decimals, tol, closed)
        return cluster.iter_parts(X, offsets, chunk=chunk, certify=certify, n_threads=n_threads)
    problem = prepare(X, decimals, tol, offsets)
    chunk, threads = as_count(chunk, "chunk", minimum=2), as_threads(n_threads)
    _refuse_rounded(closed, problem.mode)
    if offsets is not None:
        _refuse_closed(closed)
        return _stream_regions(problem, chunk, bool(certify), threads)
    return _stream(problem, closed, chunk, bool(certify), threads)


def _stream(problem: Problem, closed: bool, chunk: int, certify: bool, threads: int) -> Iterator[ActivationPatterns]:
    cells = problem.search(certify)
    problem.warn_if_nearly_degenerate(cells)
    yield from pieces(problem, cells, chunk, certify, threads)
    if closed and cells.rank > 0:
        so_far = certificate_of(cells, problem.mode, False)
        for words, gates, certificate in certified_faces(problem, cells, so_far, certify, threads):
            for first in range(0, len(words), chunk):
                piece = slice(first, first + chunk)
                yield ActivationPatterns(gates[piece], words[piece], problem.n_samples, certificate=certificate)


def _stream_regions(problem: Problem, chunk: int, certify: bool, threads: int) -> Iterator[Regions]:
    cells = problem.search(certify)
    problem.warn_if_nearly_degenerate(cells)
    counted = problem.search(False)
    count_cells(counted, threads)
    unbounded = unbounded_patterns(problem, counted, threads)
    yield from region_pieces(problem, cells, unbounded, chunk, certify, threads)


def _refuse_rounded(closed: bool, mode: str) -> None:
    if closed and mode == "tol":
        raise ValueError("closed=True needs exact decisions, which tol does not make: leave one of them out")


def _refuse_closed(closed: bool) -> None:
    if closed:
        raise ValueError("closed=True is for hyperplanes through the origin: leave closed or offsets out")


def count_patterns(
    X: npt.ArrayLike,
    *,
    offsets: npt.ArrayLike | None = None,
    closed: bool = False,
    decimals: int | None = None,
    tol: float | None = None,
    n_threads: int | None = None,
    callback: Callback | None = None,
    bounded: bool = False,
) -> int:
    """Count the patterns of :func:`enumerate_patterns` without storing them.

    Parameters
    ----------
    X, offsets, closed, decimals, tol, n_threads, callback
        As in :func:`enumerate_patterns`.
    bounded : bool, default False
        With offsets: count the bounded regions alone (but for directions that are parallel to all hyperplanes).

    Returns
    -------
    int
        The number of full-dimensional cells, and of the patterns on hyperplanes that `closed` adds.

    Raises
    ------
    ArrangementTooLargeError
        When there can be 2^63 cells or more.
    TypeError, ValueError
        As :func:`enumerate_patterns`.

    Warns
    -----
    UserWarning
        When floats are dependent to rounding but not exactly.
    """
    callback = as_callback(callback)
    if bounded and offsets is None:
        raise ValueError("bounded=True needs offsets: no cell of hyperplanes through the origin is bounded")
    if is_dask(X):
        from . import cluster

        cluster.refuse_other_numbers(decimals, tol, closed)
        return cluster.count_parts(X, offsets, bounded=bounded, n_threads=n_threads, callback=callback)
    problem = prepare(X, decimals, tol, offsets)
    threads = as_threads(n_threads)
    _refuse_rounded(closed, problem.mode)
    if offsets is not None:
        _refuse_closed(closed)
    cells = problem.search(False)
    if cells.rank == 0:
        return 1
    problem.warn_if_nearly_degenerate(cells)
    refuse_too_many(cells)
    faces = sum(len(words) for words, _ in closed_faces(problem.rows, cells, threads)) if closed else 0
    count = count_cells(cells, threads, callback)
    if bounded:
        return abs(sum(without_infinity(whitney_numbers(cells.rank, cells.counts["sets"]))))
    return count + faces
