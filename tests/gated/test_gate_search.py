"""Gated networks over searched patterns, and the search along circles."""

import cvxrelu
import numpy as np
import pytest
from cvxrelu.base import native as _native
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.gate_search import best_on_circle
from strategies import designs


def norms_of(X, theta, gates):
    masks = (X @ gates.T >= 0).T
    return np.array([np.linalg.norm((X * mask[:, None]).T @ theta) for mask in masks])


@given(st.integers(1, 80), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_one_circle_is_searched_completely(n, d, seed):
    rng = np.random.default_rng(seed)
    X, theta = rng.standard_normal((n, d)), rng.standard_normal(n)
    gate = rng.standard_normal((1, d))
    direction = rng.standard_normal((1, d))
    found, norms = _native.core.search_gates(X, theta[:, None], gate, direction, 1)
    g = gate[0] / np.linalg.norm(gate)
    h = direction[0] - (direction[0] @ g) * g
    best, _ = best_on_circle(X, theta, g, h / np.linalg.norm(h))
    assert norms[0] == pytest.approx(best, rel=1e-9)
    np.testing.assert_allclose(norms, norms_of(X, theta, found), rtol=1e-9)
    assert np.linalg.norm(found[0]) == pytest.approx(1)


@given(designs(max_samples=60), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_the_search_never_gets_worse_and_tells_the_truth(X, n_outputs, seed):
    rng = np.random.default_rng(seed)
    theta = rng.standard_normal((len(X), n_outputs))
    gates = rng.standard_normal((4, X.shape[1]))
    directions = np.vstack([rng.standard_normal((5, X.shape[1])), np.eye(X.shape[1])])
    found, norms = _native.core.search_gates(X, theta, gates, directions, 1)
    assert (norms >= norms_of(X, theta, gates) * (1 - 1e-9)).all()
    moved = (X @ found.T != 0).all(axis=0)  # on a border NumPy's product may have the other sign
    np.testing.assert_allclose(norms[moved], norms_of(X, theta, found[moved]), rtol=1e-6, atol=1e-9)
    again, same = _native.core.search_gates(X, theta, gates, directions, 2)
    np.testing.assert_array_equal(found, again)
    np.testing.assert_array_equal(norms, same)


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.01, 0.1, 0.5]))
def test_small_problems_reach_the_optimum_over_all_cells(seed, ratio):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((15, 3)), rng.standard_normal(15)
    cells = cvxrelu.enumerate_patterns(X)
    beta = ratio * cvxrelu.beta_max(X, y, cells)
    best = cvxrelu.solve_gated(X, y, cells, beta, tol=1e-8, n_threads=1).objective
    start = cvxrelu.sample_patterns(X, 10, random_state=0)
    solution = cvxrelu.train_gated(X, y, beta, patterns=start, random_state=0, n_threads=1)
    assert solution.objective >= best - 1e-7 * 0.5 * (y @ y)
    assert solution.objective <= best + 1e-3 * 0.5 * (y @ y)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_searched_gates_beat_as_many_drawn(n_outputs):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal((200, 8)), np.ones(200)])
    y = np.abs(X[:, :n_outputs]) if n_outputs > 1 else np.abs(X[:, 0])
    start = cvxrelu.sample_patterns(X, 50, random_state=0)
    beta = 0.1 * cvxrelu.beta_max(X, y, start)
    solution = cvxrelu.train_gated(X, y, beta, patterns=start, random_state=0, n_threads=1)
    assert solution.converged
    np.testing.assert_array_equal(solution.patterns.words[: len(start)], start.words)
    many = cvxrelu.sample_patterns(X, len(solution.patterns), random_state=1)
    assert solution.objective < 0.9 * cvxrelu.solve_gated(X, y, many, beta, n_threads=1).objective
    reached = cvxrelu.sample_patterns(X, gates=solution.patterns.gates)
    np.testing.assert_array_equal(reached.words, solution.patterns.words)


def test_beyond_beta_max_nothing_is_added():
    X, y = np.random.default_rng(0).standard_normal((2, 30, 3))
    y = y[:, 0]
    cells = cvxrelu.enumerate_patterns(X)
    start = cvxrelu.sample_patterns(X, 20, random_state=0)
    solution = cvxrelu.train_gated(
        X, y, 1.01 * cvxrelu.beta_max(X, y, cells), patterns=start, random_state=0, n_threads=1
    )
    assert solution.active.size == 0 and len(solution.patterns) == len(start)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beta": 0.0}, "beta must be"),
        ({"y": [1.0, np.nan, 0.0]}, "y"),
        ({"n_starts": 0}, "n_starts"),
        ({"max_rounds": -1}, "max_rounds"),
        ({"tol": 0.0}, "tol"),
        ({"patterns": cvxrelu.sample_patterns(np.eye(2), 5, random_state=0)}, "patterns"),
    ],
)
def test_bad_input(changes, message):
    arguments = {"X": np.eye(3), "y": np.ones(3), "beta": 0.1} | changes
    with pytest.raises(ValueError, match=message):
        cvxrelu.train_gated(**arguments)
