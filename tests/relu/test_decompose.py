"""Projections onto the cones of patterns, least distances, decompositions."""

import cvxrelu
import numpy as np
import pytest
from cvxrelu.base.native import core
from hypothesis import given
from hypothesis import strategies as st
from reference import cone as reference
from strategies import designs, sampled


@given(designs(), st.integers(0, 2**32 - 1))
def test_projections_have_the_norm_of_non_negative_least_squares(X, seed):
    rng = np.random.default_rng(seed)
    patterns = sampled(X, 10, rng)
    points = rng.standard_normal((len(patterns), X.shape[1]))
    projections, multipliers, bounds = core.testing.project_cone(X, patterns.words, points, 0.0)
    for mask, c, u, lam, bound in zip(patterns.to_dense().T, points, projections, multipliers, bounds, strict=True):
        B = reference.signed_rows(X, mask)
        expected = reference.projection_norm(X, mask, c)
        scale = np.linalg.norm(c)
        assert (B @ u).min() >= -1e-11 * scale
        assert (lam >= 0).all()
        assert np.linalg.norm(c + B.T @ lam - u) <= 1e-10 * scale
        assert np.linalg.norm(u) == pytest.approx(expected, abs=1e-9 * scale)
        assert expected - 1e-12 * scale <= bound <= expected + 1e-9 * scale


@given(designs(), st.integers(0, 2**32 - 1))
def test_a_projection_that_stops_early_gives_a_valid_bound_below_its_threshold(X, seed):
    rng = np.random.default_rng(seed)
    patterns = sampled(X, 10, rng)
    points = rng.standard_normal((len(patterns), X.shape[1]))
    threshold = 0.7
    _, _, bounds = core.testing.project_cone(X, patterns.words, points, threshold)
    for mask, c, bound in zip(patterns.to_dense().T, points, bounds, strict=True):
        expected = reference.projection_norm(X, mask, c)
        assert bound >= expected - 1e-12
        if expected < threshold:
            assert bound <= threshold + 1e-12


@pytest.mark.parametrize("inradius", [1e-2, 1e-5, 1e-8])
def test_thin_cones(inradius):
    # |u_2| <= inradius u_1 and a wide third row.
    X = np.array([[inradius, 1.0, 0.0], [inradius, -1.0, 0.0], [0.0, 0.0, 1.0]])
    words = np.array([[7]], dtype=np.uint64)
    inside = np.array([[1.0, 0.3 * inradius, 2.0]])
    projection, _, bound = core.testing.project_cone(X, words, inside, 0.0)
    np.testing.assert_allclose(projection, inside, rtol=1e-12)
    projection, _, bound = core.testing.project_cone(X, words, np.array([[1.0, 1.0, -1.0]]), 0.0)
    # The nearest point lies on the face u_2 = inradius u_1, u_3 = 0.
    length = (1 + inradius) / np.sqrt(1 + inradius**2)
    assert np.linalg.norm(projection) == pytest.approx(length, rel=1e-9)
    assert length * (1 - 1e-12) <= bound[0] <= length * (1 + 1e-7)
    gate = core.least_distance(X, words, np.linalg.norm(X, axis=1)[None, :])
    assert (X @ gate[0] > 0).all()


@given(designs(max_samples=25, max_features=5), st.integers(0, 2**32 - 1))
def test_the_shortest_vector_with_given_margins(X, seed):
    patterns = sampled(X, 5, np.random.default_rng(seed))
    margins = np.tile(np.linalg.norm(X, axis=1), (len(patterns), 1))
    gates = core.least_distance(X, patterns.words, margins)
    for mask, z, g in zip(patterns.to_dense().T, gates, patterns.gates, strict=True):
        B = reference.signed_rows(X, mask)[X.any(axis=1)]
        assert (B @ z >= 1 - 1e-6).all()
        room = (B @ g).min()
        assert np.linalg.norm(z) <= np.linalg.norm(g) / room * (1 + 1e-6)


def test_a_cone_without_interior_has_no_gate():
    X = np.array([[1.0, 0.0], [-1.0, 0.0]])
    assert not core.least_distance(X, np.array([[3]], dtype=np.uint64), np.ones((1, 2))).any()


def gated(seed=0, n=40, d=4, ratio=0.05):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = np.abs(X[:, 0]) - 0.5 * X[:, 1] + 0.1 * rng.standard_normal(n)
    patterns = cvxrelu.sample_patterns(X, 40, random_state=seed)
    beta = ratio * cvxrelu.beta_max(X, y, patterns)
    return X, y, cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-9)


