import concurrent.futures
import pickle

import cvxrelu
import numpy as np
import pytest
from cvxrelu.base.native import core
from cvxrelu.gated.losses import Huber, Squared
from cvxrelu.gated.pose import pose
from cvxrelu.gated.problem import GatedData, Penalty
from hypothesis import example, given
from hypothesis import strategies as st
from reference import group_lasso as reference
from strategies import problems, sampled, teacher
from support import SECONDS_TO_HEAR_CTRL_C, press_ctrl_c_after

SOLVERS = ("auto", "dual", "bcd")


def check_certificate(X, y, solution, tol, *, weights=None, omega=None):
    """The objective, the dual point and the gap are what they claim, by their definitions."""
    masks = solution.patterns.to_dense()
    scale = 0.5 * (y**2).sum()
    value = reference.objective(X, y, masks, solution.coef, solution.beta, weights=weights, omega=omega)
    assert solution.objective == pytest.approx(value, rel=1e-9, abs=1e-11 * scale)
    assert reference.dual_violation(X, masks, solution.dual, omega) <= solution.beta * (1 + 1e-9)
    if weights is None:
        bound = reference.dual_objective(y, solution.dual)
        assert solution.gap == pytest.approx(value - bound, rel=1e-3, abs=1e-11 * scale)
    assert solution.gap >= 0
    assert solution.relative_gap <= tol
    assert solution.converged


@given(problems(max_outputs=2), st.sampled_from(SOLVERS))
def test_certificate_holds_by_its_definition(problem, solver):
    X, y, patterns, beta = problem
    solution = cvxrelu.solve_gated(X, y, patterns, beta, solver=solver, tol=1e-8, max_iter=1000)
    check_certificate(X, y, solution, 1e-8)


@given(problems(max_samples=15, max_features=4, max_patterns=8), st.sampled_from(SOLVERS))
def test_objective_equals_that_of_a_conic_solver(problem, solver):
    X, y, patterns, beta = problem
    solution = cvxrelu.solve_gated(X, y, patterns, beta, solver=solver, tol=1e-9, max_iter=1000)
    expected = reference.optimum(X, y, patterns.to_dense(), beta)
    assert solution.objective == pytest.approx(expected, rel=1e-6, abs=1e-7 * (y**2).sum())


@given(problems(max_samples=20, max_features=4, max_patterns=15), st.sampled_from([1e-1, 1e-2, 1e-4]))
def test_gap_is_never_smaller_than_the_suboptimality(problem, tol):
    X, y, patterns, beta = problem
    rough = cvxrelu.solve_gated(X, y, patterns, beta, tol=tol)
    exact = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-12, max_iter=1000)
    rounding = 1e-13 * (y**2).sum()
    assert rough.objective - exact.objective <= rough.gap + rounding
    assert rough.dual_objective <= exact.objective + rounding


def test_gap_is_never_smaller_than_the_suboptimality_at_every_pass():
    X, y, patterns = teacher(200, 6, 100)
    beta = 0.01 * cvxrelu.beta_max(X, y, patterns)
    best = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-12).objective
    seen = []
    cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-10, solver="bcd", callback=lambda state: seen.append(state))
    assert len(seen) > 3
    for state in seen:
        assert state["objective"] - best <= state["gap"] * (1 + 1e-12)


@given(problems())
def test_optimality_conditions(problem):
    X, y, patterns, beta = problem
    solution = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-12, max_iter=1000)
    residual = y - solution.predict(X)
    scale = np.linalg.norm(X) * np.linalg.norm(y)
    for i, mask in enumerate(patterns.to_dense().T):
        correlation = X.T @ (mask * residual)
        w = solution.coef[i]
        if not w.any():
            assert np.linalg.norm(correlation) <= beta + 1e-5 * scale
        else:
            np.testing.assert_allclose(correlation, beta * w / np.linalg.norm(w), atol=1e-5 * scale)


