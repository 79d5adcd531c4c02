"""Rows in chunks: the same certified answers as in memory."""

import dataclasses
import itertools
import warnings

import cvxrelu
import numpy as np
import pytest
from cvxrelu.base.bounds import masked_norm_bound, sums_of_rows
from cvxrelu.gated.passes import PassesProgram
from cvxrelu.gated.problem import GatedData, Penalty, Stopping
from cvxrelu.rows.chunks import RowChunks
from strategies import many_rows

N, D, P = 3000, 5, 40


@pytest.fixture(scope="module")
def problem():
    X, y, patterns = many_rows(N, D, P)
    beta = 0.03 * cvxrelu.beta_max(X, y, patterns)
    return X, y, patterns, beta, cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-9)


def certified(X, y, patterns, solution, weights=None):
    """Objective and gap of a solution from its coefficients and its dual point, in plain NumPy."""
    masks = patterns.to_dense().astype(float)
    weights = np.ones(len(X)) if weights is None else weights
    residual = y - np.einsum("np,nd,pd->n", masks, X, solution.coef)
    assert np.linalg.norm(np.einsum("np,nd,n->pd", masks, X, solution.dual), axis=1).max() <= solution.beta * (1 + 1e-9)
    primal = 0.5 * weights @ residual**2 + solution.beta * np.linalg.norm(solution.coef, axis=1).sum()
    dual = y @ solution.dual - 0.5 * solution.dual @ (solution.dual / weights)
    return primal, primal - dual


def as_memmap(tmp_path, X):
    np.save(tmp_path / "X.npy", X)
    return np.load(tmp_path / "X.npy", mmap_mode="r")


def in_chunks(X):
    cuts = [0, 7, 7, 900, 901, 2200, len(X)]  # uneven, and one without rows
    return RowChunks([X[a:b] for a, b in itertools.pairwise(cuts)])


def from_functions(X):
    return RowChunks([lambda a=a: X[a : a + 500] for a in range(0, len(X), 500)], masks="recompute")


@pytest.mark.parametrize("kind", ["memmap", "chunks", "functions"])
def test_solutions_are_those_in_memory(problem, tmp_path, kind):
    X, y, patterns, beta, reference = problem
    rows = {
        "memmap": lambda: as_memmap(tmp_path, X),
        "chunks": lambda: in_chunks(X),
        "functions": lambda: from_functions(X),
    }[kind]()
    solution = cvxrelu.solve_gated(rows, y, patterns, beta, tol=1e-8)
    assert solution.converged
    assert solution.objective == pytest.approx(reference.objective, rel=1e-9)
    primal, gap = certified(X, y, patterns, solution)
    assert primal == pytest.approx(solution.objective, rel=1e-12)
    assert gap <= solution.gap + 1e-9 * primal
    np.testing.assert_allclose(solution.predict(rows), reference.predict(X), atol=1e-4)
    assert solution.predict(rows).shape == (N,)
    assert solution.n_subsampled > 0 and solution.solver == "auto"


def test_a_sample_that_is_too_small_costs_passes_not_the_answer(problem):
    X, y, patterns, beta, reference = problem
    program = PassesProgram(GatedData.checked(in_chunks(X), y, patterns), Penalty(), subsample_size=700)
    objectives = []
    stopping = Stopping(1e-7, 100, callback=lambda state: objectives.append(state["objective"]))
    (solution,), _ = program.path(np.array([beta]), None, stopping)
    assert program.model.n_rows < 1000
    assert solution.converged and len(objectives) > 4
    assert solution.objective == pytest.approx(reference.objective, rel=1e-8)


def test_hopeless_samples_end_with_a_warning_and_the_true_gap(problem):
    X, y, patterns, beta, reference = problem
    with pytest.warns(cvxrelu.ConvergenceWarning, match="passes over the rows"):
        solution = cvxrelu.solve_gated(in_chunks(X), y, patterns, beta, tol=1e-9, max_iter=3)
    assert not solution.converged
    assert solution.objective - solution.gap <= reference.objective <= solution.objective


