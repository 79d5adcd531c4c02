import pickle

import cvxrelu
import numpy as np
import pytest
from cvxrelu import (
    MKLClassifier,
    MKLClassifierCV,
    MKLRegressor,
    MKLRegressorCV,
    NTKClassifier,
    NTKClassifierCV,
    NTKRegressor,
    NTKRegressorCV,
)
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.kernel_ridge import KernelRidge
from sklearn.utils.estimator_checks import parametrize_with_checks
from support import SECONDS_TO_HEAR_CTRL_C, press_ctrl_c_after

QUICK = {"n_gates": 40, "n_threads": 1}
FEW = {"beta_ratios": (0.3, 0.03), "n_folds": 3}


@parametrize_with_checks(
    [
        NTKRegressor(n_threads=1),
        NTKRegressor(kind="relu", depth=2, fit_bias=False, n_threads=1),
        NTKClassifier(n_threads=1),
        NTKRegressorCV(n_threads=1),
        NTKClassifierCV(n_threads=1),
        MKLRegressor(**QUICK),
        MKLRegressor(gates="gaussian", at="representative", fit_bias=False, finish=False, **QUICK),
        MKLClassifier(**QUICK),
        MKLRegressorCV(**FEW, **QUICK),
        MKLClassifierCV(**FEW, **QUICK),
    ]
)
def test_scikit_learn_has_no_complaints(estimator, check):
    check(estimator)


def regression(n=60, n_outputs=1):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 3))
    return X, np.abs(X[:, :1]) + 0.1 * rng.standard_normal((n, n_outputs))


def with_ones(X):
    return np.column_stack([X, np.ones(len(X))])


@pytest.mark.parametrize("kind,depth", [("gated", 1), ("gated-both", 1), ("relu", 3)])
def test_ntk_regression_is_kernel_ridge_regression(kind, depth):
    X, Y = regression(n_outputs=2)
    Z = np.random.default_rng(1).standard_normal((9, 3))
    s = np.random.default_rng(2).random(60)
    model = NTKRegressor(kind=kind, depth=depth, beta=0.3, fit_intercept=False).fit(X, Y, sample_weight=s)
    K = cvxrelu.ntk(with_ones(X), kind=kind, depth=depth)
    peer = KernelRidge(alpha=0.3, kernel="precomputed").fit(K, Y, sample_weight=s)
    expected = peer.predict(cvxrelu.ntk(with_ones(X), with_ones(Z), kind=kind, depth=depth))
    assert_allclose(model.predict(Z), expected, atol=1e-9)


def test_the_error_of_samples_left_out_is_that_of_refits():
    X, y = regression(n=25)
    y = y[:, 0]
    s = np.random.default_rng(2).random(25)
    model = NTKRegressorCV(n_betas=6).fit(X, y, sample_weight=s)
    assert model.beta_ in model.betas_
    for beta, error in zip(model.betas_, model.cv_errors_, strict=True):
        total = 0.0
        for j in range(25):
            rest = np.arange(25) != j
            left = NTKRegressor(beta=beta).fit(X[rest], y[rest], sample_weight=s[rest])
            total += s[j] * (left.predict(X[j : j + 1])[0] - y[j]) ** 2
        assert error == pytest.approx(total / s.sum(), rel=1e-6)
    refit = NTKRegressor(beta=model.beta_).fit(X, y, sample_weight=s)
    assert_allclose(model.predict(X), refit.predict(X), atol=1e-9)


def test_ctrl_c_is_heard_during_the_eigendecomposition():
    X = np.random.default_rng(0).standard_normal((1500, 3))
    with press_ctrl_c_after(0.4) as pressed, pytest.raises(KeyboardInterrupt):
        while True:
            NTKRegressorCV(n_betas=2).fit(X, X[:, 0])
    assert pressed.seconds_until_caught < SECONDS_TO_HEAR_CTRL_C


def test_a_kernel_matrix_that_cannot_fit_is_refused():
    X = np.arange(300_000.0)[:, None]
    with pytest.raises(MemoryError, match="4 kernel matrices"):
        NTKRegressorCV().fit(X, X[:, 0])