@given(problems(max_samples=20), st.sampled_from([0.0, 0.1]), st.booleans())
def test_weights_of_samples_equal_copies(problem, ridge, intercept):
    X, y, patterns, beta = problem
    # Without a sample two patterns may become one, which a ridge term can tell: two blocks share a fit more cheaply.
    copies = np.random.default_rng(0).integers(1 if ridge else 0, 4, size=len(y))
    copies[0] = 2
    X2, y2 = np.repeat(X, copies, axis=0), np.repeat(y, copies)
    patterns2 = cvxrelu.sample_patterns(X2, gates=patterns.gates) if _some_active(X2, patterns) else None
    if patterns2 is None:
        return
    extra = {"unpenalised": np.ones((len(X), 1))} if intercept else {}
    extra2 = {"unpenalised": np.ones((len(X2), 1))} if intercept else {}
    options = {"ridge": ridge, "tol": 1e-11, "max_iter": 1000}
    weighted = cvxrelu.solve_gated(X, y, patterns, beta, sample_weight=copies, **extra, **options)
    copied = cvxrelu.solve_gated(X2, y2, patterns2, beta, **extra2, **options)
    assert weighted.objective == pytest.approx(copied.objective, rel=1e-8, abs=1e-9 * (y2**2).sum())


def _some_active(X, patterns):
    return bool((X @ patterns.gates.T >= 0).any())


@given(problems(max_samples=12, max_features=3, max_patterns=6, max_outputs=2), st.data())
def test_every_term_of_the_objective_against_a_conic_solver(problem, data):
    X, y, patterns, beta = problem
    rng = np.random.default_rng(1)
    omega = rng.uniform(0.5, 2, size=len(patterns))
    weights = rng.uniform(0.1, 3, size=len(y))
    ridge = data.draw(st.sampled_from([0.0, 0.3]))
    Z = np.ones((len(y), 1)) if data.draw(st.booleans()) else None
    solution = cvxrelu.solve_gated(
        X, y, patterns, beta, sample_weight=weights, group_weights=omega, ridge=ridge, unpenalised=Z, tol=1e-10,
        max_iter=1000, solver=data.draw(st.sampled_from(SOLVERS)),
    )  # fmt: skip
    masks = patterns.to_dense()
    expected = reference.optimum(X, y, masks, beta, weights=weights, omega=omega, ridge=ridge, unpenalised=Z)
    assert solution.objective == pytest.approx(expected, rel=1e-6, abs=1e-7 * (y**2).sum())
    shift = 0 if Z is None else (Z @ solution.unpenalised_coef.reshape(1, -1))
    value = reference.objective(
        X, y, masks, solution.coef, beta, weights=weights, omega=omega, ridge=ridge, shift=shift
    )
    assert solution.objective == pytest.approx(value, rel=1e-8, abs=1e-9 * (y**2).sum())


@given(problems(), st.sampled_from([1e-100, 1e-30, 1e30, 1e100]), st.sampled_from([1e-100, 1e20, 1e100]))
@example((np.ones((1, 1)), np.ones(1), cvxrelu.sample_patterns(np.ones((1, 1)), gates=[[1.0]]), 0.5), 1e100, 1e-100)
def test_scaling_data_and_penalty(problem, a, b):
    X, y, patterns, beta = problem
    base = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-9, max_iter=1000)
    scaled_X = cvxrelu.solve_gated(a * X, y, patterns, a * beta, tol=1e-9, max_iter=1000)
    assert scaled_X.objective == pytest.approx(base.objective, rel=1e-7, abs=1e-9)
    scaled_y = cvxrelu.solve_gated(X, b * y, patterns, b * beta, tol=1e-9, max_iter=1000)
    assert scaled_y.objective / b / b == pytest.approx(base.objective, rel=1e-7, abs=1e-9)


def test_all_solvers_agree_on_all_sizes():
    for n, d, p in [(60, 3, 40), (100, 40, 60), (30, 80, 50), (400, 10, 100)]:
        X, y, patterns = teacher(n, d, p)
        for ratio in (0.3, 0.03, 0.003):
            beta = ratio * cvxrelu.beta_max(X, y, patterns)
            solutions = [cvxrelu.solve_gated(X, y, patterns, beta, solver=s, tol=1e-7) for s in SOLVERS]
            for solution in solutions:
                check_certificate(X, y, solution, 1e-7)


