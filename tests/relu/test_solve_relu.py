"""The ReLU program over given patterns."""

import dataclasses
import pickle
import time

import cvxrelu
import numpy as np
import pytest
from cvxrelu.base.native import core
from cvxrelu.networks.pruning import prune_lengths
from cvxrelu.relu.program import relu_blocks
from hypothesis import given
from hypothesis import strategies as st
from reference import cone as reference
from reference.patterns import words as pack
from strategies import designs, problems, sampled
from support import SECONDS_TO_HEAR_CTRL_C, press_ctrl_c_after

TOY_X = np.column_stack([[-1, -0.4, 0.1, 0.5, 1], np.ones(5)])
TOY_Y = np.array([0.5, -0.3, 0.8, -0.2, 0.4])


def planted(n, d, p, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = np.maximum(X @ rng.standard_normal((d, 5)), 0) @ rng.standard_normal(5) + 0.1 * rng.standard_normal(n)
    return X, y, cvxrelu.sample_patterns(X, p, random_state=seed)


def check(X, y, solution):
    """What the solution says of itself is true of the network it is, and of its dual point."""
    network = solution.to_network()
    objective = reference.objective(X, y, network.W1, network.w2, solution.beta)
    scale = 0.5 * y @ y
    assert solution.objective == pytest.approx(objective, rel=1e-10, abs=1e-12 * scale)
    np.testing.assert_allclose(network.predict(X), solution.predict(X), atol=1e-10 * (1 + np.abs(y).max()))
    dual_value = y @ solution.dual - 0.5 * solution.dual @ solution.dual
    assert dual_value >= solution.objective - solution.gap - 1e-9 * scale
    assert reference.dual_norm(X, solution.patterns.to_dense(), solution.dual) <= solution.beta * (1 + 1e-9)


@given(problems(max_samples=15, max_features=4, max_patterns=12))
def test_equals_a_conic_solver(problem):
    X, y, patterns, beta = problem
    solution = cvxrelu.solve_relu(X, y, patterns, beta, tol=1e-9)
    check(X, y, solution)
    expected = reference.optimum(X, y, patterns.to_dense(), beta)
    assert solution.converged
    assert solution.objective == pytest.approx(expected, abs=1e-7 * 0.5 * (y @ y))


@pytest.mark.parametrize("ratio", [1e-4, 1e-2, 0.5])
def test_equals_a_conic_solver_over_all_cells(ratio):
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((8, 3)), rng.standard_normal(8)
    masks = reference.cells(X)
    assert masks.shape[1] == 2 * (1 + 7 + 21)
    words = pack(masks)
    margins = np.tile(np.linalg.norm(X, axis=1), (len(words), 1))
    patterns = cvxrelu.ActivationPatterns(core.least_distance(X, words, margins), words, len(X))
    np.testing.assert_array_equal(patterns.activations(X), masks)
    beta = ratio * cvxrelu.beta_max(X, y, patterns)
    solution = cvxrelu.solve_relu(X, y, patterns, beta, tol=1e-9)
    assert solution.objective == pytest.approx(reference.optimum(X, y, masks, beta), abs=1e-7 * 0.5 * (y @ y))


def test_the_toy_of_the_mathematics():
    patterns = cvxrelu.sample_patterns(TOY_X, 2000, random_state=0)
    assert len(patterns) == 9
    solution = cvxrelu.solve_relu(TOY_X, TOY_Y, patterns, 0.01, tol=1e-10)
    assert solution.objective == pytest.approx(0.1171393182, abs=1e-10)


@pytest.mark.parametrize(("n", "d", "p"), [(100, 5, 50), (300, 10, 100)])
@pytest.mark.parametrize("ratio", [0.1, 0.01, 0.001])
def test_planted_networks_are_certified(n, d, p, ratio):
    X, y, patterns = planted(n, d, p)
    solution = cvxrelu.solve_relu(X, y, patterns, ratio * cvxrelu.beta_max(X, y, patterns))
    assert solution.converged
    check(X, y, solution)


def test_beta_beyond_its_maximum_gives_nothing():
    X, y, patterns = planted(50, 4, 30)
    solution = cvxrelu.solve_relu(X, y, patterns, 2 * cvxrelu.beta_max(X, y, patterns))
    assert solution.n_neurons == 0
    assert solution.relative_gap <= 1e-20
    assert solution.objective == 0.5 * y @ y
    assert not solution.predict(X).any()


def test_warm_starts_save_work():
    X, y, patterns = planted(200, 6, 80)
    beta = 0.01 * cvxrelu.beta_max(X, y, patterns)
    first = cvxrelu.solve_relu(X, y, patterns, beta, tol=1e-8)
    for start in (first, first.to_network(), (first.to_network().W1, first.to_network().w2)):
        again = cvxrelu.solve_relu(X, y, patterns, beta, tol=1e-6, warm_start=start)
        assert again.n_newton <= first.n_newton / 4
        assert again.objective == pytest.approx(first.objective, rel=1e-6)


def test_scales_and_duplicates_change_nothing():
    X, y, patterns = planted(60, 4, 40)
    beta = 0.05 * cvxrelu.beta_max(X, y, patterns)
    expected = cvxrelu.solve_relu(X, y, patterns, beta, tol=1e-9).objective
    for a, b in [(2.0**-40, 1.0), (1e6, 1e-9), (3.0, 2.0**50)]:
        scaled = cvxrelu.solve_relu(a * X, b * y, patterns, a * b * beta, tol=1e-9).objective / b**2
        assert scaled == pytest.approx(expected, rel=1e-8)
    twice = cvxrelu.sample_patterns(np.vstack([X, X]), gates=patterns.gates)
    doubled = cvxrelu.solve_relu(np.vstack([X, X]), np.append(y, y), twice, 2 * beta, tol=1e-9).objective
    assert doubled == pytest.approx(2 * expected, rel=1e-8)


def test_float32_results_are_certified_as_they_are_returned():
    X, y, patterns = planted(60, 4, 40)
    X32, y32 = X.astype(np.float32), y.astype(np.float32)
    patterns = cvxrelu.sample_patterns(X32, gates=patterns.gates)
    solution = cvxrelu.solve_relu(X32, y32, patterns, 1.0)
    assert solution.blocks.dtype == np.float32 and solution.predict(X32).dtype == np.float32
    check(X32.astype(float), y32.astype(float), solution)


def test_a_wrong_certificate_would_be_caught():
    X, y, patterns = planted(40, 3, 30)
    solution = cvxrelu.solve_relu(X, y, patterns, 0.5)
    for wrong in (
        dataclasses.replace(solution, dual=1.01 * solution.dual),
        dataclasses.replace(solution, blocks=0.99 * solution.blocks),
        dataclasses.replace(solution, objective=solution.objective * 0.999),
    ):
        with pytest.raises(AssertionError):
            check(X, y, wrong)


@given(designs(max_samples=12, max_features=4), st.integers(0, 2**32 - 1))
def test_round_trip_of_networks(X, seed):
    rng = np.random.default_rng(seed)
    W1, w2 = rng.standard_normal((20, X.shape[1])), rng.standard_normal(20)
    blocks, signs, words = relu_blocks(X, (W1, w2), 1)
    masks = cvxrelu.sample_patterns(X, gates=W1)
    assert {w.tobytes() for w in words if w.any()} <= {w.tobytes() for w in masks.words}
    np.testing.assert_allclose(np.maximum(X @ blocks.T, 0) @ signs, np.maximum(X @ W1.T, 0) @ w2, atol=1e-10)
    lengths = np.linalg.norm(blocks, axis=1)
    assert lengths.sum() <= 0.5 * (np.sum(W1**2) + np.sum(w2**2)) * (1 + 1e-12)
    outputs = np.maximum(X @ (blocks / lengths[:, None]).T, 0) * signs
    pruned = prune_lengths(outputs, lengths)
    assert (pruned > 0).sum() <= len(X)
    assert pruned.sum() <= lengths.sum() * (1 + 1e-9)
    np.testing.assert_allclose(outputs @ pruned, outputs @ lengths, atol=1e-8 * (1 + np.abs(outputs @ lengths).max()))


def test_pruning_many_neurons_keeps_the_fit():
    rng = np.random.default_rng(0)
    outputs = rng.standard_normal((60, 25)) @ rng.standard_normal((25, 400))
    lengths = rng.random(400) * (rng.random(400) < 0.8)
    pruned = prune_lengths(outputs, lengths)
    assert 0 < (pruned > 0).sum() <= 25
    assert not pruned[lengths == 0].any()
    assert pruned.min() >= 0 and pruned.sum() <= lengths.sum() * (1 + 1e-12)
    np.testing.assert_allclose(outputs @ pruned, outputs @ lengths, atol=1e-9 * np.abs(outputs @ lengths).max())


def test_callback_and_pickle():
    X, y, patterns = planted(100, 5, 50)
    seen = []
    cvxrelu.solve_relu(X, y, patterns, 0.5, callback=seen.append)
    assert seen[-1]["relative_gap"] <= 1e-6
    assert set(seen[0]) == {"iteration", "objective", "gap", "relative_gap", "active"}
    stopped = cvxrelu.solve_relu(X, y, patterns, 0.5, callback=lambda state: state["iteration"] == 2)
    assert not stopped.converged
    check(X, y, stopped)
    again = pickle.loads(pickle.dumps(stopped))
    assert again.objective == stopped.objective


def test_too_few_passes_warn():
    X, y, patterns = planted(100, 5, 50)
    with pytest.warns(cvxrelu.ConvergenceWarning, match="raise max_iter"):
        cvxrelu.solve_relu(X, y, patterns, 0.5, max_iter=2)


def test_bad_input():
    X, y, patterns = planted(30, 3, 20)
    for call, message in [
        (lambda: cvxrelu.solve_relu(X, y, patterns, 0.0), "beta must be finite and above 0"),
        (lambda: cvxrelu.solve_relu(X[:-1], y[:-1], patterns, 1.0), "patterns belong to data of shape"),
        (lambda: cvxrelu.solve_relu(X[::-1], y, patterns, 1.0), "other data of the same shape"),
        (lambda: cvxrelu.train_relu(-X, y, 1.0, patterns=patterns), "other data of the same shape"),
        (lambda: cvxrelu.certify(X[::-1], y, (X[:2], y[:2]), 1.0, patterns=patterns), "other data of the same shape"),
        (lambda: cvxrelu.solve_relu(np.where(X > X.max() - 1, np.nan, X), y, patterns, 1.0), r"X\[.* is nan"),
        (lambda: cvxrelu.solve_relu(X, y[:-1], patterns, 1.0), "y has 29 entries"),
        (lambda: cvxrelu.solve_relu(X, np.append(y[:-1], np.nan), patterns, 1.0), r"y\[29\] is nan"),
        (lambda: cvxrelu.solve_relu(X, y, patterns, 1.0, warm_start=(np.ones((2, 4)), np.ones(2))), "warm_start has 4"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_ctrl_c_is_heard():
    X, y, patterns = planted(1000, 20, 200)
    beta = 1e-3 * cvxrelu.beta_max(X, y, patterns)
    with press_ctrl_c_after(0.5) as state, pytest.raises(KeyboardInterrupt):
        cvxrelu.solve_relu(X, y, patterns, beta, tol=1e-12, n_threads=1)
        time.sleep(5)
    assert state.seconds_until_caught < SECONDS_TO_HEAR_CTRL_C


def test_the_zero_design_and_the_zero_target():
    X, y, patterns = planted(20, 3, 10)
    solution = cvxrelu.solve_relu(X, 0 * y, patterns, 1.0)
    assert solution.n_neurons == 0 and solution.gap == 0
    X[3:] = 0
    zero = sampled(X, 10, np.random.default_rng(0))
    check(X, y, cvxrelu.solve_relu(X, y, zero, 0.01))


SCALES = [(1e100, 1e-80), (1e-100, 1e-80), (1e80, 1e80), (1e-120, 1e120), (1e120, 1e120), (1e-150, 1e-140)]


def at_scale(a, b):
    """A problem of order one, the same with powers of two near a and b put into X and y, and these powers."""
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((8, 2)), rng.standard_normal(8)
    beta = 0.1 * cvxrelu.beta_max(X, y, cvxrelu.enumerate_patterns(X))
    a, b = (float(2.0 ** np.round(np.log2(scale))) for scale in (a, b))
    return (X, y, beta), (a * X, b * y, a * b * beta), (a, b)


@pytest.mark.parametrize("scales", SCALES)
def test_solutions_at_extreme_scales_are_those_at_order_one(scales):
    (X, y, beta), (aX, by, ab_beta), (a, b) = at_scale(*scales)
    patterns = cvxrelu.enumerate_patterns(aX)
    solution = cvxrelu.solve_relu(aX, by, patterns, ab_beta)
    assert solution.converged
    expected = cvxrelu.solve_relu(X, y, cvxrelu.enumerate_patterns(X), beta)
    for found, value in [(solution.objective, expected.objective), (solution.dual_objective, expected.dual_objective)]:
        assert found / b / b == pytest.approx(value, rel=1e-6)
    # What the solution says is true of its network, evaluated at order one.
    network = solution.to_network()
    assert network.n_neurons == solution.n_neurons
    W1, w2 = (np.sqrt(a) / np.sqrt(b) * layer for layer in (network.W1, network.w2))
    assert solution.objective / b / b == pytest.approx(reference.objective(X, y, W1, w2, beta), rel=1e-10)
    dual = solution.dual / b
    assert reference.dual_norm(X, patterns.to_dense(), dual) <= beta * (1 + 1e-9)
    assert solution.dual_objective / b / b <= y @ dual - 0.5 * dual @ dual
    for start in (solution, network):
        assert cvxrelu.solve_relu(aX, by, patterns, ab_beta, warm_start=start).n_newton == 0
    weights = np.ldexp(np.random.default_rng(0).random(8), 100)
    heavy = cvxrelu.solve_relu(np.ldexp(aX, -50), np.ldexp(by, -50), patterns, ab_beta, sample_weight=weights)
    light = cvxrelu.solve_relu(X, y, cvxrelu.enumerate_patterns(X), beta, sample_weight=np.ldexp(weights, -100))
    assert heavy.objective / b / b == pytest.approx(light.objective, rel=1e-6)


def test_what_float64_does_not_hold_is_refused():
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((8, 2)), rng.standard_normal(8)
    patterns = cvxrelu.enumerate_patterns(X)
    for a, b, beta, message in [
        (1.0, 1e160, 1e150, "y is too large: the objective of the zero network"),
        (1.0, 1e-170, 1e-180, "y is too small"),
        (1e-170, 1e150, 1e-22, "weights of the network are not within the range of float64"),
        (1e170, 1e-150, 1e18, "weights of the network are not within the range of float64"),
        (1e200, 1e150, 1e-10, "beta = 1e-10 is too small beside X and y"),
        (1e-200, 1e-150, 1e10, "beta = 1e.10 is too large beside X and y"),
    ]:
        for call in (lambda **k: cvxrelu.solve_relu(patterns=patterns, **k), cvxrelu.train_relu):
            with pytest.raises(ValueError, match=message):
                call(X=a * X, y=b * y, beta=beta)
    single = (1e-30 * X).astype(np.float32), (1e30 * y).astype(np.float32)
    with pytest.raises(ValueError, match="not within the range of float32"):
        cvxrelu.solve_relu(*single, patterns, 0.1)
