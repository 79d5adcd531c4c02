"""The arrangement as an object: published polynomials and face vectors, deletion and restriction, the tope graph."""

from __future__ import annotations

import math
from fractions import Fraction as F

import numpy as np
import pytest
from arrangement_families import braid, f4, gaussian, near_pencil, petersen, resonance, type_b, type_d
from cvxrelu import Arrangement, enumerate_patterns
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import arrangement as reference
from test_affine import affine_rows, differences


def from_roots(*roots):
    """Coefficients of the product of t - root."""
    polynomial = [1]
    for root in roots:
        polynomial = [a - root * b for a, b in zip([*polynomial, 0], [0, *polynomial], strict=True)]
    return tuple(polynomial)


POLYNOMIALS = {  # by the exponents, where there are such (Orlik and Terao, Arrangements of Hyperplanes, 1992)
    "boolean": (lambda: Arrangement(np.eye(5)), from_roots(1, 1, 1, 1, 1)),
    "braid 5": (lambda: Arrangement(braid(5)), from_roots(1, 2, 3, 4)),
    "B4": (lambda: Arrangement(type_b(4)), from_roots(1, 3, 5, 7)),
    "D5": (lambda: Arrangement(type_d(5)), from_roots(1, 3, 5, 7, 4)),
    "F4": (lambda: Arrangement(f4()), from_roots(1, 5, 7, 11)),
    "near-pencil 9": (lambda: Arrangement(near_pencil(9)), from_roots(1, 1, 7)),
    "resonance 4": (lambda: Arrangement(resonance(4)), (1, -15, 80, -170, 104)),
    "resonance 5": (lambda: Arrangement(resonance(5)), (1, -31, 375, -2130, 5270, -3485)),
    "Petersen": (
        lambda: Arrangement(petersen()),  # the chromatic polynomial
        (1, -15, 105, -455, 1353, -2861, 4275, -4305, 2606, -704, 0),
    ),
    "generic 7 in 4": (lambda: Arrangement(gaussian(7, 4)), (1, -7, 21, -35, 20)),
    "generic 6 in 3, affine": (lambda: Arrangement(gaussian(6, 3), gaussian(6, 1, 1)[:, 0]), (1, -6, 15, -20)),
    "Shi 4": (lambda: Arrangement(*differences(4, (0, 1))), from_roots(4, 4, 4)),
    "Catalan 4": (lambda: Arrangement(*differences(4, (-1, 0, 1))), from_roots(5, 6, 7)),
    "Linial 4": (lambda: Arrangement(*differences(4, (1,))), (1, -6, 15, -14)),
    "no hyperplane": (lambda: Arrangement([[0, 0]], [1]), (1, 0, 0)),
    "one": (lambda: Arrangement([[2, 0], [1, 0]]), (1, -1, 0)),
}


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_characteristic_polynomials(name):
    make, polynomial = POLYNOMIALS[name]
    arrangement = make()
    assert arrangement.characteristic_polynomial == polynomial
    d = arrangement.dimension
    assert arrangement.n_regions == (-1) ** d * sum(c * (-1) ** (d - k) for k, c in enumerate(polynomial))
    assert arrangement.n_bounded_regions == abs(sum(polynomial))
    assert arrangement.whitney_numbers == polynomial[: arrangement.rank + 1]
    assert len(arrangement.regions()) == arrangement.n_regions


def surjections(m, k):
    return sum((-1) ** (k - j) * math.comb(k, j) * j**m for j in range(k + 1))


def test_face_vectors():
    assert Arrangement(braid(4)).face_vector == tuple(surjections(4, k) for k in (1, 2, 3, 4))  # ordered partitions
    assert Arrangement(type_b(3)).face_vector == (1, 26, 72, 48)
    assert Arrangement(np.eye(3)).face_vector == (1, 6, 12, 8)
    lines = Arrangement(gaussian(6, 2), gaussian(6, 1, seed=1)[:, 0])
    assert lines.face_vector == (15, 36, 22)
    assert Arrangement([[1, 0], [1, 0]], [0, 1]).face_vector == (0, 2, 3)
    assert Arrangement([[0, 0]]).face_vector == (0, 0, 1)
    assert Arrangement([[1]]).face_vector == (1, 2)


