"""What the fuzzer found, each with the right value; and its first cases."""

import warnings

import cvxrelu as c
import numpy as np
import pytest
from reference import losses, masked_design, relu_losses

from . import claims
from .cases import CASES
from .run import run

R = np.random.default_rng


@pytest.mark.parametrize("seed", range(3 * len(CASES)))
def test_first_cases(seed):
    outcome = run(seed)
    assert outcome.kind != "find", outcome.text


@pytest.mark.parametrize("weighted", [False, True])
def test_huber_relu_with_every_target_beyond_delta(weighted):
    # y - (y - delta) is above delta in floating point, so that the loss was flat in every sample and no step was taken.
    X = np.array([[1, -1, 0], [-2, 1, 0], [1, -2, 2], [2, -1, 1], [-1, -2, -2], [1, 2, -2], [-1, 0, 0], [-1, -1, -1.0]])
    y, P = np.ones(8), c.enumerate_patterns(X)
    settings = {"delta": 0.3, "weights": np.array([1, 3, 2, 2, 3, 0, 2, 2.0]) if weighted else None}
    right = relu_losses.optimum("huber", X, y, P.to_dense(), 0.3, **settings)
    solution = c.solve_relu(X, y, P, 0.3, loss="huber", delta=0.3, sample_weight=settings["weights"])
    assert solution.converged
    assert solution.objective == pytest.approx(right, rel=1e-6)


@pytest.mark.parametrize("delta", [0.7, 0.1, 1e-2])
def test_huber_relu_at_any_delta(delta):
    X = R(1).standard_normal((15, 2))
    y, P = np.abs(X[:, 0]) + 3, c.sample_patterns(X, 8, random_state=0)
    beta = 0.1 * c.relu_beta_max(X, y, P, loss="huber", delta=delta)
    right = relu_losses.optimum("huber", X, y, P.to_dense(), beta, delta=delta)
    solution = c.solve_relu(X, y, P, beta, loss="huber", delta=delta)
    assert solution.converged
    assert solution.objective == pytest.approx(right, rel=1e-6)


def test_cells_that_are_thinner_than_rounding_are_not_half_the_space():
    X = np.array([[4267051.52698438, -5422813.564187842, 16706652.700307064], [0, 0, 0]])
    X[1] = [4.267051526984372e-10, -5.422813564187849e-10, 1.6706652700307045e-09]
    with pytest.warns(UserWarning, match="numerical rank 1"):
        measure = c.cone_measure(X)
    assert measure.probabilities.sum() == pytest.approx(1, abs=measure.errors.sum())
    assert sorted(np.round(measure.probabilities, 12)) == [0, 0, 0.5, 0.5]


def problem(x=1.0, y=1.0):
    X = R(0).standard_normal((20, 3))
    return x * X, y * np.abs(X[:, 0]), c.sample_patterns(X, 15, random_state=0)


@pytest.mark.parametrize(("x", "y"), [(1e300, 1e-11), (1e200, 1e-150), (1e-180, 1e140)])
def test_coefficients_that_float64_does_not_hold_are_refused(x, y):
    X, y, P = problem(x, y)
    with pytest.raises(ValueError, match="coefficient"):
        c.solve_gated(X, y, P, 0.1 * c.beta_max(X, y, P))


def test_coefficients_of_numbers_below_the_range_of_float32_are_refused_in_it():
    X, y, P = problem(1e10, 1e-33)
    beta = 0.1 * c.beta_max(X, y, P)
    assert c.solve_gated(X, y, P, beta).converged
    with pytest.raises(ValueError, match="float32 does not hold"):
        c.solve_gated(X.astype(np.float32), y.astype(np.float32), P, beta)


@pytest.mark.parametrize("y_scale", [1e-200, 1e170])
def test_chunks_refuse_what_memory_refuses(y_scale):
    X, y, P = problem(y=y_scale)
    for rows in (X, c.RowChunks(X)):
        with pytest.raises(ValueError, match="the objective at zero is not within float64"):
            c.solve_gated(rows, y, P, 0.1 * c.beta_max(X, y, P))


@pytest.mark.parametrize("y_scale", [1e-200, 1e170])
def test_huber_relu_refuses_what_the_squared_loss_refuses(y_scale):
    X, y, P = problem(y=y_scale)
    for settings in ({}, {"loss": "huber", "delta": y_scale}):
        with pytest.raises(ValueError, match="the objective of the zero network is not within float64"):
            c.solve_relu(X, y, P, 0.1 * c.beta_max(X, y, P), **settings)


@pytest.mark.parametrize("form", ["beta", "simplex"])
@pytest.mark.parametrize(("x", "y"), [(1e-30, 1e-140), (1e90, 1e120), (1e160, 1e-100), (1e-150, 1e60)])
def test_kernels_are_learned_in_any_units(form, x, y):
    X, target, P = problem()
    one = c.solve_mkl(X, target, P, 2.0, form=form)
    beta = 2.0 * x * y if form == "beta" else 2.0 * x * x
    if not 1e-300 < beta < 1e300:
        return
    other = c.solve_mkl(x * X, y * target, P, beta, form=form)
    np.testing.assert_allclose(other.objective / y / y, one.objective, rtol=3e-6)
    sizes = [np.linalg.norm((x * X / x).T @ (mask * other.dual / y)) for mask in P.to_dense().T]
    if form == "beta":
        assert max(sizes) <= 2.0 * (1 + 1e-12)


