"""Cells found on worker processes: those of one process, in the same order, counted and measured where they lie."""

import itertools
import os
import signal
from fractions import Fraction

import cvxrelu
import numpy as np
import pytest

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("default")  # what dask and its servers warn of is theirs


def design(kind):
    rng = np.random.default_rng(0)
    return {
        "general": rng.standard_normal((30, 4)),
        "degenerate": rng.integers(-1, 2, (18, 4)).astype(float),
        "zero": np.zeros((3, 2)),
        "few": rng.standard_normal((3, 2)),
        "flat": rng.integers(-99, 100, (60, 2)) @ rng.integers(-3, 4, (2, 5)).astype(float),
    }[kind]


@pytest.fixture(params=["general", "degenerate", "zero", "few", "flat"])
def X(request):
    return design(request.param)


def agree(found, patterns):
    np.testing.assert_array_equal(found.words, patterns.words)
    np.testing.assert_array_equal(found.gates, patterns.gates)
    for name in ("n_cells", "n_verified", "n_repaired", "rank", "complete"):
        assert getattr(found.certificate, name) == getattr(patterns.certificate, name)


def test_cells_are_those_of_one_process(client, X):
    rows = da.from_array(X, chunks=(7, -1))
    patterns = cvxrelu.enumerate_patterns(X)
    assert cvxrelu.count_patterns(rows) == len(patterns)
    agree(cvxrelu.enumerate_patterns(rows), patterns)
    pieces = list(cvxrelu.iter_patterns(rows, chunk=100))
    assert max(map(len, pieces)) <= 100
    np.testing.assert_array_equal(np.concatenate([piece.words for piece in pieces]), patterns.words)
    assert [piece.certificate.n_cells for piece in pieces] == sorted(piece.certificate.n_cells for piece in pieces)
    assert pieces[-1].certificate.n_cells == len(patterns)


@pytest.mark.parametrize("kind", ["general", "degenerate", "few", "zero"])
def test_regions_are_those_of_one_process(client, kind, monkeypatch):
    monkeypatch.setattr("cvxrelu.arrangement.cluster._FEW_CELLS", 256)
    X = design(kind)
    offsets = [Fraction(j % 4, 3) for j in range(len(X))]
    rows, regions = da.from_array(X, chunks=(7, -1)), cvxrelu.enumerate_patterns(X, offsets=offsets)
    assert cvxrelu.count_patterns(rows, offsets=offsets) == len(regions)
    assert cvxrelu.count_patterns(rows, offsets=offsets, bounded=True) == regions.bounded.sum()
    pieces = list(cvxrelu.iter_patterns(rows, offsets=offsets, chunk=100))
    assert max(map(len, pieces)) <= 100
    assert [piece.certificate.n_cells for piece in pieces] == np.cumsum([len(piece) for piece in pieces]).tolist()
    found = cvxrelu.enumerate_patterns(rows, offsets=offsets)
    for name in ("words", "points", "bounded"):
        np.testing.assert_array_equal(getattr(found, name), getattr(regions, name))
        np.testing.assert_array_equal(np.concatenate([getattr(piece, name) for piece in pieces]), getattr(found, name))
    for name in ("n_cells", "n_verified", "rank", "complete"):
        assert getattr(found.certificate, name) == getattr(regions.certificate, name)


def test_callbacks_are_told_of_every_part(client, monkeypatch):
    monkeypatch.setattr("cvxrelu.arrangement.cluster._FEW_CELLS", 256)
    X = design("general")
    rows, told = da.from_array(X), []
    for function, row_bytes in [(cvxrelu.count_patterns, 0), (cvxrelu.enumerate_patterns, 40)]:
        told.clear()
        function(rows, callback=told.append)
        assert len(told) > 2 and told[-1]["share"] == 1
        assert told[-1]["n_cells"] == told[-1]["bound"] == len(cvxrelu.enumerate_patterns(X))
        assert told[-1]["bytes"] == row_bytes * told[-1]["bound"]
        for name in ("n_cells", "share"):
            assert [one[name] for one in told] == sorted(one[name] for one in told)
        with pytest.raises(cvxrelu.ArrangementTooLargeError, match="callback stopped the search at"):
            function(rows, callback=lambda _: True)
    assert not client.futures


