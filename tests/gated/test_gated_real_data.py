"""Real data, standardised, to tight gaps; and small cuts of it against a conic solver."""

from pathlib import Path

import cvxrelu
import numpy as np
import pytest
from reference import group_lasso as reference

UCI = Path(__file__).parents[3] / "shared" / "data" / "uci"
NAMES = ["airfoil", "concrete", "energy", "glass", "iris", "monks-1", "pima", "statlog-vehicle", "wine", "yacht"]


def standardised(X, y):
    X = (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1)
    return np.column_stack([X, np.ones(len(X))]), (y - y.mean()) / y.std()


def check_to_a_tight_gap(X, y):
    patterns = cvxrelu.sample_patterns(X, 200, random_state=0)
    solution = cvxrelu.solve_gated(X, y, patterns, 0.01 * cvxrelu.beta_max(X, y, patterns), tol=1e-8)
    value = reference.objective(X, y, patterns.to_dense(), solution.coef, solution.beta)
    bound = reference.dual_objective(y, solution.dual)
    assert reference.dual_violation(X, patterns.to_dense(), solution.dual) <= solution.beta * (1 + 1e-9)
    assert value - bound <= 1.1e-8 * 0.5 * y @ y


@pytest.mark.parametrize("name", ["diabetes", "breast_cancer"])
def test_data_of_scikit_learn(name):
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = standardised(*getattr(datasets, f"load_{name}")(return_X_y=True))
    check_to_a_tight_gap(X, y)
    X, y = X[:40, -6:], y[:40]
    patterns = cvxrelu.sample_patterns(X, 10, random_state=0)
    for ratio in (0.3, 0.01):
        beta = ratio * cvxrelu.beta_max(X, y, patterns)
        found = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-9).objective
        assert found == pytest.approx(reference.optimum(X, y, patterns.to_dense(), beta), rel=1e-6)


@pytest.mark.skipif(not UCI.is_dir(), reason="the UCI sets do not lie beside the repository")
@pytest.mark.parametrize("name", NAMES)
def test_data_of_uci(name):
    table = np.loadtxt(UCI / f"{name}.csv", delimiter=",", skiprows=1)
    check_to_a_tight_gap(*standardised(table[:, :-1], table[:, -1]))