@pytest.mark.parametrize("unpenalised", [None, "intercept"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_a_factorisation_is_chosen_where_it_is_cheaper_and_agrees(outputs, unpenalised):
    X, y, patterns = teacher(60, 100, 80)
    Y = np.column_stack([y, np.abs(X[:, 0]), X[:, 1]])[:, :outputs] + 5
    beta = 0.01 * cvxrelu.beta_max(X, Y, patterns, unpenalised=unpenalised)
    for ridge in (0.0, 0.5):
        settings = dict(unpenalised=unpenalised, ridge=ridge)
        solution = cvxrelu.solve_gated(X, Y, patterns, beta, tol=1e-11, **settings)
        assert solution.n_direct > 0
        other = cvxrelu.solve_gated(X, Y, patterns, beta, tol=1e-7, solver="bcd", **settings)
        assert solution.objective == pytest.approx(other.objective, abs=other.gap + solution.gap)


@pytest.mark.parametrize("spread, ratio", [(0, 1e-3), (4, 1e-3)])
def test_factors_in_single_precision_do_not_cost_accuracy(spread, ratio):
    # Columns of very different lengths make the matrices in sample space ill-conditioned.
    X, y, _ = teacher(150, 6, 1)
    X = X * np.logspace(0, -spread, 6)
    patterns = cvxrelu.sample_patterns(X, 100, random_state=0)
    beta = ratio * cvxrelu.beta_max(X, y, patterns)
    solution = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-10, max_iter=1000)
    assert solution.n_direct > 0
    check_certificate(X, y, solution, 1e-10)
    dual = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-9, solver="dual", max_iter=1000)
    assert solution.objective == pytest.approx(dual.objective, abs=dual.gap + solution.gap)


@pytest.mark.parametrize("ratio", [1e-8, 1e-5])
def test_tiny_penalties(ratio):
    X, y, patterns = teacher(100, 5, 60)
    beta = ratio * cvxrelu.beta_max(X, y, patterns)
    check_certificate(X, y, cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-8, max_iter=1000), 1e-8)


@pytest.mark.parametrize("solver", ["newton", *SOLVERS])
def test_the_inner_solvers_are_told(solver):
    X, y, patterns = teacher(100, 5, 60)
    beta = 0.05 * cvxrelu.beta_max(X, y, patterns)
    solution = cvxrelu.solve_gated(X, y, patterns, beta, solver=solver)
    assert solution.solver == solver and len(solution.inner_solvers) > 0
    assert set(solution.inner_solvers) <= ({"newton", "dual"} if solver == "auto" else {solver})
    assert (solution.n_sweeps > 0) == (solver != "dual")
    assert (solution.n_newton > 0) == (solver != "bcd")


@pytest.mark.parametrize("unpenalised", [None, "intercept"])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_the_dual_method_takes_over_where_newton_steps_cost_more(n_outputs, unpenalised):
    # Data far from centred: the Newton systems of the non-zero blocks are close to singular.
    rng = np.random.default_rng(0)
    X = np.abs(rng.standard_normal((100, 8))) + 1
    y = rng.standard_normal((100, n_outputs))
    patterns = sampled(X - X.mean(axis=0), 150, rng)
    patterns = cvxrelu.sample_patterns(X, gates=patterns.gates)
    beta = 1e-5 * cvxrelu.beta_max(X, y, patterns, unpenalised=unpenalised)
    settings = {"tol": 1e-8, "max_iter": 1000, "unpenalised": unpenalised}
    solution = cvxrelu.solve_gated(X, y, patterns, beta, **settings)
    assert solution.converged and "dual" in solution.inner_solvers
    # Every step of either method factorises; beside them there are conjugate gradients of early Newton steps alone.
    assert solution.n_newton < 1000 and solution.n_cg < 10 * solution.n_newton
    if unpenalised is None:
        check_certificate(X, y, solution, 1e-8)
    other = cvxrelu.solve_gated(X, y, patterns, beta, solver="newton", **settings | {"tol": 1e-5})
    assert solution.objective == pytest.approx(other.objective, abs=other.gap + solution.gap)


def test_few_samples_take_few_steps():
    # 15 samples, equal ones with a weight, 31 features and an intercept: Newton steps on the non-zero blocks took
    # thousands.
    rng = np.random.default_rng(42)
    X = rng.random((15, 30))
    y = rng.integers(0, 3, 15).astype(float)
    X = np.column_stack([X, np.ones(15)])
    patterns = cvxrelu.sample_patterns(X, 400, gates="mixed", random_state=0)
    weights = rng.integers(1, 5, 15).astype(float)
    settings = {"sample_weight": weights, "unpenalised": "intercept"}
    beta = 1e-4 * cvxrelu.beta_max(X, y, patterns, **settings)
    solution = cvxrelu.solve_gated(X, y, patterns, beta, **settings)
    assert solution.converged and solution.n_iter < 20 and solution.n_newton < 300


