"""ReLU programs with other losses, unpenalised columns, a ridge and weights: certified optima and their twins."""

import cvxrelu
import numpy as np
import pytest
from cvxrelu.exceptions import ConvergenceWarning
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import cone as cones
from reference import relu_losses as reference
from strategies import designs, sampled

LOSSES = ["squared", "logistic", "huber", "poisson"]
DELTA = 0.7


def targets_of(loss, n, rng):
    if loss == "logistic":
        return rng.choice([-1.0, 1.0], n)
    return rng.poisson(2.0, n).astype(float) if loss == "poisson" else rng.standard_normal(n)


def in_core_terms(loss, y):
    return (y + 1) / 2 if loss == "logistic" else y


@st.composite
def programs(draw, loss=None, max_samples=14, max_features=3, max_patterns=8):
    """A design, targets of a loss, patterns, and what else the program may have."""
    loss = draw(st.sampled_from(LOSSES)) if loss is None else loss
    X = draw(designs(max_samples, max_features))
    n = len(X)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    patterns = sampled(X, draw(st.integers(1, max_patterns)), rng)
    y = targets_of(loss, n, rng)
    options = {}
    if draw(st.booleans()):
        weights = rng.integers(0, 3, n).astype(float)
        weights[rng.integers(n)] = 1.5
        options["sample_weight"] = weights
    if draw(st.booleans()):
        options["group_weights"] = rng.uniform(0.5, 2, len(patterns))
    if draw(st.booleans()):
        options["ridge"] = float(rng.choice([1e-3, 0.3, 5.0]))
    return loss, X, y, patterns, options, draw(st.sampled_from([1e-3, 0.03, 0.3, 0.99, 1.5]))


def check(loss, X, y, solution, masks, options):
    """What the solution says of itself is true by the definitions: objective, dual point, bound and gap."""
    told = in_core_terms(loss, y)
    weights, ridge = options.get("sample_weight"), options.get("ridge", 0.0)
    omega = options.get("group_weights", np.ones(masks.shape[1]))
    extra = options.get("unpenalised")
    offset = 0.0 if extra is None else extra @ solution.unpenalised_coef
    objective = reference.objective(
        *(loss, X, told, solution.blocks, solution.signs, solution.beta),
        weights=weights,
        omega=omega[solution.active],
        ridge=ridge,
        delta=DELTA,
        offset=offset,
    )
    scale = max(objective, 1.0)
    assert solution.objective == pytest.approx(objective, abs=1e-10 * scale)
    theta = solution.dual
    bound = reference.dual_value(loss, told, theta, weights=weights, delta=DELTA)
    rows = X if weights is None else np.where(weights[:, None] > 0, X, 0)
    if ridge:
        bound -= reference.ridge_terms(rows, masks, theta, solution.beta, ridge, omega)
    else:
        norms = [cones.dual_norm(rows, mask[:, None], theta) / o for mask, o in zip(masks.T, omega, strict=True)]
        assert max(norms) <= solution.beta * (1 + 1e-9)
    if extra is not None:
        np.testing.assert_allclose(extra.T @ theta, 0, atol=1e-9 * (1 + np.abs(theta).sum()) * np.abs(extra).max())
    assert solution.dual_objective <= bound + 1e-9 * scale
    assert objective - bound <= solution.gap + 1e-9 * scale
    assert solution.gap >= 0


@given(programs())
def test_equals_a_conic_solver(problem):
    loss, X, y, patterns, options, ratio = problem
    beta = ratio * max(
        cvxrelu.relu_beta_max(
            *(X, y, patterns),
            loss=loss,
            delta=DELTA,
            sample_weight=options.get("sample_weight"),
            group_weights=options.get("group_weights"),
        ),
        1e-3,
    )
    solution = cvxrelu.solve_relu(X, y, patterns, beta, loss=loss, delta=DELTA, tol=1e-8, **options)
    check(loss, X, y, solution, patterns.to_dense(), options)
    expected = reference.optimum(
        *(loss, X, in_core_terms(loss, y), patterns.to_dense(), beta),
        weights=options.get("sample_weight"),
        omega=options.get("group_weights"),
        ridge=options.get("ridge", 0.0),
        delta=DELTA,
    )
    assert solution.converged
    assert solution.objective == pytest.approx(expected, abs=1e-6 * max(1.0, expected))
    if ratio > 1:
        assert solution.n_neurons == 0


