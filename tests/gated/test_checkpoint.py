"""Checkpoints of paths: resumed to the same numbers, refused when they are not whole."""

import multiprocessing
import os
import signal

import cvxrelu
import numpy as np
import pytest
import threadpoolctl
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
    path(problem, tmp_path / "file")
    X, y, patterns = problem
    for other, name in [((X, 2 * y, patterns), "signature"), ((X, y, patterns[:10]), "signature|gates")]:
        with pytest.raises(ValueError, match=f"belongs to another problem: its ({name})"):
            path(other, tmp_path / "file")
    with pytest.raises(ValueError, match="belongs to another problem: its signature"):
        path(problem, tmp_path / "file", tol=1e-8)


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
    for other in [((X, 2 * y), {}), ((X, y), {"beta": 0.4}), ((2 * X, y), {})]:
        with pytest.raises(ValueError, match="belongs to another problem: its signature"):
            generate(other[0], file, **other[1])
    path_file = tmp_path / "path"
    cvxrelu.gated_path(X, y, cvxrelu.sample_patterns(X, 5, random_state=0), n_betas=2, checkpoint=path_file)
    with pytest.raises(ValueError, match="not a checkpoint of a generation"):
        generate(network_problem, path_file)