def test_weights_groups_ridge_and_several_outputs(problem):
    X, y, patterns, beta, _ = problem
    rng = np.random.default_rng(1)
    settings = {
        "sample_weight": rng.integers(0, 3, N).astype(float),
        "group_weights": rng.uniform(0.5, 2, len(patterns)),
        "ridge": 3.0,
    }
    Y = np.stack([y, np.sin(X[:, 0]), X[:, 1]], axis=1)
    reference = cvxrelu.solve_gated(X, Y, patterns, beta, tol=1e-9, **settings)
    solution = cvxrelu.solve_gated(in_chunks(X), Y, patterns, beta, tol=1e-9, **settings)
    assert solution.objective == pytest.approx(reference.objective, rel=1e-9)
    assert solution.coef.shape == reference.coef.shape == (len(patterns), D, 3)
    assert solution.dual.shape == (N, 3)
    for rows in (X, in_chunks(X)):
        weights = {key: settings[key] for key in ("sample_weight", "group_weights")}
        assert cvxrelu.beta_max(rows, Y, patterns, **weights) == pytest.approx(
            cvxrelu.beta_max(X, Y, patterns, **weights), rel=1e-12
        )


def test_the_certificate_holds_with_weights(problem):
    X, y, patterns, beta, _ = problem
    weights = np.random.default_rng(2).uniform(0.5, 2, N)
    solution = cvxrelu.solve_gated(in_chunks(X), y, patterns, beta, sample_weight=weights)
    primal, gap = certified(X, y, patterns, solution, weights)
    assert primal == pytest.approx(solution.objective, rel=1e-12)
    assert gap <= solution.gap + 1e-9 * primal


def test_float32_rows_are_certified_as_returned(problem):
    X, y, patterns, beta, _ = problem
    X32, y32 = X.astype(np.float32), y.astype(np.float32)
    solution = cvxrelu.solve_gated(in_chunks(X32), y32, patterns, beta, tol=1e-5)
    assert solution.coef.dtype == np.float32
    exact = dataclasses.replace(solution, blocks=solution.blocks.astype(float))
    primal, gap = certified(X32.astype(float), y32.astype(float), patterns, exact)
    assert primal == pytest.approx(solution.objective, rel=1e-12)
    assert gap <= solution.gap + 1e-9 * primal


def test_integers_that_float64_rounds_are_named():
    ids = np.array([[1, 2], [3, 2**53], [2**53 + 1, 4], [5, -(2**63)]])
    with pytest.raises(ValueError, match="row 0 of chunk 1 of X, row 2 of all, has 9007199254740993 in column 0"):
        cvxrelu.sample_patterns(RowChunks([ids[:2], ids[2:]]), 3, random_state=0)
    held = np.delete(ids, 2, axis=0)
    drawn = cvxrelu.sample_patterns(RowChunks([held[:2], held[2:]]), 3, random_state=0)
    assert drawn.n_samples == 3


def test_float32_rows_reach_what_float32_arrays_reach(problem):
    X, y, patterns, beta, _ = problem
    X32, y32 = X.astype(np.float32), y.astype(np.float32)
    with warnings.catch_warnings():
        # Rounding may leave a little more than the tolerance, here and there.
        warnings.simplefilter("ignore", cvxrelu.ConvergenceWarning)
        whole = cvxrelu.solve_gated(X32, y32, patterns, beta, tol=1e-9)
        solution = cvxrelu.solve_gated(in_chunks(X32), y32, patterns, beta, tol=1e-9)
    assert whole.relative_gap < 1e-8 and solution.relative_gap < 1e-8
    assert solution.n_iter < 50
    exact = dataclasses.replace(solution, blocks=solution.blocks.astype(float))
    primal, gap = certified(X32.astype(float), y32.astype(float), patterns, exact)
    assert gap <= solution.gap + 1e-12 * primal


def test_paths(problem):
    X, y, patterns, *_ = problem
    reference = cvxrelu.gated_path(X, y, patterns, n_betas=6, tol=1e-9)
    path = cvxrelu.gated_path(in_chunks(X), y, patterns, n_betas=6, tol=1e-8)
    assert path.complete
    np.testing.assert_allclose(path.betas, reference.betas, rtol=1e-12)
    np.testing.assert_allclose(path.objectives, reference.objectives, rtol=1e-9)


