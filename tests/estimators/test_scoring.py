"""The choice of a penalty by a scorer, and by folds that keep groups together."""

import pickle

import cvxrelu
import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.metrics import get_scorer, make_scorer, mean_absolute_error
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, ShuffleSplit, cross_validate

QUICK = {
    "n_gates": 20,
    "n_betas": 4,
    "beta_min_ratio": 0.03,
    "beta_ratios": (0.5, 0.1, 0.03),
    "random_state": 0,
    "n_threads": 1,
    "max_rounds": 3,
    "certificate": "given patterns",
}
REGRESSORS, CLASSIFIERS = (
    [name for name in sorted(cvxrelu._ESTIMATORS) if name.endswith(kind)] for kind in ("RegressorCV", "ClassifierCV")
)
rng = np.random.default_rng(0)
X = rng.standard_normal((60, 2))
Y = np.abs(X[:, 0]) + 0.3 * rng.standard_normal(60)
LABELS = np.where(Y > 0.8, "large", "small")
GROUPS = np.arange(60) // 5
pytestmark = pytest.mark.filterwarnings("ignore::cvxrelu.ConvergenceWarning")  # few rounds


def model(name, **settings):
    made = getattr(cvxrelu, name)()
    return made.set_params(**{key: QUICK[key] for key in QUICK.keys() & made.get_params().keys()} | settings)


def scores_and_errors(fitted):
    """What the scorer says of every penalty, the errors without it, and the penalties; averages over folds."""
    if hasattr(fitted, "loss_path_"):
        scores = None if fitted.score_path_ is None else fitted.score_path_.mean(axis=1)
        return scores, fitted.loss_path_.mean(axis=1), fitted.beta_ratios_
    return fitted.cv_scores_, fitted.cv_errors_, getattr(fitted, "beta_ratios_", getattr(fitted, "betas_", None))


@pytest.mark.parametrize("name", REGRESSORS)
@pytest.mark.parametrize("cv", [None, GroupKFold(3)])
def test_the_square_error_as_a_scorer_is_the_default(name, cv):
    settings = {} if cv is None else {"cv": cv}
    plain = model(name, **settings).fit(X, Y, **({} if cv is None else {"groups": GROUPS}))
    fitted = model(name, scoring="neg_mean_squared_error", **settings)
    fitted.fit(X, Y, **({} if cv is None else {"groups": GROUPS}))
    scores, errors, penalties = scores_and_errors(fitted)
    assert_allclose(scores, -errors, rtol=1e-10)
    assert_array_equal(errors, scores_and_errors(plain)[1])
    assert scores_and_errors(plain)[0] is None
    assert fitted.beta_ == plain.beta_ and len(set(penalties)) > 2


def test_scores_are_those_of_estimators_fitted_to_the_folds():
    gates = rng.standard_normal((20, 3))
    folds = [(np.arange(40), np.arange(40, 60)), (np.arange(20, 60), np.arange(20))]
    for name, y, scoring in (
        ("GatedReLURegressorCV", Y, "neg_median_absolute_error"),
        ("GatedReLUClassifierCV", LABELS, "roc_auc"),
        ("MKLRegressorCV", Y, "neg_max_error"),
        ("MKLClassifierCV", LABELS, "f1_macro"),
        ("NTKRegressorCV", Y, "r2"),
        ("NTKClassifierCV", LABELS, "balanced_accuracy"),
    ):
        exact = {"tol": 1e-10} if "NTK" not in name else {}
        drawn = {"gates": gates} if "NTK" not in name else {}
        fitted = model(name, scoring=scoring, cv=folds, **exact, **drawn).fit(X, y)
        scores, _, penalties = scores_and_errors(fitted)
        for k, penalty in enumerate(penalties):
            relative = {"beta": penalty} if "NTK" in name else {"beta_ratio": penalty}
            single = model(name.removesuffix("CV"), **relative, **exact, **drawn)
            found = [get_scorer(scoring)(single.fit(X[a], y[a]), X[b], y[b]) for a, b in folds]
            assert scores[k] == pytest.approx(np.mean(found), abs=2e-4), (name, penalty)
        best = np.flatnonzero(scores == scores.max())
        chosen = fitted.beta_ if "NTK" in name else penalties[best].max()
        assert chosen == pytest.approx(penalties[best].max()) and penalties[best].max() in penalties