@pytest.mark.parametrize("x", [1e200, 1e-200])
def test_decompositions_in_any_units(x):
    X, y, P = problem()
    solution = c.solve_gated(x * X, y, P, 0.1 * c.beta_max(x * X, y, P))
    network = c.decompose(x * X, solution)
    np.testing.assert_allclose(network.predict(x * X), solution.predict(x * X), atol=1e-9)
    assert np.isfinite(network.objective)


def test_a_ridge_that_rounding_outweighs_is_refused():
    X, y, P = problem(1e150)
    with pytest.raises(ValueError, match="ridge is too small beside X"):
        c.solve_gated(X, y, P, 1e149, ridge=1e270)
    assert c.solve_gated(X, y, P, 1e149, ridge=1e290).converged


@pytest.mark.parametrize(
    ("delta", "n_newton", "n_cg"),
    [(1.0, 600, 2000), (1e-2, 600, 2000), (1e-3, 600, 2000), (1e-5, 3000, 200_000), (1e-7, 5000, 300_000)],
)
def test_work_for_huber_losses_does_not_grow_as_delta_falls(delta, n_newton, n_cg):
    # It took 24,842 Newton steps and 2.4 million conjugate-gradient iterations for these 144 coefficients at 1e-3.
    rng = R(0)
    X, Y = rng.standard_normal((26, 3)), rng.standard_normal((26, 3))
    P = c.sample_patterns(X, 18, random_state=0)
    settings = {"loss": "huber", "delta": delta}
    beta = 0.01 * c.beta_max(X, Y, P, **settings)
    solution = c.solve_gated(X, Y, P, beta, **settings)
    assert solution.converged
    assert solution.n_newton <= n_newton
    assert solution.n_cg <= n_cg
    right = losses.optimum("huber", X, Y, P.to_dense(), beta, delta=delta)
    assert solution.objective == pytest.approx(right, rel=1e-5)


def test_passes_end_where_rounding_is_all_that_is_left():
    # A hundred thousand passes were made in which neither the objective nor the gap fell.
    X, y, P = problem()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", c.ConvergenceWarning)  # rounding may come out at zero, or not
        solution = c.solve_gated(X, y, P, 0.1 * c.beta_max(X, y, P), tol=1e-30, max_iter=10**6)
    assert solution.n_iter < 500
    assert solution.relative_gap < 1e-12


def test_targets_that_unpenalised_columns_fit_may_be_of_any_size():
    X, _, P = problem()
    solution = c.solve_gated(X, np.full(20, 1e200), P, 1.0, unpenalised=np.ones((20, 1)))
    assert (solution.objective, solution.gap) == (0, 0)
    np.testing.assert_allclose(solution.unpenalised_coef, [1e200])


def test_a_poisson_loss_beyond_float64_leaves_numbers():
    rng = R(0)
    X, y = 1e11 * rng.standard_normal((40, 2)), np.floor(5 * rng.uniform(0, 1, 40))
    P = c.sample_patterns(X, 13, random_state=0)
    weights = 10.0 ** rng.integers(-6, 7, 40)
    settings = {"loss": "poisson", "sample_weight": weights}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", c.ConvergenceWarning)
        solution = c.solve_gated(X, y, P, 0.01 * c.beta_max(X, y, P, **settings), **settings)
    assert np.isfinite(solution.blocks).all()
    assert np.isfinite(solution.objective)


def test_a_simplex_objective_beyond_float64_is_infinite_and_no_error():
    assert run(8783).kind != "find"


def test_equal_samples_with_targets_beyond_float64_are_refused_by_name():
    X = np.repeat(R(0).standard_normal((5, 2)), 2, axis=0)
    model = c.GatedReLURegressor(n_gates=5, random_state=0)
    with pytest.raises(ValueError, match="too large"):
        model.fit(X, 1e200 * R(1).standard_normal(10))