def test_warm_starts_and_callbacks(problem):
    X, y, patterns, beta, reference = problem
    cold = cvxrelu.solve_gated(in_chunks(X), y, patterns, beta)
    warm = cvxrelu.solve_gated(in_chunks(X), y, patterns, beta, warm_start=reference)
    assert warm.n_iter == 1 < cold.n_iter
    states = []
    stopped = cvxrelu.solve_gated(
        in_chunks(X), y, patterns, beta, callback=lambda s: states.append(s) or len(states) == 2
    )
    assert [s["iteration"] for s in states] == [1, 2]
    assert stopped.n_iter == 2 and stopped.gap == states[1]["gap"]


def test_patterns_are_those_in_memory(problem, tmp_path):
    X, _, patterns, *_ = problem
    for rows in (as_memmap(tmp_path, X), in_chunks(X)):
        drawn = cvxrelu.sample_patterns(rows, P, random_state=0)
        np.testing.assert_array_equal(drawn.gates, patterns.gates)
        np.testing.assert_array_equal(drawn.counts, patterns.counts)
        np.testing.assert_array_equal(drawn.draw_pattern, patterns.draw_pattern)
        with pytest.raises(ValueError, match="rows in chunks"):
            drawn.to_dense()
    few = X[:20]
    merged = cvxrelu.sample_patterns(few, 400, random_state=1)
    in_two = cvxrelu.sample_patterns(RowChunks([few[:3], few[3:]]), 400, random_state=1)
    assert len(merged) < 400 and in_two.zero_count == merged.zero_count
    np.testing.assert_array_equal(in_two.counts, merged.counts)
    biased = np.hstack([few, np.ones((20, 1))])
    images = np.hstack([few, few, few, few, np.ones((20, 1))])
    for law in ("mixed", "balanced:0.3", "sparse:2", "pairs", f"patches:{2 * few.shape[1]}x2"):
        data = images if law.startswith("patches") else biased
        law = law + "x1x2" if law.startswith("patches") else law
        expected = cvxrelu.sample_patterns(data, 50, gates=law, random_state=1)
        chunked = cvxrelu.sample_patterns(RowChunks([data[:7], data[7:]]), 50, gates=law, random_state=1)
        assert chunked.n_draws == 50
        np.testing.assert_array_equal(chunked.draws, expected.draws)


@pytest.mark.parametrize("form", ["beta", "simplex"])
def test_kernel_learning_in_the_primal(problem, form):
    X, y, patterns, beta, _ = problem
    penalty = beta if form == "beta" else 1.0
    reference = cvxrelu.solve_mkl(X, y, patterns, penalty, form=form, max_iter=0, tol=1e-8)
    solution = cvxrelu.solve_mkl(in_chunks(X), y, patterns, penalty, form=form, tol=1e-8)
    assert solution.converged
    assert solution.objective == pytest.approx(reference.objective, rel=1e-7)
    assert solution.eta.sum() == pytest.approx(reference.eta.sum(), rel=1e-3)


def test_certificates_of_networks_too_large_to_bring_here(problem, monkeypatch):
    X, y, patterns, beta, _ = problem
    monkeypatch.setattr("cvxrelu.relu.certify_rows._GATHERED_BYTES", 0)
    rng = np.random.default_rng(3)
    network = (rng.standard_normal((3, D)), rng.standard_normal(3))
    exact = cvxrelu.certify(X[:40], y[:40], network, 5.0)
    bounded = cvxrelu.certify(RowChunks([X[:9], X[9:40]]), y[:40], network, 5.0)
    assert bounded.scope == "all patterns" and not bounded.exact
    assert bounded.upper_bound == pytest.approx(exact.upper_bound, rel=1e-12)
    assert bounded.lower_bound <= exact.lower_bound * (1 + 1e-9)
    assert bounded.dual_norm == pytest.approx(
        masked_norm_bound(
            *sums_of_rows((y[:40] - np.maximum(X[:40] @ network[0].T, 0) @ network[1])[:, None] * X[:40])
        ),
        rel=1e-9,
    )
    given = cvxrelu.certify(in_chunks(X), y, network, beta, patterns=patterns)
    priced = cvxrelu.certify(X, y, network, beta, patterns=patterns)
    assert given.scope == "given patterns" and given.lower_bound <= priced.lower_bound + 1e-9 * abs(priced.upper_bound)
    biased = cvxrelu.Network(rng.standard_normal((3, D + 1)), rng.standard_normal(3), bias=True)
    assert cvxrelu.certify(in_chunks(X), y, biased, 5.0).upper_bound == pytest.approx(biased.objective(X, y, 5.0))
    rows, best = in_chunks(X[:40]), cvxrelu.train_relu(X[:40], y[:40], 5.0, random_state=0).objective
    for size in (1e6, 1e12):
        far = cvxrelu.certify(rows, y[:40], (size * network[0], size * network[1]), 5.0)
        assert 0 <= far.lower_bound <= best and far.gap == pytest.approx(far.upper_bound, rel=1e-9)
    with pytest.raises(ValueError, match="so large that float64 does not hold"):
        cvxrelu.certify(rows, y[:40], (1e100 * network[0], 1e100 * network[1]), 5.0)
    with pytest.raises(ValueError, match=r"dual, .* are not for so many rows"):
        cvxrelu.certify(in_chunks(X), y, network, beta, dual=y)


