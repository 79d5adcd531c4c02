"""Estimators on dask collections, without a cluster: what they do with pandas and NumPy, but when it is computed."""

import cvxrelu
import numpy as np
import pytest

pd = pytest.importorskip("pandas")
dd = pytest.importorskip("dask.dataframe")
da = pytest.importorskip("dask.array")
pytestmark = [
    pytest.mark.filterwarnings("default"),  # what dask warns of is dask's
    pytest.mark.filterwarnings("error:.*feature names"),
]

GATES = {"n_gates": 20, "gates": "gaussian", "random_state": 0, "n_threads": 1}
ESTIMATORS = {
    "GatedReLURegressor": GATES | {"beta_ratio": 0.1},
    "GatedReLUClassifier": GATES | {"beta_ratio": 0.1, "loss": "squared"},
    "GatedReLURegressorCV": GATES | {"n_betas": 3, "cv": 2},
    "NTKRegressor": {},
    "NTKClassifierCV": {"n_betas": 3},
    "MKLRegressor": GATES | {"at": "representative"},
    "ReLUClassifier": {"certificate": "given patterns", "beta_ratio": 0.1, "random_state": 0, "n_threads": 1},
}


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.standard_normal((90, 3)), columns=["a", "b", "c"])
    return table, np.abs(table["a"]) + 0.1 * rng.standard_normal(90)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "Float32"])
def test_data_frames_and_series(table, name, dtype):
    X, y = table[0].astype(dtype), table[1]
    if "Classifier" in name:
        y = y > 0.6
    kind, settings = getattr(cvxrelu, name), ESTIMATORS[name]
    plain = kind(**settings).fit(X, y, sample_weight=np.ones(90))
    rows, series, weights = (dd.from_pandas(part, npartitions=3) for part in (X, y, pd.Series(np.ones(90))))
    model = kind(**settings).fit(rows, series, sample_weight=weights)
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    beside = kind(**settings).fit(X, series, sample_weight=weights)
    evaluate = "decision_function" if "Classifier" in name else "predict"
    predicted = getattr(beside, evaluate)(rows)
    assert isinstance(predicted, da.Array)
    computed, expected = predicted.compute(), getattr(plain, evaluate)(X)
    assert predicted.dtype == computed.dtype == expected.dtype
    np.testing.assert_allclose(computed, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["GatedReLURegressor", "NTKRegressor"])
def test_names_of_features_are_compared(table, name):
    X, y = table
    rows = dd.from_pandas(X, npartitions=3)
    model = getattr(cvxrelu, name)(**ESTIMATORS[name]).fit(rows, y)
    with pytest.raises(ValueError, match="in the same order"):
        model.predict(rows[["b", "a", "c"]])
    unnamed = da.from_array(X.to_numpy(), chunks=(40, 3))
    with pytest.raises(UserWarning, match="X does not have valid feature names"):
        model.predict(unnamed)
    model.fit(unnamed, y)
    assert not hasattr(model, "feature_names_in_")
    with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 3"):
        model.predict(unnamed[:, :2])


@pytest.mark.parametrize("loss", ["logistic", "softmax"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_probabilities_are_lazy(table, loss, n_classes, dtype):
    X, y = table[0].to_numpy(dtype), np.digitize(table[1], [0.4, 1.0][: n_classes - 1])
    model = cvxrelu.GatedReLUClassifier(loss=loss, **GATES).fit(X, y)
    rows = da.from_array(X, chunks=(40, 3))
    for method in ("predict_proba", "decision_function", "predict"):
        result, expected = getattr(model, method)(rows), getattr(model, method)(X)
        assert isinstance(result, da.Array)
        assert result.shape == expected.shape and result.dtype == expected.dtype
        computed = result.compute()
        assert computed.dtype == expected.dtype
        np.testing.assert_allclose(computed, expected, rtol=1e-6)


def test_predictions_of_integers_are_not_rounded(table):
    X = np.round(10 * table[0].to_numpy()).astype(np.int64)
    model = cvxrelu.GatedReLURegressor(**GATES).fit(X, table[1])
    predicted = model.predict(da.from_array(X, chunks=(40, 3)))
    np.testing.assert_allclose(predicted.compute(), model.predict(X), rtol=1e-12)


def test_a_missing_value_in_a_nullable_column_is_named(table):
    X = table[0].astype("Float64")
    X.iloc[50, 1] = pd.NA
    with pytest.raises(ValueError, match="row 50 of all, has nan in column 1"):
        cvxrelu.GatedReLURegressor(**GATES).fit(dd.from_pandas(X, npartitions=3), table[1])


@pytest.mark.parametrize("at", ["cell-average", "representative", "refined"])
def test_mixtures_of_kernels_predict_new_samples_as_elsewhere(at):
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((15, 2)), rng.standard_normal((200, 2))
    model = cvxrelu.MKLRegressor(n_gates=300, at=at, random_state=0, n_threads=1).fit(X, np.abs(X[:, 0]))
    predicted = model.predict(da.from_array(Z, chunks=50))
    np.testing.assert_allclose(predicted, model.predict(Z), rtol=1e-12, atol=1e-12)
