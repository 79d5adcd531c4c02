from cvxrelu import GatedReLUClassifier, GatedReLURegressor
from sklearn.utils.estimator_checks import parametrize_with_checks


@parametrize_with_checks([GatedReLURegressor(n_gates=50), GatedReLUClassifier(n_gates=50)])
def test_check_estimator(estimator, check):
    check(estimator)
