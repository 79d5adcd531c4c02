"""Bounds over all networks: pricing by walks and by branch and bound, and the certificates made of them."""

import cvxrelu
import numpy as np
import pytest
from cvxrelu.base.bounds import masked_norm_bound, proved, sums_of_rows
from cvxrelu.base.native import core
from cvxrelu.relu.pricer import Pricer
from hypothesis import given
from hypothesis import strategies as st
from reference import cone as reference
from scipy.optimize import minimize
from strategies import designs
from support import SECONDS_TO_HEAR_CTRL_C, press_ctrl_c_after
from test_solve_relu import at_scale
from torch_like import Linear, ReLU, Tanh, sequential


def tree(X, theta, threshold=0.0, max_nodes=100_000):
    return core.price_by_tree(X, theta, threshold, np.inf, max_nodes, np.inf)


@given(designs(max_samples=8, max_features=3), st.integers(0, 2**32 - 1))
def test_branch_and_bound_finds_the_maximum_over_all_cells(X, seed):
    theta = np.random.default_rng(seed).standard_normal(len(X))
    masks = reference.cells(X)
    expected = max(reference.projection_norm(X, m, X.T @ (m * theta)) for m in masks.T)
    found = tree(X, theta)
    scale = np.linalg.norm(theta) * np.linalg.norm(X)
    assert found["complete"]
    assert found["bound"] >= expected - 1e-12 * scale
    assert found["bound"] == pytest.approx(expected, rel=1e-8, abs=1e-10 * scale)
    if expected > 1e-9 * scale:
        u = found["point"]
        assert np.linalg.norm(u) == pytest.approx(1)
        assert theta @ np.maximum(X @ u, 0) == pytest.approx(found["value"], rel=1e-10)


@pytest.mark.parametrize(("n", "d"), [(30, 4), (40, 5)])
def test_branch_and_bound_is_at_least_what_walks_and_samples_find(n, d):
    rng = np.random.default_rng(n)
    X, theta = rng.standard_normal((n, d)), rng.standard_normal(n)
    bound = max(tree(X, theta)["bound"], tree(X, -theta)["bound"])
    words, points, norms, best = core.walk_cells(X, theta, rng.standard_normal((50, d)), 0.0)
    assert best == pytest.approx(norms[0], rel=1e-14)
    assert best <= bound * (1 + 1e-12)
    assert best == pytest.approx(bound, rel=1e-8)
    np.testing.assert_allclose(np.abs(np.maximum(X @ points.T, 0).T @ theta), norms, rtol=1e-10)
    dense = cvxrelu.ActivationPatterns(gates=points, words=words, n_samples=n).to_dense()
    np.testing.assert_allclose(reference.dual_norm(X, dense[:, :1], theta), norms[0], rtol=1e-9)


def test_a_search_cut_short_still_bounds():
    rng = np.random.default_rng(0)
    X, theta = rng.standard_normal((40, 5)), rng.standard_normal(40)
    exact = tree(X, theta)["bound"]
    bounds = [tree(X, theta, max_nodes=m)["bound"] for m in (1, 10, 50)]
    assert bounds[0] >= bounds[1] >= bounds[2] > exact
    assert not tree(X, theta, max_nodes=10)["complete"]


@given(designs(max_samples=8, max_features=3), st.integers(0, 2**32 - 1))
def test_the_cheap_bound_holds(X, seed):
    theta = np.random.default_rng(seed).standard_normal(len(X))
    assert masked_norm_bound(*sums_of_rows(theta[:, None] * X)) >= max(
        tree(X, theta)["value"], tree(X, -theta)["value"]
    ) * (1 - 1e-12)


def problem(seed=0, n=12, d=3):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal(n)


def local_training(X, y, beta, width, rng):
    d = X.shape[1]

    def objective(z):
        W1, w2 = z[: width * d].reshape(width, d), z[width * d :]
        pre = X @ W1.T
        hidden = np.maximum(pre, 0)
        r = hidden @ w2 - y
        g1 = ((r[:, None] * w2) * (pre > 0)).T @ X + beta * W1
        g2 = hidden.T @ r + beta * w2
        return 0.5 * r @ r + 0.5 * beta * z @ z, np.append(g1, g2)

    z = minimize(objective, rng.standard_normal(width * (d + 1)), jac=True, method="L-BFGS-B").x
    return z[: width * d].reshape(width, d), z[width * d :]