@given(problems(max_samples=20, max_features=3, max_patterns=40), st.sampled_from([1e-1, 1e-3, 1e-6]))
def test_screening_discards_no_active_block(problem, tol):
    X, y, patterns, beta = problem
    rough = cvxrelu.solve_gated(X, y, patterns, beta, tol=tol)
    exact = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-12, max_iter=1000)
    survivors = core.testing.group_lasso_survivors(
        X, patterns.words, y.reshape(-1, 1), beta, np.ones(len(patterns)), np.asfortranarray(rough.coef.T), 1
    )
    assert set(exact.active) <= set(survivors)


def test_screening_discards_most_blocks_near_the_optimum():
    X, y, patterns = teacher(200, 4, 300)
    beta = 0.3 * cvxrelu.beta_max(X, y, patterns)
    exact = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-10)
    survivors = core.testing.group_lasso_survivors(
        X, patterns.words, y.reshape(-1, 1), beta, np.ones(len(patterns)), np.asfortranarray(exact.coef.T), 1
    )
    assert set(exact.active) <= set(survivors) and len(survivors) < len(patterns) / 2


@pytest.mark.parametrize("solver", SOLVERS)
def test_duplicate_groups_share_what_one_of_them_has(solver):
    X, y, single = teacher(80, 4, 20)
    double = cvxrelu.ActivationPatterns(np.repeat(single.gates, 2, axis=0), np.repeat(single.words, 2, axis=0), 80)
    beta = 0.02 * cvxrelu.beta_max(X, y, single)
    expected = cvxrelu.solve_gated(X, y, single, beta, tol=1e-10)
    found = cvxrelu.solve_gated(X, y, double, beta, tol=1e-8, solver=solver, max_iter=1000)
    check_certificate(X, y, found, 1e-8)
    assert found.objective == pytest.approx(expected.objective, abs=found.gap + expected.gap)


def test_solution_is_zero_from_beta_max_on():
    X, y, patterns = teacher(50, 4, 30)
    largest = cvxrelu.beta_max(X, y, patterns)
    for factor in (1.0, 1.0001, 1e6):
        solution = cvxrelu.solve_gated(X, y, patterns, factor * largest)
        assert solution.active.size == 0
        assert not solution.predict(X).any()
    assert cvxrelu.solve_gated(X, y, patterns, 0.99 * largest, tol=1e-10).active.size > 0


@pytest.mark.parametrize("scale", [1.0, 1e100])
def test_a_penalty_that_floating_point_takes_for_zero_is_refused(scale):
    X, y, patterns = teacher(50, 4, 30)
    unit = scale * np.linalg.norm(X) * np.linalg.norm(y)
    with pytest.raises(ValueError, match="is too small beside X and y"):
        cvxrelu.solve_gated(X, scale * y, patterns, 0.99e-30 * unit)
    solution = cvxrelu.solve_gated(X, scale * y, patterns, 1.01e-30 * unit, max_iter=30)
    assert 0 <= solution.gap <= 1e-6 * 0.5 * scale**2 * (y @ y)


def test_zero_targets_give_zero():
    X, _, patterns = teacher(20, 3, 10)
    solution = cvxrelu.solve_gated(X, np.zeros(20), patterns, 1.0)
    assert solution.converged and solution.objective == 0 and solution.relative_gap == 0


@pytest.mark.parametrize("case", ["one row", "zero rows", "duplicate columns", "constant column", "zero column"])
def test_degenerate_data(case):
    X, y, _ = teacher(30, 4, 10)
    if case == "one row":
        X, y = X[:1], y[:1]
    elif case == "zero rows":
        X[::2] = 0
    elif case == "duplicate columns":
        X[:, 1] = X[:, 0]
    elif case == "constant column":
        X[:, 1] = 3
    else:
        X[:, 1] = 0
    patterns = sampled(X, 20, np.random.default_rng(0))
    for solver in SOLVERS:
        beta = 0.01 * cvxrelu.beta_max(X, y, patterns)
        check_certificate(X, y, cvxrelu.solve_gated(X, y, patterns, beta, solver=solver, tol=1e-9), 1e-9)


