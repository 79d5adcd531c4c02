"""An intercept in every estimator: predictions that follow the targets, certificates that stay true."""

import cvxrelu
import numpy as np
import pytest
from cvxrelu.rows.chunks import RowChunks
from numpy.testing import assert_allclose
from sklearn.kernel_ridge import KernelRidge

GATED = {"n_gates": 20, "random_state": 0, "tol": 1e-10, "n_threads": 1}
RELU = {"random_state": 0, "tol": 1e-8, "certificate": "given patterns", "n_threads": 1}
REGRESSORS = {
    "GatedReLURegressor": GATED,
    "GatedReLURegressorCV": GATED | {"n_betas": 3, "cv": 3},
    "ReLURegressor": RELU,
    "ReLURegressorCV": RELU | {"n_betas": 3, "cv": 3},
    "NTKRegressor": {"n_threads": 1},
    "NTKRegressorCV": {"n_threads": 1},
    "MKLRegressor": GATED,
    "MKLRegressorCV": GATED | {"beta_ratios": (0.3, 0.03), "n_folds": 3},
}


def regression(n=24, outputs=()):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 2))
    y = np.abs(X[:, :1]) - 0.5 * X[:, 1:] + 0.1 * rng.standard_normal((n, *(outputs or (1,))))
    return X, y.reshape(n, *outputs)


@pytest.mark.parametrize("outputs", [(), (2,)])
@pytest.mark.parametrize("name", REGRESSORS)
def test_predictions_follow_the_targets(name, outputs):
    X, y = regression(outputs=outputs)
    s = np.random.default_rng(1).uniform(0.5, 2, len(X))
    model = getattr(cvxrelu, name)(**REGRESSORS[name])
    expected = model.fit(X, y, sample_weight=s).predict(X)
    for a, b in ((3.0, 1e3), (0.1, 1e6)):
        found = model.fit(X, a * y + b, sample_weight=s).predict(X)
        assert_allclose((found - b) / a, expected, atol=2e-5)
        if hasattr(model, "certificate_"):
            assert model.certificate_.converged


@pytest.mark.parametrize("name", REGRESSORS)
def test_without_it_an_offset_is_paid_for(name):
    X, y = regression()
    model = getattr(cvxrelu, name)(fit_intercept=False, **REGRESSORS[name])
    assert np.abs(model.fit(X, y + 100).predict(X) - 100 - model.fit(X, y).predict(X)).max() > 1e-2


@pytest.mark.parametrize("name", ["GatedReLURegressor", "ReLURegressor", "MKLRegressor"])
def test_the_certificate_is_that_of_the_network(name):
    X, y = regression()
    y = y + 1e6
    model = getattr(cvxrelu, name)(**REGRESSORS[name]).fit(X, y)
    network = model.network_
    loss = 0.5 * np.sum((network.predict(X) - y) ** 2)
    decay = 0.5 * (np.sum(network.W1**2) + np.sum(network.w2**2))
    assert model.certificate_.upper_bound == pytest.approx(loss + model.beta_ * decay, rel=1e-7)
    assert model.certificate_.relative_gap < 1e-7
    assert model.beta_ == pytest.approx(
        getattr(cvxrelu, name)(**REGRESSORS[name]).fit(X, y - 1e6).beta_, rel=1e-3 if name == "ReLURegressor" else 1e-8
    )


@pytest.mark.parametrize("name", ["GatedReLURegressor", "NTKRegressor", "NTKRegressorCV", "MKLRegressor"])
def test_weights_are_copies(name):
    X, y = regression()
    copies = np.random.default_rng(0).integers(0, 4, len(X))
    model = getattr(cvxrelu, name)(**REGRESSORS[name])
    weighted = model.fit(X, y + 50, sample_weight=copies).predict(X)
    copied = model.fit(np.repeat(X, copies, axis=0), np.repeat(y + 50, copies)).predict(X)
    assert_allclose(weighted, copied, atol=1e-9)


def test_kernel_ridge_with_an_intercept_is_the_bordered_system():
    X, y = regression(outputs=(2,))
    y, s = y + 7, np.random.default_rng(2).random(len(X))
    model = cvxrelu.NTKRegressor(beta=0.1).fit(X, y, sample_weight=s)
    K = cvxrelu.ntk(np.column_stack([X, np.ones(len(X))]))
    bordered = np.block([[K + 0.1 * np.diag(1 / s), np.ones((len(X), 1))], [np.ones((1, len(X))), np.zeros((1, 1))]])
    solved = np.linalg.solve(bordered, np.vstack([y, np.zeros((1, 2))]))
    assert_allclose(model.intercept_, solved[-1], rtol=1e-9)
    assert_allclose(model.predict(X), K @ solved[:-1] + solved[-1], rtol=1e-9)
    centred = KernelRidge(alpha=0.1, kernel="precomputed").fit(K, y - model.intercept_, sample_weight=s)
    assert_allclose(model.predict(X) - model.intercept_, centred.predict(K), atol=1e-9)


def test_errors_of_samples_left_out_are_those_of_refits_with_an_intercept():
    X, y = regression(n=15)
    s = np.random.default_rng(2).random(15)
    model = cvxrelu.NTKRegressorCV(n_betas=4).fit(X, y + 20, sample_weight=s)
    for beta, error in zip(model.betas_, model.cv_errors_, strict=True):
        total = 0.0
        for j in range(15):
            rest = np.arange(15) != j
            left = cvxrelu.NTKRegressor(beta=beta).fit(X[rest], y[rest] + 20, sample_weight=s[rest])
            total += s[j] * (left.predict(X[j : j + 1])[0] - y[j] - 20) ** 2
        assert error == pytest.approx(total / s.sum(), rel=1e-6)


