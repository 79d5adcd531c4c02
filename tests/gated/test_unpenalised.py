"""Columns without penalty: the program depends on their span alone, whatever their units and offsets."""

import cvxrelu
import numpy as np
import pytest


def times(n=200, start=1.7e9):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 2))
    t = start + 60.0 * np.arange(n)
    y = 5 + (t - t[0]) / 3600 + 0.1 * rng.standard_normal(n)
    return X, y, cvxrelu.sample_patterns(X, 20, random_state=0), t


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("unit", "rounding"), [(1.0, 1e-9), (1e9, 1e-9), (1e-9, 1e-3)])  # 1.7e0: rounded times
def test_an_intercept_beside_times_since_1970(weighted, unit, rounding):
    X, y, patterns, t = times()
    near, far = (np.column_stack([np.ones(len(t)), s]) for s in (t - t[0], unit * t))
    given = {"sample_weight": np.random.default_rng(1).uniform(0.5, 2, len(y))} if weighted else {}
    beta = 0.5 * cvxrelu.beta_max(X, y, patterns, unpenalised=near, **given)
    assert cvxrelu.beta_max(X, y, patterns, unpenalised=far, **given) == pytest.approx(2 * beta, rel=rounding)
    right = cvxrelu.solve_gated(X, y, patterns, beta, unpenalised=near, tol=1e-9, **given)
    found = cvxrelu.solve_gated(X, y, patterns, beta, unpenalised=far, tol=1e-9, **given)
    assert found.objective == pytest.approx(right.objective, rel=1e-6)
    if not weighted:
        assert found.objective == pytest.approx(0.988217, abs=1e-6)
    assert found.unpenalised_coef[1] * unit == pytest.approx(right.unpenalised_coef[1], rel=1e-3)
    np.testing.assert_allclose(found.predict(X, unpenalised=far), right.predict(X, unpenalised=near), atol=1e-4)


@pytest.mark.parametrize("block_norm", ["frobenius", "nuclear"])
@pytest.mark.parametrize("solver", ["auto", "bcd"])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_dual_points_are_orthogonal_to_the_columns(block_norm, solver, offset):
    if block_norm == "nuclear" and solver != "auto":
        pytest.skip("the nuclear norm has one solver")
    X, y, patterns, t = times()
    Y = np.column_stack([y, np.abs(X[:, 0])]) + offset
    Z = np.column_stack([np.ones(len(t)), t, 1e-8 * X[:, 0]])
    beta = 0.01 * cvxrelu.beta_max(X, Y, patterns, unpenalised=Z, block_norm=block_norm)
    found = cvxrelu.solve_gated(X, Y, patterns, beta, unpenalised=Z, block_norm=block_norm, solver=solver)
    sizes = np.linalg.norm(Z, axis=0)[:, None] * np.linalg.norm(found.dual, axis=0)
    assert np.abs(Z.T @ found.dual / sizes).max() < 2e-14


@pytest.mark.parametrize("outputs", [(), (2,)])
@pytest.mark.parametrize("kind", ["ones", "skip", "both"])
def test_their_network_is_the_same_function(kind, outputs, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    y = (50 + X @ rng.standard_normal((3, *outputs)).reshape(3, -1) + np.abs(X[:, :1])).reshape(40, *outputs)
    patterns = cvxrelu.sample_patterns(X, 20, random_state=0)
    ones = np.full((40, 1), 2.0)
    Z = {"ones": ones, "skip": X[:, [2, 0]], "both": np.hstack([X, ones])}[kind]
    beta = 0.3 * cvxrelu.beta_max(X, y, patterns, unpenalised=Z)
    norm = "nuclear" if outputs else "frobenius"  # the weight decay of the network
    found = cvxrelu.solve_gated(X, y, patterns, beta, unpenalised=Z, block_norm=norm)
    network = found.to_network()
    assert (network.skip is None, network.output_bias is None) == (kind == "ones", kind == "skip")
    expected = found.predict(X, unpenalised=Z)
    np.testing.assert_allclose(network.predict(X), expected, rtol=1e-12, atol=1e-12)
    assert network.objective(X, y, beta) == pytest.approx(found.objective, rel=1e-10)
    chunks = cvxrelu.RowChunks([X[:15], X[15:]])
    np.testing.assert_allclose(found.predict(chunks), expected, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="leave them out"):
        found.predict(chunks, unpenalised=Z)


def test_columns_that_a_network_does_not_know_are_refused():
    X, y, patterns, t = times(30)
    Z = np.column_stack([np.ones(30), t])
    found = cvxrelu.solve_gated(X, y, patterns, 1.0, unpenalised=Z)
    with pytest.raises(ValueError, match="neither constant nor a column of X"):
        found.to_network()


def test_columns_of_zeros_and_columns_too_small():
    X, y, patterns, _ = times(30)
    plain = cvxrelu.solve_gated(X, y, patterns, 1.0)
    found = cvxrelu.solve_gated(X, y, patterns, 1.0, unpenalised=np.zeros((30, 2)))
    assert found.objective == plain.objective
    assert not found.unpenalised_coef.any()
    with pytest.raises(ValueError, match="unpenalised columns are too small beside y"):
        cvxrelu.solve_gated(X, 1e10 * y, patterns, 1.0, unpenalised=np.full((30, 1), 1e-300))
