"""Outputs that are combinations of others: the program of fewer, with the same solution."""

import cvxrelu
import numpy as np
import pytest
from cvxrelu.gated.program import ExactProgram, _combinations


def problem(kind, n=30, d=3):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    one, two = np.abs(X[:, 0]), np.maximum(X[:, 1], 0) + 0.1 * rng.standard_normal(n)
    Y = {
        "twins": np.column_stack([one, one, two]),
        "sums": np.column_stack([one, two, one + two, one - 3 * two]),
        "zeros": np.column_stack([one, 0 * one]),
        "sizes": np.column_stack([1e14 * one, two]),
        "all": np.column_stack([one, two]),
    }[kind]
    return X, Y, cvxrelu.sample_patterns(X, 6, random_state=0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("extra", [None, "intercept"])
@pytest.mark.parametrize("kind", ["twins", "sums", "zeros", "all"])
def test_the_same_solution_as_that_of_all_outputs(kind, extra, weighted, monkeypatch):
    X, Y, patterns = problem(kind)
    weights = np.random.default_rng(1).uniform(0.5, 2, len(X)) if weighted else None
    settings = {"unpenalised": extra, "sample_weight": weights}
    beta = 0.1 * cvxrelu.beta_max(X, Y, patterns, **settings)
    solve = lambda **more: cvxrelu.solve_gated(X, Y, patterns, beta, tol=1e-11, **settings, **more)  # noqa: E731
    fewer = solve()
    again = solve(warm_start=fewer)
    monkeypatch.setattr(ExactProgram, "rotates", False)
    right = solve()
    for solution in (fewer, again):
        assert solution.converged and solution.dual.shape == Y.shape
        assert solution.objective == pytest.approx(right.objective, rel=1e-10)
        np.testing.assert_allclose(solution.coef, right.coef, atol=1e-4 * np.abs(right.coef).max())


def test_the_optimum_of_twins_is_proved_by_its_dual_point():
    X, Y, patterns = problem("twins", n=15)
    solution = cvxrelu.solve_gated(X, Y, patterns, 0.5)
    W, bound = solution.coef, solution.objective
    np.testing.assert_allclose(W[..., 0], W[..., 1], atol=1e-12)
    masks = patterns.to_dense()
    fit = sum(masks[:, [k]] * (X @ W[k]) for k in range(len(patterns)))
    value = 0.5 * np.sum((fit - Y) ** 2) + 0.5 * np.sqrt((W**2).sum(axis=(1, 2))).sum()
    assert value == pytest.approx(bound, rel=1e-12)
    gradients = [np.linalg.norm(X.T @ (masks[:, [k]] * solution.dual)) for k in range(len(patterns))]
    assert max(gradients) <= 0.5 * (1 + 1e-12)
    t = solution.dual
    assert np.sum(t * Y) - 0.5 * np.sum(t**2) >= value - solution.gap * (1 + 1e-6) - 1e-12 * value


def test_a_small_output_beside_a_large_one_stays():
    X, Y, patterns = problem("sizes")
    solution = cvxrelu.solve_gated(X, Y, patterns, 1e-3 * cvxrelu.beta_max(X, Y, patterns))
    assert np.abs(solution.coef[..., 1]).max() > 1e-3


def test_fewer_outputs_are_in_the_program():
    _, Y, _ = problem("sums")
    Q = _combinations(Y)
    assert Q.shape == (4, 2)
    np.testing.assert_allclose(Q.T @ Q, np.eye(2), atol=1e-14)
    np.testing.assert_allclose(Y @ Q @ Q.T, Y, atol=1e-14)
    for kind in ("all", "sizes"):
        assert _combinations(problem(kind)[1]) is None
    assert _combinations(np.zeros((5, 2))) is None
