"""Checkpoints of paths: resumed to the same numbers, refused when they are not whole."""

import multiprocessing
import os
import signal

import cvxrelu
import numpy as np
import pytest
from cvxrelu.row_blocks import RowChunks

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


def test_a_process_that_is_killed(problem, tmp_path):
    file = tmp_path / "file"
    process = multiprocessing.get_context("spawn").Process(target=_be_killed, args=(problem, file))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
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
