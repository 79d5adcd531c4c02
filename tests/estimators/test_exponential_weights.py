import pickle
import subprocess
import sys

import cvxrelu
import numpy as np
import pytest
from cvxrelu import (
    ExponentialWeightsClassifier,
    ExponentialWeightsRegressor,
    NormalScores,
    NTKClassifierCV,
    NTKRegressorCV,
)
from cvxrelu.estimators.exponential_weights import exponential_weights, least_squares_weights
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

TWO_REGRESSORS = [("kernel", NTKRegressorCV(n_betas=5)), ("line", LinearRegression())]
TWO_CLASSIFIERS = [("kernel", NTKClassifierCV(n_betas=5)), ("prior", DummyClassifier())]


@parametrize_with_checks(
    [ExponentialWeightsRegressor(TWO_REGRESSORS, cv=3), ExponentialWeightsClassifier(TWO_CLASSIFIERS, cv=3)]
)
@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
def test_scikit_learn_has_no_complaints(estimator, check):
    check(estimator)


def regression(n=120):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 3))
    return X, np.abs(X[:, 0]) + X[:, 1] + 0.3 * rng.standard_normal(n)


def test_weights_are_those_of_the_formula_on_samples_left_out():
    X, y = regression()
    folds = KFold(4, shuffle=True, random_state=0)
    members = [*TWO_REGRESSORS, ("heavy", Ridge(30.0))]
    model = ExponentialWeightsRegressor(members, cv=folds).fit(X, y)
    losses = [np.mean((cross_val_predict(member, X, y, cv=folds) - y) ** 2) for _, member in members]
    assert_allclose(model.losses_, losses)
    weights = np.exp(-len(y) * (np.array(losses) - min(losses)) / (4 * min(losses)))
    assert_allclose(model.weights_, weights / weights.sum())
    values = sum(w * member.fit(X, y).predict(X) for w, (_, member) in zip(model.weights_, members, strict=True))
    assert_allclose(model.predict(X), values)
    assert list(model.named_estimators_.values()) == model.estimators_
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


@given(st.lists(st.floats(0, 1e300), min_size=1, max_size=5), st.integers(1, 10**6))
@example([0.0, 0.0, 1.0], 10)
@example([1e-320, 1.0], 10)
def test_weights_of_any_losses(losses, n_samples):
    losses = np.array(losses)
    weights = exponential_weights(losses, n_samples)
    assert weights.sum() == pytest.approx(1)
    assert (weights[losses == losses.min()] == weights.max()).all()
    order = np.argsort(losses)
    assert (np.diff(weights[order]) <= 0).all()


@given(
    st.integers(1, 6), st.integers(2, 20), st.integers(1, 2), st.sampled_from([1e-200, 1.0, 1e200]), st.integers(0, 99)
)
def test_least_squares_weights_are_optimal_on_the_simplex(k, m, c, scale, seed):
    """The gradient of the loss is least, and the same, where a weight is positive: optimality of a convex program."""
    rng = np.random.default_rng(seed)
    errors = rng.standard_normal((k, m, c)) + rng.standard_normal((1, m, c))
    sample_weight = rng.integers(0, 3, m) + (np.arange(m) == 0)
    weights = least_squares_weights(scale * errors, sample_weight.astype(float))
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
    gradient = np.einsum("kmc,m,jmc,j->k", errors, sample_weight, errors, weights)
    assert_allclose(weights @ (gradient - gradient.min()), 0, atol=1e-12 * (errors**2).sum())


def test_weights_by_least_squares():
    X, y = regression()
    folds = KFold(4, shuffle=True, random_state=0)
    first = make_column_transformer(("passthrough", [0]))
    others = make_column_transformer(("passthrough", [1, 2]))
    members = [
        ("first", make_pipeline(first, NTKRegressorCV(n_betas=5))),
        ("others", make_pipeline(others, LinearRegression())),
        ("mean", DummyRegressor()),
    ]
    model = ExponentialWeightsRegressor(members, weights="nnls", cv=folds).fit(X, y)
    apart = ExponentialWeightsRegressor(members, cv=folds).fit(X, y)
    assert_array_equal(model.losses_, apart.losses_)
    left_out = np.column_stack([cross_val_predict(member, X, y, cv=folds) for _, member in members])
    others = (apart.weights_, *np.eye(3), *(0.99 * model.weights_ + 0.01 * np.eye(3)))
    least = np.mean((left_out @ model.weights_ - y) ** 2)
    assert all(np.mean((left_out @ weights - y) ** 2) > least for weights in others)
    assert_array_equal(least_squares_weights(np.zeros((3, 4, 1)), np.ones(4)).sum(), 1)


