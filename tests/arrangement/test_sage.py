"""Thirty small rational arrangements against Sage's, which passagemath-polyhedra installs.

Sage takes a float for the simplest rational near it, so it is given fractions; and it refuses a hyperplane twice, even
with opposite signs.
"""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import pytest
from cvxrelu import Arrangement, enumerate_patterns
from cvxrelu.arrangement.exact_rows import primitive

pytest.importorskip("sage.all__sagemath_polyhedra", exc_type=ImportError)
from sage.geometry.hyperplane_arrangement.arrangement import HyperplaneArrangements
from sage.rings.rational_field import QQ


def rational_rows(seed):
    """Distinct hyperplanes a . u = b in dimension 1 to 3, some of them parallel, dependent or through the origin."""
    rng = np.random.default_rng(seed)
    d, kind = 1 + seed % 3, seed % 5
    rows, seen = [], set()
    while len(rows) < (5 if d == 3 else 6):
        row = [F(int(x), int(y)) for x, y in zip(rng.integers(-3, 4, d + 1), rng.integers(1, 4, d + 1), strict=True)]
        if kind == 0:
            row[-1] = F(0)
        elif kind == 1:
            row = [F(float(x)) for x in rng.standard_normal(d + 1)]
        elif kind == 2 and rows:
            row[:-1] = rows[rng.integers(len(rows))][:-1]
        integers = primitive(row)
        sign = next((1 if x > 0 else -1 for x in integers[:-1] if x), 0)
        line = tuple(sign * x for x in integers)
        if sign and line not in seen:
            seen.add(line)
            rows.append(row)
        elif kind == 0 and d == 1 and rows:
            break
    return [row[:-1] for row in rows], [row[-1] for row in rows]


def rational(x):
    return QQ((x.numerator, x.denominator))


def fraction(x):
    return F(int(x.numerator()), int(x.denominator()))


def directions(vectors):
    return sorted(tuple(primitive([fraction(x) for x in vector])) for vector in vectors)


@pytest.mark.parametrize("seed", range(30))
def test_against_sage(seed):
    A, b = rational_rows(seed)
    names = ("x", "y", "z")[: len(A[0])]
    hyperplanes = [
        [[rational(x) for x in row], rational(-offset)] for row, offset in zip(A, b, strict=True)
    ]  # a . u + c = 0
    sage = HyperplaneArrangements(QQ, names=names)(*hyperplanes)
    arrangement = Arrangement(A, b)
    assert arrangement.n_hyperplanes == int(sage.n_hyperplanes()) and arrangement.rank == int(sage.rank())
    polynomial = [int(x) for x in sage.characteristic_polynomial().list()]
    assert list(arrangement.characteristic_polynomial) == polynomial[::-1]
    assert arrangement.n_regions == int(sage.n_regions())
    assert arrangement.n_bounded_regions == int(sage.n_bounded_regions())
    assert arrangement.is_central == bool(sage.is_central()) and arrangement.is_essential == bool(sage.is_essential())
    regions = enumerate_patterns(A, offsets=b)
    bounded = dict(zip(map(tuple, regions.to_dense().T.tolist()), regions.bounded.tolist(), strict=True))
    assert len(bounded) == len(sage.regions())
    for region in sage.regions():
        point = [fraction(x) for x in region.representative_point()]
        pattern = tuple(sum(x * u for x, u in zip(row, point, strict=True)) >= c for row, c in zip(A, b, strict=True))
        cell = arrangement.cell(pattern)
        assert len(cell.lines) == int(region.n_lines())
        if not cell.lines:
            assert bounded[pattern] == bool(region.is_compact())
            assert list(cell.vertices) == sorted(tuple(fraction(x) for x in v) for v in region.vertices())
            assert list(cell.rays) == directions(region.rays())
        else:
            assert len(cell.vertices) == int(region.n_vertices()) and len(cell.rays) == int(region.n_rays())