def test_walks_take_the_signs_they_are_given_and_keep_to_their_time():
    rng = np.random.default_rng(0)
    X, theta, starts = rng.standard_normal((60, 4)), rng.standard_normal(60), rng.standard_normal((6, 4))
    both = core.walk_cells(X, theta, starts, 0.0)[2]
    halves = [core.walk_cells(X, theta, starts, 0.0, [sign] * 6)[2] for sign in (1, -1)]
    assert set(np.concatenate(halves)) >= set(both)
    assert max(halves[0].max(), halves[1].max()) == both.max()
    mirrored = core.walk_cells(X, -theta, starts, 0.0, [-1] * 6)[2]
    np.testing.assert_array_equal(mirrored, halves[0])
    assert len(core.walk_cells(X, theta, starts, 0.0, max_seconds=-1.0)[2]) == 0
    with pytest.raises(ValueError, match="one entry per start"):
        core.walk_cells(X, theta, starts, 0.0, [1])


@pytest.mark.parametrize("seed", range(3))
def test_no_trained_network_is_below_the_bound(seed):
    X, y = problem(seed)
    beta = 0.3
    optimum = cvxrelu.train_relu(X, y, beta, random_state=0)
    assert optimum.scope == "all patterns" and optimum.converged
    rng = np.random.default_rng(seed)
    for _ in range(12):
        W1, w2 = local_training(X, y, beta, 20, rng)
        value = reference.objective(X, y, W1, w2, beta)
        assert value >= optimum.objective - optimum.gap - 1e-12
        assert value >= optimum.objective * (1 - 1e-6)
        certificate = cvxrelu.certify(X, y, (W1, w2), beta)
        assert certificate.upper_bound == pytest.approx(value, rel=1e-12)
        assert certificate.lower_bound <= optimum.objective
        better = cvxrelu.certify(X, y, (W1, w2), beta, dual=optimum.dual)
        assert better.lower_bound == pytest.approx(optimum.objective, rel=1e-5)


def test_certificates_hold_over_all_cells():
    X, y = problem(1, n=8, d=3)
    masks = reference.cells(X)
    rng = np.random.default_rng(0)
    for beta in (1e-3, 0.1, 1.0, 100.0):
        optimum = reference.optimum(X, y, masks, beta)
        certificate = cvxrelu.certify(X, y, (rng.standard_normal((5, 3)), rng.standard_normal(5)), beta)
        assert certificate.lower_bound <= optimum * (1 + 1e-8)
        assert reference.dual_norm(X, masks, certificate.dual) <= beta * (1 + 1e-9)
        trained = cvxrelu.train_relu(X, y, beta, tol=1e-8, random_state=0)
        assert trained.objective == pytest.approx(optimum, abs=1e-7 * 0.5 * (y @ y))


def test_a_bound_over_some_patterns_says_so_and_may_be_wrong_for_others():
    X, y = problem(2)
    few = cvxrelu.sample_patterns(X, 3, random_state=0)
    network = cvxrelu.solve_relu(X, y, few, 0.1).to_network()
    narrow = cvxrelu.certify(X, y, network, 0.1, patterns=few)
    wide = cvxrelu.certify(X, y, network, 0.1)
    assert (narrow.scope, wide.scope) == ("given patterns", "all patterns")
    assert narrow.relative_gap < 1e-5
    assert wide.lower_bound <= cvxrelu.train_relu(X, y, 0.1, random_state=0).objective < narrow.lower_bound


def test_a_claim_about_all_patterns_from_a_few_is_caught():
    X, y = problem(1, n=8, d=3)
    few = cvxrelu.sample_patterns(X, 3, random_state=0)
    masks = reference.cells(X)
    network = cvxrelu.solve_relu(X, y, few, 0.1).to_network()
    narrow = cvxrelu.certify(X, y, network, 0.1, patterns=few)
    wide = cvxrelu.certify(X, y, network, 0.1)
    assert reference.dual_norm(X, masks, wide.dual) <= 0.1 * (1 + 1e-9)
    assert reference.dual_norm(X, masks, narrow.dual) > 0.1 * (1 + 1e-3)
    assert narrow.lower_bound > reference.optimum(X, y, masks, 0.1)


@pytest.mark.parametrize("pricing", ["enumeration", "branch and bound", "subdivision"])
def test_ctrl_c_is_heard(pricing):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((80, 11)), rng.standard_normal(80)
    network = (rng.standard_normal((5, 11)), rng.standard_normal(5))
    with press_ctrl_c_after(0.5) as state, pytest.raises(KeyboardInterrupt):
        cvxrelu.certify(X, y, network, 1e-3, pricing=pricing, max_nodes=10**9, n_threads=1)
    assert state.seconds_until_caught < SECONDS_TO_HEAR_CTRL_C


