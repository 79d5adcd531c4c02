import pickle
from fractions import Fraction

import cvxrelu
import numpy as np
import pytest
from cvxrelu import Network
from cvxrelu.networks.network import gated_blocks, network_from_blocks
from hypothesis import given
from hypothesis import strategies as st
from reference import network as reference


@st.composite
def networks(draw):
    m, d = draw(st.integers(0, 6)), draw(st.integers(1, 4))
    outputs = draw(st.sampled_from([(), (1,), (3,)]))
    gated, bias = draw(st.booleans()), draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inputs = d + bias
    return Network(
        rng.standard_normal((m, inputs)),
        rng.standard_normal((m, *outputs)),
        rng.standard_normal((m, inputs)) if gated else None,
        bias,
        output_bias=rng.standard_normal(outputs) if draw(st.booleans()) else None,
        skip=rng.standard_normal((d, *outputs)) if draw(st.booleans()) else None,
    )


def linear_part(network, Z):
    """What output bias and skip add, sample by sample."""
    skip = np.zeros((network.n_features, *network.w2.shape[1:])) if network.skip is None else network.skip
    return np.array([sum(z[k] * skip[k] for k in range(len(z))) for z in Z]) + (
        0 if network.output_bias is None else network.output_bias
    )


def samples(network, n=7, seed=0):
    return np.random.default_rng(seed).standard_normal((n, network.n_features))


def with_bias(network, Z):
    return np.column_stack([Z, np.ones(len(Z))]) if network.bias else Z


@given(networks())
def test_predictions_and_objective_match_the_plain_loops(network):
    Z = samples(network)
    y = np.random.default_rng(1).standard_normal((7, *network.w2.shape[1:]))
    inner = with_bias(network, Z)
    added = linear_part(network, Z)
    expected = reference.predict(network.W1, network.w2, network.gates, inner) + added
    np.testing.assert_allclose(network.predict(Z), expected, atol=1e-12)
    expected = reference.objective(network.W1, network.w2, network.gates, inner, y - added, 0.3)
    assert network.objective(Z, y, 0.3) == pytest.approx(expected, rel=1e-12)


@given(networks())
def test_save_and_load(tmp_path_factory, network):
    path = tmp_path_factory.mktemp("networks") / "network.of_mine"
    network.save(path)
    again = Network.load(path)
    for name in ("W1", "w2", "gates", "output_bias", "skip"):
        before, after = getattr(network, name), getattr(again, name)
        assert (before is None) == (after is None)
        if before is not None:
            np.testing.assert_array_equal(before, after)
    assert again.bias == network.bias
    copy = pickle.loads(pickle.dumps(network))
    np.testing.assert_array_equal(copy.predict(samples(network)), network.predict(samples(network)))


@given(st.integers(0, 10**6), st.sampled_from([(), (1,), (2,), (5,)]))
def test_blocks_become_a_network_that_predicts_the_same(seed, outputs):
    rng = np.random.default_rng(seed)
    gates, blocks = rng.standard_normal((6, 3)), rng.standard_normal((6, 3, *outputs))
    blocks[[1, 4]] = 0
    if outputs == (5,):
        blocks[0] = np.outer(blocks[0, :, 0], blocks[0, 0])  # one neuron is enough for a block of rank one
    Z = rng.standard_normal((20, 3))
    network = network_from_blocks(gates, blocks)
    expected = sum((Z @ g >= 0).reshape(20, *[1] * len(outputs)) * (Z @ u) for g, u in zip(gates, blocks, strict=True))
    np.testing.assert_allclose(network.predict(Z), expected, atol=1e-12)
    ranks = [1] * 4 if not outputs else [np.linalg.matrix_rank(blocks[i]) for i in (0, 2, 3, 5)]
    assert network.n_neurons == sum(ranks)
    if outputs == (5,):
        assert network.n_neurons == 10
    norms = np.linalg.norm(network.w2.reshape(network.n_neurons, -1), axis=1)
    np.testing.assert_allclose(np.linalg.norm(network.W1, axis=1), norms)  # balanced
    np.testing.assert_allclose(
        network_from_blocks(network.gates, gated_blocks(network)).predict(Z), network.predict(Z), atol=1e-12
    )


@pytest.mark.parametrize("bias", [False, True])
def test_program_and_network_have_the_same_objective(bias):
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((40, 3))
    X = np.column_stack([Z, np.ones(40)]) if bias else Z
    y = np.abs(Z[:, 0]) - Z[:, 1]
    patterns = cvxrelu.sample_patterns(X, 60, random_state=0)
    beta = 0.05 * cvxrelu.beta_max(X, y, patterns)
    solution = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-10, n_threads=1)
    network = network_from_blocks(patterns.gates[solution.active], solution.blocks, bias=bias)
    assert network.objective(Z, y, beta) == pytest.approx(solution.objective, rel=1e-12)
    np.testing.assert_allclose(network.predict(Z), solution.predict(X), atol=1e-12)
    if not bias:
        np.testing.assert_allclose(solution.to_network().predict(Z), network.predict(Z), atol=1e-12)