@pytest.mark.parametrize(("name", "y"), [("NTKRegressorCV", Y), ("NTKClassifierCV", LABELS)])
def test_scores_of_samples_left_out_one_by_one(name, y):
    few = np.r_[:14, 3, 3, 5]  # with copies, which are left out together
    weights = rng.uniform(0.5, 2, few.size)
    weights[7] = 0
    single = name.removesuffix("CV")
    fitted = model(name, scoring="neg_mean_absolute_error" if y is Y else "accuracy", n_betas=3)
    fitted.fit(X[few], y[few], sample_weight=weights)
    for beta, score in zip(fitted.betas_, fitted.cv_scores_, strict=True):
        predictions = []
        for j in few:
            rest = few != j
            left = model(single, beta=beta).fit(X[few[rest]], y[few[rest]], sample_weight=weights[rest])
            predictions.append(left.predict(X[j : j + 1])[0])
        wrong = np.abs(predictions - y[few]) if y is Y else -1.0 * (np.array(predictions) == y[few])
        assert score == pytest.approx(-np.average(wrong, weights=weights), rel=1e-6)


@pytest.mark.parametrize("name", ["GatedReLUClassifierCV", "ReLUClassifierCV"])
@pytest.mark.parametrize("loss", ["logistic", "softmax"])
def test_probabilities_are_scored(name, loss):
    fitted = model(name, loss=loss, scoring="neg_log_loss", cv=3).fit(X, LABELS)
    assert_allclose(fitted.score_path_, -fitted.loss_path_, rtol=1e-10)
    if (name, loss) != ("ReLUClassifierCV", "softmax"):  # which takes long
        fitted = model(name, loss=loss, scoring="roc_auc_ovr", cv=3).fit(X, np.digitize(Y, [0.4, 1.0]))
        assert fitted.score_path_.max() > 0.6 and fitted.predict_proba(X).shape == (60, 3)


@pytest.mark.parametrize("name", ["MKLClassifierCV", "NTKClassifierCV"])
@pytest.mark.parametrize("cv", [None, 3])
def test_scored_probabilities_have_the_temperature_of_their_penalty(name, cv):
    fitted = model(name, scoring="neg_log_loss", cv=cv).fit(X, LABELS)
    scores, _, penalties = scores_and_errors(fitted)
    assert scores.shape == penalties.shape and (scores < 0).all()
    assert scores.max() > -np.log(2)
    alone = {"betas": [fitted.beta_]} if "NTK" in name else {"beta_ratios": [penalties[scores.argmax()]]}
    again = model(name, cv=cv, **alone).fit(X, LABELS)
    assert_allclose(again.temperature_, fitted.temperature_, rtol=1e-2)


@pytest.mark.parametrize("name", [name for name in CLASSIFIERS if "ReLU" in name])
def test_probabilities_that_there_are_not(name):
    needed = "set loss to one of log_loss, logistic, softmax"
    with pytest.raises(ValueError, match=f"scoring='neg_log_loss' needs probabilities, but .*{needed}"):
        model(name, loss="squared", scoring="neg_log_loss").fit(X, LABELS)
    assert model(name, loss="squared", scoring="roc_auc").fit(X, LABELS).predict(X).shape == (60,)


