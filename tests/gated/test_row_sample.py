"""Many rows and a loss that is not squared: steps on samples of the rows, which change nothing but the work."""

import cvxrelu
import numpy as np
import pytest
from strategies import many_rows

N, D, P = 50_000, 12, 40


@pytest.fixture(scope="module")
def rows():
    X, y, patterns = many_rows(N, D, P)
    rng = np.random.default_rng(2)
    targets = {
        "logistic": np.where(rng.random(N) < 1 / (1 + np.exp(-y)), 1.0, -1.0),
        "huber": y + rng.standard_cauchy(N),
        "poisson": rng.poisson(np.exp(np.clip(0.5 * y, -3, 3))).astype(float),
    }
    return X, targets, patterns


def from_samples(X, y, patterns, share, **settings):
    """Solve with samples and with all rows in every step, and check one against the other."""
    names = {key: settings[key] for key in ("loss", "sample_weight", "unpenalised") if key in settings}
    beta = share * cvxrelu.beta_max(X, y, patterns, **names)
    solution = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-7, **settings)
    reference = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-7, solver="newton", **settings)
    assert solution.converged and reference.converged
    assert solution.n_cg != reference.n_cg, "no samples were taken"
    assert solution.objective == pytest.approx(reference.objective, rel=3e-7)
    assert solution.objective - solution.gap <= reference.objective
    np.testing.assert_allclose(solution.coef, reference.coef, atol=1e-3 * np.abs(reference.coef).max())
    return solution


@pytest.mark.parametrize("loss", ["logistic", "huber", "poisson"])
def test_the_answer_is_that_of_steps_on_all_rows(rows, loss):
    X, targets, patterns = rows
    from_samples(X, targets[loss], patterns, 0.02, loss=loss)


@pytest.mark.parametrize("loss", ["logistic", "poisson"])
def test_weights_unpenalised_columns_and_ridge(rows, loss):
    X, targets, patterns = rows
    rng = np.random.default_rng(1)
    from_samples(
        X,
        targets[loss],
        patterns,
        0.03,
        loss=loss,
        sample_weight=rng.integers(0, 3, N).astype(float),
        group_weights=rng.uniform(0.5, 2, len(patterns)),
        unpenalised="intercept",
        ridge=3.0,
    )


def test_several_outputs_of_huber(rows):
    X, targets, patterns = rows
    Y = np.stack([targets["huber"], np.sin(X[:, 0])], axis=1)
    from_samples(X, Y, patterns, 0.02, loss="huber")


def test_rows_that_a_sample_misrepresents(rows):
    X, targets, patterns = rows
    weight = np.ones(N)
    weight[::5000] = 1e5
    from_samples(X, targets["logistic"], patterns, 0.02, loss="logistic", sample_weight=weight)
