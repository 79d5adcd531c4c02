"""Two slow ways to the cells of a central arrangement: exact insertion of one hyperplane after the other, and linear
programs. Neither knows no-broken-circuit sets."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
from scipy.optimize import linprog

Row = tuple[Fraction, ...]
Cell = tuple[tuple[int, ...], Row]  # signs on the rows so far, and a point with these signs


def exact_rows(X) -> list[Row]:
    return [tuple(Fraction(float(x)) for x in row) for row in np.asarray(X, dtype=float)]


def _dot(a: Row, b: Row) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def _sign(x: Fraction) -> int:
    return (x > 0) - (x < 0)


def _restrict(rows: list[Row], a: Row, pivot: int) -> list[Row]:
    """The rows as functionals on the hyperplane of a, in the coordinates that are left without the pivot."""
    return [tuple(b[q] - b[pivot] / a[pivot] * a[q] for q in range(len(a)) if q != pivot) for b in rows]


def _insert(rows: list[Row], d: int) -> list[Cell]:
    """All cells, by insertion: a cell of the first k hyperplanes is cut by the next one exactly when its signs are
    those of a cell of the restriction to that hyperplane."""
    cells: list[Cell] = [((), (Fraction(1),) * d)]
    for k, a in enumerate(rows):
        pivot = next((q for q in range(d) if a[q] != 0), None)
        if pivot is None:
            cells = [((*signs, 0), w) for signs, w in cells]
            continue
        cut: dict[tuple[int, ...], Row] = {}
        restricted = _restrict(rows[:k], a, pivot)
        earlier = [any(x != 0 for x in b) for b in rows[:k]]
        parallel = any(e and not any(x != 0 for x in r) for e, r in zip(earlier, restricted, strict=True))
        if not parallel:
            for signs, w in _insert(restricted, d - 1):
                point = [*w[:pivot], Fraction(0), *w[pivot:]]
                point[pivot] = -_dot(a, tuple(point)) / a[pivot]
                cut[signs] = tuple(point)
        following: list[Cell] = []
        for signs, w in cells:
            if signs not in cut:
                following.append(((*signs, _sign(_dot(a, w))), w))
                continue
            point = cut[signs]
            step = Fraction(1)
            for b in rows[:k]:
                at, along = _dot(b, point), _dot(b, a)
                if at != 0 and along != 0:
                    step = min(step, abs(at / along) / 2)
            for side in (1, -1):
                moved = tuple(x + side * step * y for x, y in zip(point, a, strict=True))
                following.append(((*signs, side), moved))
        cells = following
    return cells


def patterns(X) -> set[tuple[bool, ...]]:
    """The patterns 1[X u >= 0] of all full-dimensional cells, in exact arithmetic."""
    rows = exact_rows(X)
    return {tuple(sign >= 0 for sign in signs) for signs, _ in _insert(rows, len(rows[0]))}


def closed_patterns(X) -> set[tuple[bool, ...]]:
    """The patterns 1[X u >= 0] of all u: those of the cells, and of all faces of the restrictions to hyperplanes."""

    def faces(rows: list[Row], d: int) -> set[tuple[int, ...]]:
        signs = {s for s, _ in _insert(rows, d)}
        for a in set(rows):
            pivot = next((q for q in range(d) if a[q] != 0), None)
            if pivot is not None:
                signs |= faces(_restrict(rows, a, pivot), d - 1)
        return signs

    rows = exact_rows(X)
    return {tuple(sign >= 0 for sign in signs) for signs in faces(rows, len(rows[0]))}


def patterns_by_programs(X) -> set[tuple[bool, ...]]:
    """The same by 2^n linear programs: is there u with s_j x_j.u >= 1 for all rows that are not zero?"""
    X = np.asarray(X, dtype=float)
    scale = np.abs(X).max(axis=1)
    live = scale > 0
    A = X[live] / scale[live, None]
    found = set()
    for signs in itertools.product((1.0, -1.0), repeat=int(live.sum())):
        result = linprog(
            np.zeros(X.shape[1]), A_ub=-np.array(signs)[:, None] * A, b_ub=-np.ones(len(A)), bounds=(None, None)
        )
        if result.status == 0:
            mask = np.ones(X.shape[0], dtype=bool)
            mask[live] = np.array(signs) > 0
            found.add(tuple(mask.tolist()))
    return found


def closed_patterns_by_programs(X) -> set[tuple[bool, ...]]:
    """By 2^n linear programs: is there u with x_j.u >= 0 on the pattern and x_j.u <= -1 elsewhere?"""
    X = np.asarray(X, dtype=float)
    found = set()
    for pattern in itertools.product((True, False), repeat=len(X)):
        ones = np.array(pattern)
        A, b = np.where(ones, -1.0, 1.0)[:, None] * X, np.where(ones, 0.0, -1.0)
        if linprog(np.zeros(X.shape[1]), A_ub=A, b_ub=b, bounds=(None, None)).status == 0:
            found.add(pattern)
    return found
