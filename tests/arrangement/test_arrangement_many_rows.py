"""Enumeration with some hundred rows and more, where cells are read off along lines and gates see nearby rows only."""

from __future__ import annotations

import cvxrelu
import numpy as np
import pytest
from arrangement_families import designs, gaussian
from cvxrelu import count_patterns, enumerate_patterns, pattern_bound
from cvxrelu.base.native import core
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import arrangement as reference

N = 310


def assert_right(X, patterns, count):
    """The count, distinct patterns, and gates on no hyperplane and with the patterns told, by exact signs."""
    assert len(patterns) == count_patterns(X) == count
    assert len(np.unique(patterns.words, axis=0)) == count
    assert patterns.certificate.complete
    words = core.pack_patterns(X, patterns.gates, 1)[0]
    np.testing.assert_array_equal(words, patterns.words)
    np.testing.assert_array_equal(patterns.gates[::2], -patterns.gates[1::2])
    nonzero = X.any(axis=1)
    masks = patterns.to_dense()
    assert (masks[nonzero, ::2] != masks[nonzero, 1::2]).all() and masks[~nonzero].all()


@pytest.mark.parametrize("d", [2, 3])
def test_general_position(d):
    X = gaussian(N, d)
    assert_right(X, enumerate_patterns(X), pattern_bound(N, d))


@pytest.mark.parametrize("most", [3, 12, 300, 10**5, 2**24])
def test_integers(most):
    """All kinds of integer arithmetic; the first rows against the search in few rows."""
    X = np.random.default_rng(most).integers(-most, most + 1, (N, 3)).astype(float)
    patterns = enumerate_patterns(X)
    assert_right(X, patterns, len(patterns))
    some = enumerate_patterns(X[:20])
    seen = {tuple(mask) for mask in patterns.to_dense()[:20].T.tolist()}
    assert seen == {tuple(mask) for mask in some.to_dense().T.tolist()}


@settings(max_examples=25)
@given(designs(most=7, widest=4), st.integers(0, 2**32 - 1))
def test_multiples_of_few_rows(X, seed):
    """Multiples change nothing but to repeat bits; against exact insertion."""
    rng = np.random.default_rng(seed)
    which = np.append(np.arange(len(X)), rng.integers(len(X), size=N - len(X)))
    factor = np.append(np.ones(len(X)), rng.choice([-1, 1], N - len(X)) * 2.0 ** rng.integers(-9, 9, N - len(X)))
    patterns = enumerate_patterns(factor[:, None] * X[which])
    masks = patterns.to_dense()
    few = reference.patterns(X)
    assert len(patterns) == len(few) and patterns.certificate.complete
    assert {tuple(mask) for mask in masks[: len(X)].T.tolist()} == few
    nonzero = X[which].any(axis=1)
    same = masks == masks[which]
    assert (same.T[:, nonzero] == (factor > 0)[nonzero]).all()


@pytest.mark.filterwarnings("ignore:.*exact decisions find cells")
def test_rows_one_ulp_apart():
    few = gaussian(30, 2, seed=5)
    few = np.vstack([few, np.nextafter(few, np.inf)])
    which = np.arange(N) % len(few)
    masks = enumerate_patterns(few[which], certify=False).to_dense()
    assert {tuple(mask) for mask in masks[: len(few)].T.tolist()} == reference.patterns(few)
    assert masks.shape[1] == 2 * len(few)
    np.testing.assert_array_equal(masks, masks[which])


@pytest.mark.parametrize("make", [lambda: gaussian(N, 3), lambda: np.round(2 * gaussian(N, 3))])
def test_threads_and_outputs_change_nothing(make):
    X = make()
    one, three = (enumerate_patterns(X, n_threads=k) for k in (1, 3))
    np.testing.assert_array_equal(one.words, three.words)
    np.testing.assert_array_equal(one.gates, three.gates)
    plain = enumerate_patterns(X, certify=False)
    np.testing.assert_array_equal(one.words, plain.words)
    np.testing.assert_array_equal(one.gates, plain.gates)
    words, no_gates = np.empty((len(one) + 2 * N, one.words.shape[1]), dtype=np.uint64), np.empty((0, 0))
    cells, done = core.Arrangement(X, 0.0, False), 0
    while not cells.finished:
        done += cells.fill(words[done:], no_gates, 1)
    np.testing.assert_array_equal(words[:done], one.words)


@pytest.mark.filterwarnings("ignore:.*exact decisions find cells")
def test_gates_outside_their_cells_do_not_pass():
    thin = np.array([[1, 1], [1, 1 - 2.0**-53]])
    X = np.vstack([gaussian(N, 2), np.nextafter(gaussian(10, 2), np.inf), gaussian(10, 2), thin, np.zeros((1, 2))])
    with pytest.warns(UserWarning, match="2 of .* cells are so thin"):
        patterns = enumerate_patterns(X)
    right = (core.pack_patterns(X, patterns.gates, 1)[0] == patterns.words).all(axis=1)
    inside = right[::2] & right[1::2]  # a gate on a hyperplane has one of its two patterns
    assert patterns.certificate.n_verified == 2 * inside.sum() == len(patterns) - 2
    assert patterns.certificate.n_exact_fallbacks > 0


def test_contracted_rows_and_closed_patterns():
    X = np.round(gaussian(N, 2) * 4)
    closed = enumerate_patterns(X, closed=True)
    assert len(np.unique(closed.words, axis=0)) == len(closed) > len(enumerate_patterns(X))
    assert cvxrelu.count_patterns(X, closed=True) == len(closed)
