"""Training over all patterns by column generation."""

import time

import cvxrelu
import numpy as np
import pytest
from cvxrelu.base.native import core
from cvxrelu.relu.pricer import Pricer
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import cone as reference
from strategies import designs
from support import SECONDS_TO_HEAR_CTRL_C, press_ctrl_c_after
from test_solve_relu import SCALES, TOY_X, TOY_Y, at_scale, check, planted


@settings(max_examples=25)
@given(designs(max_samples=8, max_features=3), st.integers(0, 2**32 - 1), st.sampled_from([1e-4, 1e-3, 0.03, 0.3, 1.2]))
def test_reaches_the_optimum_over_all_cells(X, seed, ratio):
    y = np.random.default_rng(seed).standard_normal(len(X))
    masks = reference.cells(X)
    beta = ratio * max(reference.dual_norm(X, masks, y), 1e-3)
    start = cvxrelu.sample_patterns(X, gates=np.random.default_rng(seed).standard_normal((20, X.shape[1])))[:1]
    solution = cvxrelu.train_relu(X, y, beta, patterns=start, tol=1e-8, random_state=0)
    assert solution.converged and solution.scope == "all patterns"
    check(X, y, solution)
    assert solution.objective == pytest.approx(reference.optimum(X, y, masks, beta), abs=1e-7 * 0.5 * (y @ y))
    assert reference.dual_norm(X, masks, solution.dual) <= beta * (1 + 1e-9)
    assert solution.n_neurons <= len(X)


@pytest.mark.parametrize("ratio", [1e-4, 1e-2, 0.3])
def test_thin_cones_are_found_and_priced(ratio):
    rng = np.random.default_rng(5)
    X, y = rng.standard_normal((9, 3)), rng.standard_normal(9)
    X[5:] = X[1:5]
    twins = X.copy()
    X[5:] += 1e-8 * rng.standard_normal((4, 3))  # cells about 1e-8 wide, between rows and their twins
    patterns = cvxrelu.enumerate_patterns(X)
    assert len(patterns) == cvxrelu.pattern_bound(9, 3)
    beta = ratio * cvxrelu.beta_max(X, y, patterns)
    listed = cvxrelu.solve_relu(X, y, patterns, beta, tol=1e-9)
    scale = 0.5 * y @ y
    for pricing in ("enumeration", "branch and bound", "subdivision"):
        trained = cvxrelu.train_relu(X, y, beta, tol=1e-8, random_state=0, pricing=pricing)
        assert trained.converged and trained.priced_by == pricing
        assert trained.objective == pytest.approx(listed.objective, abs=1e-7 * scale)
        assert reference.dual_norm(X, patterns.to_dense(), trained.dual) <= beta * (1 + 1e-8)
    optimum = reference.optimum(twins, y, reference.cells(twins), beta)
    assert listed.objective == pytest.approx(optimum, abs=1e-6 * scale)


def test_the_toy_of_the_mathematics():
    solution = cvxrelu.train_relu(TOY_X, TOY_Y, 0.01, tol=1e-10, random_state=0)
    assert solution.objective == pytest.approx(0.1171393182, abs=1e-10)
    assert solution.gap <= 1e-9


def test_30_samples_in_4_dimensions_are_certified_over_8180_cells():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 4))
    y = np.abs(X[:, 0]) + 0.3 * rng.standard_normal(30)
    beta = 0.05 * cvxrelu.beta_max(X, y, cvxrelu.sample_patterns(X, 100, random_state=0))
    solution = cvxrelu.train_relu(X, y, beta, tol=1e-8, random_state=0)
    assert solution.converged and solution.relative_gap <= 1e-8
    certificate = cvxrelu.certify(X, y, solution.to_network(), beta, tol=1e-8)
    assert certificate.relative_gap <= 1e-7


def test_pricing_lowers_the_optimum_of_a_sample():
    X, y, patterns = planted(100, 5, 50)
    beta = 0.1 * cvxrelu.beta_max(X, y, patterns)
    sampled = cvxrelu.solve_relu(X, y, patterns, beta)
    solution = cvxrelu.train_relu(
        X, y, beta, patterns=patterns, warm_start=sampled, certificate="given patterns", random_state=0
    )
    assert solution.scope == "given patterns"
    assert solution.objective < 0.95 * sampled.objective
    check(X, y, solution)
    np.testing.assert_array_equal(solution.patterns.words[: len(patterns)], patterns.words)
    masks = cvxrelu.sample_patterns(X, gates=solution.patterns.gates)
    np.testing.assert_array_equal(masks.words, solution.patterns.words)


