"""Statements on masking kernels, the group lasso and reweighting, each with a test of its own.

The others that hold are asserted where the functions are tested: in test_kernels.py K(eta), the closed forms, the
measure of cells and the three evaluations at new points; in test_mkl.py ridge regression as the first iteration, the
simplex form and its map, monotone reweighting, the bounds on the kernel of the start and the toy instance.
No order of training residuals between the neural tangent kernel and the optimum is asserted: there is none.
"""

import cvxrelu
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from reference import masked_design
from reference import mkl as reference
from strategies import designs, problems, sampled


def kappas(X, masks, eta, y, beta):
    """kappa_i = ||X' D_i alpha||^2 with alpha = (K(eta) + beta I)^-1 y."""
    alpha, _ = reference.ridge(X, y, masks, eta, beta)
    return (masked_design.correlations(X, masks, alpha) ** 2).sum(axis=(1, 2))


@given(
    designs(),
    st.integers(0, 2**32 - 1),
    st.integers(1, 30),
    st.sampled_from([1e-6, 1e-5, 1e-3, 0.3, 1.001, 2, 1e3]),
)
def test_one_optimum_for_both_programs_at_penalties_of_any_size(X, seed, n_gates, ratio):
    """min over eta = min over u at the same beta, from 1e-6 of beta_max to beyond it; zero from beta_max on."""
    rng = np.random.default_rng(seed)
    patterns, y = sampled(X, n_gates, rng), rng.standard_normal(len(X))
    largest = cvxrelu.beta_max(X, y, patterns)
    assume(largest > 1e-3)
    solution = cvxrelu.solve_mkl(X, y, patterns, ratio * largest, tol=1e-9, max_iter=0 if ratio < 1e-5 else 3)
    group = cvxrelu.solve_gated(X, y, patterns, ratio * largest, tol=1e-9)
    assert abs(solution.objective - group.objective) <= 1e-8 * 0.5 * (y @ y)
    assert solution.eta.any() == (ratio < 1)


@given(problems())
def test_the_gap_is_primal_minus_dual_and_the_dual_point_is_feasible(problem):
    """gap = 1/2 ||r - t||^2 + sum (beta ||u_i|| - u_i . A_i' t) = P - D, in both forms."""
    X, y, patterns, beta = problem
    masks, scale = patterns.to_dense(), 0.5 * (y @ y)
    solution = cvxrelu.solve_mkl(X, y, patterns, beta, tol=1e-4)
    t = solution.dual
    norms = np.sqrt((masked_design.correlations(X, masks, t[:, None]) ** 2).sum(axis=(1, 2)))
    assert norms.max() <= beta * (1 + 1e-9)
    assert solution.dual_objective == pytest.approx(y @ t - 0.5 * t @ t, abs=1e-12 * scale)
    simplex = cvxrelu.solve_mkl(X, y, patterns, beta, form="simplex", tol=1e-4)
    t = simplex.dual
    norms = np.sqrt((masked_design.correlations(X, masks, t[:, None]) ** 2).sum(axis=(1, 2)))
    dual = y @ t - 0.5 * t @ t - norms.max() ** 2 / (2 * beta)
    assert simplex.dual_objective == pytest.approx(dual, abs=1e-11 * scale)


@given(problems(max_samples=20), st.integers(0, 2**32 - 1))
def test_the_kernel_objective_is_convex_with_gradient_one_minus_kappa(problem, seed):
    """F(eta) = beta/2 [y' (K + beta I)^-1 y + sum eta] is convex, and dF/d eta_i = beta/2 (1 - kappa_i)."""
    X, y, patterns, beta = problem
    masks, rng = patterns.to_dense(), np.random.default_rng(seed)

    def objective(eta):
        return reference.kernel_objective(X, y, masks, eta, beta)

    first, second = rng.random((2, len(patterns)))
    middle = objective((first + second) / 2)
    assert middle <= (objective(first) + objective(second)) / 2 + 1e-10 * (y @ y)
    gradient = 0.5 * beta * (1 - kappas(X, masks, first, y, beta))
    assert objective(second) >= objective(first) + gradient @ (second - first) - 1e-9 * (y @ y + beta)


@given(problems())
def test_the_gap_of_the_weights_and_the_optimality_conditions(problem):
    """kappa <= 1, and = 1 on the support, at the optimum; elsewhere the gap of eta bounds what is to be gained."""
    X, y, patterns, beta = problem
    masks, scale = patterns.to_dense(), 0.5 * (y @ y)
    best = cvxrelu.solve_mkl(X, y, patterns, beta, tol=1e-12)
    for eta in (cvxrelu.ntk_weights(X, patterns), best.eta):
        kappa = kappas(X, masks, eta, y, beta)
        alpha = reference.ridge(X, y, masks, eta, beta)[0][:, 0]
        s = min(1.0, 1 / np.sqrt(kappa.max())) if kappa.max() > 0 else 1.0
        terms = eta * (1 + kappa - 2 * s * kappa)
        gap = 0.5 * beta**2 * (alpha @ alpha) * (1 - s) ** 2 + 0.5 * beta * terms.sum()
        assert gap >= -1e-12 * scale
        value = reference.kernel_objective(X, y, masks, eta, beta)
        assert value - gap <= best.objective + 1e-9 * scale
    assert (kappa <= 1 + 1e-2).all()
    assert_allclose(kappa[best.eta > 1e-2 * best.eta.max(initial=1e-9)], 1, atol=1e-2)


