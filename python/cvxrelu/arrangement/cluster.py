"""Cells of an arrangement on a cluster: prefixes of the depth-first search as tasks.

The search is cut into parts with all cells between them, each once and in the order of the whole. A part is a task:
its cells are counted, measured, or listed where they are found. Listed cells come back part by part, in order, with
as many parts under way as there are threads to work on them, so that neither side holds more than these.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import dask
import numpy as np

from ..base.arrays import WordArray, as_count, as_design, as_generator
from ..base.callbacks import Callback
from ..exceptions import ArrangementTooLargeError
from ..patterns.measure import MODEST_WORK, ConeMeasure, measure_cells, row_space
from ..rows.dask import client_at_hand, n_threads_of_cluster
from .affine import region_pieces, unbounded_patterns
from .cells import ArrangementCertificate, count_part, list_part, part_of_cells, pattern_bound
from .characteristic import whitney_numbers, without_infinity
from .problem import Problem, prepare
from .watch import count_cells

_CELLS = 1 << 17  # in a part, about

_FEW_CELLS = 1 << 10

_MAX_PARTS = 1 << 12

_COUNTED = ("n_cells", "n_verified", "n_repaired", "n_exact_fallbacks")


def count_parts(
    X: Any, offsets: Any, *, bounded: bool, n_threads: int | None = None, callback: Callback | None = None
) -> int:
    """As :func:`cvxrelu.count_patterns`, exactly on the numbers given; one thread to a task unless told otherwise."""
    arrangement = _Parts(X, offsets)
    if arrangement.bound >= 1 << 63:
        raise ArrangementTooLargeError(
            f"X may have up to {arrangement.bound:.3g} patterns, too many to count one by one"
        )
    count, sets = 0, [0] * arrangement.problem.n_features
    for done, (found, visited) in enumerate(arrangement.stream(_counted, n_threads or 1)):
        count += found
        sets = list(map(sum, zip(sets, visited, strict=False)))
        arrangement.tell(callback, count, done + 1, 0)
    if bounded:
        rank = arrangement.problem.search(False).rank
        return abs(sum(without_infinity(whitney_numbers(rank, sets))))
    return count


def iter_parts(
    X: Any, offsets: Any = None, *, chunk: int, certify: bool = True, n_threads: int | None = None
) -> Iterator[Any]:
    """As :func:`cvxrelu.iter_patterns`: the same cells in the same order, with the same gates."""
    arrangement = _Parts(X, offsets)
    parts = _parts_in_pieces(arrangement, as_count(chunk, "chunk", minimum=2), bool(certify), n_threads or 1)
    return (piece for part in parts for piece in part)


def enumerate_parts(
    X: Any,
    offsets: Any,
    *,
    max_patterns: int | None = None,
    certify: bool = True,
    n_threads: int | None = None,
    callback: Callback | None = None,
) -> Any:
    """As :func:`cvxrelu.enumerate_patterns`."""
    limit = np.inf if max_patterns is None else as_count(max_patterns, "max_patterns")
    arrangement = _Parts(X, offsets)
    cells = arrangement.problem.search(False)
    row_bytes = 8 * (cells.n_words + cells.gate_size)
    listed: list[Any] = []
    found = 0
    for done, part in enumerate(_parts_in_pieces(arrangement, _CELLS, bool(certify), n_threads or 1)):
        listed += part
        found += sum(map(len, part))
        if found > limit:
            raise ArrangementTooLargeError(f"X has more patterns than max_patterns, which is {max_patterns}")
        arrangement.tell(callback, found, done + 1, row_bytes)
    return _joined(listed)


def measure_all(
    X: Any, *, method: str, n_draws: int = 1_000_000, random_state: Any = None, n_threads: int | None = None
) -> ConeMeasure:
    """Measure all cells where they are found: the measures of :func:`cvxrelu.cone_measure` alone come back."""
    arrangement = _Parts(X, None)
    data = arrangement.problem.rows.rounded
    rank = row_space(data).shape[1]
    if method == "auto" and rank > 3:
        # For all parts alike, and as for all cells in one place.
        work = arrangement.bound * float(data.any(axis=1).sum()) ** (rank - 1)
        method = "quadrature" if rank <= 5 and work <= MODEST_WORK else "sample"
    draws = as_count(n_draws, "n_draws")
    settings = {"method": method, "n_draws": draws, "random_state": as_generator(random_state)}
    parts = [part for part in arrangement.stream(_measured, settings, n_threads or 1) if part is not None]
    return ConeMeasure(
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.errors for part in parts]),
        parts[0].method,
        parts[0].n_draws,
    )


class _Parts:
    """The search of the cells of a dask array's rows, in parts; with offsets of those of the cone over the regions."""

    def __init__(self, X: Any, offsets: Any) -> None:
        data, offsets = dask.compute(X, offsets)
        self.problem = prepare(as_design(data), None, None, offsets)
        live = int(self.problem.rows.sums.any(axis=1).sum())
        self.bound = pattern_bound(live, min(live, self.problem.n_features)) // (1 + self.problem.affine)
        self.ahead = 2 * n_threads_of_cluster()
        self.n_parts = max(1, min(_MAX_PARTS, max(self.bound // _CELLS, min(2 * self.ahead, self.bound // _FEW_CELLS))))

    def tell(self, callback: Callback | None, n_cells: int, done: int, row_bytes: int) -> None:
        """Report after a part, as one process does about ten times a second."""
        share = done / self.n_parts
        told = {"n_cells": n_cells, "share": share, "bound": self.bound, "bytes": self.bound * row_bytes}
        if callback is not None and callback(told):
            reached = f"{n_cells} cells, of at most {self.bound:.6g}"
            raise ArrangementTooLargeError(f"callback stopped the search at {reached}, with {share:.1%} of it done")

    def stream(self, function: Callable[..., Any], *args: Any, **settings: Any) -> Iterator[Any]:
        """Yield ``function(problem, part, n_parts, *args, **settings)`` for one part after the other."""
        client = client_at_hand()
        shared = dask.delayed(self.problem, pure=False)
        tasks = (
            dask.delayed(function, pure=False)(shared, k, self.n_parts, *args, **settings) for k in range(self.n_parts)
        )
        if client is None:
            while batch := list(itertools.islice(tasks, self.ahead)):
                yield from dask.compute(*batch)
            return
        waiting: deque[Any] = deque()
        try:
            for task in tasks:
                waiting.append(client.compute(task))
                if len(waiting) > self.ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # also where who reads has seen enough
            client.cancel(list(waiting))


def _parts_in_pieces(arrangement: _Parts, chunk: int, certify: bool, n_threads: int) -> Iterator[list[Any]]:
    unbounded = None
    if arrangement.problem.affine:
        counted = arrangement.problem.search(False)
        count_cells(counted, 1)
        unbounded = unbounded_patterns(arrangement.problem, counted, 1)
    so_far: ArrangementCertificate | None = None
    for part in arrangement.stream(
        _listed, dask.delayed(unbounded, pure=False), chunk=chunk, certify=certify, n_threads=n_threads
    ):
        before, pieces = so_far, []
        for piece in part:
            so_far = piece.certificate if before is None else _added(before, piece.certificate)
            pieces.append(dataclasses.replace(piece, certificate=so_far))
        yield pieces
    if certify and so_far is not None and so_far.n_verified < so_far.n_cells:
        what, inside = ("regions", "point") if arrangement.problem.affine else ("cells", "gate")
        warnings.warn(
            f"{so_far.n_cells - so_far.n_verified} of {so_far.n_cells} {what} are so thin that no float64 {inside} was "
            f"found inside: their patterns are right, their {inside}s are not",
            UserWarning,
            stacklevel=3,
        )


def _added(before: ArrangementCertificate, part: ArrangementCertificate) -> ArrangementCertificate:
    return dataclasses.replace(part, **{name: getattr(before, name) + getattr(part, name) for name in _COUNTED})


def _counted(problem: Problem, index: int, of: int, n_threads: int) -> tuple[int, list[int]]:
    return count_part(problem, index, of, n_threads)


def _listed(
    problem: Problem, index: int, of: int, unbounded: WordArray | None, *, chunk: int, certify: bool, n_threads: int
) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # who asked is told once, from the sums
        if unbounded is None:
            return list(list_part(problem, index, of, chunk, certify, n_threads))
        cells = part_of_cells(problem, certify, index, of)
        return list(region_pieces(problem, cells, unbounded, chunk, certify, n_threads))


def _measured(problem: Problem, index: int, of: int, settings: dict[str, Any], n_threads: int) -> ConeMeasure | None:
    pieces = _listed(problem, index, of, None, chunk=2 * _CELLS, certify=False, n_threads=n_threads)
    if not pieces:
        return None
    # Every part is looked up in the same draws, which are those of one process.
    return measure_cells(problem.rows.rounded, _joined(pieces), **copy.deepcopy(settings), n_threads=n_threads)


def _joined(pieces: list[Any]) -> Any:
    first, certificate = pieces[0], pieces[-1].certificate
    arrays = {
        field.name: np.concatenate([getattr(piece, field.name) for piece in pieces])
        for field in dataclasses.fields(first)
        if isinstance(getattr(first, field.name), np.ndarray)
    }
    return dataclasses.replace(first, **arrays, certificate=certificate)


def refuse_other_numbers(decimals: int | None, tol: float | None, closed: bool) -> None:
    """Refuse settings that ask for cells of other numbers than those given."""
    if decimals is not None or tol is not None or closed:
        raise ValueError("on a cluster cells are those of the numbers given: decimals, tol and closed do not apply")
