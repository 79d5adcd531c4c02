"""Vertices, rays and lines of regions: against the covectors of points and rays, and qhull's polytopes."""

from __future__ import annotations

import itertools
from fractions import Fraction as F

import numpy as np
import pytest
from arrangement_families import braid, f4, gaussian, resonance
from cvxrelu import Arrangement
from hypothesis import given, settings
from test_affine import affine_rows, differences


def signs_at(rows, offsets, point):
    values = [
        sum(F(x) * u for x, u in zip(row, point, strict=True)) - F(b) for row, b in zip(rows, offsets, strict=True)
    ]
    return tuple((v > 0) - (v < 0) for v in values)


def is_face_of(face, region):
    return all(s in (0, t) for s, t in zip(face, region, strict=True))


@settings(deadline=None, max_examples=25)
@given(affine_rows())
def test_against_covectors(rows):
    """Vertices and rays of a region are its faces of dimension 0 and, of the recession cone, 1, beyond the lines."""
    A, b = rows
    arrangement = Arrangement(A, b)
    least = arrangement.dimension - arrangement.rank
    faces = [tuple(face) for face in arrangement.covectors().tolist()]
    vertices = faces[len(faces) - arrangement.face_vector[least] :]
    for region in arrangement.sign_vectors().tolist():
        cell = arrangement.cell(region)
        assert len(cell.lines) == least
        for line in cell.lines:
            assert any(line) and signs_at(A, [0] * len(A), line) == (0,) * len(A)
        found = [signs_at(A, b, vertex) for vertex in cell.vertices]
        assert sorted(found) == sorted(v for v in vertices if is_face_of(v, region))
        rays = [signs_at(A, [0] * len(A), ray) for ray in cell.rays]
        live = [k for k, row in enumerate(A) if any(row)]
        assert len(set(rays)) == len(rays)
        for ray in rays:
            assert any(ray) and is_face_of([ray[k] for k in live], [region[k] for k in live])
        inside = [sum(column) / len(cell.vertices) for column in zip(*cell.vertices, strict=True)]
        inside = [x + sum(ray[k] for ray in cell.rays) for k, x in enumerate(inside)]
        assert signs_at(A, b, inside) == tuple(region)


def test_rays_of_simplicial_arrangements():
    for X in (braid(5), f4(), np.eye(4)):
        arrangement = Arrangement(X)
        patterns = arrangement.regions().to_dense()
        for i in range(0, patterns.shape[1], max(1, patterns.shape[1] // 20)):
            cell = arrangement.cell(patterns[:, i])
            assert len(cell.rays) == 4 and not cell.lines and cell.vertices == ((0, 0, 0, 0),)
            values = X @ np.array(cell.rays).T
            assert ((values > 0).any(axis=1) == patterns[:, i]).all()
            assert ((values >= 0).all(axis=1) == patterns[:, i]).all()


def test_all_rays_of_all_regions_are_those_of_the_arrangement():
    arrangement = Arrangement(resonance(3))
    rays = {ray for signs in arrangement.sign_vectors() for ray in arrangement.cell(signs).rays}
    assert len(rays) == arrangement.face_vector[1]
    assert all(np.gcd.reduce(ray) == 1 for ray in rays)


def test_bounded_regions_against_qhull():
    from scipy.spatial import HalfspaceIntersection

    A, b = gaussian(9, 3), gaussian(9, 1, seed=1)[:, 0]
    arrangement = Arrangement(A, b)
    regions = arrangement.regions()
    graph = arrangement.tope_graph()
    for i in np.flatnonzero(regions.bounded)[::9]:
        mask = regions.to_dense()[:, i]
        cell = arrangement.cell(mask)
        assert not cell.rays and not cell.lines
        side = np.where(mask, -1.0, 1.0)[:, None]
        found = HalfspaceIntersection(side * np.column_stack([A, -b]), regions.points[i]).intersections
        expected = np.unique(np.round(found, 6), axis=0)
        np.testing.assert_allclose(np.unique(np.round(np.array(cell.vertices, float), 6), axis=0), expected, atol=1e-5)
        n, m = len(cell.vertices), len(graph.facets(i))
        assert n == 2 * (m - 2)  # simple polytopes in 3-D
    for i in np.flatnonzero(~regions.bounded)[::9]:
        assert arrangement.cell(regions.to_dense()[:, i]).rays


def test_lines_and_scales():
    strip = Arrangement([[F(1, 3), F(1, 2), 0], [2, 3, 0]], [1, 12]).cell([1, -1])
    assert len(strip.lines) == 2 and len(strip.vertices) == 2 and not strip.rays
    assert sorted(2 * v[0] + 3 * v[1] for v in strip.vertices) == [6, 12]
    half = Arrangement([[10**30, 1]]).cell([-1])
    (ray,), (line,) = half.rays, half.lines
    assert 10**30 * ray[0] + ray[1] < 0 == 10**30 * line[0] + line[1]
    everything = Arrangement([[0, 0]], [1]).cell([-1])
    assert everything.vertices == ((0, 0),) and len(everything.lines) == 2 and "2 lines" in repr(everything)
    A, b = differences(4, (0, 1))
    arrangement = Arrangement(A, b)
    bounded = [cell for s in arrangement.sign_vectors() if not (cell := arrangement.cell(s)).rays]
    assert len(bounded) == arrangement.n_bounded_regions == 27
    assert all(x.denominator == 1 for cell in bounded for vertex in cell.vertices for x in vertex)


def test_signs_of_no_region():
    arrangement = Arrangement([[1, 0], [0, 1], [1, 1]])
    for signs in itertools.product((1, -1), repeat=3):
        if signs in ((1, 1, -1), (-1, -1, 1)):
            with pytest.raises(ValueError, match="signs are those of no region"):
                arrangement.cell(signs)
        else:
            assert len(arrangement.cell(signs).rays) == 2
    with pytest.raises(ValueError, match=r"signs must have shape \(3,\)"):
        arrangement.cell([1, 1])
    with pytest.raises(ValueError, match="no region"):
        Arrangement([[1], [2]], [0, 2]).cell([-1, 1])
