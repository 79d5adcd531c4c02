"""The core's singular values of small matrices, against exact ones and NumPy's."""

import numpy as np
import pytest
from cvxrelu.base.native import core
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

shapes = st.tuples(st.integers(1, 7), st.integers(1, 7))
entries = st.floats(-1e3, 1e3, allow_subnormal=False) | st.sampled_from([0.0, 1.0, -1.0, 1e-9])


def thin_svd(A):
    return core.testing.thin_svd(np.asfortranarray(A))


@given(arrays(np.float64, shapes, elements=entries))
def test_is_a_decomposition_with_numpys_values(A):
    left, values, right, alone = thin_svd(A)
    expected = np.linalg.svd(A, compute_uv=False)
    size = expected[0]
    assert left.shape == (A.shape[0], min(A.shape)) and right.shape == (A.shape[1], min(A.shape))
    assert_allclose(np.sort(values)[::-1], expected, rtol=0, atol=1e-14 * size)
    assert_allclose(alone, values, rtol=0, atol=1e-14 * size)
    assert_allclose((left * values) @ right.T, A, rtol=0, atol=2e-14 * size)
    kept = values > 1e-8 * size
    for vectors in (left[:, kept], right[:, kept]):
        assert_allclose(vectors.T @ vectors, np.eye(kept.sum()), rtol=0, atol=1e-7)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1.0, 1e160, 1e300])
@pytest.mark.parametrize("shape", [(30, 4), (4, 30), (6, 6)])
def test_any_size_of_entries(shape, scale):
    A = np.random.default_rng(0).standard_normal(shape)
    assert_allclose(np.sort(thin_svd(scale * A)[1])[::-1], scale * np.linalg.svd(A, compute_uv=False), rtol=1e-13)


def test_small_values_of_scaled_columns_are_exact():
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((9, 3)))[0]
    exact = np.array([1.0, 1e-10, 1e-20])
    assert_allclose(np.sort(thin_svd(Q * exact)[1])[::-1], exact, rtol=1e-14)


def test_what_is_not_finite_ends():
    assert not np.isfinite(thin_svd(np.array([[np.nan, 1.0], [1.0, 2.0]]))[1]).all()
