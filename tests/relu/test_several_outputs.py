"""ReLU networks with several outputs: bounds by subdivision, joint training, certificates over all networks."""

import cvxrelu
import numpy as np
import pytest
from cvxrelu.exceptions import ConvergenceWarning
from cvxrelu.relu.neurons import NeuronSearch, placed
from cvxrelu.relu.output_tree import OutputTree
from cvxrelu.relu.pricer import Pricer
from cvxrelu.relu.problem import pose_relu
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import output_norm as reference
from scipy.optimize import minimize
from strategies import designs


def problem(n=10, d=2, c=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal((n, c))


def targets_of(loss, n, c, rng):
    return np.eye(c)[rng.integers(c, size=n)] if loss == "softmax" else rng.standard_normal((n, c))


def objective(X, Y, W1, W2, beta, loss="squared"):
    F = np.maximum(X @ W1.T, 0) @ W2
    if loss == "softmax":
        fit = np.sum(np.logaddexp.reduce(F, axis=1) - (Y * F).sum(axis=1))
    else:
        r = np.abs(Y - F)
        fit = np.sum(np.where(r <= 1, r**2 / 2, r - 0.5)) if loss == "huber" else 0.5 * np.sum(r**2)
    return fit + 0.5 * beta * (np.sum(W1**2) + np.sum(W2**2))


def search(X, T, level=0.0, accuracy=1e-9, max_nodes=20000, patterns=None):
    return OutputTree(X, T, patterns).search(level, accuracy, max_nodes, np.inf)


@given(designs(max_samples=8, max_features=2), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_in_the_plane_the_bound_is_that_of_arcs(X, c, seed):
    T = np.random.default_rng(seed).standard_normal((len(X), c))
    if X.shape[1] == 1:
        X = np.hstack([X, np.zeros_like(X)])
    found = search(X, T)
    expected = reference.in_the_plane(X, T)
    slack = 1e-12 * np.linalg.norm(X) * np.linalg.norm(T)
    assert found.complete
    assert found.bound >= expected - slack
    assert found.bound == pytest.approx(expected, rel=1e-7, abs=slack)


@pytest.mark.parametrize(("n", "d", "c"), [(12, 3, 2), (40, 3, 3), (12, 4, 2)])
def test_bounds_are_reached_and_never_below_what_is_found(n, d, c):
    rng = np.random.default_rng(n)
    X, T = rng.standard_normal((n, d)), rng.standard_normal((n, c))
    sampled, start = reference.over_samples(X, T, rng)
    pricer = Pricer(X, 1, max_nodes=20000, deadline=np.inf)
    points, values = pricer.climbed(T, np.vstack([start, rng.standard_normal((20, d))]))
    np.testing.assert_allclose(reference.norms(X, T, points), values, rtol=1e-12)
    assert values[0] >= sampled
    exact = search(X, T, accuracy=1e-7)
    assert exact.complete and exact.value <= exact.bound <= (1 + 2e-7) * exact.value
    assert values.max() <= exact.bound * (1 + 1e-12)
    bounds = [search(X, T, max_nodes=most).bound for most in (1, 50, 200)]
    assert bounds[0] >= bounds[1] >= bounds[2] >= exact.bound * (1 - 1e-12)
    met = search(X, T, level=1.02 * exact.bound)
    assert met.complete and exact.value <= met.bound <= 1.02 * exact.bound


def test_one_output_has_the_bound_of_one_output():
    X, T = problem(12, 3, 1)
    single = Pricer(X, 1, max_nodes=10000, deadline=np.inf).over_all(T[:, 0], 0.0)
    assert search(X, np.hstack([T, -T, 0.5 * T])).bound == pytest.approx(1.5 * single.bound, rel=1e-7)


def test_bounds_over_listed_patterns_are_those_of_their_cones():
    X, T = problem(9, 2, 2)
    cells = cvxrelu.enumerate_patterns(X)
    every = search(X, T).bound
    each = [search(X, T, patterns=cells[k : k + 1]).bound for k in range(len(cells))]
    assert max(each) == pytest.approx(every, rel=1e-8)
    ends = np.linspace(0, 2 * np.pi, 20001)
    units = np.stack([np.cos(ends), np.sin(ends)], axis=1)
    for k, bound in enumerate(each):
        inside = ((X @ units.T > 0).T == cells[k : k + 1].to_dense()[:, 0]).all(axis=1)
        if inside.any():
            highest = reference.norms(X, T, units[inside]).max()
            assert highest <= bound * (1 + 1e-12) and bound <= highest * (1 + 1e-3)


def test_samples_without_a_residual_still_tell_listed_cones_apart():
    X, T = problem(9, 2, 2)
    T[::2] = 0
    cells = cvxrelu.enumerate_patterns(X)
    each = [search(X, T, patterns=cells[k : k + 1]) for k in range(len(cells))]
    assert all(found.complete and found.n_nodes < 1000 for found in each)
    assert max(found.bound for found in each) == pytest.approx(reference.in_the_plane(X, T), rel=1e-8)
    # Halves of a cone that no listed pattern meets, all of a batch at once.
    rng = np.random.default_rng(0)
    design, targets = rng.standard_normal((8, 3)), rng.standard_normal((8, 2))
    one = cvxrelu.enumerate_patterns(design)[13:14]
    units = rng.standard_normal((4000, 3))
    units = units[((design @ units.T > 0).T == one.to_dense()[:, 0]).all(axis=1)]
    highest = reference.norms(design, targets, units / np.linalg.norm(units, axis=1, keepdims=True)).max(initial=0)
    assert highest <= cvxrelu.relu_beta_max(design, targets, one) * (1 + 1e-12)
    # A cone in which nothing is gained.
    corner = cvxrelu.sample_patterns(np.eye(2), gates=[[1.0, -1.0]])
    assert cvxrelu.relu_beta_max(np.eye(2), [[0.0, 0.0], [1.0, 2.0]], corner) == pytest.approx(0, abs=1e-9)


def test_degenerate_data_are_bounded():
    X, T = problem(8, 3)
    doubled = np.vstack([X, 2 * X, -X, np.zeros((1, 3))])
    flat = np.hstack([doubled, doubled[:, :1] + doubled[:, 1:2]])
    stacked = np.vstack([T, T, T, T[:1]])
    for design in (doubled, flat):
        found = search(design, stacked, accuracy=1e-6)
        sampled, _ = reference.over_samples(design, stacked, np.random.default_rng(0))
        assert found.complete and sampled <= found.bound <= 1.05 * sampled
    assert search(X, 0 * T).bound <= 1e-300
    scaled = Pricer(1e-200 * X, 1, max_nodes=10000, deadline=np.inf).over_outputs(1e150 * T, 0.0, None)
    assert scaled.bound == pytest.approx(1e-50 * search(X, T).bound, rel=1e-8)


@pytest.mark.parametrize("loss", ["squared", "softmax", pytest.param("huber", marks=pytest.mark.slow)])
def test_no_network_is_below_the_certified_optimum(loss):
    rng = np.random.default_rng(1)
    n, d, c, beta = 10, 2, 3, 0.4
    X, Y = rng.standard_normal((n, d)), targets_of(loss, n, c, rng)
    best = cvxrelu.train_relu(X, Y, beta, loss=loss, random_state=0)
    assert best.converged and best.scope == "all patterns" and best.signs.shape == (best.n_neurons, c)
    network = best.to_network()
    assert objective(X, Y, network.W1, network.w2, beta, loss) == pytest.approx(best.objective, rel=1e-10)
    np.testing.assert_allclose(network.predict(X), best.predict(X), atol=1e-12)
    assert reference.in_the_plane(X, best.dual) <= beta * (1 + 1e-12)
    width = 6

    def flat(z):
        return objective(X, Y, z[: width * d].reshape(width, d), z[width * d :].reshape(width, c), beta, loss)

    reached = [minimize(flat, rng.standard_normal(width * (d + c)), method="L-BFGS-B").fun for _ in range(2)]
    assert best.dual_objective <= best.objective <= min(reached) * (1 + 1e-6)


@pytest.mark.parametrize(("n", "d", "c", "beta"), [(8, 2, 2, 0.3), (12, 3, 2, 1.0), (10, 3, 3, 0.5)])
def test_certificates_close_and_do_not_flatter(n, d, c, beta):
    X, Y = problem(n, d, c, seed=n)
    best = cvxrelu.train_relu(X, Y, beta, random_state=0)
    again = cvxrelu.certify(X, Y, best.to_network(), beta)
    assert best.relative_gap <= 1e-6 and again.exact and again.relative_gap <= 2e-6
    sampled, _ = reference.over_samples(X, best.dual, np.random.default_rng(0))
    assert sampled <= beta * (1 + 1e-12)
    twin = 0.5 * np.sum(Y**2) - 0.5 * np.sum((Y - best.dual) ** 2)
    assert best.dual_objective == pytest.approx(twin, rel=1e-9)
    other = cvxrelu.train_relu(X, Y, beta, random_state=7)
    assert other.objective == pytest.approx(best.objective, abs=2e-6 * 0.5 * np.sum(Y**2))
    apart = sum(cvxrelu.train_relu(X, y, beta, random_state=0).objective for y in Y.T)
    gated = cvxrelu.solve_gated(X, Y, cvxrelu.enumerate_patterns(X), beta, block_norm="nuclear", tol=1e-8)
    assert gated.objective <= best.objective * (1 + 1e-6) <= apart * (1 + 2e-6)


@pytest.mark.slow
def test_over_given_patterns_neurons_stay_in_their_cones():
    X, Y = problem(12, 3, 2)
    few, every = cvxrelu.sample_patterns(X, 8, random_state=0), cvxrelu.enumerate_patterns(X)
    narrow = cvxrelu.solve_relu(X, Y, few, 0.6)
    assert narrow.converged and narrow.scope == "given patterns"
    signs = np.where(few.to_dense()[:, narrow.active].T, 1.0, -1.0)
    assert (signs * (narrow.blocks @ X.T) >= -1e-9).all()
    best = cvxrelu.train_relu(X, Y, 0.6, random_state=0)
    assert narrow.dual_objective > best.objective
    wide = cvxrelu.solve_relu(X, Y, every, 0.6, warm_start=narrow)
    assert wide.objective == pytest.approx(best.objective, abs=2e-6 * 0.5 * np.sum(Y**2))


def test_weights_and_unpenalised_columns():
    X, Y = problem(9, 2, 2)
    weights, Z = np.array([1.0, 2, 1, 0, 1, 3, 1, 1, 1]), np.ones((9, 1))
    best = cvxrelu.train_relu(X, Y, 0.3, sample_weight=weights, unpenalised=Z, random_state=0)
    copies = np.repeat(np.arange(9), weights.astype(int))
    twin = cvxrelu.train_relu(X[copies], Y[copies], 0.3, unpenalised=Z[copies], random_state=0)
    assert best.converged and twin.converged and best.unpenalised_coef.shape == (1, 2)
    assert best.objective == pytest.approx(twin.objective, abs=1e-5)
    np.testing.assert_allclose(weights @ best.dual * 0 + best.dual.sum(axis=0), 0, atol=1e-9)
    small = cvxrelu.train_relu(1e-100 * X, 1e-100 * Y, 0.3e-200, random_state=0)
    large = cvxrelu.train_relu(X, Y, 0.3, random_state=0)
    assert small.objective == pytest.approx(1e-200 * large.objective, rel=1e-5)


@pytest.mark.parametrize(("seed", "ratio"), [(134, 0.5), (249, None)])
def test_small_neurons_and_those_held_everywhere(seed, ratio):
    # A small neuron beside another one had a gradient within what was asked for while the gap was not; one that was
    # held at as many samples as there are features had been divided by its length of zero.
    rng = np.random.default_rng(seed)
    n, c = int(rng.integers(2, 12)), int(rng.integers(2, 4))
    X = rng.standard_normal((n, 2)) if ratio else rng.integers(-2, 3, (n, 2)).astype(float)
    Y = rng.poisson(2.0, (n, c)).astype(float)
    rng.random(2)
    ratio = ratio or float(rng.choice([0.5, 0.1, 0.02]))
    cells = cvxrelu.enumerate_patterns(X)
    weights = np.ones(len(cells)) if seed == 134 else rng.uniform(0.5, 2, len(cells))
    beta = ratio * cvxrelu.relu_beta_max(X, Y, loss="poisson")
    assert cvxrelu.solve_relu(X, Y, cells, beta, loss="poisson", group_weights=weights).converged


def test_limits_leave_a_bound_that_holds():
    X, Y = problem(14, 3, 2)
    best = cvxrelu.train_relu(X, Y, 0.5, random_state=0)
    for limits in ({"max_rounds": 1}, {"max_nodes": 10}):
        with pytest.warns(ConvergenceWarning, match="several|limits"):
            early = cvxrelu.train_relu(X, Y, 0.5, random_state=0, **limits)
        assert early.dual_objective <= best.objective <= early.objective * (1 + 1e-9)
    heard = []
    stopped = cvxrelu.train_relu(X, Y, 0.5, random_state=0, callback=lambda told: heard.append(told) or len(heard) > 1)
    assert stopped.scope == "given patterns" and len(heard) == 2


@pytest.mark.slow
def test_more_features_than_are_subdivided_have_the_bound_of_the_axes():
    X, Y = problem(15, 9, 2)
    with pytest.warns(ConvergenceWarning):
        wide = cvxrelu.train_relu(X, Y, 3.0, random_state=0, max_rounds=3, max_nodes=50)
    assert 0 < wide.dual_objective <= wide.objective < 0.5 * np.sum(Y**2)
    with pytest.raises(ValueError, match="up to 8 features, not 9"):
        cvxrelu.solve_relu(X, Y, cvxrelu.sample_patterns(X, 5, random_state=0), 3.0)


def test_what_several_outputs_do_not_take_is_named():
    X, Y = problem()
    patterns = cvxrelu.enumerate_patterns(X)
    with pytest.raises(ValueError, match="ridge is for one output"):
        cvxrelu.solve_relu(X, Y, patterns, 0.3, ridge=1.0)
    with pytest.raises(ValueError, match="ridge is for one output"):
        cvxrelu.relu_path(X, Y, patterns, betas=[0.3], ridge=1.0)
    with pytest.raises(ValueError, match=r"group_weights must have shape \(20,\)"):
        cvxrelu.solve_relu(X, Y, patterns, 0.3, group_weights=np.ones(3))
    with pytest.raises(ValueError, match="warm_start has 3 outputs"):
        cvxrelu.train_relu(X, Y, 0.3, warm_start=(np.ones((4, 2)), np.ones((4, 3))))
    with pytest.raises(ValueError, match="warm_start has 2 outputs"):
        cvxrelu.train_relu(X, Y[:, 0], 0.3, warm_start=cvxrelu.train_relu(X, Y, 0.3, random_state=0))


def test_the_largest_penalty_is_that_of_arcs():
    X, Y = problem(9, 2, 3)
    largest = cvxrelu.relu_beta_max(X, Y)
    assert largest == pytest.approx(reference.in_the_plane(X, Y), rel=1e-8)
    cells = cvxrelu.enumerate_patterns(X)
    assert cvxrelu.relu_beta_max(X, Y, cells) == pytest.approx(largest, rel=1e-8)
    each = [cvxrelu.relu_beta_max(X, Y, cells[k : k + 1]) for k in range(len(cells))]
    weights = np.random.default_rng(0).uniform(0.2, 5, len(cells))
    weighted = cvxrelu.relu_beta_max(X, Y, cells, group_weights=weights)
    assert weighted == pytest.approx(max(each / weights), rel=1e-8)
    assert cvxrelu.train_relu(X, Y, 1.001 * largest, random_state=0).n_neurons == 0
    assert cvxrelu.train_relu(X, Y, 0.99 * largest, random_state=0).n_neurons > 0
    labels = np.eye(3)[np.arange(9) % 3]
    shares = labels - labels.mean(axis=0)
    softmax = cvxrelu.relu_beta_max(X, labels, loss="softmax", unpenalised="intercept")
    assert softmax == pytest.approx(reference.in_the_plane(X, shares), rel=1e-8)
    wide, targets = problem(12, 9, 2)
    with pytest.warns(ConvergenceWarning, match="upper bound"):
        bound = cvxrelu.relu_beta_max(wide, targets, max_nodes=50)
    assert bound >= reference.over_samples(wide, targets, np.random.default_rng(0))[0]


@pytest.mark.parametrize("loss", ["squared", "softmax"])
def test_a_path_equals_its_points_and_goes_on_from_its_file(loss, tmp_path):
    rng = np.random.default_rng(3)
    X, Y = rng.standard_normal((8, 2)), targets_of(loss, 8, 2, rng)
    how = {"n_betas": 3, "beta_min_ratio": 0.05, "loss": loss, "random_state": 0, "checkpoint": tmp_path / "path"}
    heard = []
    first = cvxrelu.relu_path(X, Y, callback=lambda told: heard.append(told) or told["beta"] < heard[0]["beta"], **how)
    assert not first.complete and len(first) == 2
    assert all(told["gap"] >= 0 and told["finished"].objective == told["objective"] for told in heard)
    path = cvxrelu.relu_path(X, Y, **how)
    assert path.complete and path.n_neurons[0] == 0 and (np.diff(path.betas) < 0).all()
    np.testing.assert_array_equal(path[1].blocks, first[1].blocks)
    assert path.relative_gaps[[0, 2]].max() <= 1e-6
    alone = cvxrelu.train_relu(X, Y, path.betas[2], loss=loss, random_state=1)
    assert path[2].objective == pytest.approx(alone.objective, abs=2e-6 * path[0].objective)
    with pytest.raises(ValueError, match="another problem: its targets"):
        cvxrelu.relu_path(X, Y[:, ::-1], **how)


def test_training_goes_on_from_its_file(tmp_path, monkeypatch):
    X, Y = problem(10, 2, 2)
    how = {"random_state": 0, "checkpoint": tmp_path / "rounds"}
    best = cvxrelu.train_relu(X, Y, 0.3, random_state=0)
    with pytest.warns(ConvergenceWarning):
        early = cvxrelu.train_relu(X, Y, 0.3, max_rounds=1, **how)
    whole = cvxrelu.train_relu(X, Y, 0.3, **how)
    assert whole.converged and early.objective > whole.objective
    assert whole.objective == pytest.approx(best.objective, abs=2e-6 * 0.5 * np.sum(Y**2))
    assert whole.n_rounds > 1
    again = cvxrelu.train_relu(X, Y, 0.3, **how)
    assert again.converged and again.objective <= whole.objective * (1 + 1e-12)
    with pytest.raises(ValueError, match="another problem: its penalty"):
        cvxrelu.train_relu(X, Y, 0.4, **how)

    def interrupted(told):
        if told["iteration"] == 1:
            raise KeyboardInterrupt
        return False

    left = cvxrelu.train_relu(X, Y, 0.3, random_state=0, on_interrupt="return", callback=interrupted)
    assert left.n_rounds == 1 and left.scope == "all patterns" and not left.converged
    assert left.dual_objective <= best.objective <= left.objective * (1 + 1e-9)
    with pytest.raises(KeyboardInterrupt):
        cvxrelu.train_relu(X, Y, 0.3, random_state=0, callback=interrupted)


def test_weights_of_patterns():
    X, Y = problem(8, 2, 2)
    cells = cvxrelu.enumerate_patterns(X)
    weights = np.random.default_rng(1).uniform(0.3, 3, len(cells))
    best = cvxrelu.solve_relu(X, Y, cells, 0.3, group_weights=weights)
    assert best.converged
    decay = weights[best.active] * np.linalg.norm(best.blocks, axis=1)
    assert best.objective == pytest.approx(0.5 * np.sum((best.predict(X) - Y) ** 2) + 0.3 * decay.sum(), rel=1e-10)
    each = [cvxrelu.relu_beta_max(X, best.dual, cells[k : k + 1]) for k in range(len(cells))]
    assert (each <= 0.3 * weights * (1 + 1e-9)).all()
    twin = 0.5 * np.sum(Y**2) - 0.5 * np.sum((Y - best.dual) ** 2)
    assert best.dual_objective == pytest.approx(twin, rel=1e-9)
    # Equal weights are a multiple of the penalty; patterns that cost more than any gain are not there.
    even = cvxrelu.solve_relu(X, Y, cells, 0.3, group_weights=np.full(len(cells), 2.0))
    assert even.objective == pytest.approx(cvxrelu.solve_relu(X, Y, cells, 0.6).objective, rel=1e-5)
    some = np.arange(len(cells)) % 2 == 0
    barred = cvxrelu.solve_relu(X, Y, cells, 0.3, group_weights=np.where(some, 1.0, 1e6))
    assert some[barred.active].all()
    assert barred.objective == pytest.approx(cvxrelu.solve_relu(X, Y, cells[some], 0.3).objective, rel=1e-5)
    first = cvxrelu.solve_relu(X, Y, cells, 0.5, group_weights=weights)
    path = cvxrelu.relu_path(X, Y, cells, betas=[0.3, 0.5], group_weights=weights)
    assert path[1].objective == pytest.approx(best.objective, rel=1e-5)
    assert path[0].objective == pytest.approx(first.objective, rel=1e-5)


@pytest.mark.parametrize("loss", ["softmax", "huber", "logistic"])
def test_an_intercept_beside_losses_of_several_outputs(loss):
    rng = np.random.default_rng(5)
    X, Z = rng.standard_normal((10, 2)), np.ones((10, 1))
    Y = rng.choice([-1.0, 1.0], (10, 2)) if loss == "logistic" else targets_of(loss, 10, 2, rng)
    best = cvxrelu.train_relu(X, Y, 0.2, loss=loss, unpenalised=Z, random_state=0)
    assert best.converged and best.unpenalised_coef.shape == (1, 2)
    np.testing.assert_allclose(best.dual.sum(axis=0), 0, atol=1e-9)
    without = cvxrelu.train_relu(X, Y, 0.2, loss=loss, random_state=0)
    assert best.objective <= without.objective * (1 + 1e-6)
    again = cvxrelu.certify(X, Y, best.to_network(), 0.2, loss=loss, unpenalised=Z)
    assert again.exact and again.relative_gap <= 2e-6
    given = cvxrelu.certify(X, Y, best.to_network(), 0.2, loss=loss)
    assert given.upper_bound == pytest.approx(best.objective, rel=1e-9)


def test_curvatures_beside_unpenalised_columns_are_those_of_the_best_offset():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((9, 2)), np.eye(3)[np.arange(9) % 3]
    posed = pose_relu(X, Y, 0.2, loss="softmax", unpenalised="intercept")
    F, D = rng.standard_normal((9, 3)), rng.standard_normal((2, 9, 3))

    def residual(outputs):
        return posed.residual(outputs + posed.best_offset(outputs))

    for direction, product in zip(D, posed.curved(F + posed.best_offset(F), D), strict=True):
        change = (residual(F - 1e-5 * direction) - residual(F + 1e-5 * direction)) / 2e-5
        np.testing.assert_allclose(product, change, atol=1e-8)


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_steps_never_raise_the_objective_and_end_where_nothing_falls(seed):
    rng = np.random.default_rng(seed)
    X, Y = rng.standard_normal((12, 3)), rng.standard_normal((12, 2))
    neurons = NeuronSearch(pose_relu(X, Y, 0.5))
    start = placed(X, rng.standard_normal((4, 3)), rng.standard_normal((4, 2)), np.zeros(0, dtype=np.int64))
    end = neurons.run(start, 1e-9)
    reached = objective(X, Y, end.a, end.b, 0.5)
    assert reached == pytest.approx(neurons.objective(end), rel=1e-12)
    assert reached <= objective(X, Y, start.a, start.b, 0.5)
    for _ in range(20):  # a local minimum: no small step is better
        a, b = (part + 1e-5 * rng.standard_normal(part.shape) for part in (end.a, end.b))
        assert objective(X, Y, a, b, 0.5) >= reached * (1 - 1e-9)