@pytest.mark.slow
@settings(max_examples=25)
@given(st.sampled_from(LOSSES), st.integers(4, 10), st.integers(1, 3), st.integers(0, 2**32 - 1), st.booleans())
def test_all_cells_equal_a_conic_solver(loss, n, d, seed, weighted):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, d)), targets_of(loss, n, rng)
    weights = rng.choice([0.5, 1.0, 3.0], n) if weighted else None
    beta = rng.choice([0.02, 0.2, 0.6]) * cvxrelu.relu_beta_max(X, y, loss=loss, delta=DELTA, sample_weight=weights)
    solution = cvxrelu.train_relu(X, y, beta, loss=loss, delta=DELTA, sample_weight=weights, random_state=0, tol=1e-8)
    expected = reference.optimum(*(loss, X, in_core_terms(loss, y), cones.cells(X), beta), weights=weights, delta=DELTA)
    assert (solution.scope, solution.converged) == ("all patterns", True)
    assert solution.objective == pytest.approx(expected, abs=1e-6 * max(1.0, expected))
    assert solution.dual_objective <= expected + 1e-6 * max(1.0, expected)
    certificate = cvxrelu.certify(
        X, y, solution.to_network(), beta, loss=loss, delta=DELTA, sample_weight=weights, tol=1e-7
    )
    assert certificate.relative_gap <= 2e-6
    assert certificate.lower_bound <= expected + 1e-6 * max(1.0, expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_unpenalised_columns(loss):
    rng = np.random.default_rng(5)
    X = rng.standard_normal((10, 2))
    y = targets_of(loss, 10, rng)
    for extra in (np.ones((10, 1)), np.column_stack([np.ones(10), X])):
        beta = 0.2 * cvxrelu.relu_beta_max(X, y, loss=loss, delta=DELTA, unpenalised=extra)
        solution = cvxrelu.train_relu(X, y, beta, loss=loss, delta=DELTA, unpenalised=extra, random_state=0, tol=1e-8)
        options = {"unpenalised": extra}
        check(loss, X, y, solution, solution.patterns.to_dense(), options)
        expected = reference.optimum(
            *(loss, X, in_core_terms(loss, y), cones.cells(X), beta), delta=DELTA, unpenalised=extra
        )
        assert solution.objective == pytest.approx(expected, abs=1e-6 * max(1.0, expected))
        certificate = cvxrelu.certify(
            X, y, solution.to_network(), beta, loss=loss, delta=DELTA, tol=1e-7, unpenalised=extra
        )
        assert certificate.upper_bound == pytest.approx(solution.objective, rel=1e-9)
        assert certificate.relative_gap <= 2e-6
        np.testing.assert_allclose(solution.predict(X, unpenalised=extra), solution.to_network().predict(X), atol=1e-10)
        with pytest.raises(ValueError, match="predict needs those of Z"):
            solution.predict(X)


@given(st.sampled_from(LOSSES), st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_no_network_is_below_the_bound(loss, seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((8, 2)), targets_of(loss, 8, rng)
    beta = 0.1 * cvxrelu.relu_beta_max(X, y, loss=loss, delta=DELTA)
    network = rng.standard_normal((4, 2)), rng.standard_normal(4)
    certificate = cvxrelu.certify(X, y, network, beta, loss=loss, delta=DELTA)
    best = cvxrelu.train_relu(X, y, beta, loss=loss, delta=DELTA, random_state=0, tol=1e-8)
    assert certificate.lower_bound <= best.objective * (1 + 1e-9)
    W1, w2 = network
    f = np.maximum(X @ W1.T, 0) @ w2
    told = in_core_terms(loss, y)[:, None]
    from reference.losses import loss_of

    upper = loss_of(loss, told, f[:, None], DELTA).sum() + 0.5 * beta * ((W1**2).sum() + (w2**2).sum())
    assert certificate.upper_bound == pytest.approx(upper, rel=1e-9)


def test_softmax_networks_have_bounds():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((9, 2)), np.eye(3)[rng.integers(0, 3, 9)]
    network = 0.3 * rng.standard_normal((4, 2)), 0.3 * rng.standard_normal((4, 3))
    certificate = cvxrelu.certify(X, Y, network, 0.1, loss="softmax")
    assert 0 < certificate.lower_bound < certificate.upper_bound
    assert (Y - certificate.dual >= -1e-12).all()
    np.testing.assert_allclose(certificate.dual.sum(axis=1), 0, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_weights_are_copies_and_rows_without_weight_are_not_there(loss):
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((8, 2)), targets_of(loss, 8, rng)
    counts = np.array([1, 2, 0, 3, 1, 0, 1, 2])
    beta = 0.1 * cvxrelu.relu_beta_max(X, y, loss=loss, sample_weight=counts.astype(float))
    weighted = cvxrelu.train_relu(X, y, beta, loss=loss, sample_weight=counts.astype(float), random_state=0, tol=1e-9)
    rows = np.repeat(np.arange(8), counts)
    copied = cvxrelu.train_relu(X[rows], y[rows], beta, loss=loss, random_state=0, tol=1e-9)
    assert weighted.objective == pytest.approx(copied.objective, rel=1e-7)
    assert (weighted.dual[counts == 0] == 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_units_do_not_matter(loss):
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((30, 3)), targets_of(loss, 30, rng)
    patterns = cvxrelu.sample_patterns(X, 20, random_state=0)
    beta = 0.1 * cvxrelu.relu_beta_max(X, y, patterns, loss=loss)
    plain = cvxrelu.solve_relu(X, y, patterns, beta, loss=loss, tol=1e-9, unpenalised=np.ones((30, 1)), ridge=0.1)
    far = cvxrelu.solve_relu(
        *(1e9 * X, y, cvxrelu.sample_patterns(1e9 * X, gates=patterns.gates), 1e9 * 1e-6 * beta),
        loss=loss,
        sample_weight=np.full(30, 1e-6),
        tol=1e-9,
        unpenalised=1e5 * np.ones((30, 1)),
        ridge=0.1e18 * 1e-6,
    )
    assert 1e6 * far.objective == pytest.approx(plain.objective, rel=1e-7)
    assert 1e5 * far.unpenalised_coef[0] == pytest.approx(plain.unpenalised_coef[0], rel=1e-4, abs=1e-6)


def test_the_largest_penalty_over_all_patterns():
    rng = np.random.default_rng(4)
    X = rng.standard_normal((9, 2))
    for loss in LOSSES:
        y = targets_of(loss, 9, rng)
        largest = cvxrelu.relu_beta_max(X, y, loss=loss, delta=DELTA)
        residual = reference.gradient(loss, in_core_terms(loss, y), np.zeros(9), delta=DELTA)
        assert largest == pytest.approx(cones.dual_norm(X, cones.cells(X), residual), rel=1e-9)
        patterns = cvxrelu.enumerate_patterns(X)
        assert cvxrelu.relu_beta_max(X, y, patterns, loss=loss, delta=DELTA) == pytest.approx(largest, rel=1e-9)
        assert cvxrelu.train_relu(X, y, 1.001 * largest, loss=loss, delta=DELTA, random_state=0).n_neurons == 0
        assert cvxrelu.train_relu(X, y, 0.99 * largest, loss=loss, delta=DELTA, random_state=0).n_neurons > 0


@pytest.mark.parametrize("loss", LOSSES)
def test_a_path_equals_its_points(loss, tmp_path):
    rng = np.random.default_rng(7)
    X, y = rng.standard_normal((15, 2)), targets_of(loss, 15, rng)
    path = cvxrelu.relu_path(X, y, n_betas=4, loss=loss, random_state=0, tol=1e-7)
    assert path.complete
    assert (np.diff(path.betas) < 0).all()
    assert (path.relative_gaps <= 1e-7).all()
    assert path.n_neurons[0] == 0
    for solution in path:
        alone = cvxrelu.train_relu(X, y, solution.beta, loss=loss, random_state=1, tol=1e-7)
        assert solution.objective == pytest.approx(alone.objective, rel=1e-6)
    patterns = cvxrelu.sample_patterns(X, 10, random_state=0)
    given = cvxrelu.relu_path(X, y, patterns, betas=[0.1, 1.0], loss=loss, ridge=0.1)
    np.testing.assert_array_equal(given.betas, [1.0, 0.1])
    assert given[1].objective == pytest.approx(
        cvxrelu.solve_relu(X, y, patterns, 0.1, loss=loss, ridge=0.1).objective, rel=1e-5
    )


def test_a_path_goes_on_from_its_checkpoint(tmp_path):
    rng = np.random.default_rng(7)
    X, y, extra = rng.standard_normal((15, 2)), rng.standard_normal(15), np.ones((15, 1))
    file = tmp_path / "path"
    calls = []

    def stop(progress):
        calls.append(progress["beta"])
        return len(set(calls)) == 3

    settings = {"n_betas": 5, "unpenalised": extra, "random_state": 0, "checkpoint": file}
    first = cvxrelu.relu_path(X, y, callback=stop, **settings)
    assert not first.complete
    assert len(first) == 3
    whole = cvxrelu.relu_path(X, y, **settings)
    assert whole.complete
    for before, after in zip(first, whole[:3], strict=True):
        np.testing.assert_array_equal(before.blocks, after.blocks)
        np.testing.assert_array_equal(before.unpenalised_coef, after.unpenalised_coef)
    with pytest.raises(ValueError, match="another problem: its targets"):
        cvxrelu.relu_path(X, -y, **settings)
    with pytest.raises(ValueError, match="another problem: its tol"):
        cvxrelu.relu_path(X, y, tol=1e-9, **settings)
    given = settings | {"checkpoint": file.with_name("given"), "betas": whole.betas[1:3]}
    patterns = cvxrelu.sample_patterns(X, 20, random_state=0)
    cvxrelu.relu_path(X, y, patterns=patterns, **given)
    with pytest.raises(ValueError, match="another problem: its patterns"):
        cvxrelu.relu_path(X, y, patterns=patterns[:10], **given)


def test_one_class_and_perfect_fits():
    X = np.random.default_rng(0).standard_normal((6, 2))
    ones = np.ones((6, 1))
    for loss, y in (("logistic", np.ones(6)), ("poisson", np.zeros(6))):
        solution = cvxrelu.train_relu(X, y, 0.05, loss=loss, random_state=0)
        assert solution.converged
        with pytest.raises(ValueError, match="separate the targets"):
            cvxrelu.train_relu(X, y, 0.05, loss=loss, unpenalised=ones)
    for loss in ("squared", "huber"):
        solution = cvxrelu.train_relu(X, np.full(6, 3.0), 0.05, loss=loss, unpenalised=ones, random_state=0)
        assert solution.n_neurons == 0
        assert solution.unpenalised_coef[0] == pytest.approx(3.0)
        assert solution.objective == pytest.approx(0, abs=1e-20)
    half = cvxrelu.train_relu(X, np.full(6, 0.5), 0.05, loss="logistic", random_state=0)
    assert half.n_neurons == 0
    assert half.objective == 0


def test_what_is_refused():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((6, 2))
    y = np.array([1.0, -1, 1, -1, 1, -1])
    patterns = cvxrelu.sample_patterns(X, 5, random_state=0)
    with pytest.raises(ValueError, match=r"labels -1 and \+1.*y\[2\] is 2"):
        cvxrelu.solve_relu(X, [1, 0, 2, 0, 1, 0], patterns, 1.0, loss="logistic")
    with pytest.raises(ValueError, match=r"not negative, but y\[1\]"):
        cvxrelu.train_relu(X, y, 1.0, loss="poisson")
    with pytest.raises(ValueError, match="loss must be one of"):
        cvxrelu.train_relu(X, y, 1.0, loss="hinge")
    with pytest.raises(ValueError, match="softmax"):
        cvxrelu.train_relu(X, y, 1.0, loss="softmax")
    with pytest.raises(ValueError, match="delta"):
        cvxrelu.train_relu(X, y, 1.0, loss="huber", delta=0.0)
    with pytest.raises(ValueError, match=r"unpenalised\[:, 2\] depends linearly"):
        cvxrelu.train_relu(X, y, 1.0, unpenalised=np.column_stack([np.ones(6), X[:, 0], 2 - X[:, 0]]))
    with pytest.raises(ValueError, match="unpenalised has 5 rows"):
        cvxrelu.train_relu(X, y, 1.0, unpenalised=np.ones((5, 1)))
    for loss in LOSSES:
        for solve in (
            lambda loss: cvxrelu.train_relu(X, y**2, 0.0, loss=loss),
            lambda loss: cvxrelu.solve_relu(X, y**2, patterns, 0.0, loss=loss),
            lambda loss: cvxrelu.train_relu(X, np.column_stack([y, y]) ** 2, 0.0, loss=loss),
        ):
            with pytest.raises(ValueError, match="beta must be finite and above 0"):
                solve(loss)
        with pytest.raises(ValueError, match="betas must be"):
            cvxrelu.relu_path(X, y**2, betas=[1.0, 0.0], loss=loss)
    with pytest.raises(ValueError, match="ridge must be"):
        cvxrelu.solve_relu(X, y, patterns, 1.0, ridge=-1.0)
    with pytest.raises(ValueError, match="group_weights must be positive"):
        cvxrelu.solve_relu(X, y, patterns, 1.0, group_weights=np.zeros(len(patterns)))
    with pytest.raises(ValueError, match="patterns"):
        cvxrelu.solve_relu(X[::-1], y, patterns, 1.0, loss="logistic")
    with pytest.raises(ValueError, match="need given patterns"):
        cvxrelu.relu_path(X, y, ridge=1.0)
    with pytest.raises(ValueError, match="max_nodes is for the search"):
        cvxrelu.relu_path(X, y, patterns, max_nodes=3)
    network = rng.standard_normal((2, 2)), rng.standard_normal(2)
    with pytest.raises(ValueError, match="domain of the logistic"):
        cvxrelu.certify(X, y, network, 1.0, loss="logistic", dual=-y)
    with pytest.raises(ValueError, match="orthogonal"):
        cvxrelu.certify(X, y, network, 1.0, unpenalised=np.ones((6, 1)), dual=y + 1)
    with pytest.raises(ValueError, match="unpenalised_coef must have 1"):
        cvxrelu.certify(X, y, network, 1.0, unpenalised=np.ones((6, 1)), unpenalised_coef=[1.0, 2.0])
    with pytest.raises(ValueError, match="gated"):
        cvxrelu.certify(X, y, cvxrelu.solve_gated(X, y, patterns, 0.1).to_network(), 1.0, loss="logistic")


def test_a_search_that_ends_early_bounds_the_largest_penalty():
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((40, 6)), rng.standard_normal(40)
    with pytest.warns(ConvergenceWarning, match="upper bound"):
        bound = cvxrelu.relu_beta_max(X, y, max_nodes=1, pricing="branch and bound")
    patterns = cvxrelu.sample_patterns(X, 300, random_state=0)
    assert cvxrelu.relu_beta_max(X, y, patterns) <= bound


def hard_problem(loss, seed, n=100, d=5):
    """Labels that a line nearly separates; targets of a teacher, and counts that it makes."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    labels = np.sign(X[:, 0] + 0.1 * rng.standard_normal(n))
    y = np.maximum(X @ rng.standard_normal((d, 10)), 0) @ rng.standard_normal(10) + 0.1 * rng.standard_normal(n)
    if loss == "poisson":
        y = np.random.default_rng(seed).poisson(np.exp(np.clip(y / 3, -3, 3))).astype(float)
    return X, labels if loss == "logistic" else y, cvxrelu.sample_patterns(X, 50 if n == 100 else 40, random_state=seed)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("loss", "ratio"), [("logistic", 1e-4), ("logistic", 1e-6), ("huber", 1e-2), ("huber", 1e-3), ("poisson", 1e-4)]
)
def test_small_penalties_are_solved_to_the_default_tolerance(loss, ratio, seed):
    # Outputs had gone to 1e50 where the logistic loss is flat, and steps that raised what is minimised had been taken
    # since its rounding hid their slope; elsewhere proximal steps had grown until theta's rounding was all of the gap.
    X, y, patterns = hard_problem(loss, seed)
    beta = ratio * cvxrelu.relu_beta_max(X, y, patterns, loss=loss, delta=0.1)
    solution = cvxrelu.solve_relu(X, y, patterns, beta, loss=loss, delta=0.1)
    assert solution.converged and solution.n_iter < 30


def test_a_warning_tells_whether_more_passes_would_help():
    X, y, patterns = hard_problem("huber", 0)
    with pytest.warns(ConvergenceWarning, match="after 2 passes: raise max_iter or tol"):
        cvxrelu.solve_relu(X, y, patterns, 1e-3, loss="huber", max_iter=2)
    with pytest.warns(ConvergenceWarning, match="no more progress: raise tol, or come from larger penalties"):
        cvxrelu.solve_relu(X, y, patterns, 1.0, loss="huber", tol=1e-30)


def test_a_small_penalty_is_priced_over_all_patterns_too():
    for loss, ratio in (("logistic", 1e-6), ("huber", 1e-2), ("poisson", 1e-4)):
        X, y, patterns = hard_problem(loss, 2, n=60, d=3)
        beta = ratio * cvxrelu.relu_beta_max(X, y, patterns, loss=loss, delta=0.1)
        assert cvxrelu.solve_relu(X, y, patterns, beta, loss=loss, delta=0.1).converged
        assert cvxrelu.train_relu(X, y, beta, loss=loss, delta=0.1, random_state=0).converged