def test_many_features_are_told_to_take_gates():
    X = np.random.default_rng(0).standard_normal((30, 14))
    with pytest.warns(cvxrelu.ConvergenceWarning, match="14 features a bound over all networks .* gated networks"):
        cvxrelu.train_relu(X, np.abs(X[:, 0]), 0.5, max_nodes=5, max_rounds=2, random_state=0)


def test_a_search_cut_short_has_a_larger_gap_that_still_covers_all_patterns():
    X, y, patterns = planted(40, 5, 50)
    beta = 0.05 * cvxrelu.beta_max(X, y, patterns)
    with pytest.warns(cvxrelu.ConvergenceWarning, match="raise max_nodes"):
        short = cvxrelu.train_relu(X, y, beta, max_nodes=5, random_state=0)
    assert short.scope == "all patterns" and not short.converged
    full = cvxrelu.train_relu(X, y, beta, random_state=0)
    assert full.converged
    assert short.objective - short.gap <= full.objective
    assert full.objective <= short.objective * (1 + 1e-6)


@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("ratio", [0.99, 1.01])
def test_tiny_networks_reach_loose_tolerances(tol, ratio):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 3)), rng.standard_normal(30)
    largest = cvxrelu.certify(X, y, (np.zeros((1, 3)), np.zeros(1)), 1.0, tol=1e-9).dual_norm
    solution = cvxrelu.train_relu(X, y, ratio * largest, tol=tol, random_state=0)
    assert solution.converged and solution.scope == "all patterns"


def test_starts_from_any_network_and_is_never_worse():
    X, y, _ = planted(30, 3, 10)
    rng = np.random.default_rng(0)
    W1, w2 = rng.standard_normal((10, 3)), 0.3 * rng.standard_normal(10)
    beta = 0.5
    solution = cvxrelu.train_relu(X, y, beta, warm_start=(W1, w2), random_state=0)
    assert solution.objective <= reference.objective(X, y, W1, w2, beta)
    assert solution.converged


def test_stopping():
    X, y, patterns = planted(100, 5, 50)
    stopped = cvxrelu.train_relu(X, y, 1.0, patterns=patterns, callback=lambda state: True)
    assert stopped.scope == "given patterns"
    check(X, y, stopped)
    X, y, patterns = planted(400, 12, 100)
    with press_ctrl_c_after(0.7) as state, pytest.raises(KeyboardInterrupt):
        cvxrelu.train_relu(X, y, 0.5, tol=1e-10, random_state=0, n_threads=1)
    assert state.seconds_until_caught < SECONDS_TO_HEAR_CTRL_C
    rounds = []

    def interrupt(state):
        rounds.append(state["iteration"])
        if rounds.count(0) == 3:
            raise KeyboardInterrupt

    X, y, patterns = planted(100, 5, 50)
    settings_ = {"patterns": patterns, "random_state": 0, "callback": interrupt}
    best = cvxrelu.train_relu(X, y, 1.0, on_interrupt="return", **settings_)
    assert best.scope == "given patterns" and best.n_rounds == 1
    assert best.objective <= cvxrelu.solve_relu(X, y, patterns, 1.0).objective
    rounds.clear()
    with pytest.raises(KeyboardInterrupt):
        cvxrelu.train_relu(X, y, 1.0, **settings_)


def test_a_time_limit_holds_and_says_that_patterns_were_left():
    X, y, patterns = planted(300, 10, 100)
    start = time.process_time()
    with pytest.warns(cvxrelu.ConvergenceWarning, match="further rounds may lower"):
        short = cvxrelu.train_relu(
            X, y, 20.0, patterns=patterns, certificate="given patterns", tol=1e-3, max_rounds=1, random_state=0
        )
    assert short.n_rounds == 1 and short.converged
    check(X, y, short)
    with pytest.warns(cvxrelu.ConvergenceWarning):
        none = cvxrelu.train_relu(X, y, 1.0, patterns=patterns, max_seconds=0.0, certificate="given patterns")
    assert time.process_time() - start < 10
    check(X, y, none)
    assert none.objective <= 0.5 * y @ y