def test_ill_conditioned_designs_end_with_a_certificate_and_a_warning():
    X, y, patterns = teacher(60, 8, 40)
    X = X * np.logspace(0, -12, 8)
    patterns = cvxrelu.sample_patterns(X, 40, random_state=0)
    beta = 1e-6 * cvxrelu.beta_max(X, y, patterns)
    with pytest.warns(cvxrelu.ConvergenceWarning, match="above tol=1.0e-17"):
        solution = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-17, max_iter=30)
    assert np.isfinite(solution.objective) and np.isfinite(solution.blocks).all()
    value = reference.objective(X, y, patterns.to_dense(), solution.coef, solution.beta)
    bound = reference.dual_objective(y, solution.dual)
    assert value - bound == pytest.approx(solution.gap, rel=1e-3, abs=1e-10 * (y**2).sum())


def test_warm_starts():
    X, y, patterns = teacher(300, 8, 150)
    beta = 0.01 * cvxrelu.beta_max(X, y, patterns)
    cold = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-8)
    again = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-8, warm_start=cold)
    assert again.n_iter == 1 and again.objective == cold.objective
    near = cvxrelu.solve_gated(X, y, patterns, 0.95 * beta, tol=1e-8, warm_start=cold.coef)
    assert near.n_iter < cvxrelu.solve_gated(X, y, patterns, 0.95 * beta, tol=1e-8).n_iter
    with pytest.raises(ValueError, match=r"warm_start must have shape \(\d+, 8\)"):
        cvxrelu.solve_gated(X, y, patterns, beta, warm_start=np.zeros((3, 8)))
    for rows in (X, cvxrelu.RowChunks(X)):
        with pytest.raises(TypeError, match="warm_start must be an array of real numbers, not str"):
            cvxrelu.solve_gated(rows, y, patterns, beta, warm_start="a")


def test_float32_in_float32_out_with_a_float64_certificate():
    X, y, patterns = teacher(200, 6, 80)
    X, y = X.astype(np.float32), y.astype(np.float32)
    patterns = cvxrelu.sample_patterns(X, 80, random_state=0)
    solution = cvxrelu.solve_gated(X, y, patterns, 0.02 * cvxrelu.beta_max(X, y, patterns))
    assert solution.blocks.dtype == np.float32 and solution.predict(X).dtype == np.float32
    assert solution.dual.dtype == np.float64
    check_certificate(X.astype(float), y.astype(float), solution, 1e-6)
    mixed = cvxrelu.solve_gated(X, y.astype(float), patterns, 1.0)
    assert mixed.blocks.dtype == np.float64


def test_path_points_equal_cold_solves():
    X, y, patterns = teacher(150, 5, 60)
    path = cvxrelu.gated_path(X, y, patterns, n_betas=8, beta_min_ratio=1e-2, tol=1e-9)
    assert path.complete and len(path) == 8 and (path.relative_gaps <= 1e-9).all()
    assert path.betas[0] == pytest.approx(cvxrelu.beta_max(X, y, patterns)) and path.n_active[0] == 0
    for solution in path:
        cold = cvxrelu.solve_gated(X, y, patterns, solution.beta, tol=1e-9)
        assert solution.objective == pytest.approx(cold.objective, abs=solution.gap + cold.gap)
    given_betas = cvxrelu.gated_path(X, y, patterns, betas=[0.1, 3.0, 1.0])
    assert given_betas.betas.tolist() == [3.0, 1.0, 0.1]


@pytest.mark.parametrize("scale", [1.0, 1e100])
def test_reports_tell_the_penalty(scale):
    X, y, patterns = teacher(60, 4, 30)
    y = scale * y
    reports = []
    path = cvxrelu.gated_path(X, y, patterns, n_betas=6, callback=lambda state: reports.append(state))
    assert list(dict.fromkeys(report["beta"] for report in reports)) == pytest.approx(path.betas.tolist(), rel=1e-14)
    last = {report["beta"]: report for report in reports}
    for report, solution in zip(last.values(), path, strict=True):
        assert report["objective"] == solution.objective and report["gap"] == solution.gap


def test_a_path_that_is_stopped_keeps_what_is_finished():
    X, y, patterns = teacher(150, 5, 60)
    calls = []

    def stop(state):
        calls.append(state)
        return len(calls) == 20

    path = cvxrelu.gated_path(X, y, patterns, n_betas=30, callback=stop)
    assert not path.complete and 0 < len(path) < 30
    assert all(solution.converged for solution in path[:-1])


