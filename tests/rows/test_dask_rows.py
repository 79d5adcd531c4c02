"""Rows on a cluster of worker processes: the same certified answers as in memory, whatever happens to the workers."""

import os
import signal
import subprocess
import sys
import threading
import time

import cvxrelu
import numpy as np
import pytest
from strategies import many_rows

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("default")  # what dask and its servers warn of is theirs

N, D, P = 4000, 5, 40
SIZES = (1000, 0, 700, 7, 2293)  # uneven, and one without rows


@pytest.fixture(scope="module")
def problem():
    X, y, patterns = many_rows(N, D, P)
    beta = 0.03 * cvxrelu.beta_max(X, y, patterns)
    return X, y, patterns, beta, cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-9)


def in_blocks(X, sizes=SIZES):
    return da.from_array(X).rechunk((sizes, *[-1] * (X.ndim - 1)))


def test_solutions_are_those_in_memory(problem, client):
    X, y, patterns, beta, reference = problem
    rows = in_blocks(X)
    drawn = cvxrelu.sample_patterns(rows, P, random_state=0)
    np.testing.assert_array_equal(drawn.gates, patterns.gates)
    assert cvxrelu.beta_max(rows, y, drawn) == pytest.approx(beta / 0.03, rel=1e-12)
    solution = cvxrelu.solve_gated(rows, in_blocks(y, (N // 2, N // 2)), drawn, beta, tol=1e-9)
    assert solution.converged
    assert solution.objective == pytest.approx(reference.objective, rel=1e-9)
    assert isinstance(solution.dual, da.Array)
    np.testing.assert_allclose(solution.dual.compute(), reference.dual, atol=1e-3)
    predicted = solution.predict(rows)
    assert isinstance(predicted, da.Array)
    np.testing.assert_allclose(predicted.compute(), reference.predict(X), atol=1e-4)
    path = cvxrelu.gated_path(rows, y, drawn, n_betas=3)
    np.testing.assert_allclose(path.objectives, cvxrelu.gated_path(X, y, patterns, n_betas=3).objectives, rtol=1e-5)


def test_gram_statistics_are_gathered_where_tasks_are_many(client):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, D))
    y = np.maximum(X @ rng.standard_normal((D, 4)), 0) @ rng.standard_normal(4) + 0.1 * rng.standard_normal(len(X))
    patterns = cvxrelu.sample_patterns(X, P, random_state=0)
    beta = 0.05 * cvxrelu.beta_max(X, y, patterns)
    reference = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-10)
    solution = cvxrelu.solve_gated(in_blocks(X, (500,) * 40), y, patterns, beta, tol=1e-9)
    assert "gram" in solution.inner_solvers and solution.converged
    assert solution.objective == pytest.approx(reference.objective, rel=1e-9)
    few = cvxrelu.solve_gated(in_blocks(X, (10_000,) * 2), y, patterns, beta, tol=1e-9)
    assert few.objective == pytest.approx(reference.objective, rel=1e-9)
    assert solution.n_iter < few.n_iter or "gram" in few.inner_solvers


def test_the_order_of_the_rows_does_not_matter(problem, client):
    X, y, patterns, beta, reference = problem
    order = np.random.default_rng(1).permutation(N)
    rows = in_blocks(X[order])
    solution = cvxrelu.solve_gated(rows, y[order], cvxrelu.sample_patterns(rows, gates=patterns.gates), beta, tol=1e-9)
    assert solution.objective == pytest.approx(reference.objective, rel=1e-9)


@pytest.mark.parametrize("law", ["balanced:0.3", "sparse:2", "patches:2x2x1x1"])
def test_laws_of_gates(law, client):
    rng = np.random.default_rng(0)
    X = np.hstack([rng.standard_normal((40, 4)), np.ones((40, 1))])
    drawn = cvxrelu.sample_patterns(in_blocks(X, (20,) * 2), 30, gates=law, random_state=1)
    np.testing.assert_array_equal(drawn.draws, cvxrelu.sample_patterns(X, 30, gates=law, random_state=1).draws)


def test_without_a_client_threads_do_the_work(problem):
    X, y, patterns, beta, reference = problem
    solution = cvxrelu.solve_gated(in_blocks(X), y, patterns, beta, tol=1e-9, sample_weight=np.ones(N))
    assert solution.objective == pytest.approx(reference.objective, rel=1e-9)


def test_data_frames(problem, client):
    pytest.importorskip("dask.dataframe")
    import pandas as pd
    from dask.dataframe import from_pandas

    X, y, patterns, beta, reference = problem
    frame = from_pandas(pd.DataFrame(X, columns=list("abcde")).assign(y=y), npartitions=3)
    solution = cvxrelu.solve_gated(frame[list("abcde")], frame["y"], patterns, beta, tol=1e-9)
    assert solution.objective == pytest.approx(reference.objective, rel=1e-9)