def test_one_sample_is_its_own_mean():
    for name in ("GatedReLURegressor", "ReLURegressor", "NTKRegressor", "MKLRegressor"):
        model = getattr(cvxrelu, name)(**REGRESSORS[name]).fit([[1.0, 2.0]], [5.0])
        assert_allclose(model.predict([[3.0, 4.0]]), [5.0])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("outputs", [(), (2,)])
def test_rows_in_chunks_are_fitted_as_in_memory(outputs, weighted):
    X, y = regression(300, outputs)
    y = y + 1e6
    s = np.random.default_rng(1).uniform(0.5, 2, len(X)) if weighted else None
    gates = np.random.default_rng(2).standard_normal((10, 3))
    settings = {"gates": gates, "tol": 1e-10, "n_threads": 1, "beta_ratio": 1e-2}
    whole = cvxrelu.GatedReLURegressor(**settings).fit(X, y, sample_weight=s)
    chunks = cvxrelu.GatedReLURegressor(**settings).fit(RowChunks([X[:100], X[100:]]), y, sample_weight=s)
    assert chunks.certificate_.converged
    assert chunks.beta_ == pytest.approx(whole.beta_, rel=1e-8)
    assert chunks.objective_ == pytest.approx(whole.objective_, rel=1e-8)
    assert_allclose(chunks.network_.predict(X) - 1e6, whole.network_.predict(X) - 1e6, atol=1e-4)
    dual = chunks.solution_.dual
    assert np.abs(np.sum(dual, axis=0)).max() < 1e-12 * np.abs(dual).sum()


def test_many_rows_in_memory_go_by_passes():
    X, y = regression(50_000)
    gates = np.random.default_rng(2).standard_normal((4, 3))
    settings = {"gates": gates, "tol": 1e-9, "n_threads": 1, "beta_ratio": 1e-2}
    s = np.random.default_rng(1).uniform(0.5, 2, len(X))
    model = cvxrelu.GatedReLURegressor(**settings).fit(X, y + 1e3, sample_weight=s)
    assert model.solution_.n_subsampled > 0 or "gram" in model.solution_.inner_solvers
    assert model.certificate_.converged
    residual = y + 1e3 - model.predict(X)
    assert abs(s @ residual) < 1e-6 * (s @ np.abs(residual))


LOSSES = {
    "GatedReLURegressor": ("huber", "poisson"),
    "GatedReLUClassifier": ("logistic", "softmax"),
    "ReLURegressor": ("huber", "poisson"),
    "ReLUClassifier": ("logistic", "softmax"),
    "GatedReLURegressorCV": ("poisson",),
    "GatedReLUClassifierCV": ("softmax",),
}


@pytest.mark.parametrize(("name", "loss"), [(name, loss) for name, losses in LOSSES.items() for loss in losses])
def test_every_loss_has_one(name, loss):
    X, y = regression(60)
    target = np.digitize(y, [0.2, 1.0]) if "Classifier" in name else np.round(np.exp(np.clip(y, -1, 2)) + 3)
    settings = {"random_state": 0, "tol": 1e-6, "n_threads": 1, "fit_intercept": True}
    settings |= {"n_betas": 3, "cv": 3, "n_gates": 10} if "CV" in name else {}
    settings |= {"n_gates": 10} if "Gated" in name else {"certificate": "given patterns"}
    model = getattr(cvxrelu, name)(loss=loss, **settings).fit(X, target)
    assert model.network_.output_bias is not None
    assert model.certificate_.converged
    # The residual of the optimum has the mean 0, so that predicted means are those of the targets.
    if loss == "softmax":
        shares = np.eye(3)[target].mean(axis=0)
        assert_allclose(model.predict_proba(X).mean(axis=0), shares, atol=1e-6)
    if loss == "poisson":
        assert model.predict(X).mean() == pytest.approx(target.mean(), rel=1e-6)


def test_classifiers_have_none_by_default():
    assert not any(
        getattr(cvxrelu, f"{kind}Classifier")().fit_intercept for kind in ("GatedReLU", "ReLU", "MKL", "NTK")
    )
    with pytest.raises(ValueError, match="unpenalised columns separate the targets"):
        cvxrelu.GatedReLUClassifier(loss="logistic", fit_intercept=True, n_gates=5, random_state=0).fit(
            [[0.0], [1.0], [2.0]], [0, 0, 1], sample_weight=[1, 1, 0]
        )


def test_callbacks_see_networks_with_it():
    X, y = regression()
    heard = []
    model = cvxrelu.GatedReLURegressor(callback=lambda state: heard.append(state["network"]) or False, **GATED)
    model.fit(X, y + 50)
    assert_allclose(heard[-1].predict(X), model.predict(X), atol=1e-6)
    assert_allclose(heard[0].output_bias, np.mean(y + 50), atol=0.5)


def test_constant_targets():
    X, _ = regression()
    for name in ("GatedReLURegressor", "ReLURegressor", "NTKRegressor", "MKLRegressor", "GatedReLURegressorCV"):
        model = getattr(cvxrelu, name)(**REGRESSORS[name]).fit(X, np.full(len(X), 7.25))
        assert_allclose(model.predict(X), 7.25, rtol=1e-12)
    chunks = cvxrelu.GatedReLURegressor(**GATED).fit(RowChunks([X[:9], X[9:]]), np.full(len(X), 0.1))
    assert_allclose(chunks.predict(X), 0.1, rtol=1e-12)
    assert chunks.certificate_.converged