@pytest.mark.parametrize("method", ["margin", "qp", "socp"])
@pytest.mark.parametrize("seed", range(3))
def test_decompositions_keep_the_outputs_and_lie_in_their_cones(method, seed):
    X, y, solution = gated(seed)
    relu = cvxrelu.decompose(X, solution, method=method)
    np.testing.assert_allclose(relu.predict(X), solution.predict(X), atol=1e-11)
    masks = solution.patterns.to_dense()
    for i, u in zip(relu.active, relu.blocks, strict=True):
        assert (reference.signed_rows(X, masks[:, i]) @ u).min() >= -1e-12
    network = relu.to_network()
    assert relu.objective == pytest.approx(network.objective(X, y, solution.beta), rel=1e-12)
    assert relu.objective - relu.gap <= reference.optimum(X, y, masks, solution.beta) * (1 + 1e-9)


@pytest.mark.parametrize("block_norm", ["frobenius", "nuclear"])
def test_several_outputs_are_decomposed_in_their_singular_directions(block_norm):
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((20, 3)), rng.standard_normal((20, 2))
    patterns = cvxrelu.sample_patterns(X, 20, random_state=0)
    solution = cvxrelu.solve_gated(X, Y, patterns, 0.5, block_norm=block_norm, tol=1e-8)
    relu = cvxrelu.decompose(X, solution)
    np.testing.assert_allclose(relu.predict(X), solution.predict(X), atol=1e-10)
    assert relu.objective == pytest.approx(relu.to_network().objective(X, Y, 0.5), rel=1e-10)
    best = cvxrelu.solve_relu(X, Y, patterns, 0.5, tol=1e-4)
    assert relu.objective - relu.gap <= best.objective <= relu.objective


@pytest.mark.parametrize("loss", ["logistic", "huber", "poisson"])
def test_the_loss_is_that_of_the_solution(loss):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 3))
    y = rng.integers(0, 2, 20).astype(float)
    patterns = cvxrelu.sample_patterns(X, 20, random_state=0)
    solution = cvxrelu.solve_gated(X, y, patterns, 0.1, loss=loss, tol=1e-8)
    relu = cvxrelu.decompose(X, solution)
    np.testing.assert_allclose(relu.predict(X), solution.predict(X), atol=1e-10)
    told = cvxrelu.certify(X, y, relu.to_network(), 0.1, loss=loss, patterns=patterns)
    assert relu.loss == loss and relu.objective == pytest.approx(told.upper_bound, rel=1e-10)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_unpenalised_columns_stay_beside_it(loss):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 3))
    y = np.abs(X[:, 0]) + 100 if loss == "squared" else rng.integers(0, 2, 30).astype(float)
    patterns = cvxrelu.sample_patterns(X, 20, random_state=0)
    for columns in ("intercept", np.column_stack([np.ones(30), X[:, 1]]), rng.standard_normal((30, 1))):
        options = {"loss": loss, "unpenalised": columns, "tol": 1e-8}
        solution = cvxrelu.solve_gated(X, y, patterns, 0.2, **options)
        relu = cvxrelu.decompose(X, solution)
        fitted = relu.predict(X, unpenalised=columns)
        np.testing.assert_allclose(fitted, solution.predict(X, unpenalised=columns), atol=1e-9)
        assert relu.objective - relu.gap <= cvxrelu.solve_relu(X, y, patterns, 0.2, **options).objective
        if not isinstance(columns, str) and columns.shape[1] == 1:
            with pytest.raises(ValueError, match="neither constant nor a column of X"):
                relu.to_network()
            continue
        network = relu.to_network()
        np.testing.assert_allclose(network.predict(X), fitted, atol=1e-9)
        told = cvxrelu.certify(X, y, network, 0.2, loss=loss, patterns=patterns)
        assert relu.objective == pytest.approx(told.upper_bound, rel=1e-9)


def test_better_methods_add_less_penalty():
    X, _, solution = gated()
    margin, qp, socp = (cvxrelu.decompose(X, solution, method=m).objective for m in ("margin", "qp", "socp"))
    assert socp <= qp * (1 + 1e-7)
    assert qp < margin


def test_decompose_says_what_it_cannot_do():
    X, _, solution = gated()
    with pytest.raises(ValueError, match="method must be"):
        cvxrelu.decompose(X, solution, method="lp")
    with pytest.raises(TypeError, match="GatedSolution"):
        cvxrelu.decompose(X, solution.blocks)
    with pytest.raises(ValueError, match="belongs to data of shape"):
        cvxrelu.decompose(X[:-1], solution)
    with pytest.raises(ValueError, match="patterns of gated_solution belong to other data"):
        cvxrelu.decompose(X[::-1], solution)


def test_cones_without_interior_are_reported():
    X = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    patterns = cvxrelu.sample_patterns(X, gates=[[0.0, 1.0]])
    solution = cvxrelu.solve_gated(X, np.array([1.0, -1.0, 1.0]), patterns, 0.1)
    with pytest.raises(ValueError, match=r"no interior: \[0\]"):
        cvxrelu.decompose(X, solution)
