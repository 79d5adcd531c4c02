import pickle

import numpy as np
import pytest
from cvxrelu import ReLUClassifierCV, ReLURegressor, ReLURegressorCV
from sklearn.utils.estimator_checks import parametrize_with_checks

QUICK = {"n_betas": 3, "beta_min_ratio": 3e-2, "n_threads": 1, "random_state": 0}


CHECKED = {"cv": 3, "n_betas": 2, "beta_min_ratio": 0.3, "n_threads": 1, "max_seconds": None}


@parametrize_with_checks(
    [
        ReLURegressorCV(certificate="given patterns", fit_bias=False, **CHECKED),
        ReLUClassifierCV(certificate="given patterns", fit_bias=False, **CHECKED),
    ]
)
@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
def test_scikit_learn_has_no_complaints(estimator, check):
    check(estimator)


def regression(n=60):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 2))
    return X, np.abs(X[:, 0]) + 0.3 * rng.standard_normal(n)


def test_the_path_and_the_choice():
    X, y = regression()
    model = ReLURegressorCV(n_betas=6, cv=4, random_state=0, n_threads=1).fit(X, y)
    assert model.loss_path_.shape == (6, 4)
    best = model.loss_path_ @ [15, 15, 15, 15]
    assert model.beta_ratio_ == model.beta_ratios_[best.argmin()]
    assert 0 < best.argmin() < 5
    assert model.certificate_.scope == "all patterns" and model.certificate_.relative_gap <= 1e-4
    assert [point[0].beta for point in model.path_] == pytest.approx(
        model.beta_ * model.beta_ratios_[: len(model.path_)] / model.beta_ratio_, rel=1e-12
    )
    assert model.certificate_.upper_bound <= model.path_[-1][0].objective * (1 + 1e-12)
    alone = ReLURegressor(beta=model.beta_, random_state=0, n_threads=1).fit(X, y)
    assert abs(alone.certificate_.upper_bound - model.certificate_.upper_bound) <= alone.dual_gap_ + model.dual_gap_
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_the_errors_are_those_of_networks_trained_on_the_rest():
    X, y = regression()
    folds = [(np.arange(15, 60), np.arange(15)), (np.arange(45), np.arange(45, 60))]
    model = ReLURegressorCV(cv=folds, tol=1e-8, **QUICK).fit(X, y)
    for k, (train, test) in enumerate(folds):
        # The penalty is relative to the largest one of the training part.
        alone = ReLURegressor(beta_ratio=model.beta_ratios_[2], tol=1e-8, random_state=1, n_threads=1)
        alone.fit(X[train], y[train])
        error = np.mean((alone.predict(X[test]) - y[test]) ** 2)
        assert model.loss_path_[2, k] == pytest.approx(error, rel=0.05)


@pytest.mark.slow
def test_folds_in_parallel_give_the_same():
    X, y = regression()
    one = ReLURegressorCV(cv=3, **QUICK).fit(X, y)
    two = ReLURegressorCV(cv=3, n_jobs=2, **QUICK).fit(X, y)
    np.testing.assert_array_equal(one.loss_path_, two.loss_path_)


def test_several_outputs_and_classes():
    X, y = regression()
    both = ReLURegressorCV(cv=3, **QUICK).fit(X, np.stack([y, -y], axis=1))
    assert both.predict(X).shape == (60, 2)
    labels = np.array(["low", "mid", "top"])[np.digitize(y, [0.5, 1.2])]
    model = ReLUClassifierCV(cv=3, **QUICK).fit(X, labels)
    assert model.decision_function(X).shape == (60, 3)
    assert model.score(X, labels) > 0.6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_betas": 1}, "n_betas must be at least 2"),
        ({"beta_min_ratio": 1.0}, "beta_min_ratio must be below 1"),
        ({"beta_min_ratio": -1.0}, "beta_min_ratio must be"),
        ({"max_seconds": -1.0}, "max_seconds must be"),
        ({"cv": 1}, "at least one train/test split|k-fold"),
        ({"certificate": "none"}, "certificate must be"),
    ],
)
def test_settings_that_are_refused(settings, message):
    X, y = regression()
    with pytest.raises(ValueError, match=message):
        ReLURegressorCV(**QUICK | settings).fit(X, y)


@pytest.mark.parametrize("kind", [ReLURegressorCV, ReLUClassifierCV])
def test_no_weight_on_what_a_fold_is_trained_on(kind):
    X, y = regression(30)
    target = np.where(y > y[0], "far", "near") if "Classifier" in kind.__name__ else y
    folds = [(np.arange(15), np.arange(15, 30)), (np.arange(15, 30), np.arange(15))]
    with pytest.raises(ValueError, match="sample_weight is zero for every training sample of fold 1 of 2"):
        kind(cv=folds, **QUICK).fit(X, target, sample_weight=np.r_[1.0, np.zeros(29)])


def test_no_weight_on_what_is_held_out():
    X, y = regression()
    weights = np.r_[np.zeros(20), np.ones(40)]
    folds = [(np.arange(20, 60), np.arange(20))]
    with pytest.raises(ValueError, match="every sample that is held out"):
        ReLURegressorCV(cv=folds, **QUICK).fit(X, y, sample_weight=weights)


@pytest.mark.parametrize("kind", [ReLURegressorCV, ReLUClassifierCV])
def test_samples_without_weight_do_not_matter(kind):
    X, y = regression(40)
    rng = np.random.default_rng(1)
    ignored = rng.permutation(60) < 20
    Z, z = 10 * rng.standard_normal((60, X.shape[1])), 100 * rng.standard_normal(60)
    Z[~ignored], z[~ignored] = X, y
    if kind is ReLUClassifierCV:
        y, z = y > 0.5, z > 0.5
    settings = QUICK | {"cv": 3, "certificate": "given patterns"}
    alone, beside = kind(**settings).fit(X, y), kind(**settings).fit(Z, z, sample_weight=1.0 - ignored)
    np.testing.assert_array_equal(beside.loss_path_, alone.loss_path_)
    assert (beside.beta_, beside.dual_gap_) == (alone.beta_, alone.dual_gap_)


def test_outputs_that_share_neurons_share_them_in_the_folds_too():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 1))
    Y = np.column_stack([np.abs(X[:, 0]), np.maximum(X[:, 0], 0)]) + 0.1 * rng.standard_normal((30, 2))
    model = ReLURegressorCV(share_neurons=True, cv=3, **QUICK).fit(X, Y)
    assert model.loss_path_.shape == (3, 3) and len(model.solutions_) == 1
    assert all(len(point) == 1 and point[0].signs.shape[1] == 2 for point in model.path_)
    assert model.certificate_.relative_gap <= 1e-4
    alone = ReLURegressor(share_neurons=True, beta=model.beta_, random_state=0, n_threads=1).fit(X, Y)
    assert abs(alone.certificate_.upper_bound - model.certificate_.upper_bound) <= alone.dual_gap_ + model.dual_gap_
    labels = np.array(["a", "b", "c"])[np.digitize(X[:, 0], [-0.5, 0.5])]
    classifier = ReLUClassifierCV(share_neurons=True, cv=3, **QUICK).fit(X, labels)
    assert len(classifier.solutions_) == 1 and classifier.score(X, labels) > 0.8
