"""Columns without penalty beside every loss: certificates with Z't = 0, by definition and against a conic solver."""

import cvxrelu
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference import losses as reference
from reference import masked_design

LOSSES = ("squared", "logistic", "softmax", "huber", "poisson")
DELTA = 0.7


def example(loss, outputs=1, n=40, offset=0.0, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 2))
    f = offset + np.abs(X[:, :1]) + X @ rng.standard_normal((2, outputs)) + 0.3 * rng.standard_normal((n, outputs))
    y = {
        "squared": f,
        "logistic": (rng.random(f.shape) < 1 / (1 + np.exp(-f))).astype(float),
        "softmax": np.eye(outputs + 1)[
            np.argmax(np.c_[f, 0 * f[:, :1] + 1] + rng.gumbel(size=(n, outputs + 1)), axis=1)
        ],
        "huber": f + 3 * rng.standard_t(1.5, size=f.shape),
        "poisson": rng.poisson(np.exp(np.clip(f, -2, 3))).astype(float),
    }[loss]
    y = y[:, 0] if y.shape[1] == 1 else y
    return X, y, cvxrelu.sample_patterns(X, 8, random_state=seed)


def columns(array):
    return array.reshape(len(array), -1)


@st.composite
def problems(draw):
    """loss, X, y, patterns, unpenalised columns, weights and a penalty relative to beta_max."""
    loss = draw(st.sampled_from(LOSSES))
    seed = draw(st.integers(0, 100))
    X, y, patterns = example(loss, draw(st.integers(1, 3)), draw(st.integers(12, 30)), seed=seed)
    # Without labels of all kinds, or with no counts, the null model has no minimum.
    assume((np.ptp(columns(y), axis=0) > 0).all())
    # A linear part could separate so few labels, which then have no minimum.
    skip = draw(st.booleans()) and loss in ("squared", "huber")
    Z = np.column_stack([np.full(len(X), 3.0), X]) if skip else np.ones((len(X), 1))
    weights = np.random.default_rng(seed).uniform(0.2, 3, len(X)) if draw(st.booleans()) else None
    return loss, X, y, patterns, Z, weights, draw(st.sampled_from([1e-3, 1e-2, 0.1, 0.5, 1.0]))


def solve(problem, **options):
    loss, X, y, patterns, Z, weights, ratio = problem
    given = {"unpenalised": Z, "sample_weight": weights, "loss": loss, "delta": DELTA}
    beta = ratio * cvxrelu.beta_max(X, y, patterns, **given)
    return cvxrelu.solve_gated(X, y, patterns, beta, max_iter=1000, **given, **options)


@given(problems())
@settings(max_examples=60)
def test_certificate_holds_by_its_definition(problem):
    loss, X, y, patterns, Z, weights, ratio = problem
    found = solve(problem, tol=1e-8)
    Y, T, s = columns(y), columns(found.dual), np.ones(len(y)) if weights is None else weights
    W = found.coef.reshape(*found.coef.shape[:2], -1)
    offset = Z @ columns(found.unpenalised_coef)
    masks = patterns.to_dense()
    value = reference.objective(loss, X, Y, masks, W, found.beta, weights=weights, delta=DELTA, offset=offset)
    assert found.objective == pytest.approx(value, rel=1e-9)
    assert np.abs(Z.T @ T).max() <= 1e-12 * np.linalg.norm(Z) * np.linalg.norm(T)
    correlations = np.sqrt((masked_design.correlations(X, masks, T) ** 2).sum(axis=(1, 2)))
    assert correlations.max() <= found.beta * (1 + 1e-9)
    bound = s @ reference.dual_of(loss, Y, T / s[:, None], DELTA)
    assert found.gap == pytest.approx(value - bound, rel=1e-3, abs=1e-10 * value)
    assert found.converged
    assert found.relative_gap <= 1e-8
    assert ratio < 1 or found.active.size == 0


@given(problems())
@settings(max_examples=8)
def test_optima_are_those_of_a_conic_solver(problem):
    loss, X, y, patterns, Z, weights, _ = problem
    found = solve(problem, tol=1e-9)
    expected = reference.optimum(
        loss, X, columns(y), patterns.to_dense(), found.beta, weights=weights, delta=DELTA, unpenalised=Z
    )
    assert found.objective == pytest.approx(expected, rel=1e-6, abs=1e-7 * len(y))


