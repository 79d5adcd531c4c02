"""Pipelines that end in an estimator of the package, run by onnxruntime on many rows."""

import subprocess
import sys
import warnings

import cvxrelu
import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support import PREDICTORS

runtime = pytest.importorskip("onnxruntime")
skl2onnx = pytest.importorskip("skl2onnx")

QUICK = {
    "n_gates": 30,
    "n_betas": 3,
    "beta_min_ratio": 0.1,
    "cv": 2,
    "random_state": 0,
    "n_threads": 1,
    "max_rounds": 2,
    "certificate": "given patterns",
}
rng = np.random.default_rng(0)
UNITS = np.array([1.0, 50.0, 0.1])
X = rng.standard_normal((40, 3)) * UNITS + UNITS
Z = np.vstack([X, rng.standard_normal((9960, 3)) * UNITS + UNITS])
LARGE = np.abs(X[:, 0])
TARGETS = {
    "Regressor": [LARGE, np.column_stack([LARGE, X[:, 1]])],
    "Classifier": [np.where(LARGE > 1, "far", "near"), np.digitize(LARGE, [0.7, 1.4]), LARGE > 1],
}


@pytest.fixture(scope="module", autouse=True)
def registered():
    cvxrelu.register_onnx_converters()


def pipeline(name, y, **settings):
    model = getattr(cvxrelu, name)(**settings)
    model.set_params(**{key: value for key, value in QUICK.items() if key in model.get_params()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cvxrelu.ConvergenceWarning)  # two rounds are few
        return make_pipeline(StandardScaler(), model).fit(X, y)


def outputs_in_onnx(model, rows, **options):
    exported = skl2onnx.to_onnx(model, rows[:1], **options)
    session = runtime.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"X": rows}), strict=True))


def assert_exported(model, rows):
    dtype = rows.dtype
    outputs, expected = outputs_in_onnx(model, rows), model.predict(rows)
    tolerances = {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-11}
    if not hasattr(model, "classes_"):
        value = outputs.pop("variable")
        assert value.dtype == dtype and value.ndim == 2
        np.testing.assert_allclose(value.reshape(expected.shape), expected, **tolerances)
    else:
        np.testing.assert_array_equal(outputs.pop("label"), expected)
        np.testing.assert_allclose(outputs.pop("scores"), model.decision_function(rows), **tolerances)
        if hasattr(model, "predict_proba"):
            np.testing.assert_allclose(outputs.pop("probabilities"), model.predict_proba(rows), **tolerances)
    assert not outputs


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_pipeline_with_a_scaler(name):
    targets = TARGETS["Regressor" if "Regressor" in name else "Classifier"][:2]
    one, several = (pipeline(name, y) for y in targets)
    assert_exported(one, Z)
    assert_exported(one, Z[:500].astype(np.float32))
    assert_exported(several, Z[:500])


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("GatedReLURegressor", {"loss": "poisson"}),
        ("GatedReLURegressor", {"fit_bias": False, "gates": "gaussian"}),
        ("GatedReLUClassifier", {"loss": "logistic"}),
        ("GatedReLUClassifier", {"loss": "softmax"}),
        ("ReLUClassifier", {"loss": "logistic"}),
        ("MKLRegressor", {"at": "representative"}),
        ("NTKRegressor", {"kind": "gated-both", "fit_bias": False}),
        ("NTKRegressor", {"kind": "relu"}),
        ("NTKRegressor", {"kind": "relu", "depth": 3}),
    ],
    ids=str,
)
def test_settings(name, settings):
    ys = TARGETS["Regressor"][:1] if "Regressor" in name else TARGETS["Classifier"]
    for y in ys:
        assert_exported(pipeline(name, y, **settings), Z[:500])


@pytest.mark.parametrize(("name", "settings"), [("GatedReLUClassifier", {"loss": "logistic"}), ("NTKClassifier", {})])
def test_several_labels_of_each_sample(name, settings):
    labels = np.column_stack([LARGE > 1, X[:, 1] > 60])
    assert_exported(pipeline(name, labels, **settings), Z[:500])
    assert_exported(pipeline(name, labels, **settings), Z[:500].astype(np.float32))


def test_probabilities_of_extreme_scores_do_not_overflow():
    y = TARGETS["Classifier"][1]
    model = pipeline("GatedReLUClassifier", y, loss="logistic")
    far = Z[:100] + 1e5 * UNITS
    outputs = outputs_in_onnx(model, far)
    assert np.abs(outputs["scores"]).max() > 1e4
    np.testing.assert_allclose(outputs["probabilities"], model.predict_proba(far), rtol=1e-6, atol=1e-300)


def test_the_kernel_at_training_samples_and_opposite_ones_and_zero():
    samples = np.vstack([X / UNITS, np.zeros(3)])
    model = cvxrelu.NTKRegressor(fit_bias=False, beta=1e-9).fit(samples, np.append(LARGE, 0.0))
    rows = np.vstack([samples, -samples, samples * (1 + 1e-9)])
    values, expected = outputs_in_onnx(model, rows)["variable"][:, 0], model.predict(rows)
    scale = np.abs(model.dual_coef_).max()
    assert scale > 1
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-13 * scale)  # angles of arccos miss by 1e-8