def test_beta_zero_proves_nothing_but_zero():
    X, y = problem()
    certificate = cvxrelu.certify(X, y, (np.eye(3), np.ones(3)), 0.0)
    assert certificate.lower_bound == pytest.approx(0, abs=1e-12)
    assert not certificate.dual.any()


@pytest.mark.parametrize("ratio", [1e-3, 0.1])
def test_every_way_of_pricing_proves_the_same(ratio):
    X, y = problem(3, n=15, d=3)
    beta = ratio * cvxrelu.beta_max(X, y, cvxrelu.enumerate_patterns(X))
    network = cvxrelu.train_relu(X, y, beta, tol=1e-9, random_state=0).to_network()
    ways = ("enumeration", "branch and bound", "subdivision")
    found = {way: cvxrelu.certify(X, y, network, beta, tol=1e-9, pricing=way) for way in ways}
    for way, certificate in found.items():
        assert certificate.priced_by == way and certificate.exact and certificate.scope == "all patterns"
        assert certificate.relative_gap <= 1e-8
        assert (certificate.n_nodes > 0) == (way != "enumeration")
    bounds = [certificate.lower_bound for certificate in found.values()]
    assert max(bounds) - min(bounds) <= 1e-8 * 0.5 * (y @ y)  # all within their gap of the optimum
    for way in found:
        trained = cvxrelu.train_relu(X, y, beta, tol=1e-8, random_state=0, pricing=way)
        assert trained.converged and trained.priced_by == way
    with pytest.raises(ValueError, match="pricing must be"):
        cvxrelu.certify(X, y, network, beta, pricing="guess")


def test_the_cheaper_pricing_is_chosen():
    def how(n, d, **settings):
        X, y = problem(0, n, d)
        rng = np.random.default_rng(0)
        certificate = cvxrelu.certify(X, y, (rng.standard_normal((5, d)), rng.standard_normal(5)), 0.3, **settings)
        assert certificate.scope == "all patterns"
        return certificate.priced_by, certificate.exact

    assert how(20, 2) == ("enumeration", True)  # 40 cells
    assert how(300, 2) == ("subdivision", True)  # 600
    assert how(40, 5) == ("subdivision", True)  # 184,342
    assert how(24, 10) == ("branch and bound", True)  # some 2^13 nodes at worst
    assert how(300, 3, max_nodes=1) == ("subdivision", False)
    assert how(40, 13, max_nodes=1) == ("branch and bound", False)


def test_a_tree_that_costs_more_than_an_enumeration_is_left_for_it(monkeypatch):
    rng = np.random.default_rng(1)
    X, theta = rng.standard_normal((30, 3)), rng.standard_normal(30)
    pricer = Pricer(X, 1, max_nodes=10**6, deadline=np.inf)
    monkeypatch.setattr(pricer, "_costs", lambda theta: {"enumeration": 20.0, "subdivision": 10.0})
    norm = pricer.over_all(theta, 0.0)
    assert norm.exact and norm.priced_by == "enumeration" and norm.n_nodes > 0
    assert norm.bound == pytest.approx(max(tree(X, theta)["bound"], tree(X, -theta)["bound"]), rel=1e-8)


def test_what_more_would_cost_is_told():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((100, 7)), rng.standard_normal(100)
    network = (rng.standard_normal((5, 7)), rng.standard_normal(5))
    short = cvxrelu.certify(X, y, network, 0.3, max_nodes=100)
    assert not short.exact and short.priced_by == "subdivision"
    assert "nodes brought the bound to" in short.outlook
    assert cvxrelu.certify(X[:, :3], y, (network[0][:, :3], network[1]), 0.3).outlook == ""
    wide = cvxrelu.certify(rng.standard_normal((60, 13)), y[:60], (np.ones((1, 13)), np.ones(1)), 0.3, max_nodes=1)
    assert "13 features are more than the 12" in wide.outlook
    with pytest.warns(cvxrelu.ConvergenceWarning, match="nodes brought the bound to"):
        cvxrelu.train_relu(X, y, 3.0, max_nodes=10, random_state=0)