def test_gates_are_decided_exactly():
    # 0.1 + 0.2 - 0.3 is not zero in floats, and its sign is that of the exact numbers, not of a rounded sum.
    network = Network([[1.0, 1.0, 1.0]], [1.0], [[1.0, 1.0, -1.0]])
    Z = np.array([[1.0, 2.0**-60, 1.0], [1.0, -(2.0**-60), 1.0]])
    assert (network.predict(Z) != 0).tolist() == [True, False]


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("n", [1, 15, 33, 3000])
def test_blocks_of_samples_and_threads_change_nothing(n, gated):
    rng = np.random.default_rng(n)
    W1, w2, gates = rng.standard_normal((7, 5)), rng.standard_normal((7, 2)), rng.standard_normal((7, 5))
    network = Network(W1, w2, gates if gated else None, bias=True)
    Z = rng.standard_normal((n, 4))
    whole = network.predict(Z, n_threads=1)
    np.testing.assert_array_equal(network.predict(Z, n_threads=3), whole)
    np.testing.assert_array_equal(network.predict(Z[-1:]), whole[-1:])
    np.testing.assert_array_equal(network.predict(Z[: n // 2 + 1]), whole[: n // 2 + 1])


@given(
    st.integers(0, 2**32 - 1), st.sampled_from([2.0**-540, 1.0, 2.0**500]), st.sampled_from([2.0**-500, 1.0, 2.0**500])
)
def test_gates_are_those_of_fractions(seed, scale, gate_scale):
    """Of samples that lie on gates or almost, beside others that do not, in any units."""
    rng = np.random.default_rng(seed)
    Z, gates = rng.integers(-2, 3, (20, 3)).astype(float), rng.integers(-2, 3, (4, 3)).astype(float)
    Z[::3] += rng.choice([-1, 0, 1], (7, 3)) * 2.0**-50
    active = [[sum(Fraction(a) * Fraction(b) for a, b in zip(z, g, strict=True)) >= 0 for g in gates] for z in Z]
    # Every neuron adds a power of two of its own, so that the value tells which of them are on.
    network = Network(
        np.tile([0.0, 0.0, 0.0, 1.0], (4, 1)), 2.0 ** np.arange(4), np.c_[gate_scale * gates, np.zeros(4)], True
    )
    np.testing.assert_array_equal(network.predict(scale * Z), np.array(active) @ 2.0 ** np.arange(4))


def test_float32_in_float32_out():
    network = Network(np.eye(2), np.ones(2))
    Z = np.ones((3, 2), dtype=np.float32)
    assert network.predict(Z).dtype == np.float32
    assert network.predict(Z.astype(np.float64)).dtype == np.float64


def test_networks_are_immutable_and_describe_themselves():
    network = Network(np.eye(3), np.ones((3, 2)), np.eye(3), bias=True)
    assert repr(network) == "Network(3 gated ReLU neurons, 2 features + bias, 2 outputs)"
    assert repr(Network(np.eye(2), np.ones(2))) == "Network(2 ReLU neurons, 2 features)"
    linear = Network(np.eye(2), np.ones(2), output_bias=1.0, skip=[1.0, 2.0])
    assert repr(linear) == "Network(2 ReLU neurons + skip + output bias, 2 features)"
    with pytest.raises(ValueError, match="read-only"):
        network.W1[0, 0] = 2
    with pytest.raises(AttributeError):
        network.bias = False
    weights = np.eye(2)
    assert Network(weights, np.ones(2)).W1 is not weights  # a copy: later changes of it are none of the network's


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((np.ones(3), np.ones(3)), r"W1 must have shape \(m, \.\), not \(3,\)"),
        ((np.eye(3), np.ones(2)), "W1 has 3 neurons, but w2 has 2"),
        ((np.eye(3), np.ones(3), np.eye(2)), "gates must have the shape of W1"),
        ((np.eye(3), [1.0, np.nan, 0.0]), "w2 has entries that are not finite"),
        ((np.ones((3, 1)), np.ones(3), None, True), "no inputs beside the bias"),
        ((np.ones((3, 0)), np.ones(3)), "has no inputs"),
        ((np.eye(3), np.ones(3), None, False, [1.0]), r"output_bias must have shape \(\), not \(1,\)"),
        ((np.eye(3), np.ones(3), None, False, np.nan), "output_bias has entries that are not finite"),
        ((np.eye(3), np.ones(3), None, True, 0.0, np.ones(3)), r"skip must have shape \(2,\) beside w2"),
        ((np.eye(3), np.ones((3, 2)), None, False, [0.0, 1.0], np.ones(3)), r"skip must have shape \(m, \.\)"),
        ((np.eye(3), np.ones((3, 1, 1))), r"w2 must have shape \(m,\) or \(m, \.\)"),
    ],
)
def test_arrays_that_are_no_network(arrays, message):
    with pytest.raises(ValueError, match=message):
        Network(*arrays)


def test_bad_input_to_a_network():
    network = Network(np.eye(2), np.ones(2), bias=True)
    with pytest.raises(ValueError, match="Z has 2 features, but 1 are expected"):
        network.predict(np.eye(2))
    with pytest.raises(ValueError, match=r"Z\[0, 0\] is nan"):
        network.predict([[np.nan]])
    with pytest.raises(ValueError, match="beta must be"):
        network.objective([[1.0]], [1.0], -1.0)
    with pytest.raises(ValueError, match="does not fit a network"):
        network.objective([[1.0]], [[1.0]], 1.0)
    with pytest.raises(ValueError, match="no gates"):
        gated_blocks(network)
    with pytest.raises(ValueError, match="do not fit gates"):
        network_from_blocks(np.eye(3), np.eye(2))


def test_files_that_are_no_network(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError):
        Network.load(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"is not a cvxrelu\.network file: it is empty or damaged"):
        Network.load(path)
    path.write_text("hello")
    with pytest.raises(ValueError, match="it holds no plain arrays"):
        Network.load(path)
    with open(path, "wb") as file:
        np.save(file, np.eye(2))
    with pytest.raises(ValueError, match="it holds something else"):
        Network.load(path)
    with open(path, "wb") as file:
        np.savez(file, a=np.eye(2))
    with pytest.raises(ValueError, match="it holds something else"):
        Network.load(path)
    with open(path, "wb") as file:
        np.savez(file, format="cvxrelu.model", version=1)
    with pytest.raises(ValueError, match=r"it says that it is a cvxrelu\.model file"):
        Network.load(path)
    with open(path, "wb") as file:
        np.savez(file, format="cvxrelu.network", version=99)
    with pytest.raises(ValueError, match="version 99"):
        Network.load(path)
    with open(path, "wb") as file:
        np.savez(file, format="cvxrelu.network", version=1, W1=np.eye(2))
    with pytest.raises(ValueError, match="w2, bias missing"):
        Network.load(path)
    with open(path, "wb") as file:
        np.savez(file, format="cvxrelu.network", version=1, W1=np.eye(2), w2=np.ones(3), bias=False)
    with pytest.raises(ValueError, match="is damaged: W1 has 2 neurons"):
        Network.load(path)
    with open(path, "wb") as file:
        np.savez(file, format=np.array(["cvxrelu.network"], dtype=object))
    with pytest.raises(ValueError, match="it holds no plain arrays"):
        Network.load(path)
    good = tmp_path / "good"
    Network(np.eye(2), np.ones(2)).save(good)
    path.write_bytes(good.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"is not a cvxrelu\.network file"):
        Network.load(path)


@pytest.mark.parametrize("scale", [2.0**-600, 2.0**600])
def test_blocks_whose_squares_float64_does_not_hold(scale):
    rng = np.random.default_rng(0)
    gates, blocks = rng.standard_normal((4, 3)), rng.standard_normal((4, 3))
    expected, found = network_from_blocks(gates, blocks), network_from_blocks(gates, scale * blocks)
    np.testing.assert_array_equal(found.W1, np.sqrt(scale) * expected.W1)
    np.testing.assert_array_equal(found.w2, np.sqrt(scale) * expected.w2)


def test_files_of_the_first_version_are_read_and_written(tmp_path):
    old = tmp_path / "old.npz"
    arrays = {"W1": np.eye(2), "w2": np.ones(2), "bias": np.array(True)}
    np.savez(old, format=np.array("cvxrelu.network"), version=np.array(1), **arrays)
    network = Network.load(old)
    assert network.output_bias is network.skip is None
    network.save(tmp_path / "new.npz")
    assert np.load(tmp_path / "new.npz")["version"] == 1  # nothing in it is newer
    Network(np.eye(2), np.ones(2), output_bias=1.0).save(tmp_path / "newer.npz")
    assert np.load(tmp_path / "newer.npz")["version"] == 2


def test_what_overflows_behind_a_closed_gate_is_nothing():
    network = Network([[1e200, 0.0], [1.0, 1.0]], [1.0, 1.0], [[-1.0, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(network.predict([[1e200, 2.0]]), [1e200])