@pytest.mark.slow
def test_rows_that_fit_are_priced_as_in_memory(problem):
    X, y, *_ = problem
    rows, few, targets = RowChunks([X[:9], X[9:40]]), X[:40], y[:40]
    solution = cvxrelu.train_relu(few, targets, 2.0, random_state=0)
    network = solution.to_network()
    for settings in ({}, {"dual": solution.dual}):
        exact = cvxrelu.certify(few, targets, network, 2.0, **settings)
        certificate = cvxrelu.certify(rows, targets, network, 2.0, **settings)
        assert certificate.exact and certificate.scope == "all patterns"
        assert certificate.gap == pytest.approx(exact.gap, rel=1e-6) and certificate.relative_gap < 1e-5
    drawn = cvxrelu.sample_patterns(rows, 30, random_state=0)
    priced = cvxrelu.certify(rows, targets, network, 2.0, patterns=drawn)
    expected = cvxrelu.certify(few, targets, network, 2.0, patterns=cvxrelu.sample_patterns(few, gates=drawn.gates))
    assert priced.exact and priced.lower_bound == pytest.approx(expected.lower_bound, rel=1e-12)
    layers, Y = (network.W1, np.stack([network.w2, -network.w2], axis=1)), np.stack([targets, -targets], axis=1)
    far = cvxrelu.certify(rows, targets, (1e160 * network.W1, 1e160 * network.w2), 2.0)
    assert far.upper_bound == far.gap == np.inf and 0 < far.lower_bound <= solution.objective
    several = cvxrelu.certify(rows, Y, layers, 2.0)
    assert several.lower_bound == pytest.approx(cvxrelu.certify(few, Y, layers, 2.0).lower_bound, rel=1e-9)


def test_bad_rows_are_named(problem, tmp_path):
    X, y, patterns, beta, _ = problem
    bad = X.copy()
    bad[950, 3] = np.nan
    with pytest.raises(ValueError, match=r"row 49 of chunk 4, row 950 of all, has nan in column 3"):
        cvxrelu.solve_gated(in_chunks(bad), y, patterns, beta)
    with pytest.raises(ValueError, match=r"row 950 of chunk 0, row 950 of all"):
        cvxrelu.solve_gated(RowChunks([bad], chunk_rows=64), y, patterns, beta)
    with pytest.raises(ValueError, match="chunk 1 of X must have shape"):
        RowChunks([X, X[:, :2]])
    with pytest.raises(ValueError, match="patterns belong to data of shape"):
        cvxrelu.solve_gated(RowChunks([X[:10]]), y[:10], patterns, beta)
    with pytest.raises(ValueError, match="y has 10 entries"):
        cvxrelu.solve_gated(in_chunks(X), y[:10], patterns, beta)
    with pytest.raises(ValueError, match="no rows"):
        RowChunks([X[:0]])
    with pytest.raises(ValueError, match="unpenalised"):
        cvxrelu.solve_gated(in_chunks(X), y, patterns, beta, unpenalised=np.ones((N, 1)))


def test_where_masks_are_kept(problem):
    X, y, patterns, *_ = problem
    for masks, used in (("auto", "disk"), ("disk", "disk"), ("recompute", "recompute")):
        rows = RowChunks([X[:1000], X[1000:]], masks=masks)
        cvxrelu.beta_max(rows, y, patterns)
        assert rows.masks_used == used


