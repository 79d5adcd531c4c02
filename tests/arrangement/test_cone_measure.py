"""Gaussian measure of cells: closed forms, the neural tangent kernel, sampling."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from arrangement_families import braid, f4, gaussian, resonance, type_b, type_d
from cvxrelu import cone_measure, enumerate_patterns


def ntk(X):
    """x.x' (pi - t) / (2 pi), t the angle between x and x'."""
    norms = np.linalg.norm(X, axis=1)
    a, b = norms[None, :, None] * X[:, None, :], norms[:, None, None] * X[None, :, :]
    t = 2 * np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1))
    return X @ X.T * (math.pi - t) / (2 * math.pi)


def expected_kernel(X, patterns, probabilities):
    masks = patterns.to_dense().astype(float)
    return X @ X.T * ((masks * probabilities) @ masks.T)


@pytest.mark.parametrize("n, d", [(2, 2), (9, 2), (200, 2), (3, 3), (7, 3), (25, 3), (60, 3)])
def test_masks_average_to_the_ntk(n, d):
    X = gaussian(n, d)
    patterns = enumerate_patterns(X)
    probabilities = patterns.measure(X)
    assert (probabilities > 0).all() and abs(probabilities.sum() - 1) < 1e-12
    np.testing.assert_allclose(probabilities[::2], probabilities[1::2], rtol=1e-9)
    np.testing.assert_allclose(expected_kernel(X, patterns, probabilities), ntk(X), atol=1e-12)


@pytest.mark.parametrize(
    "X",
    [
        np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, -1, 0], [1, 0, -1], [0, 1, -1]]),
        np.vstack([gaussian(6, 3), gaussian(6, 3)[:2], -2 * gaussian(6, 3)[2:3], np.zeros((1, 3))]),
        gaussian(8, 3) @ gaussian(3, 6, seed=1),
        np.hstack([np.round(gaussian(30, 1), 1), np.ones((30, 1))]),
        np.hstack([gaussian(20, 2), np.full((20, 1), 1e3)]),
    ],
    ids=["integers", "repeated", "rank 3 of 6", "bias", "large bias"],
)
def test_degenerate_data(X):
    patterns = enumerate_patterns(X, tol=1e-9)
    measure = cone_measure(X, patterns)
    assert measure.method == "exact" and measure.n_draws == 0
    assert abs(measure.probabilities.sum() - 1) < 1e-11
    np.testing.assert_allclose(
        expected_kernel(X, patterns, measure.probabilities), ntk(X), atol=1e-11 * np.abs(X @ X.T).max()
    )


def test_octants_and_trivial_ranks():
    patterns = enumerate_patterns(np.eye(3))
    np.testing.assert_allclose(patterns.measure(np.eye(3)), 1 / 8, rtol=1e-14)
    line, nothing = np.array([[2.0, 0], [-1, 0]]), np.zeros((2, 2))
    np.testing.assert_array_equal(enumerate_patterns(line).measure(line), [0.5, 0.5])
    np.testing.assert_array_equal(enumerate_patterns(nothing).measure(nothing), [1.0])


@pytest.mark.parametrize("size", [1e-3, 1e-6])
def test_small_cells_keep_their_relative_accuracy(size):
    """A triangle around a direction with corners at angles 0, 120 and 240 degrees and distance `size`: in the tangent
    plane its area is 3 sqrt(3) / 4 size^2, up to a relative error of size^2."""
    angles = 2 * np.pi * np.arange(3) / 3
    X = np.column_stack([np.cos(angles), np.sin(angles), np.full(3, size / 2)])
    patterns = enumerate_patterns(X)
    cell = patterns.to_dense().all(axis=0)
    expected = 3 * math.sqrt(3) / 4 * size**2 / (4 * math.pi)
    np.testing.assert_allclose(patterns.measure(X)[cell], expected, rtol=2 * size**2 + 1e-9)


def test_sampling_agrees_with_the_exact_measure():
    X = gaussian(8, 3)
    patterns = enumerate_patterns(X)
    exact = patterns.measure(X)
    sampled = cone_measure(X, patterns, method="sample", n_draws=40_000, random_state=0)
    assert sampled.method == "sample" and abs(sampled.probabilities.sum() - 1) < 1e-12
    z = (sampled.probabilities - exact) / np.sqrt(np.maximum(exact / 2 - exact**2, 1e-12) / 40_000)
    assert np.abs(z).max() < 4.5 and 0.5 < z.std() < 1.5
    some = patterns[[3, 5]]
    again = cone_measure(X, some, method="sample", n_draws=40_000, random_state=0)
    np.testing.assert_array_equal(again.probabilities, sampled.probabilities[[3, 5]])


def test_sampling_in_higher_rank():
    X = np.vstack([gaussian(9, 5), np.zeros((1, 5))])
    patterns = enumerate_patterns(X)
    measure = cone_measure(X, patterns, method="sample", n_draws=100_000, random_state=1)
    assert measure.method == "sample" and abs(measure.probabilities.sum() - 1) < 1e-12
    kernel = expected_kernel(X, patterns, measure.probabilities)
    assert np.abs(kernel - ntk(np.vstack([X[:9], X[9:] + 1e-300]))).max() < 0.05


@pytest.mark.filterwarnings("ignore:.*exact decisions find cells that only rounding makes")
@pytest.mark.parametrize("rank", [2, 3, 4])
@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-8, 1e-10, 1e-13])
def test_errors_bound_the_truth_where_rows_are_nearly_dependent(rank, size):
    """Both the sum and the kernel, which is known, are within the errors that are told."""
    X = np.random.default_rng(3).standard_normal((6, rank)) * np.r_[np.ones(rank - 1), size]
    patterns = enumerate_patterns(X, certify=False)
    measure = cone_measure(X, patterns)
    defect = abs(measure.probabilities.sum() - 1)
    assert defect <= measure.errors.sum() + 1e-15
    kernel = expected_kernel(X, patterns, measure.probabilities)
    assert np.abs(kernel - ntk(X)).max() <= (measure.errors.sum() + 1e-15) * np.abs(X @ X.T).max()
    if size >= 1e-10:
        assert measure.errors.sum() < 1e-12
        np.testing.assert_allclose(measure.probabilities[::2], measure.probabilities[1::2], rtol=1e-9, atol=1e-16)


def test_directions_beyond_the_numerical_rank_are_within_the_errors():
    X = gaussian(8, 2) @ gaussian(2, 3, seed=1)
    X[:, 2] += 1e-16 * gaussian(8, 1, seed=2)[:, 0]
    with pytest.warns(UserWarning, match="numerical rank 2"):
        patterns = enumerate_patterns(X, certify=False)
    measure = cone_measure(X, patterns)
    assert abs(measure.probabilities.sum() - 1) <= measure.errors.sum() < 1e-12


def test_words_of_no_cell_have_measure_zero():
    for d in (2, 3, 4):
        X = np.vstack([np.eye(d), np.ones((1, d))])
        patterns = enumerate_patterns(X)
        words = patterns.words.copy()
        words[:] = 2**d - 1  # all coordinates positive, their sum is not
        empty = cone_measure(X, dataclasses.replace(patterns, words=words))
        assert (empty.probabilities <= empty.errors).all() and empty.errors.max() < 1e-13


# ---- rank 4 and 5 ----


def roots_a(m):
    """e_i - e_j, all differences in R^(m + 1), which makes all cells congruent."""
    return np.array([np.eye(m + 1)[i] - np.eye(m + 1)[j] for i in range(m + 1) for j in range(i)])


CONGRUENT = {
    "orthants 4": (np.eye(4), 1 / 16),
    "orthants 5": (np.eye(5), 1 / 32),
    "A4": (roots_a(4), 1 / 120),
    "A5": (roots_a(5), 1 / 720),
    "B4": (type_b(4), 1 / 384),
    "D4": (type_d(4), 1 / 192),
    "F4": (f4(), 1 / 1152),
}


SLOW = {"A5": pytest.mark.slow}  # rank 5


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, ())) for name in CONGRUENT])
def test_reflection_arrangements(name):
    X, share = CONGRUENT[name]
    measure = cone_measure(X, enumerate_patterns(X))
    assert measure.method == "quadrature" and measure.n_draws == 0
    assert (np.abs(measure.probabilities - share) <= measure.errors).all() and measure.errors.max() < 1e-13


@pytest.mark.parametrize(
    "X",
    [
        gaussian(4, 4),
        gaussian(5, 5),
        gaussian(11, 4),
        gaussian(8, 5),
        gaussian(9, 4) @ np.diag([1, 1, 1, 1e-2]),
        np.hstack([gaussian(8, 4, seed=2), np.ones((8, 1))]),
        gaussian(7, 4) @ gaussian(4, 6, seed=1),
        np.vstack([gaussian(5, 4), gaussian(2, 4), -3 * gaussian(3, 4)]),
        braid(5),
        resonance(4),
    ],
    ids=["simplices 4", "simplices 5", "11x4", "8x5", "thin", "bias", "rank 4 of 6", "repeated", "braid", "resonance"],
)
def test_quadrature_averages_masks_to_the_ntk(X):
    patterns = enumerate_patterns(X, tol=1e-9)
    measure = cone_measure(X, patterns, method="quadrature")
    assert measure.method == "quadrature" and measure.errors.max() < 1e-12
    assert abs(measure.probabilities.sum() - 1) <= 1e-13 + measure.errors.sum()
    np.testing.assert_array_equal(measure.probabilities[::2], measure.probabilities[1::2])
    kernel = expected_kernel(X, patterns, measure.probabilities)
    assert np.abs(kernel - ntk(X)).max() <= (1e-13 + measure.errors.sum()) * np.abs(X @ X.T).max()


@pytest.mark.parametrize("d", [4, 5])
def test_quadrature_agrees_with_sampling(d):
    X = np.vstack([gaussian(8, d, seed=d), np.zeros((1, d))])
    patterns = enumerate_patterns(X)
    exact = cone_measure(X, patterns)
    sampled = cone_measure(X, patterns, method="sample", n_draws=200_000, random_state=0)
    assert exact.method == "quadrature"
    p = exact.probabilities
    z = (sampled.probabilities - p) / np.sqrt(np.maximum(p / 2 - p**2, 1e-9) / 200_000)
    assert np.abs(z).max() < 4.5
    some = cone_measure(X, patterns[[7, 2]])
    np.testing.assert_allclose(some.probabilities, p[[7, 2]], atol=1e-14)
    again = cone_measure(X, patterns, n_threads=2)
    np.testing.assert_array_equal(again.probabilities, p)


def test_large_problems_are_sampled_unless_asked():
    X = gaussian(120, 4)
    patterns = enumerate_patterns(X)
    assert cone_measure(X, patterns, n_draws=1000, random_state=0).method == "sample"
    few = cone_measure(X, patterns[:40], method="quadrature")
    assert few.method == "quadrature" and few.errors.max() < 1e-12


def test_faces_have_measure_zero():
    X = np.vstack([np.eye(4), -np.eye(4)])
    patterns = enumerate_patterns(X, closed=True)
    probabilities = cone_measure(X, patterns).probabilities
    np.testing.assert_allclose(probabilities[:16], 1 / 16, rtol=1e-13)
    assert len(patterns) == 81 and (probabilities[16:] == 0).all()


def test_bad_input():
    X = gaussian(6, 4)
    patterns = enumerate_patterns(X)
    with pytest.raises(ValueError, match="rank 3 at most"):
        patterns.measure(X, method="exact")
    with pytest.raises(ValueError, match="rank 4 or 5, but X has rank 3"):
        patterns.measure(X[:, [0, 1, 2, 2]], method="quadrature")
    with pytest.raises(ValueError, match="method must be"):
        patterns.measure(X, method="guess")
    with pytest.raises(ValueError, match="5 samples"):
        patterns.measure(X[:5])
    with pytest.raises(ValueError, match="n_draws"):
        patterns.measure(X, n_draws=0)
