import numpy as np
import pytest
from cvxrelu.estimators.merging import merge_samples
from cvxrelu.estimators.training import GateDraw, pose_again, pose_gated
from cvxrelu.gated.problem import Stopping
from hypothesis import given
from hypothesis import strategies as st


def fit_gated(X, y, previous=None):
    if previous is None:
        problem, start = pose_gated(X, y, GateDraw(40, "mixed", 0), n_threads=1), None
    else:
        problem, start = pose_again(previous, X, y, n_threads=1)
    return problem.fit(problem.beta_of(0.05), Stopping(), start)


@st.composite
def weighted_problems(draw):
    n, d = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.integers(-2, 3, size=(n, d)).astype(np.float64) * draw(st.sampled_from([1.0, -0.0, 0.3]))
    y = rng.standard_normal((n, *draw(st.sampled_from([(), (2,)]))))
    weights = rng.integers(0, 4, size=n).astype(np.float64)
    weights[rng.integers(n)] += 1
    return X, y, weights


@given(weighted_problems())
def test_merging_changes_the_loss_by_the_constant_it_says(problem):
    X, y, weights = problem
    merged = merge_samples(X, y, weights)
    s = np.ones(len(merged.X)) if merged.weights is None else merged.weights
    assert np.unique(merged.X, axis=0).shape == merged.X.shape
    assert s.sum() == pytest.approx(weights.sum())
    W = np.random.default_rng(0).standard_normal((X.shape[1], *y.shape[1:]))
    whole = 0.5 * np.sum(weights * ((X @ W - y) ** 2).reshape(len(X), -1).sum(axis=1))
    part = 0.5 * np.sum(s * ((merged.X @ W - merged.y) ** 2).reshape(len(s), -1).sum(axis=1))
    assert part + merged.constant == pytest.approx(whole, rel=1e-10, abs=1e-10)


@given(weighted_problems(), st.randoms(use_true_random=False))
def test_weights_copies_and_order_are_the_same_numbers(problem, random):
    X, y, weights = problem
    y = np.round(y)  # sums of few integers are exact, so equal samples with other targets merge alike too
    copies = np.repeat(np.arange(len(X)), weights.astype(int))
    random.shuffle(copies)
    one, two = merge_samples(X, y, weights), merge_samples(X[copies], y[copies], None)
    np.testing.assert_array_equal(one.X, two.X)
    np.testing.assert_allclose(one.y, two.y, rtol=1e-14, atol=1e-14)
    assert (one.weights is None) == (two.weights is None)
    if one.weights is not None:
        np.testing.assert_array_equal(one.weights, two.weights)


def test_appearance_restores_the_order():
    X = np.random.default_rng(0).standard_normal((30, 2))
    merged = merge_samples(X, np.arange(30.0), None)
    np.testing.assert_array_equal(merged.X[merged.appearance], X)
    np.testing.assert_array_equal(merged.y[merged.appearance], np.arange(30.0))
    assert merged.weights is None and merged.constant == 0


def test_patterns_and_dual_are_those_of_the_samples():
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((50, 3)), rng.standard_normal(50)
    fit = fit_gated(X, y)
    inner = np.column_stack([X, np.ones(50)])
    np.testing.assert_array_equal(fit.solutions[0].patterns.to_dense(), fit.solutions[0].patterns.activations(inner))
    residual = y - fit.network.predict(X)
    scale = residual @ fit.solutions[0].dual / (residual @ residual)
    np.testing.assert_allclose(fit.solutions[0].dual, scale * residual, atol=1e-6)
    assert fit.network.objective(X, y, fit.beta) == pytest.approx(fit.solutions[0].objective, rel=1e-10)


def test_the_objective_counts_what_equal_samples_leave():
    rng = np.random.default_rng(1)
    X, y = np.repeat(rng.standard_normal((20, 2)), 2, axis=0), rng.standard_normal(40)
    fit = fit_gated(X, y)
    total = fit.solutions[0].objective + fit.unexplained
    assert fit.unexplained > 0
    assert fit.network.objective(X, y, fit.beta) == pytest.approx(total, rel=1e-10)


def test_a_zero_target_gives_the_zero_network():
    X = np.random.default_rng(0).standard_normal((10, 2))
    fit = fit_gated(X, np.zeros(10))
    assert fit.beta_max == 0 and fit.network.n_neurons == 0 and fit.solutions[0].converged
    np.testing.assert_array_equal(fit.network.predict(X), np.zeros(10))


def test_a_previous_fit_is_where_the_solver_starts():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 3)), rng.standard_normal(60)
    first = fit_gated(X, y)
    again = fit_gated(X, y, previous=first)
    np.testing.assert_array_equal(again.solutions[0].patterns.gates, first.solutions[0].patterns.gates)
    assert again.solutions[0].n_iter < first.solutions[0].n_iter
    assert again.solutions[0].objective <= first.solutions[0].objective + first.solutions[0].gap
    half = fit_gated(X[:20], y[:20], previous=first)  # fewer samples, so gates share patterns
    assert half.solutions[0].converged and len(half.solutions[0].patterns) <= len(first.solutions[0].patterns)
    two = fit_gated(X, np.stack([y, -y], axis=1), previous=first)  # other outputs: gates only
    assert two.solutions[0].converged
