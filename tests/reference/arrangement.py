"""Two slow and exact ways to the cells of a central arrangement: insertion of one hyperplane after the other, and a
system of inequalities for each choice of signs. Neither knows no-broken-circuit sets."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np

Row = tuple[Fraction, ...]
IntegerRow = tuple[int, ...]
Cell = tuple[tuple[int, ...], Row]  # signs on the rows so far, and a point with these signs


def exact_rows(X) -> list[Row]:
    return [tuple(map(Fraction, row)) for row in (X.tolist() if isinstance(X, np.ndarray) else X)]


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
    """The patterns 1[X u >= 0] of all u."""
    return {tuple(sign >= 0 for sign in signs) for signs in covectors(X)}


def covectors(X) -> set[tuple[int, ...]]:
    """The sign vectors of all faces: those of the cells, and of all faces of the restrictions to hyperplanes."""

    def faces(rows: list[Row], d: int) -> set[tuple[int, ...]]:
        signs = {s for s, _ in _insert(rows, d)}
        for a in set(rows):
            pivot = next((q for q in range(d) if a[q] != 0), None)
            if pivot is not None:
                signs |= faces(_restrict(rows, a, pivot), d - 1)
        return signs

    rows = exact_rows(X)
    return faces(rows, len(rows[0]))


def affine_covectors(A, b) -> set[tuple[int, ...]]:
    """The signs of A u - b on all faces: those of the cone over the arrangement that are above infinity."""
    cone = [(*row, -c) for row, (c,) in zip(exact_rows(A), exact_rows([[c] for c in b]), strict=True)]
    infinity = (Fraction(0),) * (len(cone[0]) - 1) + (Fraction(1),)
    return {signs[:-1] for signs in covectors([*cone, infinity]) if signs[-1] > 0}


def bounded_regions(A, b) -> dict[tuple[int, ...], bool]:
    """The sign vectors of the regions, each with whether no direction but those parallel to all hyperplanes stays
    inside."""
    rows = exact_rows(A)
    directions = [signs for signs in covectors(A) if any(signs)]
    live = [any(row) for row in rows]
    regions = {}
    cone = [(*row, -c) for row, (c,) in zip(rows, exact_rows([[c] for c in b]), strict=True)]
    infinity = (Fraction(0),) * len(rows[0]) + (Fraction(1),)
    for signs, _ in _insert([*cone, infinity], len(cone[0])):
        if signs[-1] > 0:
            stays = any(all(v in (0, s) for v, s, x in zip(d, signs, live, strict=False) if x) for d in directions)
            regions[signs[:-1]] = not stays
    return regions


def patterns_by_elimination(X) -> set[tuple[bool, ...]]:
    """The same by 2^n systems: is there u with s_j x_j.u > 0 for all rows that are not zero?"""
    rows = integer_rows(X)
    live = [any(row) for row in rows]
    found = set()
    for signs in itertools.product((1, -1), repeat=sum(live)):
        chosen = iter(signs)
        turned = [next(chosen) if alive else 1 for alive in live]
        if solvable([_scaled(s, row) for s, row, alive in zip(turned, rows, live, strict=True) if alive], []):
            found.add(tuple(s > 0 for s in turned))
    return found


def closed_patterns_by_elimination(X) -> set[tuple[bool, ...]]:
    """By 2^n systems: is there u with x_j.u >= 0 on the pattern and x_j.u < 0 elsewhere?"""
    rows = integer_rows(X)
    found = set()
    for pattern in itertools.product((True, False), repeat=len(rows)):
        below = [_scaled(-1, row) for row, active in zip(rows, pattern, strict=True) if not active]
        if solvable(below, [row for row, active in zip(rows, pattern, strict=True) if active]):
            found.add(pattern)
    return found


def integer_rows(X) -> list[IntegerRow]:
    """Positive multiples of the rows, in integers without a common divisor."""
    rows = exact_rows(X)
    multiples = [math.lcm(*(x.denominator for x in row)) for row in rows]
    return [_primitive([int(m * x) for x in row]) for m, row in zip(multiples, rows, strict=True)]


def solvable(strict: list[IntegerRow], weak: list[IntegerRow]) -> bool:
    """Is there u with a.u > 0 for all a of the first list and a.u >= 0 for those of the second?

    Fourier-Motzkin elimination, exact; a linear program in floating point would take 1e-9 for 0 (HiGHS does).
    """
    system = dict.fromkeys(weak, False) | dict.fromkeys(strict, True)
    for q in range(len(next(iter(system), ()))):
        following = {a: positive for a, positive in system.items() if a[q] == 0}
        above = [(a, positive) for a, positive in system.items() if a[q] > 0]
        below = [(b, positive) for b, positive in system.items() if b[q] < 0]
        for (a, a_positive), (b, b_positive) in itertools.product(above, below):
            row = _primitive([a[q] * y - b[q] * x for x, y in zip(a, b, strict=True)])
            following[row] = following.get(row, False) or a_positive or b_positive
        system = following
    return not any(system.values())  # what is left says 0 > 0 or 0 >= 0


def _primitive(row: list[int]) -> IntegerRow:
    divisor = math.gcd(*row) or 1
    return tuple(x // divisor for x in row)


def _scaled(factor: int, row: IntegerRow) -> IntegerRow:
    return tuple(factor * x for x in row)
