import pickle

import numpy as np
import pytest
from cvxrelu import ActivationPatterns, sample_patterns
from cvxrelu.base.bits import merge_patterns
from cvxrelu.base.native import core
from hypothesis import given
from hypothesis import strategies as st
from reference import patterns as reference

# Small integers make exact ties; the eighths next to them make products that round.
coordinates = st.one_of(st.integers(-3, 3).map(float), st.integers(-40, 40).map(lambda k: k / 8 + 1e-17 * k))


@st.composite
def designs_and_gates(draw):
    n, d, p = draw(st.integers(1, 70)), draw(st.integers(1, 5)), draw(st.integers(1, 6))
    seed = draw(st.integers(0, 2**32 - 1))
    pool = draw(st.lists(coordinates, min_size=1, max_size=8))
    rng = np.random.default_rng(seed)
    return rng.choice(pool, size=(n, d)), rng.choice(pool, size=(p, d))


@given(designs_and_gates())
def test_packed_patterns_are_exact(case):
    X, gates = case
    words, margin = core.pack_patterns(X, gates, 1)
    expected = reference.masks(X, gates)
    np.testing.assert_array_equal(words, reference.words(expected))
    assert (margin >= 0).all()
    ties = [any(reference.exact_sign(x, g) == 0 for x in X if x.any()) for g in gates]
    assert (margin[ties] == 0).all()


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e300, 5e-324])
def test_signs_are_exact_where_rounding_decides(scale):
    a = np.array([1.0, 2.0**-53, -1.0]) * scale
    b = np.ones(3)
    assert core.testing.exact_dot_sign(a, b) == reference.exact_sign(a, b)
    assert core.testing.exact_dot_sign(-a, b) == -reference.exact_sign(a, b)


def test_signs_survive_overflow_and_underflow():
    assert core.testing.exact_dot_sign(np.array([1e308, 1e308, -1e308]), np.array([1e308, 1.0, 1e308])) == 1
    assert core.testing.exact_dot_sign(np.array([5e-324, 0.0]), np.array([5e-324, 1.0])) == 1


@given(designs_and_gates())
def test_dense_masks_and_activations_agree(case):
    X, gates = case
    words, _ = core.pack_patterns(X, gates, 1)
    patterns = ActivationPatterns(gates, words, X.shape[0])
    np.testing.assert_array_equal(patterns.to_dense(), reference.masks(X, gates))
    np.testing.assert_array_equal(patterns.activations(X, n_threads=1), patterns.to_dense())


@given(designs_and_gates(), st.randoms(use_true_random=False))
def test_reordering_samples_reorders_the_bits(case, random):
    X, gates = case
    order = np.array([random.randrange(X.shape[0]) for _ in range(random.randint(1, 2 * X.shape[0]))])
    words, _ = core.pack_patterns(X, gates, 1)
    moved = ActivationPatterns(gates, words, X.shape[0]).reorder_samples(order)
    expected, _ = core.pack_patterns(np.ascontiguousarray(X[order]), gates, 1)
    np.testing.assert_array_equal(moved.words, expected)
    assert moved.n_samples == order.size


@given(designs_and_gates())
def test_merging_finds_equal_patterns(case):
    X, gates = case
    words, _ = core.pack_patterns(X, gates, 1)
    first, index, counts = merge_patterns(words)
    groups = reference.merge(reference.masks(X, gates))
    assert first.tolist() == [group[0] for group in groups]
    assert counts.tolist() == [len(group) for group in groups]
    for k, group in enumerate(groups):
        assert (index[group] == k).all()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_do_not_matter(threads):
    rng = np.random.default_rng(0)
    X, gates = rng.standard_normal((300, 7)), rng.standard_normal((500, 7))
    words, margin = core.pack_patterns(X, gates, threads)
    one_words, one_margin = core.pack_patterns(X, gates, 1)
    np.testing.assert_array_equal(words, one_words)
    np.testing.assert_allclose(margin, one_margin, rtol=0, atol=1e-15)


def test_indexing_keeps_what_belongs_to_the_patterns():
    X = np.random.default_rng(0).standard_normal((20, 3))
    patterns = sample_patterns(X, 40, random_state=1)
    chosen = patterns[[3, 1]]
    np.testing.assert_array_equal(chosen.gates, patterns.gates[[3, 1]])
    np.testing.assert_array_equal(chosen.counts, patterns.counts[[3, 1]])
    assert chosen.counts.tolist() == np.bincount(chosen.draw_pattern, minlength=2).tolist()
    dense = chosen.to_dense()
    np.testing.assert_array_equal(chosen.activations(X)[:, chosen.draw_pattern], dense[:, chosen.draw_pattern])
    draws, _ = core.pack_patterns(X, np.ascontiguousarray(chosen.draws), 1)
    np.testing.assert_array_equal(draws, chosen.words[chosen.draw_pattern])
    assert len(patterns[2]) == 1 and len(patterns[:5]) == 5
    assert len(patterns[patterns.counts > 1]) == (patterns.counts > 1).sum()


def test_a_pattern_chosen_twice_has_its_draws_twice():
    patterns = sample_patterns(np.random.default_rng(0).standard_normal((5, 2)), 60, random_state=1)
    chosen = [2, 0, 2]
    again = patterns[chosen]
    np.testing.assert_array_equal(again.counts, patterns.counts[chosen])
    np.testing.assert_array_equal(np.bincount(again.draw_pattern, minlength=3), again.counts)
    for i, k in enumerate(chosen):
        own = patterns.draws[patterns.draw_pattern == k]
        np.testing.assert_array_equal(again.draws[again.draw_pattern == i], own)
    kernel = sum(w[:, None] * w[None, :] for w in again.draws) / again.n_draws
    expected = sum(
        times * sum(w[:, None] * w[None, :] for w in patterns.draws[patterns.draw_pattern == k])
        for k, times in ((0, 1), (2, 2))
    )
    np.testing.assert_allclose(kernel, expected / again.n_draws, rtol=1e-12)


@pytest.mark.parametrize(
    "index", [None, np.True_, True, [[0, 1], [1, 0]], (0, 1), 0.5, [0.0, 1.0], "a", np.zeros((2, 2), bool)]
)
def test_what_is_no_index(index):
    patterns = sample_patterns(np.eye(2), 20, random_state=1)
    with pytest.raises(IndexError, match="patterns are indexed by"):
        patterns[index]
    assert len(patterns[0]) == len(patterns[-1]) == len(patterns[np.int8(1)]) == 1 and len(patterns[[]]) == 0


def test_patterns_are_immutable_and_picklable():
    patterns = sample_patterns(np.random.default_rng(0).standard_normal((9, 2)), 12, random_state=0)
    with pytest.raises(ValueError, match="read-only"):
        patterns.gates[0, 0] = 1.0
    copy = pickle.loads(pickle.dumps(patterns))
    np.testing.assert_array_equal(copy.words, patterns.words)
    assert repr(copy) == repr(patterns)
    assert "9 samples, 2 features, 12 draws" in repr(patterns)


def test_activations_complain_about_other_features():
    patterns = sample_patterns(np.eye(3), 5, random_state=0)
    with pytest.raises(ValueError, match="Z has 2 features, but 3 are expected"):
        patterns.activations(np.eye(2))
