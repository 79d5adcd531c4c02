import numpy as np
import pytest
from cvxrelu.base.native import core
from hypothesis import given
from hypothesis import strategies as st
from reference import masked_design as reference
from strategies import designs, sampled


def to_core(W):
    return np.asfortranarray(W.swapaxes(1, 2).reshape(len(W), -1).T)


def from_core(columns, d):
    return columns.T.reshape(columns.shape[1], -1, d).swapaxes(1, 2)


@given(designs(max_samples=200, max_features=40), st.integers(1, 60), st.integers(1, 3), st.integers(1, 3))
def test_products_equal_those_of_the_explicit_matrix(X, n_gates, n_outputs, n_threads):
    rng = np.random.default_rng(0)
    patterns = sampled(X, n_gates, rng)
    masks = patterns.to_dense()
    V = np.asfortranarray(rng.standard_normal((len(X), n_outputs)))
    W = rng.standard_normal((len(patterns), X.shape[1], n_outputs))
    scale = 1e-13 * (1 + np.abs(X).sum()) * (1 + len(patterns))
    found = from_core(core.masked_correlations(X, patterns.words, V, n_threads), X.shape[1])
    np.testing.assert_allclose(found, reference.correlations(X, masks, V), atol=scale)
    found = core.masked_fitted(X, patterns.words, to_core(W), n_outputs, n_threads)
    np.testing.assert_allclose(found, reference.fitted(X, masks, W), atol=scale)


@pytest.mark.parametrize("n, d, p", [(1, 1, 1), (64, 8, 8), (65, 9, 7), (513, 57, 130), (130, 120, 300)])
def test_products_at_the_borders_of_words_and_vectors(n, d, p):
    rng = np.random.default_rng(n)
    X = rng.standard_normal((n, d))
    patterns = sampled(X, p, rng)
    masks = patterns.to_dense()
    V = np.asfortranarray(rng.standard_normal((n, 1)))
    W = rng.standard_normal((len(patterns), d, 1))
    for n_threads in (1, 2, 3):
        found = from_core(core.masked_correlations(X, patterns.words, V, n_threads), d)
        np.testing.assert_allclose(found, reference.correlations(X, masks, V), atol=1e-10)
        found = core.masked_fitted(X, patterns.words, to_core(W), 1, n_threads)
        np.testing.assert_allclose(found, reference.fitted(X, masks, W), atol=1e-10)


def test_no_patterns_have_no_correlations_and_fit_nothing():
    X, no_words = np.ones((70, 3)), np.empty((0, 2), dtype=np.uint64)
    assert core.masked_correlations(X, no_words, np.ones((70, 2), order="F"), 1).shape == (6, 0)
    assert not core.masked_fitted(X, no_words, np.empty((6, 0), order="F"), 2, 1).any()


def test_the_core_refuses_arrays_that_it_would_have_to_copy():
    X, words, V = np.ones((3, 2)), np.ones((1, 1), dtype=np.uint64), np.ones((3, 1), order="F")
    core.masked_correlations(X, words, V, 1)
    for wrong in (np.asfortranarray(X), X.astype(np.float32), X.tolist(), np.ones((6, 2))[::2]):
        with pytest.raises(TypeError):
            core.masked_correlations(wrong, words, V, 1)


def test_words_of_other_data_are_refused():
    with pytest.raises(ValueError, match="words"):
        core.masked_correlations(np.ones((65, 2)), np.ones((1, 1), dtype=np.uint64), np.ones((65, 1), order="F"), 1)