def test_a_sample_on_the_border_of_a_gate():
    """The sum 0.1 + 0.2 - 0.3 is 2^-54 for exact signs; the rounded product may take it for either side."""
    gates = np.array([[1.0, 1.0, -1.0]])
    model = cvxrelu.GatedReLURegressor(gates=gates, fit_bias=False, fit_intercept=False, beta_ratio=0.1).fit(
        np.eye(3), [1.0, 1.0, 0.0]
    )
    border = np.array([[0.1, 0.2, -0.3], [0.1, 0.2, 0.3], [1.0, 2.0, 2.9]])
    values = outputs_in_onnx(model, border)["variable"][:, 0]
    open_gate = border @ model.network_.W1[0] * model.network_.w2[0]
    np.testing.assert_allclose(values[[0, 2]], open_gate[[0, 2]], rtol=1e-12)
    assert min(abs(values[1] - open_gate[1]), abs(values[1])) <= 1e-12


def test_estimators_around_an_estimator():
    regressor = cvxrelu.GatedReLURegressor(n_gates=20, random_state=0)
    search = GridSearchCV(regressor, {"beta_ratio": [0.1, 0.01]}, cv=2).fit(X, LARGE)
    np.testing.assert_allclose(outputs_in_onnx(search, Z)["variable"][:, 0], search.predict(Z), rtol=1e-11, atol=1e-11)
    for y in TARGETS["Classifier"][1:]:
        classifier = cvxrelu.GatedReLUClassifier(n_gates=20, random_state=0)
        calibrated = CalibratedClassifierCV(classifier, cv=2).fit(X, y)
        outputs = outputs_in_onnx(calibrated, Z, options={"zipmap": False})
        np.testing.assert_allclose(outputs["probabilities"], calibrated.predict_proba(Z), atol=1e-9)
        classifier.fit(X, y)
        raw = outputs_in_onnx(classifier, Z, options={id(classifier): {"raw_scores": True}})["scores"]
        scores = classifier.decision_function(Z)
        np.testing.assert_allclose(raw, scores if scores.ndim == 2 else np.stack([-scores, scores], axis=1), atol=1e-9)


@pytest.mark.parametrize("kind", TARGETS)
def test_the_average_by_default(kind):
    """Of pipelines of scalers, tanh, scores, kernels and networks."""
    for y in TARGETS[kind]:
        average = getattr(cvxrelu, f"ExponentialWeights{kind}")
        model = average(weights="nnls", cv=2, random_state=0, n_threads=1).fit(X, y)
        assert_exported(model, Z[:500])
        model.weights_ = np.full(len(model.estimators_), 1 / len(model.estimators_))
        assert_exported(model, Z[:500])
        assert_exported(model, Z[:500].astype(np.float32))


def test_averages_of_other_estimators():
    search = GridSearchCV(
        make_pipeline(StandardScaler(), cvxrelu.NTKClassifier()), {"ntkclassifier__beta": [1, 9]}, cv=2
    )
    scored = [
        ("search", search),
        ("ridge", RidgeClassifier()),
        ("law", cvxrelu.GatedReLUClassifier(n_gates=20, loss="logistic")),
    ]
    certain = [("line", LogisticRegression()), ("law", scored[2][1])]
    for members in (scored, certain):
        for y in TARGETS["Classifier"]:
            model = cvxrelu.ExponentialWeightsClassifier(members, cv=2).fit(X, y)
            model.weights_ = np.full(len(members), 1 / len(members))
            assert hasattr(model, "predict_proba") == (members is certain)
            assert_exported(model, Z[:500].astype(np.float32))
            raw = outputs_in_onnx(model, Z[:500], options={id(model): {"raw_scores": True}})["scores"]
            scores = model.decision_function(Z[:500])
            expected = scores if scores.ndim == 2 else np.stack([-scores, scores], axis=1)
            np.testing.assert_allclose(raw, expected, rtol=1e-5, atol=1e-5)
    members = [("line", Ridge()), ("forest", RandomForestRegressor(5)), ("kernel", cvxrelu.NTKRegressorCV())]
    for y in TARGETS["Regressor"]:
        model = make_pipeline(StandardScaler(), cvxrelu.ExponentialWeightsRegressor(members, cv=2)).fit(X, y)
        model[-1].weights_ = np.full(3, 1 / 3)
        assert_exported(model, Z[:500].astype(np.float32))


def test_what_cannot_be_exported_is_said():
    model = cvxrelu.MKLRegressor(n_gates=20, at="refined", random_state=0).fit(X, LARGE)
    with pytest.raises(ValueError, match='at="refined" is no network'):
        skl2onnx.to_onnx(model, X[:1])
    model = cvxrelu.GatedReLURegressor(n_gates=20, random_state=0).fit(X, LARGE)
    with pytest.raises(ValueError, match="target_opset must be at least 13"):
        skl2onnx.to_onnx(model, X[:1], target_opset=12)
    model = cvxrelu.GatedReLUClassifier(n_gates=20, random_state=0).fit(X, LARGE > 1)
    model.classes_ = np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[D]")
    with pytest.raises(ValueError, match="classes_ must be strings or whole numbers"):
        skl2onnx.to_onnx(model, X[:1])
    with pytest.raises(Exception, match="not fitted"):
        skl2onnx.to_onnx(cvxrelu.GatedReLURegressor(), X[:1])


def test_skl2onnx_is_named_where_it_is_missing():
    code = "import sys; sys.modules['skl2onnx'] = None; import cvxrelu; cvxrelu.register_onnx_converters()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert result.stderr.splitlines()[-1] == (
        "ImportError: register_onnx_converters needs skl2onnx: pip install 'cvxrelu[export]'"
    )