@settings(deadline=None, max_examples=40)
@given(affine_rows())
def test_covectors_against_insertion(arrangement):
    A, b = arrangement
    for own, expected in [
        (Arrangement(A, b), reference.affine_covectors(A, b)),
        (Arrangement(A), reference.covectors(A)),
    ]:
        covectors = own.covectors()
        assert len(covectors) == sum(own.face_vector)
        assert set(map(tuple, covectors.tolist())) == expected
        assert len(own.sign_vectors()) == own.n_regions


@st.composite
def integer_rows(draw):
    d = draw(st.integers(2, 4))
    return draw(st.lists(st.lists(st.integers(-2, 2), min_size=d, max_size=d), min_size=2, max_size=7))


@settings(deadline=None, max_examples=40)
@given(integer_rows(), st.data())
def test_deletion_and_restriction(rows, data):
    """chi(A) = chi(A - h) - chi(A^h), for a hyperplane that no other row gives."""
    affine = data.draw(st.booleans())
    offsets = data.draw(st.lists(st.integers(-2, 2), min_size=len(rows), max_size=len(rows))) if affine else None
    arrangement = Arrangement(rows, offsets)
    j = data.draw(st.integers(0, len(rows) - 1))
    deletion = arrangement.deletion(j)
    if not any(rows[j]) or deletion.n_hyperplanes == arrangement.n_hyperplanes:
        assert deletion.characteristic_polynomial == arrangement.characteristic_polynomial
        return
    restriction = arrangement.restriction(j)
    assert restriction.dimension == arrangement.dimension - 1 and restriction.n_rows == len(rows) - 1
    expected = [
        a - b
        for a, b in zip(deletion.characteristic_polynomial, (0, *restriction.characteristic_polynomial), strict=True)
    ]
    assert list(arrangement.characteristic_polynomial) == expected
    on_it = [signs for signs in arrangement.covectors().tolist() if signs[j] == 0]
    assert {tuple(s[:j] + s[j + 1 :]) for s in on_it} == set(map(tuple, restriction.covectors().tolist()))


def test_essentialization_and_cone():
    A, b = differences(4, (0, 1))
    wide = Arrangement(np.hstack([A, A[:, :1] - A[:, 1:2]]), b)
    assert not wide.is_essential and wide.characteristic_polynomial == (*from_roots(4, 4, 4), 0)
    essential = wide.essentialization()
    assert essential.is_essential and essential.characteristic_polynomial == from_roots(4, 4, 4)
    np.testing.assert_array_equal(np.unique(essential.sign_vectors(), axis=0), np.unique(wide.sign_vectors(), axis=0))
    cone = essential.cone()
    assert cone.characteristic_polynomial == from_roots(1, 4, 4, 4) and cone.n_rows == 13
    assert Arrangement(np.eye(2)).cone().characteristic_polynomial == from_roots(1, 1, 1)
    third = [[F(1, 3), F(1, 7), F(0)], [F(2, 3), F(2, 7), F(0)], [F(1, 10**30), F(1), F(0)]]
    assert Arrangement(third).essentialization().n_regions == Arrangement(third).n_regions == 4


def test_position():
    assert Arrangement(gaussian(8, 3)).is_simple and Arrangement(gaussian(8, 3), gaussian(8, 1, 1)[:, 0]).is_simple
    assert not Arrangement(near_pencil(5)).is_simple and not Arrangement([[1, 0], [1, 0], [0, 1]], [0, 1, 0]).is_simple
    assert Arrangement([[1, 0], [0, 1]], [3, 4]).is_central and not Arrangement([[1], [1]], [0, 1]).is_central
    assert Arrangement(np.eye(3)).is_central and Arrangement(np.eye(3)).is_essential


# ---- neighbours ----


def brute_edges(signs):
    classes = np.unique(signs.T * np.where(signs.T[:, :1] < 0, -1, 1), axis=0)
    classes = classes[(classes != 0).any(axis=1)]
    apart = (classes[:, :, None] != classes[:, None, :]).sum(axis=0)
    return {(i, j) for i, j in np.argwhere(apart == 1).tolist() if i < j}