def test_callback_stops_with_the_best_certified_solution():
    X, y, patterns = teacher(200, 6, 100)
    beta = 1e-3 * cvxrelu.beta_max(X, y, patterns)
    stopped = cvxrelu.solve_gated(X, y, patterns, beta, callback=lambda state: state["active"] > 0)
    assert not stopped.converged
    value = reference.objective(X, y, patterns.to_dense(), stopped.coef, stopped.beta)
    assert stopped.objective == pytest.approx(value, rel=1e-9)
    with pytest.raises(ZeroDivisionError):
        cvxrelu.solve_gated(X, y, patterns, beta, callback=lambda state: 1 // 0)


def test_a_warning_says_how_far_it_came():
    X, y, patterns = teacher(200, 6, 100)
    with pytest.warns(cvxrelu.ConvergenceWarning, match="raise max_iter"):
        solution = cvxrelu.solve_gated(X, y, patterns, 1e-3 * cvxrelu.beta_max(X, y, patterns), max_iter=2)
    assert not solution.converged and solution.relative_gap > 1e-6


def test_ctrl_c_stops_within_a_fifth_of_a_second():
    X, y, patterns = teacher(3000, 60, 1500)
    beta = 1e-5 * cvxrelu.beta_max(X, y, patterns)
    with press_ctrl_c_after(0.5) as pressed, pytest.raises(KeyboardInterrupt):
        cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-12, n_threads=1)
    assert pressed.seconds_until_caught < SECONDS_TO_HEAR_CTRL_C
    assert pressed.cpu_seconds_until_caught < 0.2


def test_ctrl_c_within_conjugate_gradients():
    # Several outputs are never factorised.
    X, y, patterns = teacher(20_000, 40, 300)
    Y = np.stack([y, y**2, np.abs(y)], axis=1)
    beta = 1e-4 * cvxrelu.beta_max(X, Y, patterns)
    with press_ctrl_c_after(1.0) as pressed, pytest.raises(KeyboardInterrupt):
        cvxrelu.solve_gated(X, Y, patterns, beta, tol=1e-12, n_threads=1)
    assert pressed.seconds_until_caught < SECONDS_TO_HEAR_CTRL_C
    assert pressed.cpu_seconds_until_caught < 0.2


def test_ctrl_c_on_a_path_returns_what_is_finished():
    X, y, patterns = teacher(3000, 60, 1500)
    beta = 1e-5 * cvxrelu.beta_max(X, y, patterns)

    with press_ctrl_c_after(0.5):
        path = cvxrelu.gated_path(X, y, patterns, betas=beta * np.logspace(5, 0, 200), on_interrupt="return")
    assert not path.complete and all(solution.converged for solution in path)


@pytest.mark.parametrize("n_samples, n_gates", [(1500, 300), (5000, 100), (600, 1500)])
def test_threads_do_not_change_the_bits(n_samples, n_gates):
    X, y, patterns = teacher(n_samples, 20, n_gates)
    beta = 0.02 * cvxrelu.beta_max(X, y, patterns)
    first, *others = (cvxrelu.solve_gated(X, y, patterns, beta, n_threads=n_threads) for n_threads in (1, 1, 2, 2, 3))
    assert all(other.coef.tobytes() == first.coef.tobytes() for other in others)
    check_certificate(X, y, first, 1e-6)


def test_solves_may_run_side_by_side():
    X, y, patterns = teacher(1500, 20, 300)
    beta = 0.2 * cvxrelu.beta_max(X, y, patterns)
    expected = cvxrelu.solve_gated(X, y, patterns, beta, n_threads=2).coef
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: cvxrelu.solve_gated(X, y, patterns, beta, n_threads=2).coef, range(8)))
    assert all(coef.tobytes() == expected.tobytes() for coef in found)


def test_arrays_of_any_layout_work():
    X, y, patterns = teacher(60, 4, 30)
    expected = cvxrelu.solve_gated(X, y, patterns, 1.0).objective
    strided = np.zeros((120, 8))[::2, ::2]
    strided[:] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    for layout in (np.asfortranarray(X), strided, read_only, X.tolist(), X.astype(">f8"), X.astype(object)):
        assert cvxrelu.solve_gated(layout, y, patterns, 1.0).objective == expected
    assert cvxrelu.solve_gated(X, y.tolist(), patterns, 1.0).objective == expected