@pytest.mark.parametrize("loss", LOSSES)
def test_beta_max_is_that_of_the_null_model(loss):
    X, y, patterns = example(loss, outputs=2 if loss != "poisson" else 1)
    largest = cvxrelu.beta_max(X, y, patterns, unpenalised="intercept", loss=loss, delta=DELTA)
    options = {"unpenalised": "intercept", "loss": loss, "delta": DELTA, "tol": 1e-10}
    null = cvxrelu.solve_gated(X, y, patterns, largest, **options)
    assert null.active.size == 0
    assert cvxrelu.solve_gated(X, y, patterns, 0.98 * largest, **options).active.size > 0
    expected = {
        "squared": lambda y: y.mean(axis=0),
        "logistic": lambda y: np.log(y.mean(axis=0) / (1 - y.mean(axis=0))),
        "softmax": lambda y: np.log(y.mean(axis=0)) - np.log(y.mean(axis=0)).mean(),
        "poisson": lambda y: np.log(y.mean(axis=0)),
    }
    if loss in expected:
        np.testing.assert_allclose(null.unpenalised_coef[0], expected[loss](y), rtol=1e-9, atol=1e-9)
    values = columns(np.broadcast_to(null.unpenalised_coef, (len(y), *null.unpenalised_coef.shape[1:])))
    residual = reference.residual(loss, columns(y), values, DELTA)
    correlations = masked_design.correlations(X, patterns.to_dense(), residual)
    assert largest == pytest.approx(np.sqrt((correlations**2).sum(axis=(1, 2))).max(), rel=1e-8)


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_an_offset_costs_no_digits(loss):
    X, y, patterns = example(loss, outputs=2)
    problem = (loss, X, y, patterns, np.ones((len(X), 1)), None, 0.05)
    near, far = solve(problem, tol=1e-9), solve((loss, X, y + 1e6, *problem[3:]), tol=1e-9)
    assert far.converged
    assert far.objective == pytest.approx(near.objective, rel=1e-8)
    np.testing.assert_allclose(far.unpenalised_coef - 1e6, near.unpenalised_coef, atol=1e-3)
    assert abs(far.dual.sum(axis=0)).max() < 1e-11


@pytest.mark.parametrize("loss", ["logistic", "softmax", "poisson"])
def test_targets_that_an_intercept_fits_at_infinity_are_refused(loss):
    X, y, patterns = example(loss, outputs=2 if loss == "softmax" else 1)
    y = np.eye(3)[y[:, 0].astype(int)] if loss == "softmax" else 0 * y
    with pytest.raises(ValueError, match="unpenalised columns separate the targets"):
        cvxrelu.solve_gated(X, y, patterns, 1.0, unpenalised="intercept", loss=loss)


def test_labels_that_the_network_separates_are_fitted_as_far_as_the_penalty_lets():
    X = np.linspace(-1, 1, 40)[:, None] * [[1.0, 0.5]]
    y = (X[:, 0] > 0.3).astype(float)
    patterns = cvxrelu.sample_patterns(X, 10, random_state=0)
    options = {"unpenalised": "intercept", "loss": "logistic"}
    largest = cvxrelu.beta_max(X, y, patterns, **options)
    path = cvxrelu.gated_path(X, y, patterns, betas=largest * np.geomspace(1, 1e-6, 8), **options)
    assert all(solution.converged for solution in path)
    assert path[-1].objective < 1e-2
    assert ((path[-1].predict(X, unpenalised="intercept") > 0) == (y > 0)).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_callbacks_hear_the_coefficients(loss):
    X, y, patterns = example(loss)
    heard = []
    options = {"unpenalised": "intercept", "loss": loss, "tol": 1e-9}
    beta = 0.05 * cvxrelu.beta_max(X, y, patterns, unpenalised="intercept", loss=loss)
    found = cvxrelu.solve_gated(X, y, patterns, beta, callback=heard.append, **options)
    np.testing.assert_allclose(heard[-1]["unpenalised_coef"], found.unpenalised_coef, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_float32_is_certified_as_returned(loss):
    X, y, patterns = example(loss)
    X, y = X.astype(np.float32), y.astype(np.float32)
    patterns = cvxrelu.sample_patterns(X, gates=patterns.gates)
    problem = (loss, X, y, patterns, np.ones((len(X), 1)), None, 0.05)
    found, exact = solve(problem), solve((loss, X.astype(float), y.astype(float), *problem[3:]), tol=1e-10)
    assert found.blocks.dtype == np.float32
    assert -1e-12 * found.objective <= found.objective - exact.objective <= found.gap + 1e-12 * found.objective


def test_names_that_are_no_columns():
    X, y, patterns = example("squared")
    with pytest.raises(ValueError, match="unpenalised must be an array of columns or \"intercept\", not 'ones'"):
        cvxrelu.solve_gated(X, y, patterns, 1.0, unpenalised="ones")
    found = cvxrelu.solve_gated(X, y, patterns, 1.0, unpenalised="intercept")
    with pytest.raises(ValueError, match="unpenalised has 3 rows, but Z has 2 samples"):
        found.predict(X[:2], unpenalised=np.ones((3, 1)))
