import cvxpy as cp
import cvxrelu
import numpy as np
import pytest
from cvxrelu import Network, OptimalSet, optimal_set


def decay(network):
    return 0.5 * (np.sum(network.W1**2) + np.sum(network.w2**2))


def same(found, X, network):
    scale = np.abs(network.predict(X)).max()
    np.testing.assert_allclose(found.predict(X), network.predict(X), atol=1e-8 * scale)
    assert decay(found) == pytest.approx(decay(network), rel=1e-8)


@pytest.fixture(scope="module")
def certified():
    """A gated optimum that leaves a choice: more active blocks than samples."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((6, 4)), rng.standard_normal(6)
    patterns = cvxrelu.sample_patterns(X, 300, random_state=0)
    solution = cvxrelu.solve_gated(X, y, patterns, 0.05, tol=1e-12, solver="bcd")
    return X, y, solution


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_all_of_the_set_have_the_same_predictions_and_weight_decay(outputs, gated, bias):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((4, 3))
    W1, w2 = rng.standard_normal((15, 3 + bias)), rng.standard_normal((15, outputs) if outputs > 1 else 15)
    network = Network(W1, w2, rng.standard_normal(W1.shape) if gated else None, bias=bias)
    found = optimal_set(X, network)
    Z = np.column_stack([X, np.ones(4)]) if bias else X
    hidden = ((Z @ (network.gates if gated else W1).T) >= 0) * (Z @ W1.T)
    columns = [np.outer(h, w).ravel() for h, w in zip(hidden.T, w2.reshape(15, -1), strict=True)]
    fixed = np.vstack([np.array(columns).T, np.sum(W1**2, axis=1) + (w2.reshape(15, -1) ** 2).sum(axis=1)])
    assert found.dimension == 15 - np.linalg.matrix_rank(fixed) > 0 and not found.unique
    scales = found.sample(20, random_state=0)
    assert (scales >= 0).all() and np.ptp(scales, axis=0).min() > 1e-3
    for s in [*scales, found.minimise(rng.standard_normal(15)), np.ones(15)]:
        same(found.scaled(s), X, network)


def test_a_vertex_is_the_optimum_of_the_linear_program():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((4, 3))
    network = Network(rng.standard_normal((11, 3)), rng.standard_normal(11))
    found, cost = optimal_set(X, network), rng.standard_normal(11)
    outputs = np.maximum(X @ network.W1.T, 0) * network.w2
    sizes = np.sum(network.W1**2, axis=1) + network.w2**2
    s = cp.Variable(11, nonneg=True)
    right = cp.Problem(cp.Minimize(cost @ s), [outputs @ s == outputs.sum(axis=1), sizes @ s == sizes.sum()])
    right.solve(solver=cp.CLARABEL)
    scales = found.minimise(cost)
    assert cost @ scales == pytest.approx(right.value, abs=1e-6)
    assert np.count_nonzero(scales) <= 5


def test_what_a_neuron_has_to_be_is_so_among_all_optima(certified):
    X, _, solution = certified
    network = solution.to_network()
    found = optimal_set(X, network)
    masks = solution.patterns[solution.active].to_dense()
    lengths = np.linalg.norm(solution.blocks, axis=1)
    W = cp.Variable(solution.blocks.shape)
    fit = sum(cp.multiply(mask, X @ W[k]) for k, mask in enumerate(masks.T))
    as_good = [fit == solution.predict(X), cp.sum(cp.norm(W, axis=1)) <= lengths.sum() * (1 + 1e-9)]
    for k in range(min(4, len(lengths))):
        right = cp.Problem(cp.Minimize(cp.norm(W[k])), as_good)
        right.solve(solver=cp.CLARABEL)
        assert found.minimise(np.eye(len(lengths))[k])[k] * lengths[k] == pytest.approx(right.value, abs=1e-3)


def test_optima_keep_the_certificate(certified):
    X, y, solution = certified
    network = solution.to_network()
    assert solution.relative_gap < 1e-10
    found = optimal_set(X, network)
    for s in found.sample(5, random_state=0):
        assert found.scaled(s).objective(X, y, solution.beta) == pytest.approx(solution.objective, rel=1e-9)


def test_a_relu_optimum_with_twins_has_a_dimension_for_them():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((15, 2)), rng.standard_normal(15)
    network = cvxrelu.train_relu(X, y, 0.3, tol=1e-9).to_network().prune(X)
    alone = optimal_set(X, network)
    assert alone.unique and alone.dimension == 0
    np.testing.assert_array_equal(alone.sample(3), np.ones((3, network.n_neurons)))
    np.testing.assert_array_equal(alone.minimise(np.ones(network.n_neurons)), np.ones(network.n_neurons))
    twins = Network(np.tile(network.W1, (2, 1)) / np.sqrt(2), np.tile(network.w2, 2) / np.sqrt(2))
    found = optimal_set(X, twins)
    assert found.dimension == network.n_neurons
    first = np.repeat([0.0, 1.0], network.n_neurons)
    np.testing.assert_allclose(found.minimise(first), 2 * (1 - first), atol=1e-8)


def test_draws_are_uniform():
    # Three equal neurons: the scales are the triangle s1 + s2 + s3 = 3.
    found = optimal_set([[1.0]], Network(np.ones((3, 1)), np.ones(3)))
    scales = found.sample(4000, random_state=0)
    np.testing.assert_allclose(scales.sum(axis=1), 3)
    np.testing.assert_allclose(scales.mean(axis=0), 1, atol=0.05)
    # The marginal of a uniform triangle: P[s1 > 3 u] = (1 - u)^2.
    np.testing.assert_allclose([(scales > 3 * u).mean() for u in (0.2, 0.5, 0.8)], [0.64, 0.25, 0.04], atol=0.02)
    np.testing.assert_array_equal(scales[:5], found.sample(5, random_state=0))


def test_neurons_without_weight_leave_and_no_neurons_are_unique():
    found = optimal_set([[1.0, 2.0]], Network(np.zeros((2, 2)), np.zeros(2)))
    assert isinstance(found, OptimalSet) and found.unique and found.network.n_neurons == 0
    assert found.sample(2).shape == (2, 0)


@pytest.mark.parametrize("factor", [1e-170, 1e-155, 1e155, 1e170])
def test_the_set_is_that_of_the_same_network_in_other_units(factor):
    W1, w2, X = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), np.array([1.0, 1.0, 2.0]), [[3.0, 1.0]]
    plain, found = optimal_set(X, Network(W1, w2)), optimal_set(X, Network(factor * W1, factor * w2))
    assert found.network.n_neurons == 3
    np.testing.assert_allclose(found.shares, plain.shares, rtol=1e-12)
    np.testing.assert_allclose(found.singular_values, plain.singular_values, rtol=1e-12)
    cost = np.array([1.0, 0.0, -1.0])
    np.testing.assert_allclose(found.minimise(cost), plain.minimise(cost), rtol=1e-9)
    far = optimal_set(np.array(X) * 1e200, Network(1e120 * W1, w2))
    assert far.dimension == plain.dimension


def test_costs_of_neurons_that_hardly_count_and_costs_of_any_size():
    W1, w2 = np.array([[1.0, 0.0], [0.0, 1.0], [3e-155, 4e-155]]), np.array([1.0, 1.0, 5e-155])
    found = optimal_set([[1.0, 1.0]], Network(W1, w2))
    np.testing.assert_allclose(found.minimise([0.0, -1.0, 0.0]), [0.0, 2.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(found.minimise([1e308, -1e308, 0.0]), [0.0, 2.0, 0.0], atol=1e-12)


def test_what_cannot_be_used():
    network = Network(np.ones((2, 1)), np.ones(2))
    with pytest.raises(ValueError, match="tol must be below 1"):
        optimal_set([[1.0]], network, tol=2)
    with pytest.raises(ValueError, match="X"):
        optimal_set([[1.0, 2.0]], network)
    found = optimal_set([[1.0]], network)
    for scales in ([1.0], [1.0, -1.0], [np.nan, 1.0], [np.inf, 1.0]):
        with pytest.raises(ValueError, match="scales must be 2 finite numbers"):
            found.scaled(scales)
    with pytest.raises(ValueError, match="cost must be 2 finite numbers"):
        found.minimise([1.0, np.inf])
    with pytest.raises(TypeError, match="network must be a Network, as to_network"):
        optimal_set(np.ones((2, 2)), cvxrelu.solve_relu)
    with pytest.raises(ValueError, match="random_state must be None, a seed or a generator"):
        optimal_set([[1.0, 1.0]], Network(np.eye(2), np.ones(2))).sample(1, random_state="a")