def test_a_worker_that_is_killed_changes_nothing(problem, cluster, client):
    X, y, patterns, beta, reference = problem
    calm = cvxrelu.solve_gated(in_blocks(X), y, patterns, beta, tol=1e-9)
    killed = []

    def kill_one(state):
        if state["iteration"] == 3:
            victim = next(iter(client.run(os.getpid).values()))
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    solution = cvxrelu.solve_gated(in_blocks(X), y, patterns, beta, tol=1e-9, callback=kill_one)
    assert killed and solution.n_iter > 3
    assert solution.objective == calm.objective == pytest.approx(reference.objective, rel=1e-9)
    np.testing.assert_array_equal(solution.coef, calm.coef)
    client.wait_for_workers(2, timeout=600)


def test_an_interrupt_takes_the_tasks_back(problem, cluster, client):
    X, y, patterns, beta, _ = problem

    def slow(block):
        time.sleep(0.5)
        return block

    rows = da.from_array(X, chunks=(100, D)).map_blocks(slow, dtype=float)
    timer = threading.Timer(1.0, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        cvxrelu.solve_gated(rows, y, patterns, beta)
    assert time.monotonic() - start < 3  # all rows would have taken 10 s
    deadline = time.monotonic() + 10
    while any(client.processing().values()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(client.processing().values())
    assert cvxrelu.beta_max(in_blocks(X), y, patterns) > 0


def test_kernels_are_blockwise(problem, client):
    X, *_ = problem
    few, other = X[:300], X[300:360]
    drawn = cvxrelu.sample_patterns(few, 30, random_state=0)
    rows, others = in_blocks(few, (100, 0, 150, 50)), in_blocks(other, (20, 40))
    eta = np.random.default_rng(1).uniform(0, 1, len(drawn))
    eta[3] = 0
    for lazy, plain in [
        (cvxrelu.ntk(rows), cvxrelu.ntk(few)),
        (cvxrelu.ntk(rows, others, kind="relu", depth=2), cvxrelu.ntk(few, other, kind="relu", depth=2)),
        (cvxrelu.ntk(rows, other, patterns=drawn), cvxrelu.ntk(few, other, patterns=drawn)),
        (cvxrelu.masking_kernel(rows, drawn, eta), cvxrelu.masking_kernel(few, drawn, eta)),
        (cvxrelu.masking_kernel(rows, drawn, eta, others), cvxrelu.masking_kernel(few, drawn, eta, other)),
        (
            cvxrelu.masking_kernel(rows, drawn, eta, others, at="cell-average", block="self"),
            cvxrelu.masking_kernel(few, drawn, eta, other, at="cell-average", block="self"),
        ),
    ]:
        assert isinstance(lazy, da.Array) and lazy.shape == plain.shape
        np.testing.assert_allclose(lazy.compute(), plain, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="refined"):
        cvxrelu.masking_kernel(rows, drawn, eta, others, at="refined")


def test_kernel_learning_and_certificates(problem, client):
    X, y, patterns, beta, reference = problem
    solution = cvxrelu.solve_mkl(in_blocks(X), y, patterns, beta, tol=1e-8)
    assert solution.objective == pytest.approx(reference.objective, rel=1e-8)
    network = (np.eye(D)[:3], np.ones(3))
    bounded = cvxrelu.certify(in_blocks(X), in_blocks(y), network, beta, max_nodes=10)
    assert bounded.upper_bound == pytest.approx(cvxrelu.Network(*network).objective(X, y, beta))
    assert bounded.lower_bound < bounded.upper_bound
    few = cvxrelu.train_relu(X[:40], y[:40], 2.0, random_state=0).to_network()
    priced = cvxrelu.certify(in_blocks(X[:40], (15, 0, 25)), in_blocks(y[:40], (30, 10)), few, 2.0)
    assert priced.exact and priced.scope == "all patterns" and priced.relative_gap < 1e-5


def test_bad_input_is_one_clear_sentence(problem, client):
    X, y, patterns, beta, _ = problem
    with pytest.raises(ValueError, match=r"chunked along features into 3 parts.*rechunk\(\{1: -1\}\)"):
        cvxrelu.solve_gated(da.from_array(X, chunks=(1000, 2)), y, patterns, beta)
    unknown = in_blocks(X)
    unknown = unknown[unknown[:, 0] > 0]
    with pytest.raises(ValueError, match=r"unknown sizes: call X.compute_chunk_sizes\(\)"):
        cvxrelu.beta_max(unknown, y, patterns)
    bad = X.copy()
    bad[1750, 2] = np.inf
    with pytest.raises(ValueError, match="row 43 of chunk 4, row 1750 of all, has inf in column 2"):
        cvxrelu.solve_gated(in_blocks(bad), y, patterns, beta)
    targets = y.copy()
    targets[1750] = np.nan
    with pytest.raises(ValueError, match=r"y\[1750\] is nan"):
        cvxrelu.solve_gated(in_blocks(X), in_blocks(targets), patterns, beta)
    with pytest.raises(ValueError, match="y has shape"):
        cvxrelu.solve_gated(in_blocks(X), y[:-1], patterns, beta)
    with pytest.raises(ValueError, match=r"sample_weight\[2\] is -1"):
        cvxrelu.solve_gated(in_blocks(X), y, patterns, beta, sample_weight=np.where(np.arange(N) == 2, -1.0, 1.0))


@pytest.mark.slow
def test_a_cluster_without_the_package_is_told_apart(tmp_path):
    code = """
import sys, numpy as np, dask.array as da, distributed
def main():
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as cluster:
        with distributed.Client(cluster) as client:
            client.run(hide)
            import cvxrelu
            cvxrelu.sample_patterns(da.ones((10, 2)), 3)
def hide():
    import sys
    sys.modules["cvxrelu"] = None
if __name__ == "__main__":
    main()
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    result = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert "cvxrelu is not installed on 1 nodes of the cluster: tcp://" in result.stderr


def test_estimators_take_collections(problem, client):
    pytest.importorskip("sklearn")
    X, y, *_ = problem
    settings = {"n_gates": 50, "gates": "gaussian", "random_state": 0, "beta_ratio": 0.05}
    plain = cvxrelu.GatedReLURegressor(**settings).fit(X, y)
    model = cvxrelu.GatedReLURegressor(**settings).fit(in_blocks(X), in_blocks(y))
    assert model.objective_ == pytest.approx(plain.objective_, rel=1e-5)
    predicted = model.predict(in_blocks(X))
    assert isinstance(predicted, da.Array)
    np.testing.assert_allclose(predicted.compute(), plain.predict(X), atol=0.05)
    labels = np.digitize(y, np.quantile(y, [0.3, 0.6]))
    for few in (labels, labels > 1):
        classifier = cvxrelu.GatedReLUClassifier(loss="squared", **settings).fit(in_blocks(X), in_blocks(few))
        plain = cvxrelu.GatedReLUClassifier(loss="squared", **settings).fit(X, few)
        assert (classifier.predict(in_blocks(X)).compute() == plain.predict(X)).mean() > 0.99
    with pytest.raises(ValueError, match="dask collections need loss=\"squared\", not 'log_loss'"):
        cvxrelu.GatedReLUClassifier().fit(in_blocks(X), in_blocks(labels))


def test_estimators_that_need_all_rows_bring_them_here(problem, client, monkeypatch):
    pytest.importorskip("sklearn")
    X, y = problem[0][:60], problem[1][:60]
    labels = np.digitize(y, np.quantile(y, [0.3, 0.6]))
    rows, sizes = in_blocks(X, (20, 0, 25, 15)), (30, 30)
    for kind, settings in [
        (cvxrelu.NTKRegressor, {}),
        (cvxrelu.NTKRegressorCV, {"n_betas": 3}),
        (cvxrelu.MKLRegressor, {"random_state": 0}),
        (cvxrelu.ReLURegressor, {"random_state": 0, "certificate": "given patterns"}),
        (cvxrelu.NTKClassifier, {}),
        (cvxrelu.ReLUClassifier, {"random_state": 0, "certificate": "given patterns"}),
    ]:
        target = labels if kind.__name__.endswith("Classifier") else y
        plain = kind(**settings).fit(X, target, sample_weight=np.ones(60))
        weights = da.ones(60, chunks=7)
        model = kind(**settings).fit(rows, in_blocks(target, sizes), sample_weight=weights)
        predicted = model.predict(rows)
        assert isinstance(predicted, da.Array) and predicted.shape == (60,)
        np.testing.assert_allclose(predicted.compute(), plain.predict(X), rtol=1e-7, atol=1e-7)
    monkeypatch.setattr("cvxrelu.estimators.rows.machine_memory", lambda: 1000.0)
    with pytest.raises(MemoryError, match="needs all rows in one place"):
        cvxrelu.NTKRegressor().fit(rows, y)


def _beside_floats(dtype):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"id": np.arange(20) % 7, "x": np.linspace(-1.0, 1.0, 20)}).astype({"id": dtype})
    frame.loc[13, "id"] = 2**53 + 1
    return pytest.importorskip("dask.dataframe").from_pandas(frame, npartitions=4)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "Int64"])
def test_integers_of_a_frame_that_float64_rounds_are_refused(dtype):
    frame = _beside_floats(dtype)
    with pytest.raises(ValueError, match=r"a partition of X\[3, 0\] is 9007199254740993"):
        cvxrelu.sample_patterns(frame, 4, random_state=0)
    with pytest.raises(ValueError, match=r"is 9007199254740993, an integer that float64 rounds"):
        cvxrelu.GatedReLURegressor().fit(frame[["x"]], frame["id"])


def test_masked_entries_of_chunks_and_of_their_targets_are_refused():
    X = np.random.default_rng(0).standard_normal((20, 2))
    masked = np.ma.masked_greater(X, 1.2)
    assert masked.mask[:12].any()
    for rows in (da.from_array(masked, chunks=(5, 2)), cvxrelu.RowChunks([lambda: masked[:12], lambda: masked[12:]])):
        with pytest.raises(ValueError, match="of X has masked entries"):
            cvxrelu.sample_patterns(rows, 4, random_state=0)
    targets = np.ma.masked_greater(X[:, 0], 1.0)
    for y in (targets, da.from_array(targets, chunks=5)):
        with pytest.raises(ValueError, match="has masked entries"):
            cvxrelu.GatedReLURegressor().fit(da.from_array(X, chunks=(5, 2)), y)