def test_without_a_client_threads_do_the_work():
    X = design("general")
    rows = da.from_array(X)
    assert cvxrelu.count_patterns(rows) == cvxrelu.count_patterns(X)
    agree(cvxrelu.enumerate_patterns(rows), cvxrelu.enumerate_patterns(X))


@pytest.mark.parametrize(("kind", "method"), [("flat", "exact"), ("degenerate", "quadrature"), ("general", "sample")])
def test_measures_are_made_where_the_cells_lie(client, kind, method):
    X = design(kind)
    measured = cvxrelu.cone_measure(da.from_array(X), method=method, n_draws=20_000, random_state=0)
    patterns = cvxrelu.enumerate_patterns(X)
    expected = cvxrelu.cone_measure(X, patterns, method=method, n_draws=20_000, random_state=0)
    np.testing.assert_allclose(measured.probabilities, expected.probabilities, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(measured.errors, expected.errors, rtol=1e-6, atol=1e-14)
    assert (measured.method, measured.n_draws) == (expected.method, expected.n_draws)
    assert measured.probabilities.sum() == pytest.approx(1, abs=0.02)
    given = cvxrelu.cone_measure(da.from_array(X), patterns[:5], method=method, n_draws=20_000, random_state=0)
    np.testing.assert_allclose(given.probabilities, expected.probabilities[:5], rtol=1e-12, atol=1e-14)
    alone = cvxrelu.cone_measure(X, method=method, n_draws=20_000, random_state=0)
    np.testing.assert_array_equal(alone.probabilities, expected.probabilities)


def test_the_choice_of_the_method_is_that_for_all_cells(client):
    X = design("general")[:16]
    assert cvxrelu.cone_measure(da.from_array(X)).method == cvxrelu.cone_measure(X).method == "quadrature"


def test_a_worker_that_is_killed_loses_no_cell(client, monkeypatch):
    monkeypatch.setattr("cvxrelu.arrangement.cluster._FEW_CELLS", 256)
    X = design("general")
    patterns = cvxrelu.enumerate_patterns(X)
    pieces = cvxrelu.iter_patterns(da.from_array(X), chunk=100)
    first = next(pieces)
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    found = np.concatenate([first.words, *(piece.words for piece in pieces)])
    np.testing.assert_array_equal(found, patterns.words)
    client.wait_for_workers(2, timeout=600)


def test_a_reader_that_has_enough_leaves_no_task(client, monkeypatch):
    monkeypatch.setattr("cvxrelu.arrangement.cluster._FEW_CELLS", 64)
    pieces = cvxrelu.iter_patterns(da.from_array(design("general")), chunk=50)
    assert len(list(itertools.islice(pieces, 3))) == 3
    pieces.close()
    assert not client.futures


def test_bad_input(client):
    rows = da.from_array(design("general"))
    for function in (cvxrelu.count_patterns, cvxrelu.enumerate_patterns, cvxrelu.iter_patterns):
        with pytest.raises(ValueError, match="decimals, tol and closed"):
            function(rows, decimals=3)
    for function in (cvxrelu.count_patterns, cvxrelu.enumerate_patterns, cvxrelu.iter_patterns):
        with pytest.raises(ValueError, match="offsets must have shape"):
            function(rows, offsets=np.zeros(3))
    for function in (cvxrelu.enumerate_patterns, cvxrelu.count_patterns):
        with pytest.raises(TypeError, match="callback"):
            function(rows, callback=1)
    with pytest.raises(ValueError, match="bounded=True needs offsets"):
        cvxrelu.count_patterns(rows, bounded=True)
    with pytest.raises(cvxrelu.ArrangementTooLargeError, match="max_patterns"):
        cvxrelu.enumerate_patterns(rows, max_patterns=10)
    with pytest.raises(ValueError, match="chunk"):
        cvxrelu.iter_patterns(rows, chunk=1)
    with pytest.raises(ValueError, match="finite"):
        cvxrelu.count_patterns(rows * np.nan)
