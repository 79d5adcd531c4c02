import pickle
import warnings

import cvxrelu
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from reference import kernels as kernel_reference
from reference import masked_design
from reference import mkl as reference
from strategies import problems
from support import SECONDS_TO_HEAR_CTRL_C, press_ctrl_c_after

FORMS = ("beta", "simplex")


def reweighted(*args, **kwargs):
    """The reweighting alone, whatever gap it reaches."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cvxrelu.ConvergenceWarning)
        return cvxrelu.solve_mkl(*args, finish=False, **{"relaxation": 0.5, "tol": 1e-14} | kwargs)


def toy():
    """Five points on a line with a bias, all cells with their measure."""
    X = np.column_stack([[-1, -0.4, 0.1, 0.5, 1], np.ones(5)])
    y = np.array([0.5, -0.3, 0.8, -0.2, 0.4])
    gates, measure = kernel_reference.arcs(X)
    nonzero = (X @ gates.T >= 0).any(axis=0)
    patterns = cvxrelu.sample_patterns(X, gates=gates)
    eta = np.bincount(patterns.draw_pattern, weights=measure[nonzero], minlength=len(patterns))
    return X, y, patterns, eta


def teacher(n, d, p, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = np.maximum(X @ rng.standard_normal((d, 5)), 0) @ rng.standard_normal(5) + 0.1 * rng.standard_normal(n)
    patterns = cvxrelu.sample_patterns(X, p, random_state=seed)
    return X, y, patterns, cvxrelu.beta_max(X, y, patterns)


def test_toy_instance_to_nine_digits():
    X, y, patterns, eta = toy()
    assert len(patterns) == 9
    assert eta.sum() == pytest.approx(0.75, abs=1e-15)
    assert_allclose(np.sort(eta)[-1], 0.25)
    history = reweighted(X, y, patterns, 0.01, init=eta, max_iter=3000).history
    expected = {1: 0.0417666377, 2: 0.0303905148, 3: 0.0302106337, 5: 0.0301971170, 10: 0.0301859115}
    expected |= {20: 0.0301639751, 50: 0.0301013740, 100: 0.0300279233, 200: 0.0299904236, 500: 0.0299787513}
    expected[1000] = 0.0299726807
    for iteration, value in expected.items():
        assert history.objective[iteration - 1] == pytest.approx(value, abs=6e-11)
    assert history.kernel_objective[0] == pytest.approx(0.0856200657, abs=6e-11)
    assert history.objective[-1] == pytest.approx(0.0299722124, abs=1e-9)
    solution = cvxrelu.solve_mkl(X, y, patterns, 0.01, init=eta, tol=1e-10)
    assert solution.objective == pytest.approx(0.0299722124, abs=1e-10)


def test_toy_instance_from_its_enumerated_cells():
    X, y, _, _ = toy()
    patterns = cvxrelu.enumerate_patterns(X)
    assert len(patterns) == 10  # with the zero pattern, whose share of 1/4 belongs to the measure
    assert cvxrelu.ntk_weights(X, patterns).sum() == pytest.approx(1)
    history = reweighted(X, y, patterns, 0.01, max_iter=3).history
    assert_allclose(history.objective, [0.0417666377, 0.0303905148, 0.0302106337], atol=6e-11)
    assert history.kernel_objective[0] == pytest.approx(0.0856200657 + 0.005 * 0.25, abs=6e-11)
    solution = cvxrelu.solve_mkl(X, y, patterns, 0.01, tol=1e-9)
    assert_allclose(solution.predict(X, at="refined"), solution.predict(X), atol=1e-10)


@given(problems(max_outputs=2), st.sampled_from(["ntk", "uniform"]), st.sampled_from([0, 1, 4]))
def test_optimum_is_that_of_the_group_lasso(problem, init, max_iter):
    X, y, patterns, beta = problem
    solution = cvxrelu.solve_mkl(X, y, patterns, beta, init=init, max_iter=max_iter, tol=1e-9)
    group = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-9)
    assert solution.objective == pytest.approx(group.objective, abs=1e-8 * max(0.5 * (y**2).sum(), 1e-300))
    assert solution.converged and solution.n_iter <= max_iter
    assert_allclose(solution.eta, np.linalg.norm(solution.coef.reshape(len(patterns), -1), axis=1), rtol=1e-14)
    # Both forms of the program have the same value at the optimum.
    value = reference.kernel_objective(X, y, patterns.to_dense(), solution.eta, beta)
    assert value == pytest.approx(solution.objective, rel=1e-5, abs=1e-6 * (y**2).sum())
    if beta >= cvxrelu.beta_max(X, y, patterns):
        assert not solution.coef.any() and not solution.eta.any()


@given(problems(max_outputs=2), st.sampled_from(FORMS))
def test_reweighting_is_its_definition(problem, form):
    X, y, patterns, beta = problem
    masks = patterns.to_dense()
    eta = cvxrelu.ntk_weights(X, patterns)
    start = eta / eta.sum() if form == "simplex" else eta
    solution = reweighted(X, y, patterns, beta, form=form, max_iter=5)
    expected = reference.reweight(X, y, masks, start, beta, solution.n_iter, form)
    assert_allclose(solution.history.objective, expected, rtol=1e-7)
    first = reference.kernel_objective(X, y, masks, start, beta, form)
    assert solution.history.kernel_objective[0] == pytest.approx(first, rel=1e-8)


@given(problems(max_outputs=2), st.sampled_from(FORMS), st.sampled_from([0.5, 0.75, 1.0]))
def test_reweighting_is_monotone_and_its_gap_is_true(problem, form, relaxation):
    X, y, patterns, beta = problem
    history = reweighted(X, y, patterns, beta, form=form, relaxation=relaxation, max_iter=20).history
    rounding = 1e-9 * (y**2).sum()
    assert (np.diff(history.kernel_objective) <= rounding).all()
    if relaxation == 0.5:
        assert (np.diff(history.objective) <= rounding).all()
    assert (history.objective <= history.kernel_objective + rounding).all()
    assert (history.gap >= 0).all()
    optimum = cvxrelu.solve_mkl(X, y, patterns, beta, form=form, tol=1e-10).objective
    assert (history.objective - history.gap <= optimum + rounding).all()


@given(problems(max_outputs=2))
def test_first_iteration_is_ridge_regression_with_the_kernel_of_the_weights(problem):
    X, y, patterns, beta = problem
    masks, eta = patterns.to_dense(), cvxrelu.ntk_weights(X, patterns)
    solution = reweighted(X, y, patterns, beta, max_iter=1)
    alpha, blocks = reference.ridge(X, y, masks, eta, beta)
    size = np.abs(y).max()
    assert_allclose(solution.coef.reshape(blocks.shape), blocks, rtol=0, atol=1e-8 * max(np.abs(blocks).max(), 1e-300))
    Z = np.random.default_rng(0).standard_normal((7, X.shape[1]))
    for at in ("representative", "cell-average"):
        K = cvxrelu.masking_kernel(X, patterns, eta, Z, at=at)
        predicted = solution.predict(Z, at=at).reshape(7, -1)
        assert_allclose(predicted, K @ alpha, rtol=0, atol=1e-8 * max(np.abs(K @ alpha).max(), size))
    # On the training samples the residual is beta alpha.
    residual = y.reshape(len(y), -1) - masked_design.fitted(X, masks, solution.coef.reshape(blocks.shape))
    assert_allclose(residual, beta * alpha, rtol=0, atol=1e-8 * size)


@given(problems())
def test_the_ntk_is_never_better_than_the_optimum_over_kernels(problem):
    X, y, patterns, beta = problem
    masks, eta = patterns.to_dense(), cvxrelu.ntk_weights(X, patterns)
    eta = eta / eta.sum()
    rounding = 1e-9 * (y**2).sum()
    # (a) same ridge, weights on the simplex, with the slack bounded by the gap
    alpha, blocks = reference.ridge(X, y, masks, eta, beta)
    kappa = (masked_design.correlations(X, masks, alpha) ** 2).sum(axis=(1, 2))
    value = reference.kernel_objective(X, y, masks, eta, beta, "simplex")
    optimum = cvxrelu.solve_mkl(X, y, patterns, beta, form="simplex", tol=1e-10).objective
    assert optimum <= value + rounding
    assert value - optimum <= 0.5 * beta * (eta * (kappa.max() - kappa)).sum() + rounding
    # (b) the same-penalty form, at the coefficients of ridge regression
    group = cvxrelu.solve_mkl(X, y, patterns, beta, tol=1e-10).objective
    at_ntk = reference.objective(X, y, masks, blocks, beta)
    assert group <= at_ntk + rounding
    assert at_ntk <= reference.kernel_objective(X, y, masks, eta, beta) + rounding
    # (c) at the best scale of the weights
    for t in np.logspace(-4, 4, 30):
        assert group <= reference.kernel_objective(X, y, masks, t * eta, beta) + rounding


@pytest.mark.parametrize("seed", range(4))
def test_simplex_form_against_a_conic_solver(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((6, 2)), rng.standard_normal(6)
    patterns = cvxrelu.sample_patterns(X, 8, random_state=seed)
    for mu in (0.05, 1.0, 50.0):
        solution = cvxrelu.solve_mkl(X, y, patterns, mu, form="simplex", tol=1e-9)
        expected = reference.simplex_optimum(X, y, patterns.to_dense(), mu)
        assert solution.objective == pytest.approx(expected, rel=1e-6)


@given(problems(max_outputs=2))
def test_both_forms_are_one_program(problem):
    X, y, patterns, beta = problem
    scale = 0.5 * (y**2).sum()
    group = cvxrelu.solve_mkl(X, y, patterns, beta, tol=1e-10)
    assert group.group_beta == beta
    if group.penalty_sum < 1e-3 * np.sqrt(scale):
        return  # the map between the penalties degenerates where the solution vanishes
    simplex = cvxrelu.solve_mkl(X, y, patterns, group.simplex_beta, form="simplex", tol=1e-10)
    assert simplex.converged
    assert simplex.eta.sum() == pytest.approx(1)
    assert simplex.objective == pytest.approx(group.objective - beta * group.penalty_sum / 2, abs=1e-5 * scale)
    assert simplex.group_beta == pytest.approx(beta, rel=0.02, abs=1e-4 * cvxrelu.beta_max(X, y, patterns))


def test_simplex_penalties_rise_with_those_of_the_group_form_and_never_reach_zero_weights():
    X, y, patterns, largest = teacher(60, 4, 40)
    betas = []
    for mu in np.logspace(-2, 6, 9):
        solution = cvxrelu.solve_mkl(X, y, patterns, mu, form="simplex", tol=1e-11)
        assert solution.coef.any()
        betas.append(solution.group_beta)
    assert (np.diff(betas) > 0).all()
    assert betas[-1] < largest


@pytest.mark.parametrize("form", FORMS)
def test_a_weight_of_zero_is_noticed_by_the_gap_and_recovered_by_the_finish(form):
    X, y, patterns, largest = teacher(80, 4, 50)
    beta = 0.05 * largest if form == "beta" else 1.0
    best = cvxrelu.solve_mkl(X, y, patterns, beta, form=form, tol=1e-9)
    eta = cvxrelu.ntk_weights(X, patterns)
    eta[best.eta.argmax()] = 0
    stuck = reweighted(X, y, patterns, beta, form=form, init=eta, max_iter=300)
    assert stuck.eta[best.eta.argmax()] == 0
    assert stuck.gap >= stuck.objective - best.objective - 1e-9
    assert stuck.relative_gap > 1e-4
    recovered = cvxrelu.solve_mkl(X, y, patterns, beta, form=form, init=eta, tol=1e-9)
    assert recovered.objective == pytest.approx(best.objective, rel=1e-8)


@given(problems(), st.sampled_from([1e-8, 0.1, 1e7]), st.sampled_from([1e-7, 3.0, 1e8]), st.sampled_from(FORMS))
def test_scaling_of_data_and_targets(problem, a, b, form):
    X, y, patterns, beta = problem
    plain = cvxrelu.solve_mkl(X, y, patterns, beta, form=form, tol=1e-9)
    # NTK weights have the sum 1 whatever the units, so only where the reweighting ends depends on them.
    factor = a * b if form == "beta" else a * a
    scaled_patterns = cvxrelu.sample_patterns(a * X, gates=patterns.draws)
    scaled = cvxrelu.solve_mkl(a * X, b * y, scaled_patterns, factor * beta, form=form, tol=1e-9)
    assert scaled.objective / b**2 == pytest.approx(plain.objective, abs=1e-7 * (y**2).sum())
    assert scaled.converged


def test_tiny_penalties():
    X, y, patterns, largest = teacher(60, 4, 30)
    for ratio in (1e-3, 1e-6):
        solution = cvxrelu.solve_mkl(X, y, patterns, ratio * largest)
        assert solution.relative_gap <= 1e-6
    # A kernel of rank 1 on many samples: without a penalty that rounding can see, nothing is left of definiteness.
    X, y = np.linspace(1, 2, 300)[:, None], np.ones(300)
    patterns = cvxrelu.sample_patterns(X, gates=[[1.0]])
    with pytest.raises(ValueError, match="is too small"):
        cvxrelu.solve_mkl(X, y, patterns, 1e-30)


def test_predictions_are_those_of_the_gated_network_and_of_its_cell_averages():
    X, y, patterns, largest = teacher(30, 3, 200)
    solution = cvxrelu.solve_mkl(X, y, patterns, 0.05 * largest)
    group = cvxrelu.solve_gated(X, y, patterns, 0.05 * largest, tol=1e-10)
    Z = np.random.default_rng(1).standard_normal((20, 3))
    active = patterns.activations(Z)
    assert_allclose(solution.predict(Z), np.einsum("mp,md,pd->m", active, Z, solution.coef), atol=1e-12)
    per_draw = (Z @ patterns.draws.T >= 0) / np.bincount(patterns.draw_pattern)[patterns.draw_pattern]
    expected = np.einsum("mh,md,hd->m", per_draw, Z, solution.coef[patterns.draw_pattern])
    assert_allclose(solution.predict(Z, at="cell-average"), expected, atol=1e-12)
    # A pattern determines itself on the training samples, so all ways to evaluate agree there.
    assert_allclose(solution.predict(X, at="cell-average"), solution.predict(X), atol=1e-12)
    assert np.abs(solution.predict(X) - group.predict(X)).max() < 1e-2 * np.abs(y).max()


def test_the_optimal_kernel_predicts_by_ridge_regression():
    X, y, patterns, largest = teacher(40, 3, 60)
    for form, beta in (("beta", 0.1 * largest), ("simplex", 5.0)):
        solution = cvxrelu.solve_mkl(X, y, patterns, beta, form=form, tol=1e-13)
        alpha = np.linalg.solve(solution.kernel() + beta * np.eye(len(y)), y)
        Z = np.random.default_rng(1).standard_normal((9, 3))
        for at in ("representative", "cell-average"):
            assert_allclose(solution.kernel(Z, at=at) @ alpha, solution.predict(Z, at=at), atol=1e-4)
        assert solution.kernel(Z, block="self").shape == (9, 9)


def test_several_outputs_share_the_weights():
    X, _, patterns, _ = teacher(50, 3, 40)
    Y = np.random.default_rng(5).standard_normal((50, 3))
    beta = 0.2 * cvxrelu.beta_max(X, Y, patterns)
    solution = cvxrelu.solve_mkl(X, Y, patterns, beta, tol=1e-9)
    assert solution.eta.shape == (len(patterns),)
    assert solution.coef.shape == (len(patterns), 3, 3)
    assert solution.dual.shape == (50, 3)
    assert solution.predict(X[:4]).shape == (4, 3)
    column = cvxrelu.solve_mkl(X, Y[:, :1], patterns, beta)
    flat = cvxrelu.solve_mkl(X, Y[:, 0], patterns, beta)
    assert_array_equal(column.coef[..., 0], flat.coef)


def test_float32():
    X, y, patterns, largest = teacher(50, 3, 40)
    X32, y32 = X.astype(np.float32), y.astype(np.float32)
    patterns = cvxrelu.sample_patterns(X32, gates=patterns.draws)
    for form, beta in (("beta", 0.1 * largest), ("simplex", 5.0)):
        solution = cvxrelu.solve_mkl(X32, y32, patterns, beta, form=form, tol=1e-5)
        assert solution.coef.dtype == np.float32 and solution.predict(X32).dtype == np.float32
        assert solution.eta.dtype == np.float64 and solution.dual.dtype == np.float64
        assert solution.relative_gap <= 1e-5


@pytest.mark.parametrize("form", FORMS)
def test_zero_targets(form):
    X, y, patterns, _ = teacher(20, 3, 10)
    solution = cvxrelu.solve_mkl(X, 0 * y, patterns, 1.0, form=form)
    assert solution.objective == 0 and solution.gap == 0 and solution.converged
    assert not solution.predict(X).any()


def test_the_solution_can_be_pickled_and_shown():
    X, y, patterns, largest = teacher(30, 3, 20)
    solution = cvxrelu.solve_mkl(X, y, patterns, 0.1 * largest)
    again = pickle.loads(pickle.dumps(solution))
    assert_array_equal(again.predict(X), solution.predict(X))
    assert_array_equal(again.history.objective, solution.history.objective)
    assert "kernels active" in repr(solution)
    assert solution.dual_objective == solution.objective - solution.gap


def test_callback_sees_every_step_and_stops():
    X, y, patterns, largest = teacher(100, 4, 80)
    seen = []
    cvxrelu.solve_mkl(X, y, patterns, 0.05 * largest, max_iter=5, callback=lambda state: seen.append(state))
    assert [state["iteration"] for state in seen[:6]] == [1, 2, 3, 4, 5, 6]
    assert seen[0].keys() == {"iteration", "objective", "gap", "relative_gap", "active"}
    assert seen[-1]["relative_gap"] <= 1e-6
    stopped = cvxrelu.solve_mkl(X, y, patterns, 0.05 * largest, callback=lambda state: state["iteration"] == 3)
    assert stopped.n_iter == 3 and not stopped.converged
    optimum = cvxrelu.solve_mkl(X, y, patterns, 0.05 * largest, tol=1e-10).objective
    assert stopped.objective - stopped.gap <= optimum <= stopped.objective


def test_a_warning_says_how_far_it_came():
    X, y, patterns, largest = teacher(100, 4, 80)
    with pytest.warns(cvxrelu.ConvergenceWarning, match="or leave finish=True"):
        cvxrelu.solve_mkl(X, y, patterns, 0.05 * largest, max_iter=2, finish=False)


def test_threads_do_not_change_the_result():
    X, y, patterns, largest = teacher(300, 4, 200)
    one, three = (cvxrelu.solve_mkl(X, y, patterns, 0.05 * largest, n_threads=k, tol=1e-9) for k in (1, 3))
    assert one.objective == pytest.approx(three.objective, rel=1e-8)


def test_ctrl_c_stops_the_reweighting():
    X, y, patterns, largest = teacher(2500, 10, 2000)
    with press_ctrl_c_after(0.5) as pressed, pytest.raises(KeyboardInterrupt):
        cvxrelu.solve_mkl(X, y, patterns, 1e-3 * largest, max_iter=100, n_threads=1)
    assert pressed.seconds_until_caught < SECONDS_TO_HEAR_CTRL_C


def bad_calls():
    X, y, patterns, _ = teacher(20, 3, 10)
    ones = np.ones(len(patterns))
    solve = cvxrelu.solve_mkl
    negative, nan = ones.copy(), ones.copy()
    negative[2], nan[2] = -1, np.nan
    return [
        (lambda: solve(X, y, patterns, 0.0), "beta must be finite and above 0"),
        (lambda: solve(X, y, patterns, -1.0), "beta must be finite and above 0"),
        (lambda: solve(X, y, patterns, np.nan), "beta must be finite"),
        (lambda: solve(X, y, patterns, 1.0, form="ball"), "form must be"),
        (lambda: solve(X, y, patterns, 1.0, init="random"), "init must be"),
        (lambda: solve(X, y, patterns, 1.0, init=negative), "init must be non-negative"),
        (lambda: solve(X, y, patterns, 1.0, init=nan), "init must be finite"),
        (lambda: solve(X, y, patterns, 1.0, init=ones[1:]), "init must have shape"),
        (lambda: solve(X, y, patterns, 1.0, init=0 * ones), "init are all zero"),
        (lambda: solve(X, y, patterns, 1.0, relaxation=0.4), "relaxation must be"),
        (lambda: solve(X, y, patterns, 1.0, relaxation=1.5), "relaxation must be at most 1"),
        (lambda: solve(X, y, patterns, 1.0, max_iter=-1), "max_iter must be at least 0"),
        (lambda: solve(X, y, patterns, 1.0, max_iter=0, finish=False), "nothing would be done"),
        (lambda: solve(X, y, patterns, 1.0, tol=0.0), "tol must be"),
        (lambda: solve(X, y[:5], patterns, 1.0), "y has 5 entries"),
        (lambda: solve(X[:5], y[:5], patterns, 1.0), "patterns belong to data of shape"),
        (lambda: solve(X, y, patterns, 1.0).predict(X[:, :2]), "Z has 2 features"),
        (lambda: solve(X, y, patterns, 1.0).predict(X, at="elsewhere"), "at must be one of"),
    ]


@pytest.mark.parametrize("call,message", bad_calls())
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("form", ["beta", "simplex"])
@pytest.mark.parametrize("outputs", [(), (2,)])
def test_unpenalised_columns(form, outputs):
    rng = np.random.default_rng(0)
    X, s = rng.standard_normal((30, 2)), rng.uniform(0.5, 2, 30)
    y = (100 + np.abs(X[:, :1]) + rng.standard_normal((30, *(outputs or (1,))))).reshape(30, *outputs)
    patterns = cvxrelu.sample_patterns(X, 12, random_state=0)
    Z = np.column_stack([np.ones(30), X[:, 0]])
    beta = 0.1 * cvxrelu.beta_max(X, y, patterns, unpenalised=Z, sample_weight=s)
    eta = rng.dirichlet(np.ones(len(patterns)))
    found = cvxrelu.solve_mkl(X, y, patterns, beta, form=form, unpenalised=Z, sample_weight=s, init=eta, tol=1e-9)
    # Iteration 1 is kernel ridge regression with the first weights beside Z: the bordered system.
    K = cvxrelu.masking_kernel(X, patterns, eta)
    bordered = np.block([[K + beta * np.diag(1 / s), Z], [Z.T, np.zeros((2, 2))]])
    solved = np.linalg.solve(bordered, np.vstack([y.reshape(30, -1), np.zeros((2, *(outputs or (1,))))]))
    ridge = 0.5 * beta * (np.vdot(y, solved[:30].reshape(y.shape)) + (eta.sum() if form == "beta" else 0))
    assert found.history.kernel_objective[0] == pytest.approx(ridge, rel=1e-8)
    assert (np.diff(found.history.kernel_objective) < 1e-9 * ridge).all()
    group = cvxrelu.solve_gated(X, y, patterns, found.group_beta, unpenalised=Z, sample_weight=s, tol=1e-10)
    np.testing.assert_allclose(found.predict(X, unpenalised=Z), group.predict(X, unpenalised=Z), atol=1e-3)
    np.testing.assert_allclose(found.to_network().predict(X), found.predict(X, unpenalised=Z), rtol=1e-12)
    assert np.abs(Z.T @ found.dual).max() < 1e-10
    residual = s @ ((y - found.predict(X, unpenalised=Z)) ** 2).reshape(30, -1)
    total = found.penalty_sum
    penalty = beta * total if form == "beta" else 0.5 * beta * total**2
    assert found.objective == pytest.approx(0.5 * residual.sum() + penalty, rel=1e-9)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("unpenalised", [None, "intercept"])
@pytest.mark.parametrize("ratio", [0.1, 0.001])
def test_many_samples_are_solved_without_a_factorisation_to_the_same_history(form, unpenalised, ratio):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 6)) * [3, 1, 1, 1, 0.1, 0.01]
    y = np.abs(X[:, :2]) + 0.1 * rng.standard_normal((500, 2)) + 1
    patterns = cvxrelu.sample_patterns(X, 200, random_state=0)
    beta = ratio * cvxrelu.beta_max(X, y, patterns, unpenalised=unpenalised)
    if form == "simplex":
        beta /= np.linalg.norm(
            cvxrelu.solve_gated(X, y, patterns, beta, unpenalised=unpenalised).coef, axis=(1, 2)
        ).sum()
    found = reweighted(X, y, patterns, beta, form=form, unpenalised=unpenalised, max_iter=6, relaxation=0.5)
    # Beside an intercept the program is the one of centred rows: P K P for the projection P off the ones.
    P = np.eye(500) - (1 / 500 if unpenalised else 0)
    eta = cvxrelu.ntk_weights(X, patterns, random_state=0)
    eta = eta / eta.sum() if form == "simplex" else eta
    masks = patterns.to_dense()
    for objective, kernel_objective in zip(found.history.objective, found.history.kernel_objective, strict=True):
        K = P @ cvxrelu.masking_kernel(X, patterns, eta) @ P
        alpha = np.linalg.solve(K + beta * np.eye(500), P @ y)
        norms = eta * np.linalg.norm(masked_design.correlations(X, masks, alpha), axis=(1, 2))
        penalty = norms.sum() if form == "beta" else norms.sum() ** 2 / 2
        assert objective == pytest.approx(0.5 * (beta * alpha**2 * beta).sum() + beta * penalty, rel=1e-7)
        value = 0.5 * beta * ((y * alpha).sum() + (eta.sum() if form == "beta" else 0))
        assert kernel_objective == pytest.approx(value, rel=1e-9)
        eta = norms / norms.sum() if form == "simplex" else norms