@pytest.mark.parametrize(("x", "y"), [(2.0**500, 1.0), (2.0**600, 2.0**-300), (2.0**-600, 2.0**100), (1.0, 2.0**-400)])
@pytest.mark.parametrize("intercept", [None, "intercept"])
def test_rows_in_chunks_in_any_units(x, y, intercept):
    # Combinations of iterates, Gram statistics, and the damping of a subsample squared what float64 does not hold.
    rng = R(0)
    X = rng.standard_normal((12000, 3))
    target = np.abs(X[:, 0]) + 0.1 * rng.standard_normal(12000)
    settings = {"unpenalised": intercept}
    P = c.sample_patterns(X, gates=rng.standard_normal((6, 3)))
    beta = 0.05 * c.beta_max(X, target, P, **settings)
    rows = {scale: c.RowChunks(scale * X, chunk_rows=1000) for scale in (1.0, x)}
    one = c.solve_gated(rows[1.0], target, P, beta, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        other = c.solve_gated(rows[x], y * target, P, x * y * beta, **settings)
    assert one.inner_solvers == other.inner_solvers
    assert "gram" in one.inner_solvers
    np.testing.assert_allclose(other.objective / y / y, one.objective, rtol=1e-12)
    np.testing.assert_allclose(other.coef * x / y, one.coef, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("model", [c.GatedReLURegressor(n_gates=10, random_state=0), c.NTKRegressor()])
def test_predictions_beyond_float32_are_refused_in_it(model):
    rng = R(0)
    X = rng.standard_normal((30, 3))
    model.fit(X, 1e30 * np.abs(X[:, 0]))
    assert np.isfinite(model.predict(1e20 * X)).all()
    big = (1e20 * X).astype(np.float32)
    for rows in (big, c.RowChunks(big)) if hasattr(model, "network_") else (big,):
        with pytest.raises(ValueError, match="float32 does not hold the predictions"):
            model.predict(rows)


@pytest.mark.parametrize("form", ["beta", "simplex"])
def test_history_of_kernels_that_rounding_makes_singular(form):
    # alpha of (K + beta I) alpha = Y was lost to rounding, and its objective was told as that of the coefficients.
    rng = R(0)
    X = rng.standard_normal((20, 3)) * 10.0 ** rng.integers(-12, 13, (20, 1))
    y, P = np.abs(X[:, 0]) ** 0, c.sample_patterns(X, 15, random_state=0)
    unit = 1.0 if form == "beta" else float(np.abs(X).max())
    told = 0
    for ratio in 10.0 ** np.arange(-18, 0, 2):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", c.ConvergenceWarning)
                found = c.solve_mkl(X, y, P, ratio * unit * c.beta_max(X, y, P), form=form, finish=False, max_iter=1)
        except ValueError as error:
            assert "too small" in str(error)
            continue
        told += 1
        products = masked_design.fitted(np.abs(X), P.to_dense(), np.abs(found.coef)[..., None])
        rounding = 1e-14 * products.max() ** 2 + 1e-9 * found.objective
        assert abs(found.history.objective[0] - found.objective) <= rounding
        assert found.history.objective[0] - found.history.gap[0] <= found.objective
    assert told > 2


@pytest.mark.parametrize("factor", [1e-290, 1e-155, 1e155, 1e290])
def test_relu_networks_of_features_in_units_far_apart(factor):
    X = R(0).standard_normal((7, 3)) * [1, 1, factor]
    y = np.abs(X[:, 0]) + 0.3
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="rows 0 and 1 are parallel")
        P = c.enumerate_patterns(X)
    beta = 0.1 * c.relu_beta_max(X, y, P)
    solution = c.solve_relu(X, y, P, beta)
    claims.relu(X, y, solution)
    told = c.certify(X, y, solution.to_network(), beta)
    assert told.scope == "all patterns"
    assert told.lower_bound == pytest.approx(solution.objective, rel=1e-5)


def test_inner_work_has_a_budget():
    # 174,171 Newton steps were made for these 84 coefficients, at a gap that rounding keeps from falling.
    rng = R(1)
    X, y = rng.standard_normal((21, 4)) * 10.0 ** rng.integers(-12, 13, (21, 1)), 1e6 * rng.standard_normal(21)
    P = c.sample_patterns(X, 21, random_state=0)
    settings = {"loss": "huber", "delta": 3e4}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", c.ConvergenceWarning)
        solution = c.solve_gated(X, y, P, 1e-12 * c.beta_max(X, y, P, **settings), **settings)
    assert solution.n_newton <= 40_000


@pytest.mark.parametrize("seed", [133740, 135678])
def test_a_sample_without_weight_has_no_part_in_the_dual_point_whatever_its_output(seed):
    assert run(seed).kind != "find"


@pytest.mark.parametrize("beta", [1e290, 1e300])
def test_products_of_penalties_and_weights_beyond_float64_are_refused(beta):
    X, y, P = problem()
    for rows in (X, c.RowChunks(X)):
        with pytest.raises(ValueError, match="beta times group_weights"):
            c.solve_gated(rows, y, P, beta, group_weights=np.full(len(P), 1e20))


# Of the combination of iterates, of predictions in float32, of kernels that rounding makes singular, and of the history
# of kernel weights, which is above the objective at zero.
@pytest.mark.parametrize("seed", [62063, 6601, 11325, 7528, 9263, 112163, 117334, 113896, 120968, 125175])
def test_cases_that_were_finds(seed):
    outcome = run(seed)
    assert outcome.kind != "find", outcome.text


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1613, 105555, 109058, 116988, 117210, 117933])
def test_cases_that_did_not_end(seed):
    outcome = run(seed)
    assert outcome.kind != "find", outcome.text