def test_other_losses_of_the_relu_path():
    counts = np.random.default_rng(1).poisson(np.exp(Y))
    for settings, y in (({"loss": "huber", "delta": 0.2}, Y), ({"loss": "poisson"}, counts)):
        fitted = model("ReLURegressorCV", cv=3, **settings).fit(X, y)
        assert fitted.solutions_[0].loss == settings["loss"] and fitted.path_[0][0].loss == settings["loss"]
        assert fitted.loss_path_.mean(axis=1).argmin() > 0
        single = cvxrelu.ReLURegressor(**settings, beta=fitted.beta_, certificate="given patterns", random_state=0)
        assert_allclose(single.fit(X, y).predict(X), fitted.predict(X), atol=0.1)
    scored = model("GatedReLURegressorCV", loss="poisson", scoring="neg_mean_poisson_deviance", cv=3).fit(X, counts)
    assert_allclose(scored.score_path_, -2 * scored.loss_path_, rtol=1e-8)  # the loss is half the deviance


def test_several_outputs_and_several_labels():
    for name in REGRESSORS:
        both = model(name, scoring="r2").fit(X, np.column_stack([Y, X[:, 1]]))
        assert both.predict(X).shape == (60, 2) and scores_and_errors(both)[0].max() > 0.3
    indicators = np.column_stack([Y > 0.8, X[:, 1] > 0]).astype(int)
    for name in CLASSIFIERS:
        both = model(name, scoring="f1_macro").fit(X, indicators)
        assert both.predict(X).shape == (60, 2) and scores_and_errors(both)[0].max() > 0.5


@pytest.mark.parametrize("name", REGRESSORS)
def test_groups_stay_together(name):
    listed = list(GroupKFold(3).split(X, Y, GROUPS))
    by_groups = model(name, cv=GroupKFold(3)).fit(X, Y, groups=GROUPS)
    assert by_groups.beta_ == model(name, cv=listed).fit(X, Y).beta_
    weights = np.where(GROUPS < 2, 0.0, 1.0)
    weighted = model(name, cv=GroupKFold(3)).fit(X, Y, sample_weight=weights, groups=GROUPS)
    assert weighted.beta_ == model(name, cv=GroupKFold(3)).fit(X[10:], Y[10:], groups=GROUPS[10:]).beta_
    with pytest.raises(ValueError, match="groups"):
        model(name, cv=LeaveOneGroupOut()).fit(X, Y)
    with pytest.raises(TypeError, match="fit got an unexpected keyword argument 'group': without"):
        model(name).fit(X, Y, group=GROUPS)


@pytest.mark.parametrize("name", ["NTKRegressorCV", "MKLRegressorCV"])
def test_groups_need_folds(name):
    with pytest.raises(ValueError, match=r"groups need cv, such as GroupKFold\(\)"):
        model(name).fit(X, Y, groups=GROUPS)


@pytest.mark.parametrize("name", REGRESSORS)
def test_metadata_is_routed(name):
    weights = rng.uniform(0.5, 2, 60)
    plain = model(name, cv=GroupKFold(3), scoring="neg_mean_absolute_error")
    plain.fit(X, Y, sample_weight=weights, groups=GROUPS)
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = make_scorer(mean_absolute_error, greater_is_better=False)
        routed = model(name, cv=GroupKFold(3), scoring=scorer.set_score_request(sample_weight=True))
        routed.fit(X, Y, sample_weight=weights, groups=GROUPS)
        assert routed.beta_ == plain.beta_
        assert_array_equal(scores_and_errors(routed)[0], scores_and_errors(plain)[0])
        refused = model(name, cv=GroupKFold(3), scoring=scorer.set_score_request(sample_weight=False))
        unweighted = scores_and_errors(refused.fit(X, Y, sample_weight=weights, groups=GROUPS))[0]
        assert (unweighted != scores_and_errors(plain)[0]).any()
        inner = routed.set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        found = cross_validate(inner, X, Y, cv=GroupKFold(2), params={"groups": GROUPS, "sample_weight": weights})
        assert np.isfinite(found["test_score"]).all()


