"""Rows of integers of any size, fractions, decimals, strings: exact, against insertion in fractions."""

from __future__ import annotations

import decimal
from fractions import Fraction as F

import numpy as np
import pytest
from cvxrelu import count_patterns, enumerate_patterns, iter_patterns, pattern_bound
from cvxrelu.arrangement.exact_rows import as_exact_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import arrangement as reference

DEPENDENT = [
    [F(1, 3), F(1, 7), F(2, 5)],
    [F(2, 3), F(3, 7), F(1, 11)],
    [F(1), F(4, 7), F(27, 55)],  # their sum
    [F(0), F(0), F(1)],
]


def patterns_found(rows):
    """The patterns, after checking in fractions that as many gates lie inside their cells as the certificate says."""
    patterns = enumerate_patterns(rows)
    exact = reference.exact_rows(rows)
    n_inside = 0
    for mask, gate in zip(patterns.to_dense().T, patterns.gates, strict=True):
        products = [sum(x * F(float(g)) for x, g in zip(row, gate, strict=True)) for row in exact]
        n_inside += all(
            (product > 0 if active else product < 0) if any(row) else active
            for active, row, product in zip(mask, exact, products, strict=True)
        )
    assert n_inside == patterns.certificate.n_verified and patterns.certificate.mode == "exact"
    found = {tuple(mask) for mask in patterns.to_dense().T.tolist()}
    assert len(found) == len(patterns)
    return found


def test_fractions_keep_their_dependence():
    assert len(patterns_found(DEPENDENT)) == count_patterns(DEPENDENT) == 12
    assert enumerate_patterns(DEPENDENT).certificate.complete
    assert count_patterns(np.array(DEPENDENT, dtype=float)) == 14  # rounded they are independent
    assert sum(map(len, iter_patterns(DEPENDENT, chunk=5))) == 12


@pytest.mark.parametrize(
    "rows",
    [
        [[str(x) for x in row] for row in DEPENDENT],
        np.array([[str(x) for x in row] for row in DEPENDENT]),
        np.array(DEPENDENT, dtype=object),
        [[1155 * x for x in row] for row in DEPENDENT],
        [[str(row[0]), row[1], int(1155 * row[2]) * F(1, 1155)] for row in DEPENDENT],
    ],
    ids=["strings", "array of strings", "array of objects", "integers", "mixed"],
)
def test_every_kind_of_rational_number_has_the_same_cells(rows):
    expected = enumerate_patterns(DEPENDENT)
    found = enumerate_patterns(rows)
    np.testing.assert_array_equal(found.words, expected.words)
    np.testing.assert_array_equal(found.gates, expected.gates)


def test_sympy_rationals_and_symbols():
    sympy = pytest.importorskip("sympy")
    assert count_patterns([[sympy.Rational(x.numerator, x.denominator) for x in row] for row in DEPENDENT]) == 12
    with pytest.raises(TypeError, match=r"X\[0, 1\] is x, which is not a rational number"):
        count_patterns([[sympy.Integer(1), sympy.Symbol("x")], [1, 2]])
    with pytest.raises(TypeError, match=r"X\[1, 0\] is sqrt\(2\)"):
        count_patterns([[1, 2], [sympy.sqrt(2), 2]])


def test_decimals_are_tenths():
    rows = [["0.1", "0.3"], ["0.3", "0.9"], ["0.7", "0.1"], ["0.2", "0.3"]]
    assert count_patterns([[decimal.Decimal(x) for x in row] for row in rows]) == count_patterns(rows) == 6
    with pytest.warns(UserWarning, match="rows 0 and 1 are parallel"):
        assert count_patterns(np.array(rows, dtype=float)) == 8


@pytest.mark.filterwarnings("ignore:.*no float64 gate")  # there is none between the lines of neighbouring integers
@pytest.mark.parametrize("kind", [np.int64, np.uint64, object, None])
def test_integers_that_float64_does_not_hold(kind):
    rows = [[2**53 + 1, 1], [2**53, 1]]
    X = rows if kind is None else np.array(rows, dtype=kind)
    assert len(patterns_found(X)) == 4
    assert len(patterns_found([[10**40 + 1, 10**40], [10**40, 10**40 - 1], [10**40 + 1, 10**40]])) == 4


