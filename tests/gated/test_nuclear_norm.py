"""The gated program under the nuclear norm, against its definition, CVXPY, and weight decay of networks."""

import cvxpy
import cvxrelu
import numpy as np
import pytest
from cvxrelu.exceptions import ConvergenceWarning
from hypothesis import given
from hypothesis import strategies as st
from reference import conic, masked_design
from strategies import problems


def solve(X, y, patterns, beta, **settings):
    return cvxrelu.solve_gated(X, y, patterns, beta, block_norm="nuclear", **settings)


def nuclear_norms(blocks):
    return np.linalg.svd(blocks, compute_uv=False).sum(axis=-1)


def teacher(n=120, d=6, c=3, p=60, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    Y = np.maximum(X @ rng.standard_normal((d, 5)), 0) @ rng.standard_normal((5, c))
    return X, Y + 0.1 * rng.standard_normal((n, c)), cvxrelu.sample_patterns(X, p, random_state=seed)


@given(problems(max_samples=25, max_features=4, max_patterns=12, max_outputs=3))
def test_certificate_holds_by_its_definition(problem):
    X, y, patterns, beta = problem
    solution = solve(X, y, patterns, beta, tol=1e-7)
    assert solution.converged and 0 <= solution.relative_gap <= 1e-7
    scale = 0.5 * (y**2).sum()
    Y, dual = y.reshape(len(y), -1), solution.dual.reshape(len(y), -1)
    coef = solution.coef.reshape(len(patterns), X.shape[1], -1)
    masks = patterns.to_dense()
    residual = Y - masked_design.fitted(X, masks, coef)
    value = 0.5 * (residual**2).sum() + beta * nuclear_norms(coef).sum()
    assert solution.objective == pytest.approx(value, rel=1e-9, abs=1e-11 * scale)
    spectral = np.linalg.norm(masked_design.correlations(X, masks, dual), ord=2, axis=(1, 2))
    assert spectral.max() <= beta * (1 + 1e-9)
    bound = scale - 0.5 * ((Y - dual) ** 2).sum()
    assert solution.gap == pytest.approx(value - bound, rel=1e-3, abs=1e-11 * scale)


@given(problems(max_samples=15, max_features=3, max_patterns=6, max_outputs=3))
def test_lies_between_frobenius_and_one_neuron_for_each_output(problem):
    X, y, patterns, beta = problem
    nuclear = solve(X, y, patterns, beta, tol=1e-8)
    frobenius = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-8)
    columns = [cvxrelu.solve_gated(X, column.copy(), patterns, beta, tol=1e-8) for column in y.reshape(len(y), -1).T]
    rounding = 1e-9 * (y**2).sum()
    assert frobenius.dual_objective <= nuclear.objective + rounding
    assert nuclear.dual_objective <= sum(solution.objective for solution in columns) + rounding
    if y.ndim == 1:
        assert nuclear.objective == pytest.approx(frobenius.objective, rel=1e-6, abs=1e-7 * (y**2).sum())


