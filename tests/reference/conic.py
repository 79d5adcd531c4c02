"""Optimal values by a conic solver that knows nothing of this package."""

import warnings

import cvxpy as cp


def minimum(objective, constraints=(), *, tol=1e-10):
    """The minimum of an expression. More is asked of the solver than the tests ask of its value, which decide."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Solution may be inaccurate")
        return cp.Problem(cp.Minimize(objective), list(constraints)).solve(
            solver=cp.CLARABEL, tol_gap_abs=tol, tol_gap_rel=tol, tol_feas=tol
        )
