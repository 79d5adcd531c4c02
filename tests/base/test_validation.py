"""What users pass, and what they are told."""

import cvxrelu
import numpy as np
import pytest
import scipy.sparse
from cvxrelu.base import arrays as v


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ([1.0, 2.0], ValueError, r"X must have shape .* not \(2,\); use X.reshape\(-1, 1\)"),
        (np.zeros((2, 2, 2)), ValueError, r"not \(2, 2, 2\)"),
        (np.zeros((0, 3)), ValueError, r"X is empty: its shape is \(0, 3\)"),
        (np.zeros((3, 0)), ValueError, r"X is empty"),
        ([[1.0, np.nan]], ValueError, r"X must be finite, but X\[0, 1\] is nan"),
        ([[1.0], [-np.inf]], ValueError, r"X\[1, 0\] is -inf"),
        ([["a"]], TypeError, "X must be an array of real numbers, not list"),
        ([[1j]], TypeError, "real numbers"),
        (np.array([[{}]], dtype=object), TypeError, "real numbers, not ndarray of dtype object"),
        (np.zeros((1, 1), dtype=np.longdouble), TypeError, "real numbers"),
        (scipy.sparse.eye_array(3), TypeError, r"X is sparse, .* pass X.toarray\(\)"),
        (scipy.sparse.csr_matrix(np.eye(3)), TypeError, "X is sparse"),
        ([[1.0, 2.0], [3.0]], TypeError, "real numbers"),
        (np.ma.masked_equal([[1.0, 2.0]], 2.0), ValueError, "X has masked entries"),
    ],
)
def test_designs_that_are_refused(X, error, message):
    with pytest.raises(error, match=message):
        v.as_design(X)


@pytest.mark.parametrize(
    "X",
    [
        [[1, 2], [3, 4]],
        np.array([[1, 2], [3, 4]], dtype=np.int8),
        np.array([[1, 2], [3, 4]], dtype=np.float32),
        np.asfortranarray([[1.0, 2.0], [3.0, 4.0]]),
        np.array([[1.0, 9.0, 2.0], [3.0, 9.0, 4.0]])[:, ::2],
        np.array([[1.0, 2.0], [3.0, 4.0]], dtype=">f8"),
        np.array([[1.0, 2.0], [3.0, 4.0]], dtype=object),
    ],
)
def test_designs_that_are_converted(X):
    design = v.as_design(X)
    assert design.dtype == np.float64 and design.flags.c_contiguous
    np.testing.assert_array_equal(design, [[1, 2], [3, 4]])


def test_read_only_input_is_fine_and_not_written():
    X = np.eye(2)
    X.flags.writeable = False
    assert v.as_design(X) is X


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1.0, 2.0], "y has 2 entries, but X has 3 samples"),
        (np.zeros((3, 1, 1)), r"not \(3, 1, 1\)"),
        (5.0, r"not \(\)"),
        ([1.0, np.nan, 2.0], r"y\[1\] is nan"),
        (np.zeros((3, 0)), "must have shape"),
    ],
)
def test_targets_that_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        v.as_targets(y, 3)


@pytest.mark.parametrize(
    ("weights", "positive", "message"),
    [
        ([1.0, -1.0], False, r"non-negative, but w\[1\] is -1"),
        ([1.0, 0.0], True, r"positive, but w\[1\] is 0"),
        ([0.0, 0.0], False, "all zero"),
        ([1.0], False, r"shape \(2,\)"),
        ([1.0, np.inf], False, r"w\[1\] is inf"),
    ],
)
def test_weights_that_are_refused(weights, positive, message):
    with pytest.raises(ValueError, match=message):
        v.as_weights(weights, 2, "w", positive=positive)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_scalars_that_are_refused(value):
    with pytest.raises(ValueError, match="beta must be finite and at least 0"):
        v.as_scalar(value, "beta")