@settings(deadline=None, max_examples=40)
@given(affine_rows(), st.booleans())
def test_tope_graph_against_all_pairs(rows, affine):
    arrangement = Arrangement(rows[0], rows[1] if affine else None)
    graph, signs = arrangement.tope_graph(), arrangement.sign_vectors()
    assert {tuple(sorted(edge)) for edge in graph.edges.tolist()} == brute_edges(signs)
    for (i, j), row in zip(graph.edges, graph.crossed, strict=True):
        assert signs[i, row] == 1 and signs[j, row] == -1
    dense = graph.adjacency().toarray()
    assert (dense == dense.T).all() and dense.sum() == 2 * len(graph)
    np.testing.assert_array_equal(dense.sum(axis=1), graph.n_facets)
    from scipy.sparse.csgraph import shortest_path

    everyone = np.arange(len(signs))
    np.testing.assert_array_equal(
        shortest_path(graph.adjacency(), unweighted=True), graph.distance(everyone[:, None], everyone[None, :])
    )
    assert graph.facets(0).tolist() == sorted(graph.crossed[(graph.edges == 0).any(axis=1)].tolist())


def test_tope_graphs_of_reflections_are_regular():
    for X, degree in [(braid(6), 5), (type_b(4), 4), (f4(), 4)]:
        graph = Arrangement(X).tope_graph()
        assert (graph.n_facets == degree).all() and len(graph) == degree * len(graph.words) // 2
    patterns, graph = enumerate_patterns(braid(6)), Arrangement(braid(6)).tope_graph()
    np.testing.assert_array_equal(patterns.words, graph.words)


def test_edges_are_the_regions_of_the_restrictions():
    X = np.vstack([gaussian(70, 3), -gaussian(70, 3)[:5]])
    arrangement = Arrangement(X)
    graph = arrangement.tope_graph()
    on_each = np.bincount(graph.crossed, minlength=75)
    assert (on_each[70:] == 0).all() and (on_each[:70] == 2 * 69).all()
    assert len(graph.rows) == arrangement.n_hyperplanes == 70


def test_edges_are_in_order():
    # Of more than one word, with rows that are zero or give the same hyperplane, in opposite pairs and not.
    X = np.vstack([np.zeros((1, 3)), gaussian(66, 3), -2 * gaussian(66, 3)[:3]])
    for offsets in [None, np.r_[0.0, np.ones(66), -2 * np.ones(3)]]:
        arrangement = Arrangement(X, offsets)
        graph, one, two = arrangement.tope_graph(), *(Arrangement(X, offsets, n_threads=k).tope_graph() for k in (1, 2))
        keys = list(zip(graph.edges[:, 0].tolist(), graph.crossed.tolist(), strict=True))
        assert keys == sorted(set(keys))
        for other in (one, two):
            np.testing.assert_array_equal(graph.edges, other.edges)
            np.testing.assert_array_equal(graph.crossed, other.crossed)
        signs = arrangement.sign_vectors()
        apart = (signs[graph.edges[:, 0]] != signs[graph.edges[:, 1]]).sum(axis=1)
        np.testing.assert_array_equal(apart, np.where((1 <= graph.crossed) & (graph.crossed <= 3), 2, 1))
        assert (signs[graph.edges[:, 0], graph.crossed] == 1).all()


def test_zonotopes():
    vertices = Arrangement(np.eye(3)).zonotope_vertices()
    assert set(map(tuple, vertices.tolist())) == {(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)}
    X = gaussian(9, 2)
    from scipy.spatial import ConvexHull

    vertices = Arrangement(X).zonotope_vertices()
    assert len(ConvexHull(vertices).vertices) == len(vertices) == 18
    with pytest.raises(ValueError, match="without offsets"):
        Arrangement(X, np.ones(9)).zonotope_vertices()


def test_rows_that_change_afterwards():
    X = gaussian(6, 3)
    arrangement, orbits = Arrangement(X), Arrangement(X).orbits([])
    X[:, 2] = 0.0
    assert arrangement.n_regions == orbits.n_regions == orbits.n_orbits == 32 and arrangement.rank == 3


def test_errors():
    arrangement = Arrangement([[1, 0], [0, 0]])
    with pytest.raises(ValueError, match="row 1 is zero"):
        arrangement.restriction(1)
    with pytest.raises(IndexError):
        arrangement.deletion(2)
    with pytest.raises(ValueError, match="needs a row"):
        Arrangement([[1, 2]]).deletion(0)
    with pytest.raises(ValueError, match="another row"):
        Arrangement([[1], [2]]).restriction(0)
    with pytest.raises(TypeError, match="not a rational number"):
        Arrangement([["x", 1]])
    assert "2 hyperplanes in dimension 2" in repr(Arrangement(np.eye(2)))
