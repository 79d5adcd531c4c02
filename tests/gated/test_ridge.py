"""The elastic-net term, down to ridges that hardly count, and what else had led away from the optimum."""

import cvxrelu
import numpy as np
import pytest
from reference import group_lasso as reference


def problem(n, d, p, seed=0):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    return X, y, cvxrelu.sample_patterns(X, p, random_state=seed)


def dual_objective(X, y, patterns, t, beta, omega, ridge):
    """Of max <y, t> - 1/2 ||t||^2 - sum_i (||X'D_i t|| - beta omega_i)_+^2 / (2 ridge)."""
    lengths = np.linalg.norm((patterns.to_dense().T * t) @ X, axis=1)
    return y @ t - 0.5 * t @ t - (np.maximum(lengths - beta * omega, 0) ** 2).sum() / (2 * ridge)


@pytest.mark.parametrize("solver", ["auto", "newton", "dual"])
@pytest.mark.parametrize("ridge", [1.0, 1e-3, 1e-5, 1e-9])
@pytest.mark.parametrize("spread", [0, 2])
def test_small_ridges_are_solved_and_certified(solver, ridge, spread):
    X, y, patterns = problem(30, 6, 20)
    omega = 10.0 ** np.random.default_rng(1).uniform(-spread, spread, len(patterns))
    beta = 1e-3 * cvxrelu.beta_max(X, y, patterns, group_weights=omega)
    found = cvxrelu.solve_gated(X, y, patterns, beta, group_weights=omega, ridge=ridge, solver=solver)
    assert found.converged
    masks = patterns.to_dense()
    value = reference.objective(X, y, masks, found.coef, beta, omega=omega, ridge=ridge)
    assert found.objective == pytest.approx(value, rel=1e-10)
    bound = dual_objective(X, y, patterns, found.dual, beta, omega, ridge)
    assert value - bound == pytest.approx(found.gap, rel=1e-3, abs=1e-12 * value)


@pytest.mark.parametrize("ridge", [1e-5, 1e-9])
def test_paths_with_small_ridges(ridge):
    X, y, patterns = problem(40, 3, 50)
    path = cvxrelu.gated_path(X, y, patterns, n_betas=10, beta_min_ratio=1e-4, ridge=ridge)
    assert all(point.converged for point in path)


@pytest.mark.parametrize("loss", ["logistic", "huber", "poisson"])
def test_other_losses_with_small_ridges(loss):
    X, y, patterns = problem(40, 3, 50)
    y = {"logistic": np.sign(y), "huber": y, "poisson": np.round(np.exp(y))}[loss]
    beta = 1e-4 * cvxrelu.beta_max(X, y, patterns, loss=loss)
    assert cvxrelu.solve_gated(X, y, patterns, beta, ridge=1e-6, loss=loss).converged


@pytest.mark.parametrize("ridge", [1e-3, 1e-8])
def test_rows_in_chunks_with_small_ridges(ridge):
    X, y, patterns = problem(400, 3, 50)
    beta = 1e-3 * cvxrelu.beta_max(X, y, patterns)
    chunks = cvxrelu.RowChunks([X[:150], X[150:]])
    there = cvxrelu.solve_gated(chunks, y, patterns, beta, ridge=ridge, tol=1e-8)
    here = cvxrelu.solve_gated(X, y, patterns, beta, ridge=ridge, tol=1e-8)
    assert there.converged
    assert there.objective == pytest.approx(here.objective, rel=1e-7)


def test_groups_whose_weights_differ_much_do_not_stall():
    X, y, patterns = problem(70, 3, 100)
    omega = 10.0 ** np.random.default_rng(0).uniform(-2, 2, len(patterns))
    beta = 1e-3 * cvxrelu.beta_max(X, y, patterns, group_weights=omega)
    for solver in ("auto", "newton", "dual"):
        assert cvxrelu.solve_gated(X, y, patterns, beta, group_weights=omega, solver=solver).converged


def test_a_start_that_is_worse_than_zero_is_not_used():
    X, y, patterns = problem(30, 3, 20)
    cold = cvxrelu.solve_gated(X, y, patterns, 0.1)
    start = np.full((len(patterns), 3), 1e160)
    assert cvxrelu.solve_gated(X, y, patterns, 0.1, warm_start=start).objective == cold.objective


@pytest.mark.filterwarnings("ignore::cvxrelu.exceptions.ConvergenceWarning")
def test_penalties_at_the_end_of_the_arithmetic_give_no_nan():
    X = np.ones((2, 12))  # both samples alike: only rounding is left beside the constant column
    X[:, 1:] = np.random.default_rng(0).standard_normal(11)
    y, constant = np.array([0.2, -0.1]), np.ones((2, 1))
    patterns = cvxrelu.sample_patterns(X, 50, random_state=0)
    found = cvxrelu.solve_gated(X, y, patterns, 1e-19, unpenalised=constant, tol=1e-10)
    assert 0 <= found.gap <= found.objective <= 0.5 * ((y - y.mean()) ** 2).sum() * (1 + 1e-12)


def test_targets_in_the_span_of_the_unpenalised_columns_leave_nothing_to_fit():
    X, y, patterns = problem(3, 2, 10)
    columns = np.column_stack([np.ones(3), X])
    assert cvxrelu.beta_max(X, y, patterns, unpenalised=columns) == 0
    found = cvxrelu.solve_gated(X, y, patterns, 1e-3, unpenalised=columns)
    assert found.converged
    assert found.active.size == 0
    assert found.predict(X, unpenalised=columns) == pytest.approx(y)


def test_float32_with_an_offset_certifies_what_is_returned():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3)).astype(np.float32)
    y = (1e5 + np.abs(X[:, 0]) + 0.1 * rng.standard_normal(200)).astype(np.float32)
    columns = np.column_stack([np.ones(200), 1000 + rng.standard_normal(200)]).astype(np.float32)
    patterns = cvxrelu.sample_patterns(X, 50, random_state=0)
    beta = 0.05 * cvxrelu.beta_max(X, y, patterns, unpenalised=columns)
    found = cvxrelu.solve_gated(X, y, patterns, beta, unpenalised=columns)
    exact = [a.astype(float) for a in (X, y, columns)]
    shift = exact[2] @ found.unpenalised_coef
    value = reference.objective(exact[0], exact[1] - shift, patterns.to_dense(), found.coef.astype(float), beta)
    assert value == pytest.approx(found.objective, abs=0.1 * found.gap)
