import pickle

import cvxrelu
import numpy as np
import pytest
from cvxrelu.rows.chunks import RowChunks
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import losses as reference
from reference import masked_design
from strategies import designs, sampled
from support import SECONDS_TO_HEAR_CTRL_C, press_ctrl_c_after

LOSSES = ("logistic", "softmax", "huber", "poisson")
DELTA = 0.7


@st.composite
def problems(draw, losses=LOSSES, max_samples=25, max_features=4, max_patterns=12, hard=False):
    """loss, X, y, patterns and a penalty from 1e-3 of beta_max to beyond it."""
    loss = draw(st.sampled_from(losses))
    X = draw(designs(max_samples, max_features))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    patterns = sampled(X, draw(st.integers(1, max_patterns)), rng)
    y = targets(loss, len(X), draw(st.integers(1, 3)), rng, soft=not hard and draw(st.booleans()))
    ratio = draw(st.sampled_from([1e-3, 1e-2, 0.1, 0.5, 1.5]))
    return loss, X, y, patterns, ratio * max(cvxrelu.beta_max(X, y, patterns, loss=loss, delta=DELTA), 1e-3)


def targets(loss, n, outputs, rng, *, soft=False):
    if loss == "softmax":
        shape = np.ones(outputs + 1)
        return rng.dirichlet(shape, size=n) if soft else np.eye(outputs + 1)[rng.integers(0, outputs + 1, size=n)]
    y = {
        "logistic": rng.random((n, outputs)) if soft else rng.integers(0, 2, size=(n, outputs)).astype(float),
        "huber": 2 * rng.standard_t(1.5, size=(n, outputs)),
        "poisson": rng.poisson(2, size=(n, outputs)) * (0.5 if soft else 1.0),
    }[loss]
    return y[:, 0] if outputs == 1 else y


def solve(loss, X, y, patterns, beta, **options):
    options = {"tol": 1e-8, "max_iter": 1000, "delta": DELTA} | options
    return cvxrelu.solve_gated(X, y, patterns, beta, loss=loss, **options)


def columns(array):
    return array.reshape(len(array), -1)


def at_zero(loss, y):
    return reference.loss_of(loss, columns(y), np.zeros_like(columns(y)), DELTA).sum()


@given(problems())
def test_certificate_holds_by_its_definition(problem):
    loss, X, y, patterns, beta = problem
    solution = solve(loss, X, y, patterns, beta)
    masks, Y, T = patterns.to_dense(), columns(y), columns(solution.dual)
    W = solution.coef.reshape(*solution.coef.shape[:2], -1)
    scale = at_zero(loss, y)
    value = reference.objective(loss, X, Y, masks, W, beta, delta=DELTA)
    assert solution.objective == pytest.approx(value, rel=1e-9, abs=1e-11 * scale)
    correlations = np.sqrt((masked_design.correlations(X, masks, T) ** 2).sum(axis=(1, 2)))
    assert correlations.max() <= beta * (1 + 1e-9)
    bound = reference.dual_of(loss, Y, T, DELTA).sum()
    assert solution.gap == pytest.approx(value - bound, rel=1e-3, abs=1e-11 * scale)
    assert 0 <= solution.relative_gap <= 1e-8
    assert solution.converged
    assert solution.relative_gap == pytest.approx(solution.gap / scale if scale else 0)


@given(problems(max_samples=12, max_features=3, max_patterns=5), st.data())
@settings(max_examples=25)
def test_every_term_of_the_objective_against_a_conic_solver(problem, data):
    loss, X, y, patterns, beta = problem
    rng = np.random.default_rng(1)
    options = {"weights": rng.uniform(0.1, 3, size=len(y)), "omega": rng.uniform(0.5, 2, size=len(patterns))}
    ridge = data.draw(st.sampled_from([0.0, 0.3]))
    solution = solve(
        loss, X, y, patterns, beta, sample_weight=options["weights"], group_weights=options["omega"], ridge=ridge,
        tol=1e-9,
    )  # fmt: skip
    expected = reference.optimum(loss, X, columns(y), patterns.to_dense(), beta, ridge=ridge, delta=DELTA, **options)
    assert solution.converged
    assert solution.objective == pytest.approx(expected, rel=1e-6, abs=1e-7 * (1 + at_zero(loss, y)))