def test_walks_and_the_search_end_in_time():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20_000, 40)), rng.standard_normal(20_000)
    start = time.monotonic()
    words, _, norms, _ = core.walk_cells(X, y, rng.standard_normal((50, 40)), 0.0, max_seconds=0.2)
    assert time.monotonic() - start < 2
    assert len(words) == len(norms)
    X, y, patterns = planted(600, 15, 50)
    start = time.process_time()
    with pytest.warns(cvxrelu.ConvergenceWarning):
        short = cvxrelu.train_relu(X, y, 2.0, patterns=patterns, max_seconds=0.5, random_state=0, n_threads=1)
    assert time.process_time() - start < 5
    assert short.scope == "all patterns" and short.gap > 0
    check(X, y, short)


def test_weights_are_repetitions_for_given_patterns():
    X, y, patterns = planted(40, 3, 30)
    times = np.random.default_rng(0).integers(0, 3, len(y))
    many = cvxrelu.sample_patterns(np.repeat(X, times, axis=0), gates=patterns.gates)
    expected = cvxrelu.solve_relu(np.repeat(X, times, axis=0), np.repeat(y, times), many, 0.5, tol=1e-9)
    solution = cvxrelu.solve_relu(X, y, patterns, 0.5, sample_weight=times, tol=1e-9)
    assert solution.objective == pytest.approx(expected.objective, rel=1e-8)
    again = cvxrelu.solve_relu(X, y, patterns, 0.5, sample_weight=times, warm_start=solution)
    assert again.n_newton < solution.n_newton
    np.testing.assert_array_equal(solution.patterns.words, patterns.words)


def test_bad_settings():
    X, y, _ = planted(20, 3, 10)
    for settings_, message in [
        ({"certificate": "none"}, "certificate must be"),
        ({"on_interrupt": "ignore"}, "on_interrupt must be"),
        ({"tol": 0}, "tol must be"),
        ({"n_starts": 0}, "n_starts must be at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            cvxrelu.train_relu(X, y, 1.0, **settings_)
    gated = cvxrelu.solve_gated(X, y, cvxrelu.sample_patterns(X, 10, random_state=0), 0.1)
    for warm_start, error, message in [
        (gated.to_network(), ValueError, "^warm_start is gated"),
        (gated, TypeError, "^warm_start must be a Network, .* not GatedSolution"),
        ("a", TypeError, "^warm_start must be a Network"),
        ((np.eye(3), ["a"] * 3), TypeError, "w2 must be an array of real numbers"),
    ]:
        with pytest.raises(error, match=message):
            cvxrelu.train_relu(X, y, 1.0, warm_start=warm_start)
    with pytest.raises(ValueError, match="beta must be"):
        cvxrelu.train_relu(X, y, 0.0)


@pytest.mark.parametrize("scales", SCALES)
def test_training_at_extreme_scales_is_that_at_order_one(scales):
    (X, y, beta), (aX, by, ab_beta), (_, b) = at_scale(*scales)
    expected = cvxrelu.train_relu(X, y, beta, random_state=0)
    solution = cvxrelu.train_relu(aX, by, ab_beta, random_state=0)
    assert solution.converged and solution.scope == "all patterns"
    assert solution.objective / b / b == pytest.approx(expected.objective, rel=1e-6)
    assert reference.dual_norm(X, reference.cells(X), solution.dual / b) <= beta * (1 + 1e-9)
    again = cvxrelu.train_relu(aX, by, ab_beta, warm_start=solution.to_network(), random_state=0)
    assert again.converged and again.objective / b / b == pytest.approx(expected.objective, rel=1e-6)


def test_walks_get_more_starts_after_a_search_found_what_they_missed(monkeypatch):
    X, y, _ = planted(40, 4, 1)
    beta = 0.01 * cvxrelu.beta_max(X, y, cvxrelu.sample_patterns(X, 100, random_state=0))
    n_random, missed = [], []

    def walk(self, theta, starts, level, signs=(), seconds=np.inf, real=Pricer.walk):
        n_random.append(list(signs).count(0))
        return real(self, theta, starts, level, signs, seconds)

    def over_all(self, *args, real=Pricer.over_all, **settings):
        norm = real(self, *args, **settings)
        if norm.violated is not None:
            missed.append(len(n_random))
        return norm

    monkeypatch.setattr(Pricer, "walk", walk)
    monkeypatch.setattr(Pricer, "over_all", over_all)
    solution = cvxrelu.train_relu(X, y, beta, n_starts=1, tol=1e-8, random_state=0)
    assert solution.converged and missed
    times = [min(4 ** sum(k <= walk for k in missed), 16) for walk in range(len(n_random))]
    assert n_random == times
