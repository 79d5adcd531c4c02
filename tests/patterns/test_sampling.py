import numpy as np
import pytest
from cvxrelu import RowChunks, sample_patterns
from hypothesis import given
from hypothesis import strategies as st
from reference import patterns as reference


def design(seed, n=30, d=3, bias=False):
    X = np.random.default_rng(seed).standard_normal((n, d))
    return np.column_stack([X, np.ones(n)]) if bias else X


@given(st.integers(0, 1000), st.sampled_from(["gaussian", "mixed", "pairs"]), st.integers(1, 60), st.integers(1, 80))
def test_samples_are_distinct_counted_and_interior(seed, law, n, n_gates):
    X = design(seed, n=n, bias=True)
    try:
        patterns = sample_patterns(X, n_gates, gates=law, random_state=seed, n_threads=1)
    except ValueError as error:  # few gates and few samples: all of them may be inactive
        assert "every gate is inactive" in str(error)
        return
    assert patterns.n_draws == n_gates
    assert np.unique(patterns.words, axis=0).shape[0] == len(patterns)
    assert patterns.words.any(axis=1).all()
    np.testing.assert_array_equal(patterns.words, reference.words(reference.masks(X, patterns.gates)))
    assert all(reference.exact_sign(x, g) != 0 for g in patterns.gates for x in X)
    first = [np.flatnonzero(patterns.draw_pattern == k)[0] for k in range(len(patterns))]
    assert first == sorted(first)
    np.testing.assert_array_equal(patterns.draws[first], patterns.gates)
    np.testing.assert_array_equal(np.bincount(patterns.draw_pattern), patterns.counts)


@pytest.mark.parametrize("law", ["gaussian", "mixed", "pairs"])
def test_same_seed_same_gates_whatever_the_threads_and_the_order(law):
    X = design(0, bias=True)
    one = sample_patterns(X, 50, gates=law, random_state=3, n_threads=1)
    two = sample_patterns(X[::-1], 50, gates=law, random_state=3, n_threads=2)
    np.testing.assert_array_equal(one.draws, two.draws)
    other = sample_patterns(X, 50, gates=law, random_state=4)
    assert one.draws.shape != other.draws.shape or (one.draws != other.draws).any()


def test_sources_of_randomness():
    X = design(0)
    gates = [
        sample_patterns(X, 10, random_state=source).draws
        for source in (7, np.random.default_rng(7), np.random.SeedSequence(7))
    ]
    np.testing.assert_array_equal(gates[0], gates[1])
    np.testing.assert_array_equal(gates[0], gates[2])
    assert sample_patterns(X, 10, random_state=np.random.RandomState(0)).n_draws == 10
    with pytest.raises(ValueError, match="random_state must be"):
        sample_patterns(X, 10, random_state="seed")


def test_mixed_gates_are_thresholds_of_one_feature():
    X = design(0, bias=True)
    draws = sample_patterns(X, 400, gates="mixed", random_state=0).draws
    single = (draws[:, :3] != 0).sum(axis=1) == 1
    assert abs(single.mean() - 0.5) < 0.1
    for gate in draws[single]:
        feature = np.flatnonzero(gate[:3])[0]
        threshold = -gate[3] / gate[feature]
        assert X[:, feature].min() < threshold < X[:, feature].max()
        assert threshold not in X[:, feature]


def test_mixed_gates_without_thresholds_are_gaussian():
    X = np.ones((5, 2))
    mixed = sample_patterns(X, 20, gates="mixed", random_state=0)
    gaussian = sample_patterns(X, 20, random_state=0)
    np.testing.assert_array_equal(mixed.draws, gaussian.draws)


def test_given_gates_are_taken_as_they_are():
    X = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    gates = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0], [-1.0, -1.0]])
    patterns = sample_patterns(X, gates=gates)
    np.testing.assert_array_equal(patterns.to_dense().T, [[1, 1, 0], [1, 1, 1], [0, 0, 1]])
    np.testing.assert_array_equal(patterns.counts, [2, 1, 1])
    assert patterns.zero_count == 0


