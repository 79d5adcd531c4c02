"""Linear algebra in fractions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from .exact_rows import primitive

Table = list[list[Fraction]]


def dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    """Return the product of two vectors."""
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def null_space(matrix: Sequence[Sequence[Fraction | int]]) -> list[list[int]]:
    """Return a basis of the vectors that the rows of `matrix` annihilate, as integers without a common divisor."""
    rows, pivots = reduced(matrix)
    width = len(matrix[0])
    basis = []
    for free in (column for column in range(width) if column not in pivots):
        vector = [Fraction(0)] * width
        vector[free] = Fraction(1)
        for row, pivot in zip(rows, pivots, strict=False):
            vector[pivot] = -row[free]
        basis.append(primitive(vector))
    return basis


def inverse(matrix: Sequence[Sequence[Fraction | int]]) -> Table | None:
    """Return the inverse of a square matrix; None if there is none."""
    r = len(matrix)
    rows, pivots = reduced([[*row, *(Fraction(i == k) for k in range(r))] for i, row in enumerate(matrix)])
    return [row[r:] for row in rows] if pivots == list(range(r)) else None


def reduced(matrix: Sequence[Sequence[Fraction | int]]) -> tuple[Table, list[int]]:
    """Return the reduced row echelon form, and the columns of its pivots."""
    rows, pivots = [[Fraction(x) for x in row] for row in matrix], list[int]()
    for column in range(len(rows[0]) if rows else 0):
        top = len(pivots)
        found = next((i for i in range(top, len(rows)) if rows[i][column] != 0), None)
        if found is None:
            continue
        rows[top], rows[found] = rows[found], rows[top]
        rows[top] = [x / rows[top][column] for x in rows[top]]
        for i, row in enumerate(rows):
            if i != top and row[column] != 0:
                factor = row[column]
                rows[i] = [x - factor * y for x, y in zip(row, rows[top], strict=True)]
        pivots.append(column)
    return rows, pivots


def rational_root(x: Fraction, k: int) -> Fraction | None:
    """Return the positive k-th root of a positive number, if it is rational."""
    root = Fraction(_integer_root(x.numerator, k), _integer_root(x.denominator, k))
    return root if root**k == x else None


def _integer_root(x: int, k: int) -> int:
    """Return the largest integer whose k-th power is at most x."""
    low, high = 1, 1 << (x.bit_length() // k + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**k <= x else (low, middle)
    return low