@pytest.mark.parametrize("ratio", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("seed", [0, 1])
def test_objective_equals_that_of_a_conic_solver(ratio, seed):
    X, Y, patterns = teacher(n=25, d=3, c=3, p=10, seed=seed)
    rng = np.random.default_rng(seed)
    omega, weights = rng.uniform(0.5, 2, len(patterns)), rng.uniform(0.5, 2, len(X))
    Z = np.column_stack([np.ones(len(X)), X[:, 0]])
    given = {"sample_weight": weights, "group_weights": omega, "unpenalised": Z}
    beta = ratio * cvxrelu.beta_max(X, Y, patterns, block_norm="nuclear", **given)
    solution = solve(X, Y, patterns, beta, tol=1e-9, **given)
    blocks = [cvxpy.Variable((X.shape[1], Y.shape[1])) for _ in range(len(patterns))]
    extra = cvxpy.Variable((2, Y.shape[1]))
    fit = Z @ extra + sum((mask[:, None] * X) @ U for mask, U in zip(patterns.to_dense().T, blocks, strict=True))
    loss = 0.5 * cvxpy.sum_squares(cvxpy.multiply(np.sqrt(weights)[:, None], Y - fit))
    penalty = beta * sum(w * cvxpy.normNuc(U) for w, U in zip(omega, blocks, strict=True))
    assert solution.objective == pytest.approx(conic.minimum(loss + penalty), rel=1e-6)
    residual = Y - solution.predict(X, unpenalised=Z)
    value = 0.5 * (weights[:, None] * residual**2).sum() + beta * omega @ nuclear_norms(solution.coef)
    assert solution.objective == pytest.approx(value, rel=1e-9)


def test_is_the_weight_decay_of_its_network():
    X, Y, patterns = teacher()
    beta = 0.02 * cvxrelu.beta_max(X, Y, patterns, block_norm="nuclear")
    solution = solve(X, Y, patterns, beta, tol=1e-8)
    network = solution.to_network()
    value = network.objective(X, Y, beta=beta)
    assert value == pytest.approx(solution.objective, rel=1e-10)
    assert len(network.W1) > solution.active.size  # more than one neuron behind some gates
    frobenius = cvxrelu.solve_gated(X, Y, patterns, beta, tol=1e-8).to_network()
    assert value < frobenius.objective(X, Y, beta=beta)


def test_no_gated_network_that_descent_finds_is_below_the_bound():
    optimize = pytest.importorskip("scipy.optimize")
    X, Y, patterns = teacher(n=30, d=3, c=2, p=6)
    beta = 0.1 * cvxrelu.beta_max(X, Y, patterns, block_norm="nuclear")
    solution = solve(X, Y, patterns, beta, tol=1e-9)
    masks = np.repeat(patterns.to_dense().astype(float).T, 2, axis=0)  # two neurons behind each gate: min(d, c)

    def loss(v):
        a, b = v[: 3 * len(masks)].reshape(-1, 3), v[3 * len(masks) :].reshape(-1, 2)
        hidden = masks.T * (X @ a.T)
        residual = hidden @ b - Y
        into = beta * a + ((residual @ b.T) * masks.T).T @ X
        gradient = np.concatenate([into.ravel(), (beta * b + hidden.T @ residual).ravel()])
        return 0.5 * (residual**2).sum() + 0.5 * beta * (v**2).sum(), gradient

    rng = np.random.default_rng(0)
    found = [
        optimize.minimize(loss, rng.standard_normal(5 * len(masks)), jac=True, method="L-BFGS-B").fun for _ in range(10)
    ]
    assert min(found) >= solution.dual_objective
    assert min(found) == pytest.approx(solution.objective, rel=1e-3)


def test_path_points_equal_cold_solutions():
    X, Y, patterns = teacher()
    path = cvxrelu.gated_path(X, Y, patterns, n_betas=6, beta_min_ratio=0.03, block_norm="nuclear", tol=1e-8)
    assert path.complete and path.n_active[0] == 0
    assert path.betas[0] == cvxrelu.beta_max(X, Y, patterns, block_norm="nuclear")
    for point in path:
        cold = solve(X, Y, patterns, point.beta, tol=1e-8)
        assert point.converged and point.block_norm == "nuclear"
        assert point.objective == pytest.approx(cold.objective, abs=1e-8 * (Y**2).sum())


@pytest.mark.parametrize("scale", [1e-100, 1.0, 1e100])
def test_scales(scale):
    X, Y, patterns = teacher()
    beta = 0.1 * cvxrelu.beta_max(X, Y, patterns, block_norm="nuclear")
    expected = solve(X, Y, patterns, beta, tol=1e-8).objective
    scaled = solve(X * scale, Y / scale, patterns, beta, tol=1e-8)
    assert scaled.objective * scale**2 == pytest.approx(expected, rel=1e-7)


def test_float32_is_certified_as_it_is_returned():
    X, Y, patterns = teacher()
    X, Y = X.astype(np.float32), Y.astype(np.float32)
    beta = 0.1 * cvxrelu.beta_max(X, Y, patterns, block_norm="nuclear")
    solution = solve(X, Y, patterns, beta)
    assert solution.blocks.dtype == np.float32
    residual = Y.astype(float) - masked_design.fitted(X.astype(float), patterns.to_dense(), solution.coef.astype(float))
    value = 0.5 * (residual**2).sum() + beta * nuclear_norms(solution.coef.astype(float)).sum()
    assert solution.objective == pytest.approx(value, rel=1e-9)


def test_warm_start_at_the_solution_takes_one_pass():
    X, Y, patterns = teacher()
    beta = 0.1 * cvxrelu.beta_max(X, Y, patterns, block_norm="nuclear")
    solution = solve(X, Y, patterns, beta, tol=1e-8)
    assert solve(X, Y, patterns, beta, tol=1e-7, warm_start=solution).n_iter == 1


@given(st.sampled_from([1, 2]), st.booleans())
def test_nothing_to_fit(outputs, constant):
    X = np.eye(4)[:, :2]
    patterns = cvxrelu.sample_patterns(X, gates=np.array([[1.0, 0.5], [-1.0, 0.5]]))
    y = np.zeros((4, outputs))
    if constant:
        y[3] = 1.0  # a zero row: no block fits it
    solution = solve(X, y, patterns, 0.1)
    assert solution.converged and solution.active.size == 0 and solution.gap == 0


def test_callback_stops_with_what_is_certified():
    X, Y, patterns = teacher()
    beta = 0.01 * cvxrelu.beta_max(X, Y, patterns, block_norm="nuclear")
    seen = []
    solution = solve(X, Y, patterns, beta, tol=1e-10, callback=lambda progress: seen.append(progress) or len(seen) == 2)
    assert len(seen) == 2 and solution.n_iter == seen[-1]["iteration"] and not solution.converged
    assert solution.gap == min(progress["gap"] for progress in seen)
    assert seen[0]["blocks"].shape == (seen[0]["active"], X.shape[1], Y.shape[1])


def test_a_tolerance_out_of_reach_is_told():
    X, Y, patterns = teacher()
    beta = 0.1 * cvxrelu.beta_max(X, Y, patterns, block_norm="nuclear")
    with pytest.warns(ConvergenceWarning, match="above tol=1.0e-30"):
        solution = solve(X, Y, patterns, beta, tol=1e-30)
    assert not solution.converged and solution.relative_gap < 1e-14


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"block_norm": "spectral"}, 'block_norm must be "frobenius" or "nuclear"'),
        ({"ridge": 0.1}, "needs ridge=0, not 0.1"),
        ({"loss": "huber"}, 'needs loss="squared"'),
        ({"solver": "bcd"}, 'needs solver="auto"'),
    ],
)
def test_what_it_does_not_do_is_an_error(settings, message):
    X, Y, patterns = teacher()
    with pytest.raises(ValueError, match=message):
        cvxrelu.solve_gated(X, Y, patterns, 1.0, **{"block_norm": "nuclear"} | settings)
    with pytest.raises(ValueError, match='rows in chunks need block_norm="frobenius"'):
        cvxrelu.solve_gated(cvxrelu.RowChunks([X]), Y, patterns, 1.0, block_norm="nuclear")


