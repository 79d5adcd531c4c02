"""Orthonormal bases of columns against the rank in fractions and against spans known otherwise."""

from fractions import Fraction

import numpy as np
import pytest
from cvxrelu.base.span import Span
from hypothesis import given
from hypothesis import strategies as st


def rank_in_fractions(columns):
    rows, rank = [[Fraction(float(v)) for v in column] for column in columns.T], 0
    for k in range(columns.shape[0]):
        pivot = next((row for row in rows[rank:] if row[k]), None)
        if pivot is None:
            continue
        rows.remove(pivot)
        rows.insert(rank, pivot)
        rank += 1
        for i in range(rank, len(rows)):
            factor = rows[i][k] / pivot[k]
            rows[i] = [a - factor * b for a, b in zip(rows[i], pivot, strict=True)]
    return rank


@given(
    st.integers(1, 6).flatmap(
        lambda n: st.lists(st.lists(st.integers(-3, 3), min_size=n, max_size=n), min_size=1, max_size=5)
    ),
    st.lists(st.integers(-900, 900), min_size=5, max_size=5),
)
def test_has_the_rank_in_fractions_in_any_units(columns, orders):
    Z = np.array(columns, float).T
    units = np.ldexp(1.0, orders[: Z.shape[1]])
    span = Span(Z * units)
    r = span.basis.shape[1]
    assert r == rank_in_fractions(Z)
    np.testing.assert_allclose(span.basis.T @ span.basis, np.eye(r), atol=1e-14)
    target = Z @ np.arange(1.0, 1 + Z.shape[1])[:, None]
    found = Z @ (units[:, None] * span.coefficients(span.basis.T @ target))
    np.testing.assert_allclose(found, target, atol=1e-12)
    assert np.abs(span.without(target)).max() <= 1e-14 * max(1.0, np.abs(target).max())


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
@pytest.mark.parametrize(
    ("start", "step"), [(0.0, 1.0), (1.7e9, 60.0), (1.7e18, 2.0**20), (-1e15, 1.0), (1e-3, 2.0**-60)]
)
@pytest.mark.parametrize("n", [5, 2000])
def test_an_intercept_beside_times_keeps_both(start, step, n, order):
    rng = np.random.default_rng(0)
    t = start + step * rng.integers(0, 5 * n, n)
    columns = np.column_stack([np.ones(n), t, rng.standard_normal(n)])[:, order]
    span = Span(columns)
    near = np.linalg.qr(np.column_stack([np.ones(n), (t - t[0]) / step, columns[:, order.index(2)]]))[0]
    assert span.basis.shape[1] == 3
    np.testing.assert_allclose(span.basis - near @ (near.T @ span.basis), 0, atol=1e-13)


def test_a_dependent_column_beside_two_that_are_almost_alike():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 50))
    c = a + 1e-9 * b
    assert Span(np.column_stack([a, c, c - a])).basis.shape[1] == 2
