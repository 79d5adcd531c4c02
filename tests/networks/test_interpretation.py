"""Local linear maps, and networks with fewer neurons."""

import cvxrelu
import numpy as np
import pytest
from cvxrelu import Network
from hypothesis import given
from hypothesis import strategies as st
from network_families import networks

NETWORKS = list(networks())
Z = np.random.default_rng(2).standard_normal((40, 4))


@pytest.mark.parametrize("network", NETWORKS, ids=repr)
def test_contributions_add_up_to_the_prediction(network):
    found, expected = network.explain(Z), network.predict(Z)
    np.testing.assert_allclose(found.prediction, expected, rtol=1e-12, atol=1e-12)
    assert found.active.shape == (40, 6) and found.contributions.shape == found.coef.shape
    one = network.explain(Z[3])
    np.testing.assert_allclose(one.coef, found.coef[3], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(one.prediction, expected[3], rtol=1e-12, atol=1e-12)
    assert one.radius.shape == () and one.intercept.shape == expected.shape[1:]


@pytest.mark.parametrize("network", NETWORKS, ids=repr)
def test_the_map_holds_within_the_radius_and_not_beyond(network):
    rng = np.random.default_rng(0)
    found = network.explain(Z)
    directions = rng.standard_normal(Z.shape)
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    near = Z + 0.999 * found.radius[:, None] * directions
    predicted = found.intercept + np.einsum("md,md...->m...", near, found.coef)
    np.testing.assert_allclose(network.predict(near), predicted, rtol=1e-10, atol=1e-10)
    borders = network.W1 if network.gates is None else network.gates
    normals = borders[:, :4] / np.linalg.norm(borders[:, :4], axis=1)[:, None]
    steps = Z[:, None, :] + 1.001 * found.radius[:, None, None] * np.vstack([normals, -normals])
    changed = [(network.explain(s).active != a).any() for s, a in zip(steps, found.active, strict=True)]
    assert all(changed)


def test_importance_is_a_standardised_coefficient_where_the_network_is_linear():
    skip = np.array([2.0, 0.0, -1.0, 0.5])
    network = Network(np.zeros((0, 4)), np.zeros(0), skip=skip)
    found = network.explain(Z)
    np.testing.assert_allclose(found.importance(), np.abs(skip) * Z.std(axis=0), rtol=1e-12)
    groups = found.importance({"both": [0, 2], "none": [1]})
    assert groups == {"both": pytest.approx((Z @ (skip * [1, 0, 1, 0])).std()), "none": 0.0}
    assert np.isinf(found.radius).all()
    with pytest.raises(ValueError, match="importance is about several points"):
        network.explain(Z[0]).importance()
    with pytest.raises(ValueError, match="x has 3 features"):
        network.explain(Z[:, :3])


def test_importance_finds_the_features_that_matter():
    sklearn = pytest.importorskip("sklearn.feature_selection")
    rng = np.random.default_rng(0)
    X = rng.standard_normal((150, 6))
    y = np.abs(X[:, 1]) + np.maximum(X[:, 4], 0)
    model = cvxrelu.GatedReLURegressor(n_gates=100, random_state=0)
    importance = lambda fitted: fitted.network_.explain(X).importance()  # noqa: E731
    chosen = sklearn.SelectFromModel(model, max_features=2, threshold=-np.inf, importance_getter=importance).fit(X, y)
    assert chosen.get_support(indices=True).tolist() == [1, 4]


@st.composite
def redundant(draw):
    """A network, and one that has more neurons for the same function."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    m, d, bias, gated = draw(st.integers(1, 5)), draw(st.integers(2, 3)), draw(st.booleans()), draw(st.booleans())
    outputs = draw(st.sampled_from([(), (1,), (2,)]))
    shape = (m, d + bias)
    W1, w2 = rng.standard_normal(shape), rng.standard_normal((m, *outputs))
    gates = rng.standard_normal(shape) if gated else None
    owner = np.concatenate([np.arange(m), rng.integers(0, m, draw(st.integers(0, 6)))])
    scale = rng.uniform(0.1, 10, owner.size)
    share = rng.uniform(0.1, 1, owner.size)
    share /= np.bincount(owner, weights=share)[owner]
    more = Network(
        np.vstack([scale[:, None] * W1[owner], rng.standard_normal((1, shape[1]))]),
        np.concatenate([(w2[owner].T * share / scale).T, np.zeros((1, *outputs))]),
        None if gates is None else np.vstack([scale[:, None] * gates[owner], np.ones((1, shape[1]))]),
        bias=bias,
    )
    return Network(W1, w2, gates, bias), more


@given(redundant())
def test_pruning_everywhere_leaves_what_is_needed(pair):
    least, more = pair
    pruned = more.prune()
    assert pruned.n_neurons == least.n_neurons
    points = np.random.default_rng(0).standard_normal((50, least.n_features))
    np.testing.assert_allclose(pruned.predict(points), least.predict(points), rtol=1e-9, atol=1e-9)
    decays = [np.sum(network.W1**2) + np.sum(network.w2**2) for network in (more, pruned)]
    assert decays[1] <= decays[0] * (1 + 1e-12)
    assert pruned.prune().n_neurons == least.n_neurons


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([(), (2,)]))
def test_pruning_on_samples_leaves_no_more_than_there_are(seed, gated, outputs):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((3, 3))
    shape = (15, 4)
    network = Network(
        rng.standard_normal(shape),
        rng.standard_normal((15, *outputs)),
        rng.standard_normal(shape) if gated else None,
        bias=True,
        output_bias=np.ones(outputs),
    )
    pruned = network.prune(X)
    assert pruned.n_neurons <= 3 * int(np.prod(outputs))
    np.testing.assert_allclose(pruned.predict(X), network.predict(X), rtol=1e-7, atol=1e-7)
    decays = [np.sum(each.W1**2) + np.sum(each.w2**2) for each in (network, pruned)]
    assert decays[1] <= decays[0] * (1 + 1e-9)


def test_constant_neurons_and_networks_without_neurons():
    constant = np.array([[0.0, 0.0, 2.0], [0.0, 0.0, -1.0], [0.0, 0.0, 0.5], [1.0, 0.0, 0.0]])
    for gates, least in ((None, 2), (constant, 2)):
        W1 = constant if gates is None else np.ones((4, 3))
        network = Network(W1, np.ones(4), gates, bias=True)
        pruned = network.prune()
        assert pruned.n_neurons == least
        np.testing.assert_allclose(pruned.predict(Z[:, :2]), network.predict(Z[:, :2]), rtol=1e-12, atol=1e-12)
    opposite = Network(np.ones((2, 2)), np.array([1.0, -1.0]))
    assert opposite.prune().n_neurons == 0
    empty = Network(np.zeros((0, 2)), np.zeros((0, 3)))
    assert empty.prune().w2.shape == empty.prune(Z[:, :2]).w2.shape == (0, 3)
    np.testing.assert_array_equal(empty.explain(Z[:, :2]).prediction, np.zeros((40, 3)))
    with pytest.raises(ValueError, match="X has 4 features"):
        empty.prune(Z)


def test_columns_of_one_variable_are_selected_together():
    sklearn = pytest.importorskip("sklearn.feature_selection")
    rng = np.random.default_rng(0)
    town = rng.integers(0, 4, 150)
    X = np.column_stack([rng.standard_normal((150, 3)), np.eye(4)[town]])
    groups = {"a": [0], "b": [1], "c": [2], "town": [3, 4, 5, 6]}
    y = np.abs(X[:, 1]) + 2.0 * (town == 2)

    def of_groups(fitted):
        sizes = fitted.network_.explain(X).importance(groups)
        return np.concatenate([np.full(len(columns), sizes[name]) for name, columns in groups.items()])

    model = cvxrelu.GatedReLURegressor(n_gates=60, random_state=0)
    chosen = sklearn.SelectFromModel(model, threshold="0.5*mean", importance_getter=of_groups).fit(X, y)
    assert chosen.get_support().tolist() == [False, True, False, True, True, True, True]
    refitted = cvxrelu.GatedReLURegressor(n_gates=60, random_state=0).fit(chosen.transform(X), y)
    assert refitted.score(chosen.transform(X), y) > 0.95