@pytest.mark.parametrize("scales", ["equal", "far apart"])
@pytest.mark.parametrize(("d", "c"), [(3, 5), (6, 2), (40, 3)])  # 40 features: blocks without spectra
def test_gap_closes_whatever_the_shape_and_condition_of_blocks(d, c, scales):
    X, Y, _ = teacher(n=150, d=d, c=c)
    if scales == "far apart":
        X = X * np.logspace(0, -3, d)
        Y = Y + X @ np.ones((d, 1)) * np.arange(c)
    patterns = cvxrelu.sample_patterns(X, 40, random_state=0)
    for ratio in (0.3, 0.03, 0.003):
        beta = ratio * cvxrelu.beta_max(X, Y, patterns, block_norm="nuclear")
        solution = solve(X, Y, patterns, beta, tol=1e-9)
        spectral = np.linalg.norm(masked_design.correlations(X, patterns.to_dense(), solution.dual), ord=2, axis=(1, 2))
        assert solution.converged and spectral.max() <= beta * (1 + 1e-12)
        residual = Y - masked_design.fitted(X, patterns.to_dense(), solution.coef)
        value = 0.5 * (residual**2).sum() + beta * nuclear_norms(solution.coef).sum()
        assert value - (0.5 * (Y**2).sum() - 0.5 * ((Y - solution.dual) ** 2).sum()) <= 2e-9 * 0.5 * (Y**2).sum()


def test_blocks_have_no_more_neurons_than_they_need():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 5))
    patterns = cvxrelu.sample_patterns(X, 30, random_state=0)
    Y = (X * patterns[:1].to_dense()) @ np.outer(rng.standard_normal(5), rng.standard_normal(4))
    beta = 0.2 * cvxrelu.beta_max(X, Y, patterns, block_norm="nuclear")
    solution = solve(X, Y, patterns, beta, tol=1e-12)
    values = np.linalg.svd(solution.blocks, compute_uv=False)
    assert (values[:, 1:] <= 1e-6 * values.max()).all()
