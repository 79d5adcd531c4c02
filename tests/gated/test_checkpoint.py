"""Checkpoints of paths: resumed to the same numbers, refused when they are not whole."""

import concurrent.futures
import multiprocessing
import os
import signal

import cvxrelu
import numpy as np
import pytest
import threadpoolctl
from cvxrelu.base.checkpoint_file import CheckpointFile
from cvxrelu.rows.chunks import RowChunks

BETAS = 6


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 3))
    y = np.abs(X[:, 0]) + 0.1 * rng.standard_normal(len(X))
    patterns = cvxrelu.sample_patterns(X, 20, random_state=0)
    return X, y, patterns


def path(problem, checkpoint, **settings):
    X, y, patterns = problem
    return cvxrelu.gated_path(X, y, patterns, n_betas=BETAS, checkpoint=checkpoint, n_threads=1, **settings)


def stop_in_point(number):
    """A callback that presses Ctrl-C when point `number` begins."""
    starts = []

    def callback(state):
        if state["iteration"] == 1:
            starts.append(1)
        if len(starts) == number:
            raise KeyboardInterrupt

    return callback


def same(left, right):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a.coef, b.coef)
        np.testing.assert_array_equal(a.dual, b.dual)
        np.testing.assert_array_equal(a.unpenalised_coef, b.unpenalised_coef)
        assert (a.objective, a.gap, a.n_iter, a.converged, a.beta) == (
            b.objective,
            b.gap,
            b.n_iter,
            b.converged,
            b.beta,
        )