def test_members_that_are_equal_share_and_a_bad_one_fades():
    X, y = regression()
    members = [("one", LinearRegression()), ("two", LinearRegression()), ("mean", DummyRegressor())]
    assert_allclose(ExponentialWeightsRegressor(members).fit(X, y).weights_, [0.5, 0.5, 0], atol=1e-6)


def test_the_default_members_of_a_regressor_and_their_certificates():
    X, y = regression()
    model = ExponentialWeightsRegressor(random_state=0, cv=3, n_threads=1).fit(1e3 + 10 * X, 5 * y - 100)
    names = [f"gated {ratio}" for ratio in ("0.1", "0.03", "0.01")]
    assert list(model.named_estimators_) == [*names, "kernel raw", "kernel tanh", "kernel scores"]
    assert list(model.certificates_) == names
    assert all(proved.relative_gap <= 1e-3 for proved in model.certificates_.values())
    assert all(len(model.named_estimators_[name][-1].solutions_) == 2 for name in names)
    again = ExponentialWeightsRegressor(random_state=0, cv=3, n_threads=1).fit(X, y)
    assert_allclose(model.predict(1e3 + 10 * X), 5 * again.predict(X) - 100, rtol=1e-3, atol=0.02)
    assert again.score(X, y) > 0.9


def test_files_name_the_package(tmp_path):
    """In a process that never asked the package for the members."""
    skops = pytest.importorskip("skops.io")
    code = f"""
import numpy as np, pickle, cvxrelu, skops.io
X = np.random.default_rng(0).standard_normal((30, 2))
model = cvxrelu.ExponentialWeightsRegressor(cv=2, random_state=0, n_threads=1).fit(X, X[:, 0])
assert b"cvxrelu.estimators.gated" not in pickle.dumps(model)
skops.io.dump(model, {str(tmp_path / "model.skops")!r})
np.save({str(tmp_path / "values.npy")!r}, model.predict(X))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    model = skops.load(tmp_path / "model.skops", trusted=cvxrelu.SKOPS_TRUSTED)
    X = np.random.default_rng(0).standard_normal((30, 2))
    assert_array_equal(model.predict(X), np.load(tmp_path / "values.npy"))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_classes(n_classes):
    X, y = load_iris(return_X_y=True)
    X, y = X[y < n_classes], np.array(["b", "c", "a"])[y[y < n_classes]]
    model = ExponentialWeightsClassifier(random_state=0, cv=3, n_threads=1).fit(X, y)
    assert model.classes_.tolist() == sorted({*y})
    assert model.score(X, y) > 0.95
    scores = model.decision_function(X)
    assert scores.shape == ((100,) if n_classes == 2 else (150, 3))
    assert list(model.certificates_) == ["gated 0.3", "gated 0.1", "gated 0.03"]


def test_losses_of_scores_and_of_probabilities():
    X, y = load_iris(return_X_y=True)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    forest, svm = RandomForestClassifier(20, random_state=0), SVC()
    model = ExponentialWeightsClassifier([("forest", forest), ("svm", svm)], cv=folds).fit(X, y)
    targets = np.where(y[:, None] == np.arange(3), 1, -1)
    scores = [
        2 * cross_val_predict(forest, X, y, cv=folds, method="predict_proba") - 1,
        cross_val_predict(svm, X, y, cv=folds, method="decision_function"),
    ]
    assert_allclose(model.losses_, [np.mean(((own - targets) ** 2).sum(axis=1)) for own in scores])


def test_probabilities_are_averages_of_those_of_members():
    X, y = load_iris(return_X_y=True)
    members = [("forest", RandomForestClassifier(20, random_state=0)), ("line", LogisticRegression(max_iter=1000))]
    for classes in (2, 3):
        few = y < classes
        model = ExponentialWeightsClassifier(members, weights="nnls").fit(X[few], y[few])
        model.weights_ = np.array([0.25, 0.75])
        parts = [member.predict_proba(X) for member in model.estimators_]
        assert_allclose(model.predict_proba(X), 0.25 * parts[0] + 0.75 * parts[1], atol=1e-15)
        assert_array_equal(model.predict(X), model.predict_proba(X).argmax(axis=1))
    for some in (ExponentialWeightsClassifier(TWO_CLASSIFIERS), ExponentialWeightsClassifier()):
        assert hasattr(some, "predict_proba")
    without = ExponentialWeightsClassifier([*TWO_CLASSIFIERS, ("ridge", RidgeClassifier())])
    assert not hasattr(without, "predict_proba")
    with pytest.raises(AttributeError) as error:
        without.predict_proba(X)
    assert "member 'ridge' has no probabilities" in str(error.value.__cause__)


def test_a_class_that_a_fold_lacks_has_the_lowest_score():
    X, y = load_iris(return_X_y=True)
    few = np.r_[0:50, 50:100, 100]
    with pytest.warns(UserWarning, match="least populated class"):
        model = ExponentialWeightsClassifier([("kernel", NTKClassifierCV())], cv=3).fit(X[few], y[few])
    assert model.score(X[few], y[few]) > 0.9


@pytest.mark.parametrize("kind", ["exponential", "nnls"])
@pytest.mark.parametrize("factor", [1e-170, 1e170])
def test_weights_do_not_depend_on_the_units_of_targets(factor, kind):
    X, y = regression()
    members = [("mean", DummyRegressor()), ("largest", DummyRegressor(strategy="quantile", quantile=1.0))]
    plain, model = (ExponentialWeightsRegressor(members, weights=kind).fit(X, by * y) for by in (1.0, factor))
    assert plain.weights_.max() > 0.9
    assert_allclose(model.weights_, plain.weights_, rtol=1e-6, atol=1e-12)


def test_weights_reach_the_members_and_the_losses():
    X, y = regression()
    weights = np.random.default_rng(0).integers(0, 3, size=len(y))
    members = [("scores", make_pipeline(StandardScaler(), NormalScores(), Ridge())), ("line", LinearRegression())]
    copies = np.repeat(np.arange(len(y)), weights)
    fold = np.arange(len(y)) % 3
    folds = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(3)]
    of_copies = [(np.flatnonzero(fold[copies] != k), np.flatnonzero(fold[copies] == k)) for k in range(3)]
    weighted = ExponentialWeightsRegressor(members, cv=folds).fit(X, y, sample_weight=weights)
    copied = ExponentialWeightsRegressor(members, cv=of_copies).fit(X[copies], y[copies])
    assert_allclose(weighted.losses_, copied.losses_)
    assert_allclose(weighted.predict(X), copied.predict(X))


def test_several_targets():
    X, y = regression()
    both = np.column_stack([y, -2 * y])
    model = ExponentialWeightsRegressor(TWO_REGRESSORS).fit(X, both)
    assert_allclose(model.predict(X)[:, 1], -2 * model.predict(X)[:, 0])


@pytest.mark.parametrize("members", [[], [("a", Ridge()), ("a", LinearRegression())]])
def test_members_need_names_of_their_own(members):
    with pytest.raises(ValueError, match="pairs with distinct names"):
        ExponentialWeightsRegressor(members).fit(*regression())


def test_weights_have_two_names():
    with pytest.raises(ValueError, match='weights must be "exponential" or "nnls", not \'equal\''):
        ExponentialWeightsRegressor(TWO_REGRESSORS, weights="equal").fit(*regression())
    with pytest.raises(ValueError, match='weights must be "exponential" or "nnls", not array'):
        ExponentialWeightsRegressor(TWO_REGRESSORS, weights=np.array([0.5, 0.5])).fit(*regression())


def test_one_class_is_nothing_to_tell_apart():
    with pytest.raises(ValueError, match="y has one class only"):
        ExponentialWeightsClassifier().fit(np.eye(5), np.zeros(5))


def test_other_classifiers_with_scores_may_take_part():
    X, y = load_iris(return_X_y=True)
    model = ExponentialWeightsClassifier([("svm", SVC()), ("kernel", NTKClassifierCV())]).fit(X, y)
    assert model.weights_[1] > 0.99  # scores of one against one are far from -1 and 1
    assert cvxrelu.ExponentialWeightsClassifier is ExponentialWeightsClassifier