def test_the_zero_pattern_is_counted_and_left_out():
    X = np.array([[1.0]])
    patterns = sample_patterns(X, gates=[[1.0], [-1.0], [-2.0]])
    assert (len(patterns), patterns.zero_count, patterns.n_draws) == (1, 2, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_gates": None}, "n_gates is needed"),
        ({"n_gates": 0}, "n_gates must be at least 1"),
        ({"n_gates": 5, "gates": "uniform"}, "gates must be"),
        ({"n_gates": 5, "gates": "mixed"}, "needs a constant column"),
        ({"n_gates": 5, "gates": np.eye(3)}, "n_gates is 5, but gates has 3 rows"),
        ({"gates": np.eye(2)}, "gates has 2 features, but 3 are expected"),
        ({"gates": [[np.nan, 0, 0]]}, r"gates must be finite, but gates\[0, 0\]"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        sample_patterns(design(0), **arguments)


@pytest.mark.parametrize("rows", [np.asarray, RowChunks])
def test_a_column_of_ones_that_vanishes_beside_the_features(rows):
    X = np.column_stack([1e100 * design(0), np.ones(len(design(0)))])
    with pytest.raises(ValueError, match=r"as a column of ones does .* scale the features"):
        sample_patterns(rows(X), 10, gates="mixed", random_state=0)


@pytest.mark.parametrize("law", ["mixed", "balanced", "sparse", "pairs"])
def test_thresholds_are_not_carried_by_what_centring_leaves_of_a_constant_feature(law):
    X = design(0)
    with_rounding = np.column_stack([np.full(len(X), 3e-16), X, np.ones(len(X))])
    patterns = sample_patterns(with_rounding, 40, gates=law, random_state=0)
    assert (patterns.gates[1::2, -1] != 0).all()  # thresholds, or a bias in every gate
    assert patterns.zero_count + len(patterns) > 20


def test_nothing_but_the_zero_pattern():
    with pytest.raises(ValueError, match="inactive on every sample"):
        sample_patterns([[1.0, 1.0]], gates=[[-1.0, -1.0]])


def test_zero_rows_and_duplicates_are_fine():
    X = np.array([[0.0, 0.0], [1.0, 2.0], [1.0, 2.0], [-1.0, -2.0]])
    dense = sample_patterns(X, 30, random_state=0).to_dense()
    assert dense[0].all()
    np.testing.assert_array_equal(dense[1], dense[2])
    np.testing.assert_array_equal(dense[1], ~dense[3])


def test_balanced_gates_are_active_on_a_share_of_the_samples():
    X = np.hstack([np.random.default_rng(0).standard_normal((40, 3)), 2 * np.ones((40, 1))])
    for law, active in (("balanced", 20), ("balanced:0.3", 12), ("balanced:0.001", 1), ("balanced:0.999", 39)):
        patterns = sample_patterns(X, 30, gates=law, random_state=0)
        assert (patterns.to_dense().sum(axis=0) == active).all(), law
    with pytest.raises(ValueError, match="needs a constant column"):
        sample_patterns(X[:, :3], 5, gates="balanced")
    for wrong in ("balanced:0", "balanced:1.5", "balanced:half", "gaussian:2"):
        with pytest.raises(ValueError, match="gates"):
            sample_patterns(X, 5, gates=wrong)


def test_sparse_gates_look_at_few_features_each_set_as_often_as_another():
    X = np.random.default_rng(0).standard_normal((30, 4))
    draws = sample_patterns(X, 4000, gates="sparse:2", random_state=0).draws != 0
    sets, counts = np.unique(draws, axis=0, return_counts=True)
    assert len(sets) == 10 and set(sets.sum(axis=1)) == {1, 2}  # 4 features and 6 pairs
    assert (np.abs(counts - counts.mean()) < 6 * np.sqrt(counts.mean())).all()
    assert ((sample_patterns(X, 50, gates="sparse:9", random_state=0).draws != 0).sum(axis=1) <= 4).all()
    with_zeros = np.hstack([np.where(X > 0, X, 0), np.ones((30, 1))])
    assert (sample_patterns(with_zeros, 50, gates="sparse:1", random_state=0).draws[:, -1] != 0).all()
    with pytest.raises(ValueError, match="k of at least 1"):
        sample_patterns(X, 5, gates="sparse:0")


def test_pairs_have_thresholds_between_values_along_two_features():
    rng = np.random.default_rng(0)
    X = np.column_stack([np.exp(rng.standard_normal(40)), rng.integers(0, 3, 40), np.full(40, 7.0), 2 * np.ones(40)])
    patterns = sample_patterns(X, 400, gates="pairs", random_state=0)
    assert (patterns.draws[:, :2] != 0).all() and (patterns.draws[:, 2] != 0).all() and not patterns.draws[:, 3].any()
    active = patterns.to_dense().sum(axis=0)
    assert active.min() >= 1 and active.max() < 40  # every gate separates samples
    assert 0.4 < np.mean((active > 10) & (active < 30)) < 0.6  # thresholds at quantiles of a uniform distribution
    one = sample_patterns(X[:, 1:], 50, gates="pairs", random_state=0)
    assert (one.draws[:, 0] != 0).all() and len(one) == 4  # above and below the two thresholds
    np.testing.assert_array_equal(
        sample_patterns(X[:, 2:], 20, gates="pairs", random_state=0).draws,
        sample_patterns(X[:, 2:], 20, random_state=0).draws,
    )
    with pytest.raises(ValueError, match="needs a constant column"):
        sample_patterns(X[:, :2], 5, gates="pairs")


def test_patches_are_squares_of_an_image_through_all_channels():
    X = np.random.default_rng(0).standard_normal((20, 2 * 4 * 5))
    draws = sample_patterns(X, 300, gates="patches:4x5x2", random_state=0).draws.reshape(-1, 2, 4, 5) != 0
    corners = set()
    for channels in draws:
        assert (channels[0] == channels[1]).all() and channels[0].sum() == 9
        rows, columns = np.nonzero(channels[0])
        assert (np.ptp(rows), np.ptp(columns)) == (2, 2)
        corners.add((rows.min(), columns.min()))
    assert corners == {(i, j) for i in range(2) for j in range(3)}
    wide = sample_patterns(X[:, :20], 20, gates="patches:4x5x1x4", random_state=0).draws
    assert ((wide != 0).sum(axis=1) == 16).all()
    biased = np.hstack([X, np.ones((20, 1))])
    assert (sample_patterns(biased, 20, gates="patches:4x5x2", random_state=0).draws[:, -1] != 0).all()
    for wrong in ("patches", "patches:4x5", "patches:2x2x10", "patches:4", "patches:4x5x2x5", "patches:axb"):
        with pytest.raises(ValueError, match=r"image|patch"):
            sample_patterns(X, 5, gates=wrong)