def test_solutions_pickle():
    X, y, patterns = teacher(60, 4, 30)
    solution = cvxrelu.solve_gated(X, y, patterns, 1.0)
    copy = pickle.loads(pickle.dumps(solution))
    np.testing.assert_array_equal(copy.predict(X), solution.predict(X))


def test_predictions_are_those_of_the_definition(monkeypatch):
    X, y, patterns = teacher(80, 4, 30)
    solution = cvxrelu.solve_gated(X, y, patterns, 1.0)
    Z = np.random.default_rng(5).standard_normal((40, 4))
    expected = ((Z @ patterns.gates.T >= 0) * (Z @ solution.coef.T)).sum(axis=1)
    np.testing.assert_allclose(solution.predict(Z), expected, atol=1e-12)
    monkeypatch.setattr("cvxrelu.gated.solution._MOST_GATES", 3 * solution.active.size)  # rows by threes
    np.testing.assert_allclose(solution.predict(Z), expected, atol=1e-12)


def test_a_start_far_from_the_optimum_proves_no_more_than_others():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 2))
    y = np.abs(X[:, 0])
    patterns = cvxrelu.sample_patterns(X, 30, random_state=0)
    optimum = cvxrelu.solve_gated(X, y, patterns, 0.1).objective
    for size in (1e3, 1e6, 1e8, 1e40):
        for seed in range(5):
            far = size * np.random.default_rng(seed).standard_normal((len(patterns), 2))
            with pytest.warns(cvxrelu.ConvergenceWarning):
                solution = cvxrelu.solve_gated(X, y, patterns, 0.1, warm_start=far, max_iter=1)
            assert 0 <= solution.dual_objective <= optimum


@pytest.mark.parametrize("settings", [{}, {"ridge": 0.5}, {"unpenalised": "intercept"}, {"block_norm": "nuclear"}])
@pytest.mark.parametrize("weighted", [False, True])
def test_more_outputs_than_samples_are_as_many_combinations_of_them(settings, weighted):
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((9, 2)), rng.standard_normal((9, 30)) * 10.0 ** rng.integers(-3, 4, 30)
    patterns = cvxrelu.sample_patterns(X, 6, random_state=0)
    settings = settings | {"sample_weight": rng.integers(1, 4, 9) if weighted else None}
    beta_of = {key: value for key, value in settings.items() if key != "ridge"}
    beta = 0.1 * cvxrelu.beta_max(X, Y, patterns, **beta_of)
    heard = []
    solution = cvxrelu.solve_gated(X, Y, patterns, beta, **settings, callback=lambda now: heard.append(now["blocks"]))
    # With samples of zeros it is the same program, posed without combinations.
    rows, longer = np.vstack([X, np.zeros((31, 2))]), np.vstack([Y, np.zeros((31, 30))])
    same = {"sample_weight": np.append(settings["sample_weight"], np.ones(31))} if weighted else {}
    if "unpenalised" in settings:
        same["unpenalised"] = np.repeat([1.0, 0.0], [9, 31])[:, None]
    plain = cvxrelu.solve_gated(
        rows, longer, cvxrelu.sample_patterns(rows, gates=patterns.gates), beta, **(settings | same)
    )
    assert solution.converged
    assert abs(solution.objective - plain.objective) <= solution.gap + plain.gap
    np.testing.assert_allclose(solution.coef, plain.coef, atol=1e-2 * np.abs(plain.coef).max())
    np.testing.assert_allclose(solution.dual, plain.dual[:9], atol=1e-2 * np.abs(plain.dual).max())
    assert heard[-1].shape[1:] == (2, 30)
    if settings.keys() == {"sample_weight"}:
        check_certificate(X, Y, solution, 1e-6, weights=settings["sample_weight"])
        again = cvxrelu.solve_gated(X, Y, patterns, beta, **settings, warm_start=solution)
        assert again.n_iter == 1 and again.objective == pytest.approx(solution.objective, rel=1e-12)


def test_combinations_of_outputs_are_what_is_solved_for():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((9, 2)), rng.standard_normal((9, 300))
    data = GatedData.checked(X, Y, cvxrelu.sample_patterns(X, 6, random_state=0))
    assert pose(data, Penalty(), Squared()).targets.shape == (9, 9)
    # The Huber loss of outputs is not that of their combinations.
    assert pose(data, Penalty(), Huber(0.1)).targets.shape == (9, 300)
