"""The vertices, rays and lines that span a region, exactly.

By double description (Motzkin, Raiffa, Thompson and Thrall, 1953): the cone of the inequalities so far is the sum of
its lines and extreme rays. A further inequality that is not zero on some line makes a ray of that, and shifts all other
ones along it onto its hyperplane. Else the rays on its wrong side are replaced by those in which the hyperplane meets
the faces that two neighbouring rays span; two rays are neighbours when no third one is on all hyperplanes that both are
on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fractions import Fraction

from .exact_rows import primitive

Vector = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Cell:
    """A region as the convex hull of its vertices, plus its rays, plus all its lines.

    Made by :meth:`Arrangement.cell`. Attributes that hold directions have integers without a common divisor.

    Attributes
    ----------
    vertices : tuple of tuple of fractions.Fraction
        Vertices; the origin where there are no offsets. Where there are lines, points of the smallest faces instead.
    rays : tuple of tuple of int
        Extreme rays, but for multiples of the lines.
    lines : tuple of tuple of int
        A basis of the directions that are parallel to all hyperplanes.
    """

    vertices: tuple[tuple[Fraction, ...], ...]
    rays: tuple[Vector, ...]
    lines: tuple[Vector, ...]

    def __repr__(self) -> str:
        return f"Cell({len(self.vertices)} vertices, {len(self.rays)} rays, {len(self.lines)} lines)"


def cell_of(rows: Sequence[Sequence[int]], signs: Sequence[int], affine: bool) -> Cell:
    """Return the region where the signs of integer rows are given; of a cone's rows, the last one infinity, if affine.

    Raises
    ------
    ValueError
        If the signs are those of no region.
    """
    sides = [[s * x for x in row] for row, s in zip(rows, signs, strict=True) if any(row)]
    rays, lines = _double_description(sides, len(rows[0]))
    inside = [sum(column) for column in zip(*rays, strict=True)]
    for row, s in zip(rows, signs, strict=True):
        if any(row) and (not rays or _dot(row, inside) * s <= 0):
            raise ValueError("signs are those of no region")
    if not affine:
        return Cell(((Fraction(0),) * len(rows[0]),), tuple(sorted(rays)), tuple(lines))
    vertices = sorted(tuple(Fraction(x, ray[-1]) for x in ray[:-1]) for ray in rays if ray[-1])
    return Cell(
        tuple(vertices),
        tuple(sorted(ray[:-1] for ray in rays if not ray[-1])),
        tuple(line[:-1] for line in lines),
    )


def _double_description(sides: Sequence[Sequence[int]], d: int) -> tuple[list[Vector], list[Vector]]:
    """Return the extreme rays and the lines of the cone where all sides are at least 0."""
    lines: list[Vector] = [tuple(int(i == k) for k in range(d)) for i in range(d)]
    rays: list[tuple[Vector, int]] = []  # with the hyperplanes that they are on, as bits
    for j, side in enumerate(sides):
        bit = 1 << j
        turned = next((line for line in lines if _dot(side, line)), None)
        if turned is not None:
            lines.remove(turned)
            if _dot(side, turned) < 0:
                turned = tuple(-x for x in turned)
            lines = [_onto(side, line, turned) for line in lines]
            rays = [(_onto(side, ray, turned), on | bit) for ray, on in rays]
            rays.append((turned, bit - 1))
            continue
        values = [_dot(side, ray) for ray, _ in rays]
        kept = [(ray, on if value else on | bit) for (ray, on), value in zip(rays, values, strict=True) if value >= 0]
        for (above, on_above), p in zip(rays, values, strict=True):
            for (below, on_below), q in zip(rays, values, strict=True):
                if p <= 0 or q >= 0:
                    continue
                common = on_above & on_below
                if sum(on & common == common for _, on in rays) == 2:
                    between = primitive([p * y - q * x for x, y in zip(above, below, strict=True)])
                    kept.append((tuple(between), common | bit))
        rays = kept
    return [ray for ray, _ in rays], lines


def _onto(side: Sequence[int], vector: Vector, along: Vector) -> Vector:
    """Shift a vector onto the hyperplane of a side; `along` is on the positive side of it."""
    p, q = _dot(side, vector), _dot(side, along)
    return tuple(primitive([q * x - p * y for x, y in zip(vector, along, strict=True)]))


def _dot(a: Sequence[int], b: Sequence[int]) -> int:
    return sum(x * y for x, y in zip(a, b, strict=True))