@given(problems(), st.sampled_from([1e-1, 1e-2, 1e-4]))
def test_gap_is_never_smaller_than_the_suboptimality(problem, tol):
    rough, exact = solve(*problem, tol=tol), solve(*problem, tol=1e-10)
    rounding = 1e-12 * at_zero(problem[0], problem[2])
    assert rough.objective - exact.objective <= rough.gap + rounding
    assert rough.dual_objective <= exact.objective + rounding


@given(problems(losses=("logistic", "softmax", "poisson", "huber"), max_samples=15))
def test_weights_of_samples_equal_copies(problem):
    loss, X, y, patterns, beta = problem
    copies = np.random.default_rng(0).integers(0, 4, size=len(y))
    copies[0] = 2
    X2, y2 = np.repeat(X, copies, axis=0), np.repeat(y, copies, axis=0)
    if not (X2 @ patterns.gates.T >= 0).any():
        return
    patterns2 = cvxrelu.sample_patterns(X2, gates=patterns.gates)
    weighted = solve(loss, X, y, patterns, beta, sample_weight=copies, tol=1e-10)
    copied = solve(loss, X2, y2, patterns2, beta, tol=1e-10)
    assert weighted.objective == pytest.approx(copied.objective, rel=1e-8, abs=1e-9 * (1 + at_zero(loss, y2)))


def example(loss, n=120, d=4, p=40, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    f = np.maximum(X @ rng.standard_normal((d, 5)), 0) @ rng.standard_normal((5, 3)) / 2
    f -= f.mean(axis=0)
    y = {
        "logistic": np.where(rng.random(n) < 1 / (1 + np.exp(-2 * f[:, 0])), 1.0, -1.0),
        "softmax": np.eye(3)[(2 * f + rng.gumbel(size=f.shape)).argmax(axis=1)],
        "huber": f[:, 0] + 0.2 * rng.standard_t(1.5, size=n),
        "poisson": rng.poisson(np.exp(np.clip(f[:, 0], -3, 3))).astype(float),
    }[loss]
    return X, y, cvxrelu.sample_patterns(X, p, random_state=seed)


@pytest.mark.parametrize("loss", LOSSES)
def test_solution_is_zero_from_beta_max_on(loss):
    X, y, patterns = example(loss)
    largest = cvxrelu.beta_max(X, y, patterns, loss=loss, delta=DELTA)
    for factor in (1.0, 1.001, 1e6):
        assert solve(loss, X, y, patterns, factor * largest).active.size == 0
    assert solve(loss, X, y, patterns, 0.99 * largest, tol=1e-10).active.size > 0


def test_beta_max_has_the_known_forms():
    for loss, centre in [("logistic", 0.5), ("softmax", 1 / 3), ("poisson", 1.0)]:
        X, y, patterns = example(loss)
        masks = patterns.to_dense()
        residual = columns((y > 0) - centre if loss == "logistic" else y - centre)
        norms = np.sqrt((masked_design.correlations(X, masks, residual) ** 2).sum(axis=(1, 2)))
        assert cvxrelu.beta_max(X, y, patterns, loss=loss) == pytest.approx(norms.max())


@pytest.mark.parametrize("loss", LOSSES)
def test_a_point_of_the_path_is_a_cold_solution(loss):
    X, y, patterns = example(loss)
    path = cvxrelu.gated_path(X, y, patterns, n_betas=5, loss=loss, delta=DELTA, tol=1e-9)
    assert path.complete and path[0].active.size == 0 and (path.relative_gaps <= 1e-9).all()
    for point in path[2:]:
        cold = solve(loss, X, y, patterns, point.beta, tol=1e-9)
        assert cold.objective == pytest.approx(point.objective, abs=cold.gap + point.gap)
        assert cold.loss == point.loss == loss


@pytest.mark.parametrize("loss", LOSSES)
def test_warm_start(loss):
    X, y, patterns = example(loss)
    beta = 0.02 * cvxrelu.beta_max(X, y, patterns, loss=loss, delta=DELTA)
    cold = solve(loss, X, y, patterns, beta)
    warm = solve(loss, X, y, patterns, beta, warm_start=cold)
    assert warm.n_iter == 1 and warm.objective == pytest.approx(cold.objective, rel=1e-12)
    wild = solve(loss, X, y, patterns, beta, warm_start=np.full_like(cold.coef, 1e8))
    assert wild.converged and wild.objective == pytest.approx(cold.objective, abs=wild.gap + cold.gap)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("ratio", [1e-5, 1e-7])
def test_tiny_penalties_and_huge_scores(loss, ratio):
    X, y, patterns = example(loss, n=40)
    beta = ratio * cvxrelu.beta_max(X, y, patterns, loss=loss, delta=DELTA)
    solution = solve(loss, X, y, patterns, beta, tol=1e-6)
    assert solution.converged and np.isfinite(solution.predict(X)).all()


@pytest.mark.parametrize("loss", ["logistic", "softmax"])
@pytest.mark.parametrize("scale", [1e-100, 1e-10, 1e10, 1e100])
def test_scale_of_the_data_and_of_the_weights(loss, scale):
    X, y, patterns = example(loss)
    beta = 0.05 * cvxrelu.beta_max(X, y, patterns, loss=loss)
    base = solve(loss, X, y, patterns, beta)
    scaled = solve(loss, scale * X, y, patterns, scale * beta)
    assert scaled.objective == pytest.approx(base.objective, rel=1e-7)
    weighted = solve(loss, X, y, patterns, scale * beta, sample_weight=np.full(len(y), scale))
    assert weighted.objective / scale == pytest.approx(base.objective, rel=1e-7)


def test_huber_scales_with_its_delta_and_becomes_squared():
    X, y, patterns = example("huber")
    beta = 0.05 * cvxrelu.beta_max(X, y, patterns, loss="huber", delta=DELTA)
    base = solve("huber", X, y, patterns, beta)
    scaled = solve("huber", X, 1e50 * y, patterns, 1e50 * beta, delta=1e50 * DELTA)
    assert scaled.objective / 1e100 == pytest.approx(base.objective, rel=1e-7)
    wide = solve("huber", X, y, patterns, beta, delta=1e6)
    squared = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-8)
    assert wide.objective == pytest.approx(squared.objective, abs=wide.gap + squared.gap)