def test_scalars_and_counts_of_the_wrong_kind():
    with pytest.raises(ValueError, match="above 0"):
        v.as_scalar(0.0, "tol", strict=True)
    for value in ("1", None, True, [1.0]):
        with pytest.raises(TypeError, match="beta must be a real number"):
            v.as_scalar(value, "beta")
    for value in (1.0, "1", True):
        with pytest.raises(TypeError, match="n must be an integer"):
            v.as_count(value, "n")
    with pytest.raises(ValueError, match="n must be at least 1, not 0"):
        v.as_count(0, "n")
    assert v.as_count(np.int32(3), "n") == 3
    assert v.as_scalar(np.float32(0.5), "beta") == 0.5


def test_threads():
    assert v.as_threads(3) == 3
    assert v.as_threads(None) >= 1
    with pytest.raises(ValueError, match="n_threads must be at least 1"):
        v.as_threads(0)


def test_result_dtype_is_float32_for_float32_only():
    single, double = np.zeros(1, dtype=np.float32), np.zeros(1)
    assert v.result_dtype(single, single) is np.float32
    assert v.result_dtype(single, double) is np.float64
    assert v.result_dtype(single, [1.0]) is np.float64
    assert v.result_dtype() is np.float64


X = np.random.default_rng(0).standard_normal((20, 2))
Y = np.maximum(X[:, 0], 0)
PATTERNS = cvxrelu.sample_patterns(X, 10, random_state=0)


@pytest.mark.parametrize(
    "call",
    [
        lambda callback: cvxrelu.solve_gated(X, Y, PATTERNS, 1.0, callback=callback),
        lambda callback: cvxrelu.solve_gated(cvxrelu.RowChunks(X), Y, PATTERNS, 1.0, callback=callback),
        lambda callback: cvxrelu.gated_path(X, Y, PATTERNS, callback=callback),
        lambda callback: cvxrelu.solve_relu(X, Y, PATTERNS, 1.0, callback=callback),
        lambda callback: cvxrelu.train_relu(X, Y, 1.0, callback=callback),
        lambda callback: cvxrelu.solve_mkl(X, Y, PATTERNS, 1.0, callback=callback),
        lambda callback: cvxrelu.GatedReLURegressor(callback=callback).fit(X, Y),
        lambda callback: cvxrelu.GatedReLUClassifier(callback=callback, verbose=2).fit(X, Y > 0),
        lambda callback: cvxrelu.ReLURegressor(callback=callback).fit(X, Y),
        lambda callback: cvxrelu.MKLRegressor(callback=callback).fit(X, Y),
        lambda callback: cvxrelu.MKLClassifierCV(callback=callback).fit(X, Y > 0),
    ],
)
def test_callbacks_that_cannot_be_called(call):
    with pytest.raises(TypeError, match="callback must be callable, not str"):
        call("print")


@pytest.mark.parametrize(
    ("X", "where"),
    [
        (np.array([[1, 2], [2**53 + 1, 3]]), r"X\[1, 0\] is 9007199254740993"),
        (np.array([[2**64 - 1]], dtype=np.uint64), r"X\[0, 0\] is 18446744073709551615"),
        ([[0.5, 2**60 + 1]], r"X\[0, 1\] is 1152921504606846977"),
        (np.array([[0.5, 10**18 + 1]], dtype=object), r"X\[0, 1\] is 1000000000000000001"),
        ([[10**400, 1.0]], r"X\[0, 0\] is too large"),
    ],
)
def test_integers_are_not_rounded_in_silence(X, where):
    with pytest.raises(ValueError, match=where):
        v.as_design(X)
    with pytest.raises(ValueError, match="an integer that float64 rounds"):
        cvxrelu.sample_patterns(X, 4)


def test_integers_of_a_data_frame_beside_floats_are_not_rounded_either():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"id": np.array([10**18 + 1, 10**18]), "x": [0.5, 1.5]})
    with pytest.raises(ValueError, match=r"X\[0, 0\] is 1000000000000000001"):
        v.as_design(frame)
    np.testing.assert_array_equal(v.as_design(frame * 2.0)[:, 1], [1.0, 3.0])


def test_large_integers_that_float64_holds_are_fine():
    np.testing.assert_array_equal(
        v.as_design([[2**60, -(2**53)], [2**54 + 4, 1e300]]), [[2**60, -(2**53)], [2**54 + 4, 1e300]]
    )
    with pytest.raises(ValueError, match="y is 9007199254740993"):
        v.as_real(2**53 + 1, "y")