def test_an_enumeration_out_of_time_leaves_a_bound_that_holds():
    X, y = problem(0, 40, 5)
    rng = np.random.default_rng(0)
    network = (rng.standard_normal((5, 5)), rng.standard_normal(5))
    short = cvxrelu.certify(X, y, network, 0.3, pricing="enumeration", max_seconds=0.0)
    exact = cvxrelu.certify(X, y, network, 0.3)
    assert exact.exact
    assert short.lower_bound <= exact.lower_bound


def test_weights_are_repetitions_of_samples():
    X, y = problem(4)
    times = np.random.default_rng(0).integers(0, 4, len(y))
    repeated = np.repeat(X, times, axis=0), np.repeat(y, times)
    rng = np.random.default_rng(1)
    network = (rng.standard_normal((6, 3)), rng.standard_normal(6))
    expected = cvxrelu.certify(*repeated, network, 0.3, tol=1e-9)
    weighted = cvxrelu.certify(X, y, network, 0.3, tol=1e-9, sample_weight=times)
    assert weighted.upper_bound == pytest.approx(expected.upper_bound, rel=1e-12)
    assert weighted.lower_bound == pytest.approx(expected.lower_bound, rel=1e-8)
    best = cvxrelu.train_relu(X, y, 0.3, sample_weight=times, random_state=0)
    assert best.objective == pytest.approx(cvxrelu.train_relu(*repeated, 0.3, random_state=0).objective, rel=1e-5)
    # The dual point is feasible on the cones of X, and its value is what the weights make of it.
    masks = reference.cells(X)
    assert reference.dual_norm(X, masks, best.dual) <= 0.3 * (1 + 1e-9)
    kept = times > 0
    value = y @ best.dual - 0.5 * (best.dual[kept] ** 2 / times[kept]).sum()
    assert value == pytest.approx(best.dual_objective, rel=1e-9)
    np.testing.assert_array_equal(best.patterns.activations(X).T, best.patterns.to_dense().T)
    tight = cvxrelu.certify(X, y, best.to_network(), 0.3, sample_weight=times, dual=best.dual)
    assert tight.relative_gap <= 1e-5
    with pytest.raises(ValueError, match="sample_weight must be non-negative"):
        cvxrelu.train_relu(X, y, 0.3, sample_weight=-times)


def test_networks_with_several_outputs():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((12, 3)), rng.standard_normal((12, 2))
    beta = 0.5

    def objective(W1, W2):
        return 0.5 * np.sum((np.maximum(X @ W1.T, 0) @ W2 - Y) ** 2) + 0.5 * beta * (np.sum(W1**2) + np.sum(W2**2))

    W1, W2 = rng.standard_normal((8, 3)), rng.standard_normal((8, 2))
    certificate = cvxrelu.certify(X, Y, (W1, W2), beta)
    assert certificate.upper_bound == pytest.approx(objective(W1, W2), rel=1e-12)
    assert certificate.dual.shape == Y.shape and certificate.exact
    units = rng.standard_normal((20000, 3))
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    assert np.linalg.norm(np.maximum(X @ units.T, 0).T @ certificate.dual, axis=1).max() <= beta

    def flat(z):
        A, B = z[:24].reshape(8, 3), z[24:].reshape(8, 2)
        pre = X @ A.T
        R = np.maximum(pre, 0) @ B - Y
        dA = ((R @ B.T) * (pre > 0)).T @ X + beta * A
        return objective(A, B), np.concatenate([dA.ravel(), (np.maximum(pre, 0).T @ R + beta * B).ravel()])

    best, bounds = np.inf, []
    for _ in range(10):
        z = minimize(flat, rng.standard_normal(40), jac=True, method="L-BFGS-B").x
        found = cvxrelu.certify(X, Y, (z[:24].reshape(8, 3), z[24:].reshape(8, 2)), beta)
        best = min(best, found.upper_bound)
        bounds.append(found.lower_bound)
    assert 0 < max(bounds) <= best
    assert max(bounds) >= 0.5 * best  # far from trivial
    # Outputs that are multiples of one another: one direction, where the bound is exact.
    direction = np.array([0.6, 0.8])
    y = Y[:, 0]
    single = cvxrelu.train_relu(X, y, beta, random_state=0).to_network()
    both = cvxrelu.certify(X, np.outer(y, direction), (single.W1, np.outer(single.w2, direction)), beta)
    assert both.relative_gap <= 1e-3
    for network, message in [
        ((W1, W2[:, 0]), "the network has one output, but y has 2 outputs"),
        ((W1, np.ones((8, 3))), "the network has 3 outputs, but y has 2 outputs"),
    ]:
        with pytest.raises(ValueError, match=message):
            cvxrelu.certify(X, Y, network, beta)