def test_softmax_of_two_classes_is_logistic():
    X, y, patterns = example("logistic")
    both = np.stack([y < 0, y > 0], axis=1).astype(float)
    beta = 0.05 * cvxrelu.beta_max(X, y, patterns, loss="logistic")
    logistic = solve("logistic", X, y, patterns, beta)
    # The scores (-f/2, f/2) have blocks (-w/2, w/2) of Frobenius norm ||w|| / sqrt(2).
    softmax = solve("softmax", X, both, patterns, np.sqrt(2) * beta)
    assert softmax.objective == pytest.approx(logistic.objective, abs=softmax.gap + logistic.gap)


@pytest.mark.parametrize(("loss", "perfect"), [("logistic", 0.5), ("softmax", 1 / 3), ("huber", 0.0), ("poisson", 1.0)])
def test_where_the_loss_is_zero_at_zero(loss, perfect):
    X, y, patterns = example(loss)
    solution = solve(loss, X, np.full_like(y, perfect), patterns, 1.0)
    assert solution.converged and solution.active.size == 0
    assert (solution.gap, solution.relative_gap) == (pytest.approx(0, abs=1e-13), pytest.approx(0, abs=1e-3))


@pytest.mark.parametrize("loss", LOSSES)
def test_float32_is_certified_as_returned(loss):
    X, y, patterns = example(loss)
    X, y = X.astype(np.float32), y.astype(np.float32)
    patterns = cvxrelu.sample_patterns(X, gates=patterns.gates)
    beta = 0.05 * cvxrelu.beta_max(X, y, patterns, loss=loss, delta=DELTA)
    solution = solve(loss, X, y, patterns, beta, tol=1e-5)
    assert solution.blocks.dtype == np.float32 and solution.converged
    Y = columns(np.where(y > 0, 1.0, 0.0) if loss == "logistic" else y.astype(float))
    W = solution.coef.astype(float).reshape(*solution.coef.shape[:2], -1)
    value = reference.objective(loss, X.astype(float), Y, patterns.to_dense(), W, beta, delta=DELTA)
    assert solution.objective == pytest.approx(value, rel=1e-9)


