import numpy as np
import pytest
from cvxrelu import GatedReLUClassifierCV, GatedReLURegressor, GatedReLURegressorCV
from sklearn.model_selection import KFold, PredefinedSplit
from sklearn.utils.estimator_checks import parametrize_with_checks

QUICK = {"n_gates": 40, "n_betas": 4, "beta_min_ratio": 3e-2, "n_threads": 1}


@parametrize_with_checks([GatedReLURegressorCV(cv=3, **QUICK), GatedReLUClassifierCV(cv=3, **QUICK)])
@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
def test_scikit_learn_has_no_complaints(estimator, check):
    check(estimator)


def regression(n=90, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 3))
    return X, np.abs(X[:, 0]) + 0.3 * rng.standard_normal(n)


def test_the_path_and_the_choice():
    X, y = regression()
    model = GatedReLURegressorCV(n_gates=60, n_betas=8, cv=4, random_state=0, n_threads=1).fit(X, y)
    assert model.loss_path_.shape == (8, 4)
    best = model.loss_path_ @ [23, 23, 22, 22]  # samples held out in each fold
    assert model.beta_ratio_ == model.beta_ratios_[best.argmin()]
    assert 0 < best.argmin() < 7
    assert len(model.path_) == best.argmin() + 1
    assert (np.diff(model.path_.betas) < 0).all() and model.path_[-1].beta == pytest.approx(model.beta_)
    assert model.path_[0].active.size == 0
    assert (model.path_.relative_gaps <= 1e-6).all()
    assert model.objective_ == pytest.approx(model.network_.objective(X, y, model.beta_), rel=1e-10)


def test_a_point_of_the_path_is_a_fit_of_its_own():
    X, y = regression()
    gates = np.random.default_rng(0).standard_normal((50, 4))
    model = GatedReLURegressorCV(gates=gates, n_betas=6, cv=3, n_threads=1, tol=1e-9).fit(X, y)
    alone = GatedReLURegressor(gates=gates, beta=model.beta_, n_threads=1, tol=1e-9).fit(X, y)
    assert alone.objective_ == pytest.approx(model.objective_, rel=1e-7)
    np.testing.assert_allclose(alone.predict(X), model.predict(X), atol=1e-3)


def test_losses_of_folds_are_those_of_fits_of_their_own():
    X, y = regression()
    gates = np.random.default_rng(0).standard_normal((50, 4))
    folds = KFold(3)
    model = GatedReLURegressorCV(gates=gates, n_betas=5, cv=folds, n_threads=1).fit(X, y)
    for k, (train, test) in enumerate(folds.split(X)):
        for loss, ratio in zip(model.loss_path_[:, k], model.beta_ratios_, strict=True):
            alone = GatedReLURegressor(gates=gates, beta_ratio=ratio, n_threads=1).fit(X[train], y[train])
            assert loss == pytest.approx(np.mean((alone.predict(X[test]) - y[test]) ** 2), rel=1e-2)


@pytest.mark.slow
def test_folds_in_parallel_give_the_same():
    X, y = regression()
    settings = dict(n_gates=40, n_betas=4, cv=3, random_state=0, n_threads=1)
    one = GatedReLURegressorCV(**settings).fit(X, y)
    two = GatedReLURegressorCV(n_jobs=2, **settings).fit(X, y)
    np.testing.assert_array_equal(one.loss_path_, two.loss_path_)


def test_several_outputs_and_classes():
    X, y = regression()
    both = GatedReLURegressorCV(cv=3, random_state=0, **QUICK).fit(X, np.stack([y, -y], axis=1))
    assert both.predict(X).shape == (90, 2)
    rng = np.random.default_rng(0)
    labels = np.array(["low", "mid", "top"])[np.digitize(y, [0.5, 1.2])]
    model = GatedReLUClassifierCV(cv=3, random_state=0, **QUICK).fit(X, labels)
    assert model.decision_function(X).shape == (90, 3)
    assert model.score(X, labels) > 0.6
    assert set(model.predict(rng.standard_normal((20, 3)))) <= {"low", "mid", "top"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_betas": 1}, "n_betas must be at least 2"),
        ({"beta_min_ratio": 1.0}, "beta_min_ratio must be below 1"),
        ({"beta_min_ratio": -1.0}, "beta_min_ratio must be"),
        ({"cv": 1}, "at least one train/test split|k-fold"),
    ],
)
def test_settings_that_are_refused(settings, message):
    X, y = regression()
    with pytest.raises(ValueError, match=message):
        GatedReLURegressorCV(n_gates=10, **settings).fit(X, y)