def test_networks_from_elsewhere():
    X, y = problem()
    W1, w2 = np.eye(3), np.array([1.0, -1.0, 0.5])
    expected = cvxrelu.certify(X, y, (W1, w2), 0.1)
    for network in (cvxrelu.Network(W1, w2), [W1, w2[:, None]], sequential(Linear(W1), ReLU(), Linear(w2[None]))):
        assert cvxrelu.certify(X, y, network, 0.1).lower_bound == expected.lower_bound
    biased = cvxrelu.Network(W1, w2, bias=True)
    with_ones = np.column_stack([X[:, :2], np.ones(len(X))])
    assert (
        cvxrelu.certify(X[:, :2], y, biased, 0.1).lower_bound
        == cvxrelu.certify(with_ones, y, (W1, w2), 0.1).lower_bound
    )


def test_lists_without_neurons_are_the_zero_network():
    X, y = problem()
    expected = cvxrelu.certify(X, y, (np.zeros((0, 3)), np.zeros(0)), 0.1)
    assert expected.upper_bound == pytest.approx(0.5 * (y @ y))
    assert cvxrelu.certify(X, y, ([], []), 0.1).lower_bound == expected.lower_bound
    assert cvxrelu.certify(cvxrelu.RowChunks(X), y, ([], []), 0.1).upper_bound == pytest.approx(expected.upper_bound)
    assert cvxrelu.solve_relu(X, y, cvxrelu.sample_patterns(X, 9, random_state=0), 0.1, warm_start=([], [])).converged


def test_rows_in_chunks_know_of_losses_and_unpenalised_columns():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((12, 2))
    y = 5 + np.abs(X[:, 0])
    for settings in ({"unpenalised": "intercept"}, {"loss": "huber", "delta": 0.5}):
        expected = cvxrelu.certify(X, y, ([], []), 0.1, **settings)
        found = cvxrelu.certify(cvxrelu.RowChunks([X[:5], X[5:]]), y, ([], []), 0.1, **settings)
        assert found.upper_bound == pytest.approx(expected.upper_bound)
        assert found.lower_bound == pytest.approx(expected.lower_bound, rel=1e-6)


def test_networks_that_are_no_relu_networks():
    X, y = problem()
    W1, w2 = np.eye(3), np.ones(3)
    for network, error, message in [
        (cvxrelu.Network(W1, w2, W1), ValueError, "gated"),
        (cvxrelu.Network(W1, np.ones((3, 2))), ValueError, "one output"),
        ((np.eye(4), np.ones(4)), ValueError, "takes 4 features, but X has 3"),
        ((W1, np.ones(2)), ValueError, "W1 has 3 neurons, but w2 has 2"),
        ((W1, np.array([1, np.nan, 1])), ValueError, "w2 must be finite"),
        (sequential(Linear(W1), Linear(w2[None])), ValueError, "Linear, ReLU and Linear"),
        (sequential(Linear(W1), Tanh(), Linear(w2[None])), ValueError, "layers, not Linear, Tanh, Linear"),
        ("network", TypeError, "network must be"),
        ((W1, 1j * w2), TypeError, "w2 must be an array of real numbers, not ndarray of dtype complex128"),
        ((1j * W1, w2), TypeError, "W1 must be an array of real numbers"),
        ((W1, "a"), TypeError, "w2 must be an array of real numbers, not str"),
        (([[1.0], [2.0, 3.0]], w2), TypeError, "W1 must be an array of real numbers, not list"),
        ((np.zeros((0, 4)), []), ValueError, "takes 4 features, but X has 3"),
        ((np.zeros((3, 0)), w2), ValueError, "takes 0 features, but X has 3"),
    ]:
        with pytest.raises(error, match=message):
            cvxrelu.certify(X, y, network, 0.1)


def test_networks_far_from_the_optimum_prove_no_more_than_others():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 2))
    y = np.abs(X[:, 0])
    best = cvxrelu.train_relu(X, y, 0.1, random_state=0)
    for size in (1e3, 1e6, 1e80, 1e160, 1e300):
        for seed in range(5):
            rng = np.random.default_rng(seed)
            network = (size * rng.standard_normal((3, 2)), size * rng.standard_normal(3))
            found = cvxrelu.certify(X, y, network, 0.1)
            assert 0 <= found.lower_bound <= best.objective
            assert found.gap >= (found.upper_bound - found.lower_bound) * (1 - 1e-12)
            assert found.upper_bound == (np.inf if size > 1e50 else found.upper_bound)
            assert not np.isnan([found.gap, found.relative_gap, found.dual_norm, *found.dual]).any()
            better = cvxrelu.certify(X, y, network, 0.1, dual=best.dual)
            assert better.lower_bound == pytest.approx(best.dual_objective, rel=1e-9)


