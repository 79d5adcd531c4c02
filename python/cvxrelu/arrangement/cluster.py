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

from ..base.arrays import FloatArray, as_count, as_design, as_generator
from ..exceptions import ArrangementTooLargeError
from ..patterns.measure import MODEST_WORK, ConeMeasure, measure_cells, row_space
from ..patterns.patterns import ActivationPatterns
from ..rows.dask import client_at_hand, n_threads_of_cluster
from .cells import ArrangementCertificate, count_part, list_part, pattern_bound

_CELLS = 1 << 17  # in a part, about

_FEW_CELLS = 1 << 10

_MAX_PARTS = 1 << 12

_COUNTED = ("n_cells", "n_verified", "n_repaired", "n_exact_fallbacks")


def count_parts(X: Any, n_threads: int | None = None) -> int:
    """As :func:`cvxrelu.count_patterns`, exactly on the numbers given; one thread to a task unless told otherwise."""
    arrangement = _Parts(X)
    if arrangement.bound >= 1 << 63:
        raise ArrangementTooLargeError(
            f"X may have up to {arrangement.bound:.3g} patterns, too many to count one by one"
        )
    return sum(arrangement.stream(_counted, n_threads or 1))


def iter_parts(
    X: Any, *, chunk: int, certify: bool = True, n_threads: int | None = None
) -> Iterator[ActivationPatterns]:
    """As :func:`cvxrelu.iter_patterns`: the same cells in the same order, with the same gates."""
    return _pieces(_Parts(X), as_count(chunk, "chunk", minimum=2), certify, n_threads or 1)


def enumerate_parts(
    X: Any, *, max_patterns: int | None = None, certify: bool = True, n_threads: int | None = None
) -> ActivationPatterns:
    """As :func:`cvxrelu.enumerate_patterns`."""
    limit = np.inf if max_patterns is None else as_count(max_patterns, "max_patterns")
    pieces = []
    for piece in iter_parts(X, chunk=_CELLS, certify=certify, n_threads=n_threads):
        pieces.append(piece)
        if sum(map(len, pieces)) > limit:
            raise ArrangementTooLargeError(f"X has more patterns than max_patterns, which is {max_patterns}")
    return _joined(pieces)


def measure_all(
    X: Any, *, method: str, n_draws: int = 1_000_000, random_state: Any = None, n_threads: int | None = None
) -> ConeMeasure:
    """Measure all cells where they are found: the measures of :func:`cvxrelu.cone_measure` alone come back."""
    arrangement = _Parts(X)
    rank = row_space(arrangement.data).shape[1]
    if method == "auto" and rank > 3:
        # For all parts alike, and as for all cells in one place.
        work = arrangement.bound * float(arrangement.data.any(axis=1).sum()) ** (rank - 1)
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
    """The search of the cells of a dask array's rows, in parts."""

    def __init__(self, X: Any) -> None:
        self.data = as_design(dask.compute(X)[0])
        live = int(self.data.any(axis=1).sum())
        self.bound = pattern_bound(live, min(live, self.data.shape[1]))
        self.ahead = 2 * n_threads_of_cluster()
        self.n_parts = max(1, min(_MAX_PARTS, max(self.bound // _CELLS, min(2 * self.ahead, self.bound // _FEW_CELLS))))

    def stream(self, function: Callable[..., Any], *args: Any) -> Iterator[Any]:
        """Yield ``function(data, part, n_parts, *args)`` for one part after the other."""
        client = client_at_hand()
        shared = dask.delayed(self.data, pure=False)
        tasks = (dask.delayed(function, pure=False)(shared, k, self.n_parts, *args) for k in range(self.n_parts))
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


def _pieces(arrangement: _Parts, chunk: int, certify: bool, n_threads: int) -> Iterator[ActivationPatterns]:
    so_far: ArrangementCertificate | None = None
    for part in arrangement.stream(_listed, chunk, certify, n_threads):
        before = so_far
        for piece in part:
            so_far = piece.certificate if before is None else _added(before, piece.certificate)
            yield dataclasses.replace(piece, certificate=so_far)
    if certify and so_far is not None and so_far.n_verified < so_far.n_cells:
        warnings.warn(
            f"{so_far.n_cells - so_far.n_verified} of {so_far.n_cells} cells are so thin that no float64 gate was "
            "found inside: their patterns are right, their gates are not",
            UserWarning,
            stacklevel=3,
        )


def _added(before: ArrangementCertificate, part: ArrangementCertificate) -> ArrangementCertificate:
    return dataclasses.replace(part, **{name: getattr(before, name) + getattr(part, name) for name in _COUNTED})


def _counted(data: FloatArray, index: int, of: int, n_threads: int) -> int:
    return count_part(data, index, of, n_threads=n_threads)


def _listed(data: FloatArray, index: int, of: int, chunk: int, certify: bool, n_threads: int) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # who asked is told once, from the sums
        return list(list_part(data, index, of, chunk=chunk, certify=certify, n_threads=n_threads))


def _measured(data: FloatArray, index: int, of: int, settings: dict[str, Any], n_threads: int) -> ConeMeasure | None:
    pieces = _listed(data, index, of, 2 * _CELLS, False, n_threads)
    if not pieces:
        return None
    # Every part is looked up in the same draws, which are those of one process.
    return measure_cells(data, _joined(pieces), **copy.deepcopy(settings), n_threads=n_threads)


def _joined(pieces: list[ActivationPatterns]) -> ActivationPatterns:
    gates, words = (np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("gates", "words"))
    return ActivationPatterns(gates, words, pieces[0].n_samples, certificate=pieces[-1].certificate)


def refuse_callback(callback: Any) -> None:
    """Refuse to tell of what happens elsewhere."""
    if callback is not None:
        raise ValueError("on a cluster its dashboard tells of the progress: callback does not apply")


def refuse_other_numbers(decimals: int | None, tol: float | None, closed: bool, offsets: Any = None) -> None:
    """Refuse settings that ask for cells of other numbers than those given."""
    if decimals is not None or tol is not None or closed or offsets is not None:
        raise ValueError(
            "on a cluster cells are those of the numbers given: offsets, decimals, tol and closed do not apply"
        )
