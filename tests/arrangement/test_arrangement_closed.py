"""Patterns that are attained only on hyperplanes."""

from __future__ import annotations

import warnings
from fractions import Fraction

import cvxrelu
import numpy as np
import pytest
from arrangement_families import braid, designs, gaussian, resonance, type_b
from cvxrelu import count_patterns, enumerate_patterns, iter_patterns
from cvxrelu.arrangement import faces as closed
from cvxrelu.arrangement.exact_rows import as_exact_rows
from cvxrelu.base.native import core
from hypothesis import given, settings
from reference import arrangement as reference


def both_signs(X):
    """With x and -x every face has a pattern of its own."""
    return np.vstack([X, -X])


def found(X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some faces hold no float64 gate
        patterns = enumerate_patterns(X, closed=True, n_threads=1)
    result = {tuple(mask) for mask in patterns.to_dense().T.tolist()}
    assert len(result) == len(patterns) == count_patterns(X, closed=True, n_threads=2)
    return result


@settings(max_examples=80)
@given(designs(most=6, widest=3))
def test_agrees_with_exact_faces(X):
    assert found(X) == reference.closed_patterns(X)


@settings(max_examples=30)
@given(designs(most=6, widest=3))
def test_agrees_with_exact_elimination(X):
    assert found(X) == reference.closed_patterns_by_elimination(X)


@settings(max_examples=40)
@given(designs(most=7, widest=3))
def test_balanced_rows(X):
    X = X[X.any(axis=1)]
    if len(X):
        rows = reference.exact_rows(X)
        balanced = closed._reaches(rows, [-sum(column) for column in zip(*rows, strict=True)])
        assert closed._balanced(as_exact_rows(X)) == balanced
        n, faces = len(X), reference.closed_patterns(np.vstack([X, -X]))
        assert balanced == all(all(face[n:]) for face in faces if all(face[:n]))  # X u >= 0 only where X u = 0


def test_extreme_scales_change_nothing():
    X = np.array([[1.0, 2, 0], [-1, -2, 0], [0, 1, 1], [3, 1, -1], [-3, -2, 0]])
    scales = np.array([1e150, 1e-150, 2.0**-500, 1.0, 2.0**400])[:, None]
    powers = np.exp2(np.round(np.log2(scales)))
    assert found(X * powers) == found(X) == reference.closed_patterns(X)


FACES = {
    "boolean 2": (lambda: np.eye(2), 9),
    "boolean 4": (lambda: np.eye(4), 81),
    "braid 4": (lambda: braid(4), 75),
    "braid 5": (lambda: braid(5), 541),  # ordered Bell numbers
    "B2": (lambda: type_b(2), 17),
    "B3": (lambda: type_b(3), 147),
    "B4": (lambda: type_b(4), 1697),
}


@pytest.mark.parametrize("name", FACES)
def test_known_numbers_of_faces(name):
    make, count = FACES[name]
    X = both_signs(make())
    patterns = enumerate_patterns(X, closed=True)
    certificate = patterns.certificate
    assert len(patterns) == len(np.unique(patterns.words, axis=0)) == count
    assert certificate.complete and certificate.n_cells == count_patterns(X)
    assert certificate.n_cells + certificate.n_on_hyperplanes == certificate.n_verified == count
    rows = reference.exact_rows(X)
    masks = patterns.to_dense()
    for i in np.random.default_rng(0).choice(count, min(count, 30), replace=False):
        gate = [Fraction(float(g)) for g in patterns.gates[i]]
        assert [sum(a * b for a, b in zip(row, gate, strict=True)) >= 0 for row in rows] == masks[:, i].tolist()


def test_the_example_of_six_cells_and_nine_patterns():
    X = np.array([[1.0, 0], [-1, 0], [0, 1]])
    assert (count_patterns(X), count_patterns(X, closed=True)) == (4, 6)
    X = np.array([[1.0, 0], [-1, 0], [0, 1], [1, -1]])
    assert count_patterns(X) == 6 and count_patterns(X, closed=True) == len(reference.closed_patterns(X)) == 9


def test_in_general_position_only_the_origin_adds_a_pattern():
    X = gaussian(12, 3)
    patterns = enumerate_patterns(X, closed=True)
    assert len(patterns) == cvxrelu.pattern_bound(12, 3) + 1 and patterns.certificate.complete
    assert patterns.to_dense()[:, -1].all() and not patterns.gates[-1].any()
    for more in (np.ones((12, 1)), np.abs(gaussian(12, 1))):  # all rows in a half-space
        assert enumerate_patterns(np.hstack([X, more]), closed=True).certificate.n_on_hyperplanes == 0
    assert count_patterns(resonance(4), closed=True) == 370


def test_without_hyperplanes():
    assert count_patterns(np.zeros((3, 2)), closed=True) == len(enumerate_patterns(np.zeros((3, 2)), closed=True)) == 1
    X = np.array([[2.0], [0.0], [-1.0]])
    assert found(X) == {(True, True, False), (False, True, True), (True, True, True)}


def test_stream_and_threads_are_the_same():
    X = both_signs(braid(4))
    whole = enumerate_patterns(X, closed=True, n_threads=1)
    pieces = list(iter_patterns(X, closed=True, chunk=5, n_threads=2))
    assert max(map(len, pieces)) <= 5
    np.testing.assert_array_equal(np.vstack([p.words for p in pieces]), whole.words)
    np.testing.assert_array_equal(np.vstack([p.gates for p in pieces]), whole.gates)
    assert pieces[-1].certificate == whole.certificate


def test_decimals():
    X = np.array([[0.1, 0.2], [-0.3, -0.6], [0.2, 0.5]])  # opposite as decimal numbers, not as binary ones
    assert count_patterns(X, closed=True, decimals=1) == len(reference.closed_patterns(np.rint(10 * X)))
    assert count_patterns(X, closed=True) == len(reference.closed_patterns(X))


def test_faces_without_a_float_gate_are_told():
    X = both_signs(gaussian(4, 3))
    with pytest.warns(UserWarning, match="patterns on hyperplanes have no float64 gate"):
        patterns = enumerate_patterns(X, closed=True)
    certificate = patterns.certificate
    assert {tuple(mask) for mask in patterns.to_dense().T.tolist()} == reference.closed_patterns(X)
    assert not certificate.complete and certificate.n_cells < certificate.n_verified < len(patterns)
    near = np.abs(gaussian(4, 3) @ patterns.gates[certificate.n_cells :].T).min(axis=0)
    assert (near <= 1e-12 * np.maximum(np.linalg.norm(patterns.gates[certificate.n_cells :], axis=1), 1e-300)).all()


def test_errors():
    with pytest.raises(ValueError, match="closed=True needs exact decisions"):
        enumerate_patterns(np.eye(2), closed=True, tol=1e-9)
    X = both_signs(np.eye(3))
    with pytest.raises(cvxrelu.ArrangementTooLargeError, match="max_patterns is 26"):
        enumerate_patterns(X, closed=True, max_patterns=26)
    assert len(enumerate_patterns(X, closed=True, max_patterns=27)) == 27
    cells = core.Arrangement(X, 0.0, True)
    with pytest.raises(ValueError, match="independent"):
        core.Arrangement(cells, [0, 3])
    with pytest.raises(ValueError, match="rows of X"):
        core.Arrangement(cells, [7])


@pytest.mark.filterwarnings("ignore:.*exact decisions find cells", "ignore:.*no float64 gate")
@pytest.mark.parametrize(
    "X, count",
    [
        ([[1, 0], [-1e200, -1e-200], [0, 1.0]], 7),
        ([[1e-320, 0], [-1, -1e-300], [0, 1e300]], 7),
        ([[1, 0], [-1e200, 0], [0, 1.0]], 6),
    ],
)
def test_rows_are_not_scaled_to_zero(X, count):
    assert count_patterns(X, closed=True) == len(reference.closed_patterns(X)) == count
    patterns = enumerate_patterns(X, closed=True)
    assert {tuple(mask) for mask in patterns.to_dense().T.tolist()} == reference.closed_patterns(X)


@pytest.mark.filterwarnings("ignore:.*exact decisions find cells", "ignore:.*no float64 gate")
def test_gates_are_finite_whatever_the_scales():
    X = np.array([[-1e31, -1e258, -2e-204], [-2e31, 2e258, -1e-204], [0, -1e258, 1e-204]])
    for rows in (X, np.vstack([X, -X])):
        patterns = enumerate_patterns(rows, closed=True)
        assert np.isfinite(patterns.gates).all()
        assert {tuple(mask) for mask in patterns.to_dense().T.tolist()} == reference.closed_patterns(rows)


@pytest.mark.filterwarnings("ignore:.*exact decisions find cells", "ignore:.*no float64 gate")
def test_rows_that_vanish_on_a_flat_orient_nothing():
    """On the line of a, the row next to -a has a smaller value than -a has by rounding."""
    a = np.array([0.10219995956857539, -0.5939635479318255, -0.7823162514523523])
    X = np.array([a, -a, -a])
    X[2, 2] = np.nextafter(X[2, 2], 0)
    assert count_patterns(X, closed=True) == len(reference.closed_patterns(X)) == 6
