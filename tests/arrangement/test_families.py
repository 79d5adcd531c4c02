"""Published face vectors of the families, and their polynomials by counting points over finite fields."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from arrangement_families import (
    braid,
    cross_polytope,
    f4,
    gaussian,
    h3,
    near_pencil,
    resonance,
    threshold,
    type_b,
    type_d,
)
from cvxrelu import Arrangement
from cvxrelu.arrangement.hyperplanes import arrangement_of
from cvxrelu.arrangement.problem import prepare
from test_affine import differences

INTEGER = {
    "braid 5": (braid(5), None),
    "B4": (type_b(4), None),
    "D4": (type_d(4), None),
    "F4": (f4(), None),
    "resonance 3": (resonance(3), None),
    "resonance 4": (resonance(4), None),
    "threshold 2": (threshold(2), None),
    "threshold 3": (threshold(3), None),
    "cross-polytope 3": (cross_polytope(3), None),
    "near-pencil 8": (near_pencil(8), None),
    "Shi 4": differences(4, (0, 1)),
    "Shi 5": differences(5, (0, 1)),
    "Catalan 4": differences(4, (-1, 0, 1)),
    "Linial 5": differences(5, (1,)),
    "semiorder 4": differences(4, (-1, 1)),
    "generic 7 in 3": (np.arange(1, 8)[:, None] ** np.arange(3), np.arange(1, 8) ** 3),  # the moment curve
}


@pytest.mark.parametrize("name", INTEGER)
@pytest.mark.parametrize("p", [13, 17])
def test_points_over_finite_fields(name, p):
    """chi(p) is the number of points of (Z/p)^d on no hyperplane, for primes where nothing else becomes dependent
    (Athanasiadis, Characteristic polynomials of subspace arrangements and finite fields, 1996)."""
    A, b = INTEGER[name]
    d = A.shape[1]
    points = np.array(list(itertools.product(range(p), repeat=d)))
    products = np.rint(A).astype(int) @ points.T - np.rint(0 if b is None else b[:, None]).astype(int)
    expected = int((products % p != 0).all(axis=0).sum())
    assert np.polyval(Arrangement(A, b).characteristic_polynomial, p) == expected


def coxeter(order, *subgroups):
    """Faces are the cosets of the parabolic subgroups, whose orders are given by rank, and how often they occur."""
    counts = [sum(times * order // size for size, times in rank.items()) for rank in subgroups]
    return (1, *counts[::-1], order)


def shi(n, k):
    """Faces of dimension k in R^n (Athanasiadis, same paper)."""
    return math.comb(n, k) * sum((-1) ** i * math.comb(n - k, i) * (n + 1 - i) ** (n - 1) for i in range(n - k + 1))


def surjections(m, k):
    return sum((-1) ** (k - j) * math.comb(k, j) * j**m for j in range(k + 1))


FACES = {
    "boolean 5": ((np.eye(5), None), [math.comb(5, k) * 2**k for k in range(6)]),
    "braid 5": ((braid(5), None), [surjections(5, k) for k in range(1, 6)]),  # ordered partitions
    "B3": ((type_b(3), None), coxeter(48, {2: 3}, {4: 1, 6: 1, 8: 1})),
    "B4": ((type_b(4), None), coxeter(384, {2: 4}, {4: 3, 6: 2, 8: 1}, {48: 1, 24: 1, 16: 1, 12: 1})),
    "D4": ((type_d(4), None), coxeter(192, {2: 4}, {4: 3, 6: 3}, {24: 3, 8: 1})),
    "F4": ((f4(), None), coxeter(1152, {2: 4}, {4: 3, 6: 2, 8: 1}, {48: 2, 12: 2})),
    "near-pencil 7": ((near_pencil(7), None), [1, 2 * 7, 2 * (6 + 6 * 2), 24]),
    "Shi 3": (differences(3, (0, 1)), [shi(3, k) for k in (1, 2, 3)]),
    "Shi 4": (differences(4, (0, 1)), [shi(4, k) for k in (1, 2, 3, 4)]),
    "Shi 5": (differences(5, (0, 1)), [shi(5, k) for k in (1, 2, 3, 4, 5)]),
    "generic 8 in 4": (  # cells of general position in the restrictions, which are in general position as well
        (gaussian(8, 4), None),
        [1, *(math.comb(8, 4 - k) * 2 * sum(math.comb(3 + k, i) for i in range(k)) for k in (1, 2, 3, 4))],
    ),
    "generic 7 in 3, affine": (
        (gaussian(7, 3), gaussian(7, 1, seed=1)[:, 0]),
        [math.comb(7, 3 - k) * sum(math.comb(4 + k, i) for i in range(k + 1)) for k in range(4)],
    ),
}


@pytest.mark.parametrize("name", FACES)
def test_face_vectors(name):
    (A, b), faces = FACES[name]
    assert list(Arrangement(A, b).face_vector) == list(faces)


@pytest.mark.parametrize("name", ["Catalan 4", "Linial 5", "semiorder 4", "resonance 4", "threshold 3"])
def test_euler(name):
    """The alternating sum of the faces is 1 in affine space, and that of a point in a central arrangement."""
    A, b = INTEGER[name]
    faces = Arrangement(A, b).face_vector
    assert sum((-1) ** k * f for k, f in enumerate(faces)) == (-1) ** (len(faces) - 1)


def test_h3_by_a_tolerance():
    """The golden ratio is no rational number: H3 has its polynomial where decisions are not exact."""
    arrangement = arrangement_of(prepare(h3(), None, 1e-9), 1, None)
    assert arrangement.characteristic_polynomial == (1, -15, 59, -45)  # (t - 1) (t - 5) (t - 9)
    assert arrangement.n_regions == 120
