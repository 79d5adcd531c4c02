"""Regions of affine arrangements: published counts, brute force in fractions, degenerate rows."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction as F

import numpy as np
import pytest
from arrangement_families import gaussian
from cvxrelu import Arrangement, ArrangementTooLargeError, count_patterns, enumerate_patterns, iter_patterns
from cvxrelu.base.bits import row_keys
from cvxrelu.base.native import core
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import arrangement as reference

f = math.factorial


def differences(m, offsets):
    """x_i - x_j = c for i < j, with the last coordinate left out."""
    pairs = [(np.eye(m)[i] - np.eye(m)[j], c) for i, j in itertools.combinations(range(m), 2) for c in offsets]
    return np.array([row[:-1] for row, _ in pairs]), np.array([float(c) for _, c in pairs])


FAMILIES = {  # regions and bounded regions (Stanley, An Introduction to Hyperplane Arrangements, 2007)
    "Shi 3": (differences(3, (0, 1)), 16, 4),
    "Shi 4": (differences(4, (0, 1)), 125, 27),
    "Catalan 3": (differences(3, (-1, 0, 1)), f(3) * 5, f(3) * 2),
    "Catalan 4": (differences(4, (-1, 0, 1)), f(4) * 14, f(4) * 5),
    "Linial 3": (differences(3, (1,)), 7, 1),
    "Linial 4": (differences(4, (1,)), 36, 4),
    "Linial 5": (differences(5, (1,)), 246, 26),
    "semiorder 3": (differences(3, (-1, 1)), 19, 7),
    "semiorder 4": (differences(4, (-1, 1)), 183, 61),
    "generic 9 in 3": ((gaussian(9, 3), gaussian(9, 1, seed=1)[:, 0]), 1 + 9 + 36 + 84, math.comb(8, 3)),
    "generic 12 in 2": ((gaussian(12, 2), gaussian(12, 1, seed=1)[:, 0]), 1 + 12 + 66, math.comb(11, 2)),
    "points": ((np.ones((5, 1)), np.arange(5.0)), 6, 4),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name):
    (A, b), n_regions, n_bounded = FAMILIES[name]
    regions = enumerate_patterns(A, offsets=b)
    assert len(regions) == count_patterns(A, offsets=b) == n_regions
    assert regions.bounded.sum() == count_patterns(A, offsets=b, bounded=True) == n_bounded
    assert regions.certificate.complete and regions.certificate.n_cells == n_regions
    np.testing.assert_array_equal(regions.to_dense(), A @ regions.points.T >= b[:, None])
    assert len(np.unique(regions.words, axis=0)) == n_regions


entries = st.integers(-2, 2) | st.builds(F, st.integers(-3, 3), st.integers(1, 3))


@st.composite
def affine_rows(draw):
    d = draw(st.integers(1, 2))
    rows = draw(st.lists(st.lists(entries, min_size=d + 1, max_size=d + 1), min_size=1, max_size=5))
    return [row[:-1] for row in rows], [row[-1] for row in rows]


@settings(deadline=None, max_examples=60)
@given(affine_rows())
def test_against_insertion(arrangement):
    A, b = arrangement
    regions = enumerate_patterns(A, offsets=b)
    expected = reference.bounded_regions(A, b)
    found = dict(zip(map(tuple, regions.to_dense().T.tolist()), regions.bounded.tolist(), strict=True))
    assert found == {tuple(sign >= 0 for sign in signs): bounded for signs, bounded in expected.items()}
    assert count_patterns(A, offsets=b, bounded=True) == sum(expected.values())
    assert regions.certificate.complete
    for mask, point in zip(regions.to_dense().T, regions.points, strict=True):
        for active, row, c in zip(mask, A, b, strict=True):
            value = sum(F(x) * F(float(u)) for x, u in zip(row, point, strict=True)) - F(c)
            assert (value > 0) == active if any(row) else active == (c <= 0)


def wrong_points(A, b, regions):
    """How many points are not strictly inside their regions, in fractions."""
    wrong = 0
    for mask, point in zip(regions.to_dense().T, regions.points.tolist(), strict=True):
        values = [sum(F(x) * F(u) for x, u in zip(row, point, strict=True)) - F(c) for row, c in zip(A, b, strict=True)]
        wrong += any(v == 0 or (v > 0) != active for v, active in zip(values, mask, strict=True))
    return wrong


@pytest.mark.filterwarnings("ignore:.*regions are so thin:UserWarning", "ignore:.*are parallel to:UserWarning")
@pytest.mark.parametrize("scale, n_missing", [(1.0, 15), (2.0**40, 25)])
def test_thin_regions(scale, n_missing):
    """Points are divided gates of the cone; where rounding the quotients leaves a region, others are looked for."""
    missing = repaired = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        A, b = rng.integers(-3, 4, (5, 3)).astype(float), rng.integers(-3, 4, 5).astype(float)
        A = np.vstack([A, A * (1 + 2.0**-50 * rng.integers(-8, 9, A.shape))])
        b = np.concatenate([b, b * (1 + 2.0**-50 * rng.integers(-8, 9, 5))])
        A[:, 1] *= scale
        regions = enumerate_patterns(A, offsets=b)
        n_wrong = len(regions) - regions.certificate.n_verified
        assert wrong_points(A.tolist(), b.tolist(), regions) == n_wrong
        assert regions.certificate.complete == (n_wrong == 0)
        missing, repaired = missing + n_wrong, repaired + regions.certificate.n_repaired
    assert missing <= n_missing and repaired > 0


def test_points_out_of_range():
    """Hyperplanes u = 1e400 and 0: no float64 number is beyond the first; and u = 1e-400 and 0: none is between."""
    for slope, offset in [(1e-200, 1e200), (1e200, 1e-200)]:
        with pytest.warns(UserWarning) as told:
            regions = enumerate_patterns([[slope], [1.0]], offsets=[offset, 0.0])
        assert "1 of 3 regions are so thin or so far away" in str(told[-1].message)
        assert np.isfinite(regions.points).all() and regions.certificate.n_verified == 2
        assert wrong_points([[slope], [1.0]], [offset, 0.0], regions) == 1
        assert regions.bounded.sum() == 1


def test_patterns_among_others():
    rng = np.random.default_rng(0)
    for n_words in (1, 3):
        known = rng.integers(0, 4, (200, n_words)).astype(np.uint64) << np.uint64(62)
        wanted = rng.integers(0, 4, (1000, n_words)).astype(np.uint64) << np.uint64(62)
        expected = np.isin(row_keys(wanted), row_keys(known[:20]))
        np.testing.assert_array_equal(core.find_among(known[:20], wanted, 1), expected)
        np.testing.assert_array_equal(core.find_among(known[:20], wanted, 2), expected)
    assert not core.find_among(known[:0], wanted, 1).any()
    with pytest.raises(ValueError, match="as many words"):
        core.find_among(known[:, :1].copy(), wanted, 1)


def test_the_core_asks_for_the_row_of_infinity():
    for last in ([0.0, 0.0], [1.0, 1.0], [0.0, -1.0]):
        with pytest.raises(ValueError, match="the last row must be"):
            core.Arrangement(np.array([[1.0, 2.0], last]), 0.0, True, 1, True)
    cone = core.Arrangement(np.array([[1.0, 0.0, -2.0], [0.0, 1.0, -1.0], [0.0, 0.0, 1.0]]), 0.0, True, 1, True)
    with pytest.raises(ValueError, match="infinity must not vanish"):
        core.Arrangement(cone, [2])


@pytest.mark.parametrize("n", [63, 64, 65, 260])
def test_rows_that_fill_words(n):
    A, b = gaussian(n, 2), gaussian(n, 1, seed=3)[:, 0]
    regions = enumerate_patterns(A, offsets=b)
    assert len(regions) == 1 + n + math.comb(n, 2) and regions.words.shape[1] == (n + 63) // 64
    np.testing.assert_array_equal(regions.to_dense(), A @ regions.points.T >= b[:, None])
    assert regions.bounded.sum() == math.comb(n - 1, 2)


def test_rows_without_a_hyperplane_and_repeated_ones():
    A = [[1, 0], [2, 0], [-1, 0], [0, 0], [0, 0], [1, 0]]
    b = [1, 2, -1, 1, -1, 2]
    regions = enumerate_patterns(A, offsets=b)  # u_0 = 1 three times, u_0 = 2; 0 >= 1 never, 0 >= -1 always
    assert sorted(map(tuple, regions.to_dense().T.astype(int).tolist())) == [
        (0, 0, 1, 0, 1, 0),
        (1, 1, 0, 0, 1, 0),
        (1, 1, 0, 0, 1, 1),
    ]
    assert regions.bounded.sum() == 1  # the strip, but for the direction of its lines
    nothing = enumerate_patterns([[0, 0]], offsets=[0])
    assert len(nothing) == 1 and nothing.to_dense().all() and nothing.bounded.all()


def test_offsets_zero_are_the_central_arrangement():
    X = gaussian(7, 3)
    regions = enumerate_patterns(X, offsets=np.zeros(7))
    assert not regions.bounded.any() and count_patterns(X, offsets=np.zeros(7), bounded=True) == 0
    assert set(map(tuple, regions.words.tolist())) == set(map(tuple, enumerate_patterns(X).words.tolist()))


def test_settings():
    A, b = differences(3, (0, 1))
    some = enumerate_patterns(A, offsets=b)[[2, 0]]
    assert len(some) == 2 and some.points.shape == (2, 2) and "2 of 6 rows" in repr(some)
    assert len(enumerate_patterns(A, offsets=b, max_patterns=16)) == 16
    with pytest.raises(ArrangementTooLargeError):
        enumerate_patterns(A, offsets=b, max_patterns=15)
    assert count_patterns([[0.1], [0.3]], offsets=[0.3, 0.9], decimals=1) == 2
    with pytest.warns(UserWarning, match="rows 0 and 1 are parallel"):
        assert count_patterns([[0.1], [0.3]], offsets=[0.3, 0.9]) == 3
    assert count_patterns([["0.1"], ["0.3"]], offsets=["0.3", "0.9"]) == 2
    plain = enumerate_patterns(A, offsets=b, certify=False)
    assert plain.certificate.n_verified == 0 and len(plain) == 16


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"offsets": [1.0]}, r"offsets must have shape \(2,\)"),
        ({"offsets": [[1.0, 2.0], [1.0, 3.0]]}, r"offsets must have shape \(2,\)"),
        ({"offsets": [1.0, np.nan]}, "offsets must be finite"),
        ({"offsets": [1.0, 2.0], "closed": True}, "leave closed or offsets out"),
    ],
)
def test_bad_offsets(settings, message):
    for function in (enumerate_patterns, count_patterns):
        with pytest.raises(ValueError, match=message):
            function(np.eye(2), **settings)
    with pytest.raises(ValueError, match="bounded=True needs offsets"):
        count_patterns(np.eye(2), bounded=True)


@pytest.mark.parametrize("chunk", [2, 7, 1000])
def test_the_stream_has_the_same_regions(chunk):
    for A, b in [differences(4, (0, 1)), differences(4, (1,)), ([[1, 0], [2, 0]], [0, 3]), ([[0]], [1])]:
        whole = enumerate_patterns(A, offsets=b)
        pieces = list(iter_patterns(A, offsets=b, chunk=chunk))
        assert max(map(len, pieces)) <= chunk
        for name in ("words", "points", "bounded"):
            np.testing.assert_array_equal(
                np.concatenate([getattr(piece, name) for piece in pieces]), getattr(whole, name)
            )
        assert pieces[-1].certificate == whole.certificate
    with pytest.raises(ValueError, match="leave closed or offsets out"):
        iter_patterns(A, offsets=b, closed=True)
    with pytest.raises(ValueError, match=r"offsets must have shape \(1,\)"):
        iter_patterns(A, offsets=[1, 2])


def test_parallel_opposite_and_repeated_rows():
    """u = 0, -u = 0, 2 u = 0; u = 1, -u = -1; -u = 1, that is u = -1."""
    A, b = [[1], [-1], [2], [1], [-1], [-1]], [0, 0, 0, 1, -1, 1]
    arrangement = Arrangement(A, b)
    assert (arrangement.n_hyperplanes, arrangement.n_regions, arrangement.n_bounded_regions) == (3, 4, 2)
    assert arrangement.characteristic_polynomial == (1, -3) and arrangement.face_vector == (3, 4)
    dense = enumerate_patterns(A, offsets=b).to_dense().T.astype(int).tolist()
    assert sorted(dense) == [[0, 1, 0, 0, 1, 0], [0, 1, 0, 0, 1, 1], [1, 0, 1, 0, 1, 0], [1, 0, 1, 1, 0, 0]]
    assert not any(row[5] for row in dense if row[0])  # -u >= 1 only where u <= -1
    assert arrangement.tope_graph().rows.tolist() == [0, 3, 5]


def test_offsets_of_other_types_than_rows():
    expected = count_patterns([[F(1), F(2)], [F(1, 2), F(1)]], offsets=[F(1, 3), F(1, 6)])
    assert expected == 2  # the same line twice
    assert count_patterns([[1.0, 2.0], [0.5, 1.0]], offsets=["1/3", "1/6"]) == 2
    assert count_patterns(np.array([[1, 2], [0.5, 1]]), offsets=[F(1, 3), F(1, 6)]) == 2
    assert count_patterns([["1", "2"], ["0.5", 1]], offsets=np.array([1, 0.5])) == 2
    assert count_patterns([[1, 2], [F(1, 2), 1]], offsets=[2**60 + 1, 2**59 + F(1, 2)]) == 2
    assert count_patterns([[1, 2], [F(1, 2), 1]], offsets=[2**60 + 1, 2**59]) == 3
    pandas = pytest.importorskip("pandas")
    for offsets in ([1.0, 0.5], ["1", "1/2"], [2**60 + 1, 5]):
        expected = count_patterns([[1, 2], [0.5, 1]], offsets=offsets)
        assert count_patterns([[1, 2], [0.5, 1]], offsets=pandas.Series(offsets)) == expected


@pytest.mark.parametrize(
    "A, b, error, message",
    [
        ([[1, 0], [0, 1]], ["x", 1], TypeError, r"offsets\[0\] is 'x', which is not a rational number"),
        ([[1, 0], [0, 1]], [None, 1], TypeError, r"offsets\[0\] is None"),
        ([[1, 0], [0, 1]], [1j, 1], TypeError, r"offsets\[0\] is 1j"),
        ([[1, 0], [0, 1]], [F(1, 3), float("inf")], ValueError, "offsets must be finite"),
        ([[1, 0], [0, "y"]], [1, 1], TypeError, r"A\[1, 1\] is 'y'"),
        ([[1, 0], [0, 1]], 3, ValueError, r"offsets must have shape \(2,\), not \(\)"),
        ([[1, 0], [0, 1]], [], ValueError, r"offsets must have shape \(2,\)"),
        ([[1, 0], [0, 1]], [[1, 2], [3]], TypeError, r"offsets\[0\]"),
        ([[1, 0], [0]], [1, 1], ValueError, "A has rows of different lengths"),
        ([], [], ValueError, "A must have shape"),
    ],
)
def test_what_is_no_affine_arrangement(A, b, error, message):
    for function in (lambda: enumerate_patterns(A, offsets=b), lambda: Arrangement(A, b)):
        with pytest.raises(error, match=message):
            function()


def test_symbols_as_offsets():
    sympy = pytest.importorskip("sympy")
    assert count_patterns([[1], [3]], offsets=[sympy.Rational(1, 3), 1]) == 2
    with pytest.raises(TypeError, match=r"is x, which is not a rational number"):
        count_patterns([[1], [3]], offsets=[sympy.Symbol("x"), 1])
