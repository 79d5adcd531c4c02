"""Numbers that the conversion to float64 would change are refused by the estimators as by the functions."""

import cvxrelu
import numpy as np
import pytest
from scipy import sparse

INTEGERS = np.random.default_rng(0).integers(0, 50, (30, 3))
LARGE = np.where(np.arange(3) == 1, INTEGERS + 2**53, INTEGERS)
LARGE[0, 1] = 2**53 + 1
Y = INTEGERS @ [1.0, -1.0, 2.0]
ESTIMATORS = [
    cvxrelu.GatedReLURegressor,
    cvxrelu.GatedReLUClassifier,
    cvxrelu.MKLRegressor,
    cvxrelu.NTKRegressorCV,
    cvxrelu.NormalScores,
    cvxrelu.ReLURegressor,
]


def _frame(X):
    return pytest.importorskip("pandas").DataFrame(X)


@pytest.mark.parametrize("given", [np.asarray, np.ndarray.tolist, _frame, lambda X: _frame(X).astype("Int64")])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_integers_that_float64_rounds(estimator, given):
    y = Y > np.median(Y) if estimator is cvxrelu.GatedReLUClassifier else Y
    with pytest.raises(ValueError, match=r"X\[0, 1\] is 9007199254740993, an integer that float64 rounds"):
        estimator().fit(given(LARGE), y)


def test_integers_in_sparse_samples_in_targets_and_in_samples_to_predict():
    with pytest.raises(ValueError, match=r"X\[0, 1\] is 9007199254740993"):
        cvxrelu.GatedReLURegressor().fit(sparse.csr_array(LARGE), Y)
    with pytest.raises(ValueError, match=r"y\[0\] is 9007199254740993"):
        cvxrelu.GatedReLURegressor().fit(INTEGERS, LARGE[:, 1])
    model = cvxrelu.NTKRegressor().fit(INTEGERS, Y)
    with pytest.raises(ValueError, match=r"X\[0, 1\] is 9007199254740993"):
        model.predict(LARGE)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_masked_entries(estimator):
    y = Y > np.median(Y) if estimator is cvxrelu.GatedReLUClassifier else Y
    with pytest.raises(ValueError, match="X has masked entries"):
        estimator().fit(np.ma.masked_less(INTEGERS * 1.0, 5.0), y)
    with pytest.raises(ValueError, match="sample_weight has masked entries"):
        estimator().fit(INTEGERS * 1.0, y, sample_weight=np.ma.masked_equal(np.arange(30.0), 7.0))
    estimator().fit(np.ma.masked_array(INTEGERS * 1.0), y)  # none of the entries is masked


def test_masked_targets():
    with pytest.raises(ValueError, match="y has masked entries"):
        cvxrelu.NTKRegressor().fit(INTEGERS * 1.0, np.ma.masked_less(Y, 0.0))


LABELS = np.ma.masked_array(np.where(np.median(Y) < Y, "more", "less"), np.arange(30) < 3)
SEVERAL = np.ma.masked_array(np.column_stack([Y > 0, np.median(Y) < Y]).astype(int), np.arange(60).reshape(30, 2) < 3)


@pytest.mark.parametrize("labels", [LABELS, SEVERAL])
@pytest.mark.parametrize("estimator", [cvxrelu.GatedReLUClassifier, cvxrelu.NTKClassifierCV])
def test_masked_labels(estimator, labels):
    with pytest.raises(ValueError, match="y has masked entries"):
        estimator().fit(INTEGERS * 1.0, labels)


def test_averages_refuse_what_their_members_would_not_see():
    masked = np.ma.masked_less(INTEGERS * 1.0, 5.0)
    regressor = cvxrelu.ExponentialWeightsRegressor([("kernel", cvxrelu.NTKRegressor())])
    classifier = cvxrelu.ExponentialWeightsClassifier([("kernel", cvxrelu.NTKClassifier())])
    for model, y, masked_y in ((regressor, Y, np.ma.masked_less(Y, 0.0)), (classifier, LABELS.data, LABELS)):
        with pytest.raises(ValueError, match="X has masked entries"):
            model.fit(masked, y)
        with pytest.raises(ValueError, match="y has masked entries"):
            model.fit(INTEGERS * 1.0, masked_y)
        with pytest.raises(ValueError, match="X has masked entries"):
            model.fit(INTEGERS * 1.0, y).predict(masked)
    with pytest.raises(ValueError, match=r"y\[0\] is 9007199254740993"):
        regressor.fit(INTEGERS * 1.0, LARGE[:, 1])