@pytest.mark.parametrize("name", REGRESSORS)
def test_samples_without_weight_have_no_say(name):
    weights = np.r_[np.ones(45), np.zeros(15)]
    noise = np.r_[Y[:45], 100 * rng.standard_normal(15)]
    settings = {"cv": 3} if "ReLU" in name else {}
    fitted = model(name, scoring="neg_median_absolute_error", **settings).fit(X, noise, sample_weight=weights)
    alone = model(name, scoring="neg_median_absolute_error", **settings).fit(X[:45], Y[:45])
    assert_allclose(scores_and_errors(fitted)[0], scores_and_errors(alone)[0], rtol=1e-9)


def test_a_fold_without_weight_has_no_score():
    folds = [(np.arange(15, 60), np.arange(15)), (np.arange(40), np.arange(40, 60))]
    weights = np.r_[np.zeros(15), np.ones(45)]
    fitted = model("GatedReLURegressorCV", cv=folds, scoring="r2").fit(X, Y, sample_weight=weights)
    assert np.isnan(fitted.score_path_[:, 0]).all() and np.isfinite(fitted.score_path_[:, 1]).all()
    assert fitted.beta_ratio_ == fitted.beta_ratios_[fitted.score_path_[:, 1].argmax()]


def test_a_callable_sees_an_estimator_and_what_was_held_out():
    seen = []

    def within(estimator, Z, y):
        seen.append(len(Z))
        return float(np.mean(np.abs(estimator.predict(Z) - y) < 0.3))

    fitted = model("GatedReLURegressorCV", cv=3, scoring=within).fit(X, Y)
    assert seen == [20] * 12
    assert fitted.score_path_.shape == (4, 3)
    again = pickle.loads(pickle.dumps(fitted.set_params(scoring=None)))
    assert_array_equal(again.predict(X), fitted.predict(X))
    assert clone(fitted).fit(X, Y).score_path_ is None
    with pytest.raises(ValueError, match="predicts for the samples held out, and no others"):
        model("NTKRegressorCV", scoring=lambda estimator, Z, y: estimator.score(Z[:3], y[:3])).fit(X, Y)


def test_of_equal_scores_the_largest_penalty_counts():
    for name in REGRESSORS:
        fitted = model(name, scoring=lambda *_: 1.0).fit(X, Y)
        assert fitted.beta_ == max(getattr(fitted, "betas_", [fitted.beta_]))
        assert getattr(fitted, "beta_ratio_", 1.0) == 1.0


@pytest.mark.parametrize(
    ("scoring", "error", "message"),
    [
        ("best", ValueError, "best.*is not a valid scoring|scoring.*best"),
        (["r2", "max_error"], TypeError, "scoring must be a name or a callable"),
        (lambda *_: np.nan, ValueError, r"scoring=.* gives \[nan nan nan nan\] on what fold 0 holds out"),
    ],
)
def test_scorers_that_are_refused(scoring, error, message):
    with pytest.raises(error, match=message):
        model("GatedReLURegressorCV", scoring=scoring).fit(X, Y)


def test_one_share_held_out_is_early_stopping_along_the_path():
    share = ShuffleSplit(1, test_size=0.2, random_state=0)
    for name in REGRESSORS:
        fitted = model(name, cv=share).fit(X, Y)
        assert scores_and_errors(fitted)[1].argmin() > 0
        assert fitted.predict(X).shape == (60,)


def test_a_fold_that_lacks_a_class_is_named_where_the_score_needs_it():
    rare = np.where(np.arange(60) < 6, "rare", LABELS)
    fitted = model("MKLClassifierCV", scoring="neg_log_loss", n_folds=30)
    with pytest.raises(ValueError, match="needs all classes in what fold 0 holds out: set cv to a number"):
        fitted.fit(X, rare)
    fitted.set_params(cv=3).fit(X, rare)
    with pytest.raises(ValueError, match="continuous is not supported"):
        model("MKLRegressorCV", scoring="accuracy", cv=3).fit(X, Y)
