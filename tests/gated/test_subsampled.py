"""Many rows in memory: the choice of passes with steps on a sample, and that it changes nothing but the time."""

import cvxrelu
import numpy as np
import pytest
from strategies import many_rows

N, D, P = 60_000, 4, 40


@pytest.fixture(scope="module")
def problem():
    X, y, patterns = many_rows(N, D, P)
    return X, y, patterns, 0.05 * cvxrelu.beta_max(X, y, patterns)


def same(solution, reference):
    assert solution.converged and reference.converged
    assert set(solution.inner_solvers) <= {"sample", "gram"} and set(reference.inner_solvers) == {"newton"}
    assert solution.objective == pytest.approx(reference.objective, rel=1e-9)
    assert solution.objective - solution.gap <= reference.objective
    np.testing.assert_allclose(solution.coef, reference.coef, atol=1e-4 * np.abs(reference.coef).max())
    assert solution.dual.shape == reference.dual.shape


def test_the_answer_is_that_of_the_other_solver(problem):
    X, y, patterns, beta = problem
    solution = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-10)
    same(solution, cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-10, solver="newton"))
    lengths = np.linalg.norm(np.einsum("np,nd,n->pd", patterns.to_dense(), X, solution.dual, optimize=True), axis=1)
    assert lengths.max() <= beta * (1 + 1e-9)


def test_weights_outputs_scales_and_starts(problem):
    X, y, patterns, beta = problem
    rng = np.random.default_rng(1)
    settings = {
        "sample_weight": rng.integers(0, 3, N).astype(float),
        "group_weights": rng.uniform(0.5, 2, len(patterns)),
        "ridge": 3.0,
        "tol": 1e-10,
    }
    Y = np.stack([y, np.sin(X[:, 0])], axis=1)
    solution = cvxrelu.solve_gated(X, Y, patterns, beta, **settings)
    same(solution, cvxrelu.solve_gated(X, Y, patterns, beta, solver="newton", **settings))
    again = cvxrelu.solve_gated(X, Y, patterns, beta, warm_start=solution, **settings)
    assert again.n_iter == 1
    large = cvxrelu.solve_gated(
        1e50 * X, 1e-50 * Y, patterns, beta, **(settings | {"ridge": settings["ridge"] * 1e100})
    )
    assert large.objective == pytest.approx(1e-100 * solution.objective, rel=1e-9)


def test_what_has_no_sample_is_solved_as_before(problem):
    X, y, patterns, beta = problem
    for few in (slice(0, 30_000),):
        solution = cvxrelu.solve_gated(X[few], y[few], cvxrelu.sample_patterns(X[few], gates=patterns.gates), beta)
        assert set(solution.inner_solvers) <= {"newton", "dual"}
    solution = cvxrelu.solve_gated(X, y, patterns, beta, unpenalised=np.ones((N, 1)))
    assert set(solution.inner_solvers) <= {"newton", "dual"}


def test_paths_stop_and_are_interrupted(problem):
    X, y, patterns, _ = problem
    reference = cvxrelu.gated_path(X, y, patterns, n_betas=5, tol=1e-9, solver="newton")
    path = cvxrelu.gated_path(X, y, patterns, n_betas=5, tol=1e-9)
    np.testing.assert_allclose(path.objectives, reference.objectives, rtol=1e-9)
    seen = []

    def stop(progress):
        seen.append(progress["beta"])
        return len(set(seen)) == 3

    stopped = cvxrelu.gated_path(X, y, patterns, n_betas=5, callback=stop)
    assert len(stopped) == 3 and not stopped.complete
    np.testing.assert_allclose(sorted(set(seen), reverse=True), path.betas[:3])

    def interrupt(progress):
        if progress["beta"] < path.betas[1]:
            raise KeyboardInterrupt

    kept = cvxrelu.gated_path(X, y, patterns, n_betas=5, callback=interrupt, on_interrupt="return")
    assert len(kept) == 2 and not kept.complete
    with pytest.raises(KeyboardInterrupt):
        cvxrelu.gated_path(X, y, patterns, n_betas=5, callback=interrupt)


def test_float32_is_certified_as_returned(problem):
    X, y, patterns, beta = problem
    solution = cvxrelu.solve_gated(X.astype(np.float32), y.astype(np.float32), patterns, beta, tol=1e-5)
    assert solution.coef.dtype == np.float32 and set(solution.inner_solvers) <= {"sample", "gram"}
    residual = y.astype(np.float32) - np.einsum(
        "np,nd,pd->n",
        patterns.to_dense(),
        X.astype(np.float32).astype(float),
        solution.coef.astype(float),
        optimize=True,
    )
    objective = 0.5 * residual @ residual + beta * np.linalg.norm(solution.coef.astype(float), axis=1).sum()
    assert objective == pytest.approx(solution.objective, rel=1e-7)