@given(st.integers(0, 2**32 - 1), st.floats(-3, 60))
def test_bounds_and_gaps_agree(seed, decades):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((6, 2)), rng.standard_normal(6)
    W1, w2 = 10**decades * rng.standard_normal((3, 2)), rng.standard_normal(3)
    found = cvxrelu.certify(X, y, (W1, w2), 0.1)
    assert 0 <= found.lower_bound <= found.upper_bound
    assert found.lower_bound <= 0.5 * (y @ y)
    rounding = 1e-12 * found.upper_bound
    assert found.gap == pytest.approx(found.upper_bound - found.lower_bound, abs=rounding)
    value = y @ found.dual - 0.5 * (found.dual @ found.dual)
    assert found.lower_bound <= value * (1 + 1e-14) + 1e-300


def test_a_gap_that_cancelled_is_replaced_by_the_difference():
    assert proved(2.0, 0.5, 1.0) == (0.5, 1.5)
    assert proved(2.0, 0.5, 1.5 - 1e-14) == (0.5, 1.5 - 1e-14)
    assert proved(2.0, 2.1, 0.0) == (2.0, 0.0)
    assert proved(2.0, -1.0, 3.0) == (0.0, 3.0)
    assert proved(np.inf, 0.5, np.inf) == (0.5, np.inf)


BEST_OF_SCALES = {}


@given(
    st.integers(-120, 120),
    st.integers(-120, 120),
    st.integers(0, 2**32 - 1),
    st.sampled_from([-6, 0, 0, 6, 150]),
    st.sampled_from(["auto", "enumeration", "branch and bound", "subdivision"]),
)
def test_no_bound_at_any_scale_is_above_a_network(x_decades, y_decades, seed, decades, pricing):
    (X, y, beta), (aX, by, ab_beta), (a, b) = at_scale(10.0**x_decades, 10.0**y_decades)
    if not BEST_OF_SCALES:
        BEST_OF_SCALES["value"] = cvxrelu.train_relu(X, y, beta, tol=1e-10, random_state=0).objective
    rng = np.random.default_rng(seed)
    size = np.sqrt(b) / np.sqrt(a) * 10.0**decades
    W1, w2 = size * rng.standard_normal((3, 2)), size * rng.standard_normal(3)
    found = cvxrelu.certify(aX, by, (W1, w2), ab_beta, pricing=pricing)
    assert 0 <= found.lower_bound / b / b <= BEST_OF_SCALES["value"] * (1 + 1e-12)
    assert found.lower_bound <= found.upper_bound
    assert not np.isnan([found.gap, found.relative_gap]).any()
    assert reference.dual_norm(X, reference.cells(X), found.dual / b) <= beta * (1 + 1e-9)
    if decades == 0:
        expected = cvxrelu.certify(X, y, (W1 * np.sqrt(a) / np.sqrt(b), w2 * np.sqrt(a) / np.sqrt(b)), beta)
        assert found.lower_bound / b / b == pytest.approx(expected.lower_bound, rel=1e-3)
        assert found.upper_bound / b / b == pytest.approx(expected.upper_bound, rel=1e-12)
        assert found.dual_norm / a / b == pytest.approx(expected.dual_norm, rel=1e-2)


def test_bounds_from_rows_of_very_different_lengths():
    # Where targets and samples are long in turn, all of t_j x_j is short: its squares would vanish.
    X = np.array([[1e-200, 2e-200], [1.0, 2.0], [-2e-200, 1e-200]])
    theta = np.array([1.0, 1e-200, -1.5])
    pricer = Pricer(X, 1, max_nodes=1000, deadline=np.inf)
    rows = 1e200 * X[[0, 2]], theta[[0, 2]]
    both = np.vstack([rows[0], X[1]]), np.append(rows[1], 1.0)
    expected = Pricer(both[0], 1, max_nodes=1000, deadline=np.inf).over_all(both[1], 0.0).bound
    assert pricer.over_all(theta, 0.0).bound == pytest.approx(1e-200 * expected, rel=1e-9)
    assert pricer.walk(theta, X, 0.0)[1] <= 1e-200 * expected * (1 + 1e-9)