@pytest.mark.parametrize("kind", [GatedReLURegressorCV, GatedReLUClassifierCV])
def test_no_weight_on_what_a_fold_is_trained_on(kind):
    X, y = regression(30)
    target = np.where(y > y[0], "far", "near") if "Classifier" in kind.__name__ else y
    folds = [(np.arange(15), np.arange(15, 30)), (np.arange(15, 30), np.arange(15))]
    with pytest.raises(ValueError, match="sample_weight is zero for every training sample of fold 1 of 2"):
        kind(cv=folds, **QUICK).fit(X, target, sample_weight=np.r_[1.0, np.zeros(29)])


def test_no_weight_on_what_is_held_out():
    X, y = regression()
    weights = np.r_[np.zeros(30), np.ones(60)]
    folds = [(np.arange(30, 90), np.arange(30))]
    with pytest.raises(ValueError, match="every sample that is held out"):
        GatedReLURegressorCV(cv=folds, **QUICK).fit(X, y, sample_weight=weights)


@parametrize_with_checks(
    [
        GatedReLURegressorCV(loss="poisson", gates="gaussian", cv=3, **QUICK),
        GatedReLUClassifierCV(loss="softmax", gates="gaussian", cv=3, **QUICK),
    ]
)
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
def test_scikit_learn_has_no_complaints_about_losses(estimator, check):
    check(estimator)


@pytest.mark.parametrize("loss", ["huber", "poisson", "logistic", "softmax"])
def test_the_held_out_loss_is_that_of_training(loss):
    X, y = regression()
    folds = [(np.arange(60), np.arange(60, 90))]
    settings = dict(loss=loss, cv=folds, random_state=0, **QUICK)
    if loss in ("huber", "poisson"):
        model = GatedReLURegressorCV(**settings).fit(X, np.round(np.abs(3 * y)))
    else:
        model = GatedReLUClassifierCV(**settings).fit(X, np.digitize(y, [0.5, 1.2]))
        np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, atol=1e-14)
    assert model.path_[-1].loss == loss
    assert (model.path_.relative_gaps <= 1e-6).all()
    assert model.loss_path_.argmin() > 0


@pytest.mark.parametrize("kind", [GatedReLURegressorCV, GatedReLUClassifierCV])
@pytest.mark.parametrize("cv", [3, KFold(3, shuffle=True, random_state=0)])
def test_samples_without_weight_do_not_matter(kind, cv):
    X, y = regression()
    rng = np.random.default_rng(1)
    ignored = rng.permutation(140) < 50
    Z, z = 10 * rng.standard_normal((140, 3)), 100 * rng.standard_normal(140)
    Z[~ignored], z[~ignored] = X, y
    if kind is GatedReLUClassifierCV:
        y, z = y > 0.5, z > 0.5
    settings = dict(cv=cv, random_state=0, **QUICK)
    alone, beside = kind(**settings).fit(X, y), kind(**settings).fit(Z, z, sample_weight=1.0 - ignored)
    np.testing.assert_array_equal(beside.loss_path_, alone.loss_path_)
    assert (beside.beta_, beside.objective_) == (alone.beta_, alone.objective_)


def test_folds_that_are_listed_are_of_all_samples():
    X, y = regression()
    weights = np.r_[np.zeros(10), np.ones(80)]
    owner = np.arange(90) % 3
    listed = [(np.flatnonzero(owner != k), np.flatnonzero(owner == k)) for k in range(3)]
    models = [
        GatedReLURegressorCV(cv=cv, random_state=0, **QUICK).fit(X, y, sample_weight=weights)
        for cv in (listed, PredefinedSplit(owner))
    ]
    alone = [(train[train >= 10] - 10, test[test >= 10] - 10) for train, test in listed]
    models.append(GatedReLURegressorCV(cv=alone, random_state=0, **QUICK).fit(X[10:], y[10:]))
    for model in models[1:]:
        np.testing.assert_allclose(model.loss_path_, models[0].loss_path_, rtol=1e-12)