def test_numbers_that_share_a_row_with_others_are_not_rounded_on_the_way():
    assert count_patterns([[2**53 + 1, 0.5], [2**53, 0.5]]) == 4
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"id": np.array([10**18 + 1, 10**18], dtype=np.int64), "x": [0.5, 0.5]})
    assert count_patterns(frame) == 4


integers = st.integers(-9, 9) | st.integers(-(2**60), 2**60) | st.integers(-(10**30), 10**30)
rationals = integers | st.builds(F, integers, st.integers(1, 10**20)) | st.floats(-4, 4)


@st.composite
def rational_rows(draw):
    d = draw(st.integers(1, 3))
    rows = draw(st.lists(st.lists(rationals, min_size=d, max_size=d), min_size=1, max_size=6))
    for _ in range(draw(st.integers(0, 2))):  # dependent rows
        i, j = draw(st.integers(0, len(rows) - 1)), draw(st.integers(0, len(rows) - 1))
        s, t = draw(st.integers(-2, 2)), draw(st.integers(-2, 2))
        rows.append([s * F(x) + t * F(y) for x, y in zip(rows[i], rows[j], strict=True)])
    return rows


@pytest.mark.filterwarnings("ignore:.*no float64 gate", "ignore:.*exact decisions find cells")
@settings(deadline=None, max_examples=60)
@given(rational_rows())
def test_against_insertion(rows):
    assert patterns_found(rows) == reference.patterns(rows)


@pytest.mark.filterwarnings("ignore:.*no float64 gate", "ignore:.*exact decisions find cells")
@settings(deadline=None, max_examples=40)
@given(rational_rows())
def test_closed_against_insertion(rows):
    patterns = enumerate_patterns(rows, closed=True)
    assert {tuple(mask) for mask in patterns.to_dense().T.tolist()} == reference.closed_patterns(rows)
    assert np.isfinite(patterns.gates).all()


def test_many_rows_of_large_integers():
    rng = np.random.default_rng(0)
    rows = [
        [int(x) * 10**18 + int(y) for x, y in zip(*rng.integers(-(10**9), 10**9, (2, 3)), strict=True)]
        for _ in range(320)
    ]
    patterns = enumerate_patterns(rows)
    assert len(patterns) == pattern_bound(320, 3) and patterns.certificate.complete


def test_rows_are_sums_of_floats():
    rows = as_exact_rows([[F(1, 3), 10**300], [0.5, 0.25], [F(0), F(0)]])
    exact = rows.rational()
    assert exact[0][0] * 3 * 10**300 == exact[0][1] and exact[1:] == [[F(1, 2), F(1, 4)], [0, 0]]
    assert rows.parts > 1 and not rows.as_given
    assert as_exact_rows(np.eye(3)).parts == 1 and as_exact_rows(np.eye(3)).as_given
    assert as_exact_rows([[F(1, 2), 3]]).parts == 1


@pytest.mark.parametrize(
    "X, error, message",
    [
        ([["1/3", "a"]], TypeError, r"X\[0, 1\] is 'a', which is not a rational number"),
        ([["1/0", 1]], TypeError, r"X\[0, 0\] is '1/0'"),
        ([[F(1, 3), None]], TypeError, r"X\[0, 1\] is None"),
        ([[F(1, 3), 1j]], TypeError, r"X\[0, 1\] is 1j"),
        ([[F(1, 3), float("nan")]], ValueError, r"X must be finite, but X\[0, 1\] is nan"),
        ([[1, 2], [F(1, 3), decimal.Decimal("inf")]], ValueError, r"X must be finite, but X\[1, 1\] is Infinity"),
        ([F(1, 3), F(1, 2)], ValueError, "n_samples, n_features"),
        ([[F(1, 3), 10**700]], ValueError, r"X\[0, 0\] needs more than 2074 bits"),
    ],
)
def test_what_is_no_matrix_of_rational_numbers(X, error, message):
    with pytest.raises(error, match=message):
        count_patterns(X)


def test_decimals_are_for_floats():
    with pytest.raises(ValueError, match="decimals"):
        count_patterns(DEPENDENT, decimals=2)
    assert count_patterns(DEPENDENT, tol=1e-9) == 12