def test_mkl_regression_is_solve_mkl_on_the_gates():
    X, y = regression()
    y = y[:, 0]
    gates = np.random.default_rng(0).standard_normal((30, 4))
    for at in ("cell-average", "representative"):
        model = MKLRegressor(gates=gates, beta=0.4, at=at, fit_intercept=False, tol=1e-10).fit(X, y)
        patterns = cvxrelu.sample_patterns(with_ones(X), gates=gates)
        solution = cvxrelu.solve_mkl(with_ones(X), y, patterns, 0.4, tol=1e-10)
        assert model.objective_ == pytest.approx(solution.objective, rel=1e-9)
        assert_allclose(model.predict(X), solution.predict(with_ones(X), at=at), atol=1e-3)
        assert model.n_active_ == np.count_nonzero(model.eta_)
        assert model.solution_.kernel().shape == (60, 60)
    assert_allclose(model.network_.predict(X), model.predict(X), atol=1e-10)
    group = cvxrelu.GatedReLURegressor(gates=gates, beta=0.4, fit_intercept=False, tol=1e-10).fit(X, y)
    assert group.objective_ == pytest.approx(model.objective_, rel=1e-9)


def test_early_stopping_lies_between_the_ntk_and_the_optimum():
    X, y = regression()
    settings = {"gates": np.random.default_rng(0).standard_normal((30, 4)), "beta": 0.4}
    objectives = [
        MKLRegressor(max_iter=k, finish=finish, **settings).fit(X, y[:, 0]).objective_
        for k, finish in ((1, False), (10, False), (10, True))
    ]
    assert objectives[0] > objectives[1] > objectives[2]


@pytest.mark.parametrize("model", [NTKClassifier(), MKLClassifier(n_gates=60, random_state=0), NTKClassifierCV()])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_classification(model, n_classes):
    X = np.random.default_rng(0).standard_normal((90, 2))
    y = np.array(["a", "b", "c"])[np.digitize(X[:, 0] * X[:, 1], [0.0, 0.5][: n_classes - 1])]
    model.fit(X, y)
    assert model.score(X, y) > 0.85
    assert model.decision_function(X).shape == ((90,) if n_classes == 2 else (90, 3))
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


def test_cross_validation_prefers_a_penalty_that_fits():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 2))
    y = np.abs(X[:, 0]) + 0.05 * rng.standard_normal(80)
    model = MKLRegressorCV(n_gates=60, beta_ratios=[1e-2, 0.9], random_state=0).fit(X, y)
    assert_array_equal(model.beta_ratios_, [0.9, 1e-2])
    assert model.cv_errors_[1] < 0.5 * model.cv_errors_[0]
    again = MKLRegressorCV(n_gates=60, beta_ratios=[1e-2, 0.9], random_state=0).fit(X, y)
    assert_array_equal(again.predict(X), model.predict(X))


def test_float32_predictions():
    X, y = regression()
    X = X.astype(np.float32)
    for model in (NTKRegressor(), MKLRegressor(n_gates=20, random_state=0)):
        assert model.fit(X, y[:, 0]).predict(X).dtype == np.float32


def test_bad_settings():
    X, y = regression()
    for model, message in (
        (NTKRegressor(beta=0.0), "beta must be finite and above 0"),
        (NTKRegressor(kind="tanh"), "kind must be one of"),
        (NTKRegressorCV(betas=[-1.0]), "betas must be positive"),
        (MKLRegressor(beta_ratio=0.0), "beta_ratio must be"),
        (MKLRegressor(at="elsewhere"), "at must be one of"),
        (MKLRegressorCV(n_folds=1), "n_folds must be at least 2"),
        (MKLRegressorCV(beta_ratios=[0.0]), "beta_ratios must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(np.vstack([X[:, :1] @ np.ones((1, 3)), X[:3]]), np.concatenate([y[:, 0], np.zeros(3)]))
    # On a line without bias the kernel has rank 2.
    with pytest.raises(ValueError, match="is too small"):
        NTKRegressor(fit_bias=False, beta=1e-300).fit(np.arange(1.0, 61)[:, None], y[:, 0])


@pytest.mark.parametrize("kind", [NTKRegressorCV, MKLRegressorCV, NTKClassifierCV, MKLClassifierCV])
def test_no_weight_on_what_a_fold_is_trained_on(kind):
    X, y = regression(30)
    target = y.ravel() > y.mean() if "Classifier" in kind.__name__ else y
    with pytest.raises(ValueError, match="sample_weight is not zero: the fold that leaves it out has none"):
        kind().fit(X, target, sample_weight=np.r_[1.0, np.zeros(29)])


@pytest.mark.parametrize("model", [NTKRegressorCV(betas=[]), MKLRegressorCV(beta_ratios=[])])
def test_no_penalties_to_choose_from(model):
    X, y = regression(30)
    with pytest.raises(ValueError, match="is empty: give at least one penalty"):
        model.fit(X, y)
