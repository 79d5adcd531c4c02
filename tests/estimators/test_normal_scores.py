"""Normal scores against their definition, value by value."""

import numpy as np
import pytest
from cvxrelu import NormalScores, NTKRegressor
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm, rankdata
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks


@parametrize_with_checks([NormalScores(), NormalScores(keep=True)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@given(arrays(float, st.tuples(st.integers(1, 30), st.integers(1, 3)), elements=st.integers(-3, 3).map(float)))
def test_scores_are_those_of_mid_ranks(X):
    expected = norm.ppf((rankdata(X, axis=0) - 0.5) / len(X))
    np.testing.assert_allclose(NormalScores().fit_transform(X), expected, atol=1e-12)


def test_units_skewness_and_order_of_samples_do_not_matter():
    X = np.random.default_rng(0).standard_normal((50, 2))
    expected = NormalScores().fit_transform(X)
    np.testing.assert_array_equal(NormalScores().fit_transform(np.exp(3 * X) * 1e200), expected)
    np.testing.assert_array_equal(NormalScores().fit_transform(X[::-1]), expected[::-1])


def test_a_weight_is_a_number_of_copies():
    rng = np.random.default_rng(0)
    X, weights = rng.integers(0, 9, (20, 2)).astype(float), rng.integers(0, 4, 20)
    weighted, copies = NormalScores().fit(X, sample_weight=weights), NormalScores().fit(np.repeat(X, weights, axis=0))
    for k in range(2):
        np.testing.assert_array_equal(weighted.knots_[k], copies.knots_[k])
        np.testing.assert_allclose(weighted.scores_[k], copies.scores_[k], rtol=1e-14)


def test_between_and_beyond_the_training_values():
    model = NormalScores().fit([[0.0], [2.0], [4.0]])
    low, high = norm.ppf(1 / 6), norm.ppf(5 / 6)
    np.testing.assert_allclose(model.transform([[-9.0], [1.0], [3.0], [9.0]]).ravel(), [low, low / 2, high / 2, high])


def test_few_knots_hardly_change_the_scores():
    X = np.random.default_rng(0).lognormal(size=(5000, 1))
    every, few = NormalScores(n_knots=5000).fit(X), NormalScores(n_knots=200).fit(X)
    assert every.knots_[0].size == 5000 and few.knots_[0].size == 200
    assert np.abs(every.transform(X) - few.transform(X)).max() < 0.35  # at the ends, where 25 samples share a knot
    assert np.abs(every.transform(X) - few.transform(X)).mean() < 0.01
    assert few.transform(X).min() == every.transform(X).min()


def test_names_of_what_is_kept_and_added():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"age": [1.0, 2.0], "income": [3.0, 9.0]})
    model = NormalScores(keep=True).fit(frame)
    assert model.get_feature_names_out().tolist() == ["age", "income", "age_score", "income_score"]
    np.testing.assert_array_equal(model.transform(frame)[:, :2], frame.to_numpy())
    assert model.set_output(transform="pandas").transform(frame).columns.tolist()[2:] == ["age_score", "income_score"]


def test_a_skewed_feature_is_learned():
    rng = np.random.default_rng(0)
    X = rng.lognormal(sigma=2, size=(150, 2))
    y = np.log(X[:, 0]) * np.log(X[:, 1])
    search = GridSearchCV(
        make_pipeline(StandardScaler(), NormalScores(), NTKRegressor()),
        {"normalscores": ["passthrough", NormalScores(), NormalScores(keep=True)]},
    ).fit(X, y)
    raw, scored = search.cv_results_["mean_test_score"][:2]
    assert search.best_params_["normalscores"] != "passthrough"
    assert scored > 0.8 > raw


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"keep": 1}, "keep must be True or False"), ({"n_knots": 1}, "n_knots must be at least 2")],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        NormalScores(**settings).fit([[1.0], [2.0]])
    with pytest.raises(ValueError, match="at least one non-zero"):
        NormalScores().fit([[1.0], [2.0]], sample_weight=[0, 0])


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_onnx(keep, dtype):
    runtime, skl2onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("skl2onnx")
    import cvxrelu

    cvxrelu.register_onnx_converters()
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.lognormal(size=60), rng.integers(0, 3, 60), np.full(60, 7.0)])
    model = make_pipeline(StandardScaler(), NormalScores(keep=keep), NTKRegressor()).fit(X, X[:, 0])
    Z = np.vstack([X, 1.3 * X - 0.2]).astype(dtype)
    for part in (model[:-1], model):
        session = runtime.InferenceSession(skl2onnx.to_onnx(part, Z[:1]).SerializeToString())
        (found,) = session.run(None, {"X": Z})
        expected = part.predict(Z) if part is model else part.transform(Z)
        assert found.dtype == dtype
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=tolerance, atol=tolerance)