def test_callback_and_pickle():
    X, y, patterns = example("softmax")
    beta = 0.01 * cvxrelu.beta_max(X, y, patterns, loss="softmax")
    seen = []
    solution = solve("softmax", X, y, patterns, beta, callback=lambda state: seen.append(state))
    assert [state["iteration"] for state in seen] == list(range(seen[0]["iteration"], seen[0]["iteration"] + len(seen)))
    assert seen[-1]["relative_gap"] <= 1e-8
    for state in seen:
        assert state["objective"] - solution.objective <= state["gap"] * (1 + 1e-9)
    assert pickle.loads(pickle.dumps(solution)).loss == "softmax"
    stopped = solve("softmax", X, y, patterns, beta, callback=lambda state: True)
    assert not stopped.converged and stopped.gap > 0


@pytest.mark.parametrize(
    ("loss", "change", "message"),
    [
        ("other", lambda y: y, r"loss must be one of squared, logistic, .*, not 'other'"),
        ("logistic", lambda y: np.r_[2.0, y[1:]], r"the logistic loss needs labels -1 and \+1.* but y\[0\] is 2"),
        ("logistic", lambda y: np.r_[0.5, -1.0, y[2:]], r"but y\[1\] is -1"),
        ("softmax", lambda y: y[:, 0], "one-hot rows, with 2 classes or more"),
        ("softmax", lambda y: 2 * y, r"rows that sum to 1, but those of y\[0\] sum to 2"),
        ("softmax", lambda y: y - 1.0 / 3, r"but y\[0, \d\] is -0.33"),
        ("poisson", lambda y: np.r_[y[:3], -1.0, y[4:]], r"counts that are not negative, but y\[3\] is -1"),
    ],
)
def test_targets_that_are_refused(loss, change, message):
    X, y, patterns = example(loss if loss in LOSSES else "huber")
    with pytest.raises(ValueError, match=message):
        solve(loss, X, change(y), patterns, 1.0)


def test_settings_that_are_refused():
    X, y, patterns = example("huber")
    with pytest.raises(ValueError, match="delta must be finite and above 0"):
        solve("huber", X, y, patterns, 1.0, delta=0.0)


def test_ctrl_c_is_heard():
    X, y, patterns = example("softmax", n=3000, d=15, p=400)
    beta = 1e-5 * cvxrelu.beta_max(X, y, patterns, loss="softmax")
    with press_ctrl_c_after(0.5) as state, pytest.raises(KeyboardInterrupt):
        solve("softmax", X, y, patterns, beta, tol=1e-12)
    assert state.seconds_until_caught < SECONDS_TO_HEAR_CTRL_C


def test_rows_in_chunks_are_for_the_squared_loss():
    X, y, _ = example("logistic")
    chunks = RowChunks([X[:60], X[60:]])
    patterns = cvxrelu.sample_patterns(chunks, 20, random_state=0)
    with pytest.raises(ValueError, match=r"rows in chunks need loss=.squared., not 'logistic'"):
        cvxrelu.solve_gated(chunks, y, patterns, 1.0, loss="logistic")


def test_huber_takes_newton_steps_until_they_stall():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 10))
    y = np.maximum(X @ rng.standard_normal((10, 10)) / np.sqrt(10), 0) @ rng.standard_normal(10)
    y += 0.1 * rng.standard_t(2, 300)
    patterns = cvxrelu.sample_patterns(X, 100, random_state=0)
    # Most residuals are within the first delta; at the second all but as many as there are coefficients are beyond.
    for delta, most in ((1.0, 50), (1e-3, 250)):
        beta = 0.01 * cvxrelu.beta_max(X, y, patterns, loss="huber", delta=delta)
        found = cvxrelu.solve_gated(X, y, patterns, beta, loss="huber", delta=delta)
        assert found.converged
        assert found.n_newton <= most