@given(problems(max_samples=20))
def test_gap_safe_screening_keeps_the_support(problem):
    """||A_i' t|| + sqrt(2 gap) sigma_max(A_i) < beta only where u_i = 0."""
    X, y, patterns, beta = problem
    rough = cvxrelu.solve_mkl(X, y, patterns, beta, tol=1e-2)
    fine = cvxrelu.solve_mkl(X, y, patterns, beta, tol=1e-11)
    for i, mask in enumerate(patterns.to_dense().T):
        A = mask[:, None] * X
        if np.linalg.norm(A.T @ rough.dual) + np.sqrt(2 * rough.gap) * np.linalg.norm(A, 2) < beta * (1 - 1e-6):
            assert fine.eta[i] <= 1e-4 * max(fine.penalty_sum, 1e-9)


@given(problems(max_samples=20), st.integers(0, 2**32 - 1))
def test_weighted_groups_are_scaled_kernels(problem, seed):
    """With penalties beta w_i the kernels are K_i / w_i^2 and eta_i = w_i ||u_i||."""
    X, y, patterns, beta = problem
    weights = np.random.default_rng(seed).uniform(0.5, 2, len(patterns))
    group = cvxrelu.solve_gated(X, y, patterns, beta, group_weights=weights, tol=1e-11)
    norms = np.linalg.norm(group.coef, axis=1)
    K = reference.kernel_objective(X, y, patterns.to_dense(), norms / weights, beta)
    value = K + 0.5 * beta * (weights * norms - norms / weights).sum()
    assert value == pytest.approx(group.objective, abs=1e-6 * (y @ y))


@given(problems(max_samples=15, max_patterns=8))
def test_ridge_in_the_features_gives_the_coefficients_of_ridge_in_the_kernel(problem):
    """min 1/2 ||A u - y||^2 + beta/2 sum ||u_i||^2 / eta_i: (pd) x (pd) or n x n, the same u_i = eta_i X' D_i alpha."""
    X, y, patterns, beta = problem
    masks = patterns.to_dense()
    eta = cvxrelu.ntk_weights(X, patterns)
    features = np.hstack([np.sqrt(e) * mask[:, None] * X for e, mask in zip(eta, masks.T, strict=True)])
    inner = np.linalg.solve(features.T @ features + beta * np.eye(features.shape[1]), features.T @ y)
    primal = inner.reshape(len(eta), -1) * np.sqrt(eta)[:, None]
    _, blocks = reference.ridge(X, y, masks, eta, beta)
    assert_allclose(primal, blocks.reshape(primal.shape), rtol=0, atol=1e-7 * max(np.abs(primal).max(), 1e-9))


@given(problems(max_outputs=2))
def test_the_zero_solution_begins_at_beta_max(problem):
    """beta_max = max ||X' D_i y||: zero from there on, and not before."""
    X, y, patterns, _ = problem
    largest = cvxrelu.beta_max(X, y, patterns)
    norms = masked_design.correlations(X, patterns.to_dense(), y.reshape(len(y), -1))
    assert largest == pytest.approx(np.sqrt((norms**2).sum(axis=(1, 2)).max()), rel=1e-12)
    assume(largest > 1e-9)
    assert not cvxrelu.solve_mkl(X, y, patterns, largest * (1 + 1e-9), tol=1e-12).eta.any()
    assert cvxrelu.solve_mkl(X, y, patterns, largest * (1 - 1e-2), tol=1e-12).eta.any()


@given(st.integers(2, 8), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_both_kernels_between_new_points_are_positive_semidefinite(n, m, seed):
    """A cell average with itself is a kernel too, as is the one of all gates at once."""
    rng = np.random.default_rng(seed)
    X, Z = rng.standard_normal((n, 3)), rng.standard_normal((m, 3))
    patterns = cvxrelu.sample_patterns(X, 30, random_state=rng)
    eta = rng.random(len(patterns))
    for at in ("representative", "cell-average"):
        own = cvxrelu.masking_kernel(X, patterns, eta, Z, at=at, block="self")
        whole = np.block(
            [
                [cvxrelu.masking_kernel(X, patterns, eta), cvxrelu.masking_kernel(X, patterns, eta, Z, at=at).T],
                [cvxrelu.masking_kernel(X, patterns, eta, Z, at=at), own],
            ]
        )
        assert np.linalg.eigvalsh(whole).min() >= -1e-10 * np.trace(whole)


@pytest.mark.parametrize("eps", [1e-2, 1e-4, 1e-6])
def test_smoothed_reweighting_is_monotone_and_biased_by_no_more_than_its_bound(eps):
    """F_eps decreases along eta_i = sqrt(||u_i||^2 + eps), and GL* <= min F_eps <= GL* + beta p sqrt(eps)."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((12, 3)), rng.standard_normal(12)
    patterns = cvxrelu.sample_patterns(X, 20, random_state=0)
    masks, p = patterns.to_dense(), len(patterns)
    beta = 0.1 * cvxrelu.beta_max(X, y, patterns)
    optimum = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-12)
    eta, values = np.full(p, 1 / p), []
    for _ in range(2000):
        alpha, _ = reference.ridge(X, y, masks, eta, beta)
        lengths = eta * np.sqrt((masked_design.correlations(X, masks, alpha) ** 2).sum(axis=(1, 2)))
        eta = np.sqrt(lengths**2 + eps)
        values.append(0.5 * beta**2 * np.sum(alpha**2) + beta * eta.sum())
    assert (np.diff(values) <= 1e-12 * values[0]).all()
    assert optimum.dual_objective <= values[-1] <= optimum.objective + beta * p * np.sqrt(eps) * (1 + 1e-9)
    assert values[-1] > optimum.objective  # a bias indeed
