"""What is told of long searches, and that telling changes nothing."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from arrangement_families import gaussian, resonance
from cvxrelu import Arrangement, ArrangementTooLargeError, count_patterns, enumerate_patterns, pattern_bound
from test_affine import differences


class Stopped(Exception):
    pass


@pytest.mark.parametrize("n_threads", [1, 2])
def test_progress_of_counts_and_lists(n_threads):
    X = gaussian(40, 5)
    bound = pattern_bound(40, 5)
    for search in (count_patterns, enumerate_patterns):
        told = []
        result = search(X, callback=told.append, n_threads=n_threads)
        assert told[0]["n_cells"] == 0 and told[0]["share"] == 0 and told[0]["bound"] == bound
        assert told[-1]["n_cells"] == bound and told[-1]["share"] == pytest.approx(1) and len(told) > 3
        cells, shares = ([state[key] for state in told] for key in ("n_cells", "share"))
        assert cells == sorted(cells) and shares == sorted(shares)
        if search is count_patterns:
            assert result == bound and told[0]["bytes"] == 0
        else:
            plain = enumerate_patterns(X, n_threads=1)
            np.testing.assert_array_equal(result.words, plain.words)
            np.testing.assert_array_equal(result.gates, plain.gates)
            assert told[0]["bytes"] == plain.words.nbytes + plain.gates.nbytes


def test_degenerate_and_affine_searches():
    told = []
    X = resonance(5)
    assert count_patterns(X, callback=told.append) == told[-1]["n_cells"] == 11292 < told[0]["bound"]
    A, b = differences(4, (0, 1))
    for search in (enumerate_patterns, count_patterns):
        told.clear()
        result = search(A, offsets=b, callback=told.append)
        n_regions = result if search is count_patterns else len(result)
        assert n_regions == told[-1]["n_cells"] == 125 <= told[0]["bound"] == pattern_bound(13, 4) // 2
    arrangement = Arrangement(X, callback=told.append)
    assert arrangement.n_regions == 11292 and told[-1]["n_cells"] == 11292
    told.clear()
    assert len(arrangement.regions()) == 11292 and told[-1]["n_cells"] == 11292
    assert count_patterns(np.eye(1), callback=told.append) == 2


def test_a_callback_ends_the_search():
    for search in (count_patterns, enumerate_patterns, lambda X, callback: Arrangement(X, callback=callback).n_regions):
        with pytest.raises(ArrangementTooLargeError, match=r"stopped the search at \d+ cells.* at most 1.33586e\+06"):
            search(gaussian(40, 6), callback=lambda state: state["n_cells"] > 1000)

    def stop(state):
        if state["n_cells"] > 0:
            raise Stopped(state["n_cells"])

    for search in (count_patterns, enumerate_patterns):
        with pytest.raises(Stopped) as stopped:
            search(gaussian(40, 6), callback=stop)
        assert 0 < stopped.value.args[0] < pattern_bound(40, 6) / 10
    with pytest.raises(TypeError, match="callback must be callable"):
        count_patterns(np.eye(2), callback="print")


def test_a_callback_cannot_change_the_rows():
    X = gaussian(9, 3)
    expected = enumerate_patterns(X, closed=True)

    def write(state):
        X[:] = 1.0

    found = enumerate_patterns(X, closed=True, callback=write)
    assert (X == 1).all() and found.certificate == expected.certificate
    np.testing.assert_array_equal(found.words, expected.words)


def test_the_log(caplog):
    with caplog.at_level(logging.INFO, logger="cvxrelu"):
        assert count_patterns(gaussian(12, 4)) == 464
    assert caplog.messages[0] == "12 hyperplanes in rank 4: at most 464 cells, 0 bytes"
    assert caplog.messages[-1].startswith("12 hyperplanes in rank 4: 464 cells in ")
