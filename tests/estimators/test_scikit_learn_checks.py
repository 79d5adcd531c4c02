"""scikit-learn's checks of all estimators as they are by default, without an exception."""

import pytest
from cvxrelu import (
    GatedReLUClassifier,
    GatedReLUClassifierCV,
    GatedReLURegressor,
    GatedReLURegressorCV,
    MKLClassifier,
    MKLClassifierCV,
    MKLRegressor,
    MKLRegressorCV,
    NTKClassifier,
    NTKClassifierCV,
    NTKRegressor,
    NTKRegressorCV,
    ReLUClassifier,
    ReLUClassifierCV,
    ReLURegressor,
    ReLURegressorCV,
)
from sklearn.utils.estimator_checks import parametrize_with_checks


@parametrize_with_checks(
    [
        GatedReLUClassifier(),
        GatedReLUClassifierCV(),
        GatedReLURegressor(),
        GatedReLURegressorCV(),
        MKLClassifier(),
        MKLClassifierCV(),
        MKLRegressor(),
        MKLRegressorCV(),
        NTKClassifier(),
        NTKClassifierCV(),
        NTKRegressor(),
        NTKRegressorCV(),
        ReLUClassifier(),
        ReLUClassifierCV(),
        ReLURegressor(),
        ReLURegressorCV(),
    ]
)
@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
def test_scikit_learn_has_no_complaints_about_defaults(estimator, check):
    check(estimator)