def test_a_path_goes_on_where_it_was_interrupted(problem, tmp_path):
    whole = path(problem, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        path(problem, tmp_path / "part", callback=stop_in_point(4))
    states = []
    resumed = path(problem, tmp_path / "part", callback=states.append)
    assert len(states) < sum(point.n_iter for point in whole)
    same(resumed, whole)
    same(path(problem, tmp_path / "part"), whole)  # nothing is left to do
    X, y, patterns = problem
    plain = cvxrelu.gated_path(X, y, patterns, n_betas=BETAS)
    np.testing.assert_allclose(whole.objectives, plain.objectives, rtol=1e-5)


def test_rows_in_chunks(problem, tmp_path):
    X, y, patterns = problem
    chunked = (RowChunks([X[:900], X[900:]]), y, patterns)
    whole = path(chunked, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        path(chunked, tmp_path / "part", callback=stop_in_point(3))
    same(path(chunked, tmp_path / "part"), whole)


def test_float32_rows(problem, tmp_path):
    X, y, patterns = problem
    single = (X.astype(np.float32), y.astype(np.float32), patterns)
    whole = path(single, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        path(single, tmp_path / "part", callback=stop_in_point(3))
    same(path(single, tmp_path / "part"), whole)
    assert whole[0].coef.dtype == np.float32 and (whole.relative_gaps <= 1e-6).all()


@pytest.mark.parametrize("form", ["array", "chunks", "float32", "dask"])
def test_an_intercept_goes_on_too(problem, tmp_path, form):
    X, y, patterns = (problem[0][:6000], problem[1][:6000] + 50, cvxrelu.sample_patterns(problem[0][:6000], 20))
    given = (X, y, patterns)
    if form == "chunks":
        given = (RowChunks([X[:900], X[900:]]), y, patterns)
    elif form == "float32":
        given = (X.astype(np.float32), y.astype(np.float32), patterns)
    elif form == "dask":
        da = pytest.importorskip("dask.array")
        given = (da.from_array(X, chunks=(2500, 3)), da.from_array(y, chunks=2500), patterns)
    whole = path(given, tmp_path / "whole", unpenalised="intercept")
    with pytest.raises(KeyboardInterrupt):
        path(given, tmp_path / "part", unpenalised="intercept", callback=stop_in_point(4))
    resumed = path(given, tmp_path / "part", unpenalised="intercept")
    same(resumed, whole)
    same(path(given, tmp_path / "part", unpenalised="intercept"), whole)
    plain = cvxrelu.gated_path(X, y, patterns, n_betas=BETAS, unpenalised="intercept")
    np.testing.assert_allclose(whole.objectives, plain.objectives, rtol=1e-5)
    np.testing.assert_array_equal(resumed[1].to_network().predict(X[:9]), whole[1].to_network().predict(X[:9]))
    assert abs(resumed[1].unpenalised_coef[0] - 50) < 5
    with pytest.raises(ValueError, match="belongs to another problem: its intercept"):
        path(given, tmp_path / "part", betas=whole.betas)


def test_other_unpenalised_columns_have_no_checkpoint(problem, tmp_path):
    with pytest.raises(ValueError, match="not available with unpenalised columns other than an intercept"):
        path(problem, tmp_path / "file", unpenalised=problem[0][:, :1])


def _be_killed(problem, file):
    def callback(state):
        if file.with_name("file.previous").exists():
            os.kill(os.getpid(), signal.SIGKILL)

    path(problem, file, callback=callback)


def test_a_process_that_is_killed(problem, tmp_path, monkeypatch):
    file = tmp_path / "file"
    # NumPy's BLAS sums in an order that depends on its threads; another test may have changed those of this process.
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    process = multiprocessing.get_context("spawn").Process(target=_be_killed, args=(problem, file))
    process.start()
    process.join(600)
    assert process.exitcode == -signal.SIGKILL
    with threadpoolctl.threadpool_limits(1):
        same(path(problem, file), path(problem, tmp_path / "whole"))


def test_a_file_that_is_cut_off_is_refused_and_the_one_before_loads(problem, tmp_path):
    file = tmp_path / "file"
    whole = path(problem, file)
    data = file.read_bytes()
    for size in (0, 10, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"cut off, damaged or not a checkpoint.*the one before is whole"):
            path(problem, file)
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    file.write_bytes(bytes(flipped))
    with pytest.raises(ValueError, match="cut off, damaged"):
        path(problem, file)
    os.replace(tmp_path / "file.previous", file)
    same(path(problem, file), whole)


def test_a_checkpoint_of_another_problem_is_refused(problem, tmp_path):
    X, y, patterns = problem
    rng = np.random.default_rng(1)
    group_weights, sample_weight = rng.uniform(1, 2, len(patterns)), rng.uniform(1, 2, len(X))
    settings = {"group_weights": group_weights, "sample_weight": sample_weight, "ridge": 0.1}
    settings["betas"] = cvxrelu.beta_max(X, y, patterns, sample_weight=sample_weight) * np.array([0.5, 0.3])
    path(problem, tmp_path / "file", **settings)
    # Each leaves ||X||, ||y||, beta_max and the sum of the group weights as they are, where that is possible.
    order = rng.permutation(len(X))
    for other, name in [
        ((X, -y, patterns), "targets"),
        ((-X, y, patterns), "samples"),
        ((X, y, patterns[::-1]), "gates"),
    ]:
        with pytest.raises(ValueError, match=f"belongs to another problem: its {name}"):
            path(other, tmp_path / "file", **settings)
    for change, name in [
        ({"group_weights": group_weights[::-1]}, "group weights"),
        ({"sample_weight": sample_weight[order]}, "sample weights"),
        ({"ridge": 0.2}, "ridge"),
        ({"betas": 0.9 * settings["betas"]}, "betas"),
        ({"tol": 1e-8}, "tol"),
        ({"warm_start": np.ones((len(patterns), 3))}, "coefficients to start from"),
    ]:
        with pytest.raises(ValueError, match=f"belongs to another problem: its {name}"):
            path(problem, tmp_path / "file", **settings | change)


@pytest.mark.parametrize("change", ["NaN", "missing", "added"])
def test_a_file_that_was_edited_is_refused_by_the_name_of_what_is_wrong(problem, tmp_path, change):
    file = tmp_path / "file"
    path(problem, file)
    with np.load(file) as archive:
        arrays = dict(archive)
    if change == "NaN":
        arrays["2_dual"][7] = np.nan
    elif change == "missing":
        del arrays["2_dual"]
    else:
        arrays["9_dual"] = np.zeros(3)
    with open(file, "wb") as stream:
        np.savez(stream, **arrays)
    name, what = ("9_dual", "not what was written") if change == "added" else ("2_dual", "is missing|is not what")
    with pytest.raises(ValueError, match=f"has been edited: its '{name}' .*({what})"):
        path(problem, file)


def test_threads_on_one_file(problem, tmp_path):
    X, y = (part[:2000] for part in problem[:2])
    patterns = cvxrelu.sample_patterns(X, 20, random_state=0)
    file = tmp_path / "file"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: path((X, y, patterns), file), range(8)))
    for other in paths:
        same(other, paths[0])
    same(path((X, y, patterns), file), paths[0])
    assert {entry.name for entry in tmp_path.iterdir()} == {"file", "file.previous"}


def _save_often(file, seed):
    checkpoint = CheckpointFile(file, "path", {"seed": "0"})
    for k in range(100):
        checkpoint.save({"a": np.full(1000, seed), "b": np.arange(k)})
        assert np.ptp(checkpoint.load()["a"]) == 0


def test_processes_on_one_file(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_save_often, args=(tmp_path / "file", seed)) for seed in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(600)
    assert [process.exitcode for process in processes] == [0] * 4
    assert {entry.name for entry in tmp_path.iterdir()} == {"file", "file.previous"}


def test_nothing_is_left_beside_the_file_when_writing_fails(problem, tmp_path, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        path(problem, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def network_problem():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    return X, np.abs(X[:, 0]) + 0.1 * rng.standard_normal(60)


def generate(problem, checkpoint, beta=0.3, **settings):
    return cvxrelu.train_relu(*problem, beta, random_state=0, checkpoint=checkpoint, n_threads=1, **settings)


def test_a_column_generation_goes_on_where_it_was_interrupted(network_problem, tmp_path):
    file = tmp_path / "file"
    whole = cvxrelu.train_relu(*network_problem, 0.3, random_state=0, n_threads=1)
    assert whole.n_rounds > 2

    def interrupt(state):
        if file.with_name("file.previous").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(network_problem, file, callback=interrupt)
    states = []
    resumed = generate(network_problem, file, callback=lambda state: states.append(state) or False)
    assert resumed.converged and resumed.scope == "all patterns"
    assert resumed.objective == pytest.approx(whole.objective, abs=2 * whole.gap + 2 * resumed.gap)
    # It began with the network of the file, not from nothing.
    assert states[0]["objective"] < 0.5 * 0.5 * network_problem[1] @ network_problem[1]
    assert resumed.n_rounds > 2
    again = generate(network_problem, file)
    assert again.objective == pytest.approx(resumed.objective, rel=1e-9)


def test_a_network_of_the_file_has_its_intercept(network_problem, tmp_path):
    file = tmp_path / "file"
    whole = generate(network_problem, file, unpenalised="intercept")
    again = generate(network_problem, file, unpenalised="intercept", callback=lambda _: True)
    np.testing.assert_allclose(again.unpenalised_coef, whole.unpenalised_coef, rtol=1e-6)
    assert again.to_network().output_bias == again.unpenalised_coef[0]
    with pytest.raises(ValueError, match="belongs to another problem: its"):
        generate(network_problem, file)
    settings = {"n_betas": 3, "unpenalised": "intercept", "random_state": 0, "checkpoint": tmp_path / "path"}
    path, loaded = (cvxrelu.relu_path(*network_problem, certificate="given patterns", **settings) for _ in range(2))
    for a, b in zip(path, loaded, strict=True):
        np.testing.assert_array_equal(a.unpenalised_map, b.unpenalised_map)
        np.testing.assert_array_equal(a.unpenalised_coef, b.unpenalised_coef)


def test_checkpoints_of_networks_are_whole_and_of_their_problem(network_problem, tmp_path):
    X, y = network_problem
    file = tmp_path / "file"
    solution = generate(network_problem, file)
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="cut off, damaged or not a checkpoint of a generation; the one before is"):
        generate(network_problem, file)
    os.replace(tmp_path / "file.previous", file)
    assert generate(network_problem, file).objective == pytest.approx(solution.objective, rel=1e-6)
    rotation = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])
    for other, settings, name in [
        ((X, -y), {}, "targets"),
        ((X, y), {"beta": 0.4}, "penalty"),
        ((X @ rotation, y), {}, "samples"),
        ((X, y), {"sample_weight": np.r_[2.0, np.ones(59)]}, "sample weights"),
    ]:
        with pytest.raises(ValueError, match=f"belongs to another problem: its {name}"):
            generate(other, file, **settings)
    path_file = tmp_path / "path"
    cvxrelu.gated_path(X, y, cvxrelu.sample_patterns(X, 5, random_state=0), n_betas=2, checkpoint=path_file)
    with pytest.raises(ValueError, match="not a checkpoint of a generation"):
        generate(network_problem, path_file)