def test_memory_maps_are_read_whole_for_other_losses(problem, tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    X, y, *_ = problem
    rows, labels = as_memmap(tmp_path, X[:300]), y[:300] > np.median(y)
    settings = {"n_gates": 20, "random_state": 0}
    model = cvxrelu.GatedReLUClassifier(**settings).fit(rows, labels)
    np.testing.assert_array_equal(
        model.predict_proba(rows), cvxrelu.GatedReLUClassifier(**settings).fit(X[:300], labels).predict_proba(X[:300])
    )
    monkeypatch.setattr("cvxrelu.base.memory.machine_memory", lambda: 1000.0)
    with pytest.raises(MemoryError, match=r"a memory map .*, which loss='log_loss' reads whole.*loss=\"squared"):
        cvxrelu.GatedReLUClassifier(**settings).fit(rows, labels)


def test_estimators_take_memory_maps(problem, tmp_path):
    pytest.importorskip("sklearn")
    X, y, *_ = problem
    rows = as_memmap(tmp_path, X)
    settings = {"n_gates": 50, "gates": "gaussian", "random_state": 0, "beta_ratio": 0.05}
    plain = cvxrelu.GatedReLURegressor(**settings).fit(X, y)
    model = cvxrelu.GatedReLURegressor(**settings).fit(rows, y)
    assert model.objective_ == pytest.approx(plain.objective_, rel=1e-5)
    assert model.n_features_in_ == D
    np.testing.assert_allclose(model.predict(rows), plain.predict(X), atol=0.05)
    np.testing.assert_allclose(model.predict(X[:9]), model.predict(rows)[:9], rtol=1e-12)
    labels = np.where(y > np.quantile(y, 0.7), "high", np.where(y < np.median(y), "low", "middle"))
    for few in (labels, np.where(labels == "low", "low", "other")):
        plain = cvxrelu.GatedReLUClassifier(loss="squared", **settings).fit(X, few)
        model = cvxrelu.GatedReLUClassifier(loss="squared", **settings).fit(rows, few)
        assert (model.classes_ == plain.classes_).all()
        assert (model.predict(rows) == plain.predict(X)).mean() > 0.99
    with pytest.raises(ValueError, match="one class only"):
        cvxrelu.GatedReLUClassifier(**settings).fit(rows, np.ones(N))
    with pytest.raises(ValueError, match="X has 5 features, but GatedReLUClassifier is expecting 6"):
        cvxrelu.GatedReLUClassifier(**settings).fit(np.hstack([X, X[:, :1]]), few).predict(rows)


@pytest.mark.parametrize("scales", [(1.0, 1.0), (1e-100, 1e-80), (1e-120, 1e-120), (1e100, 1e-80), (1e80, 1e80)])
def test_bounds_by_sums_hold_at_every_scale(scales, monkeypatch):
    monkeypatch.setattr("cvxrelu.relu.certify_rows._GATHERED_BYTES", 0)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 2)), rng.standard_normal(30)
    (a, b), best = scales, cvxrelu.train_relu(X, y, 2.0, random_state=0).objective
    for seed in range(5):
        rng = np.random.default_rng(seed)
        layers = [np.sqrt(b) / np.sqrt(a) * rng.standard_normal(shape) for shape in ((3, 2), 3)]
        found = cvxrelu.certify(RowChunks([a * X[:9], a * X[9:]]), b * y, layers, 2.0 * a * b)
        assert 0 < found.lower_bound / b / b <= best
        expected = cvxrelu.certify(RowChunks([X]), y, [np.sqrt(a) / np.sqrt(b) * layer for layer in layers], 2.0)
        assert found.lower_bound / b / b == pytest.approx(expected.lower_bound, rel=1e-9)
        gates = np.random.default_rng(0).standard_normal((9, 2))
        patterns = cvxrelu.sample_patterns(RowChunks([a * X]), gates=gates)
        given = cvxrelu.certify(RowChunks([a * X]), b * y, layers, 2.0 * a * b, patterns=patterns)
        correlations = X.T @ (((X @ patterns.gates.T) >= 0) * (given.dual / b)[:, None])
        assert np.linalg.norm(correlations, axis=0).max() <= 2.0 * (1 + 1e-9)
