"""Probabilities of classifiers: where there are some, and what says what to set where there are none."""

import cvxrelu
import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.calibration import CalibrationDisplay
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from support import PREDICTORS

QUICK = {
    "n_gates": 30,
    "gates": "gaussian",
    "n_betas": 3,
    "beta_ratios": (0.3, 0.03),
    "n_folds": 3,
    "certificate": "given patterns",
    "max_rounds": 5,
    "random_state": 0,
    "n_threads": 1,
}
CLASSIFIERS = [name for name in PREDICTORS if "Classifier" in name]
WITH = [(name, {}) for name in CLASSIFIERS]
WITH += [
    (name, {"loss": loss}) for name in ("GatedReLUClassifier", "ReLUClassifier") for loss in ("logistic", "softmax")
]
rng = np.random.default_rng(0)
X = rng.standard_normal((120, 2))
THREE = np.array(["low", "mid", "top"])[np.digitize(np.abs(X[:, 0]) + 0.3 * rng.standard_normal(120), [0.4, 1.0])]
TWO = np.where(THREE == "low", "low", "high")
pytestmark = pytest.mark.filterwarnings("ignore::cvxrelu.ConvergenceWarning")  # few rounds


def model(name, **settings):
    made = getattr(cvxrelu, name)(**settings)
    quick = {key: value for key, value in QUICK.items() if key in made.get_params() and key not in settings}
    return made.set_params(**quick)


@pytest.mark.parametrize(("name", "settings"), WITH, ids=str)
def test_scores_that_need_them(name, settings):
    for y, scoring in ((TWO, "neg_log_loss"), (TWO, "roc_auc"), (THREE, "roc_auc_ovr"), (THREE, "neg_log_loss")):
        chance = 0.5 if "auc" in scoring else -np.log(np.unique(y).size)
        assert cross_val_score(model(name, **settings), X, y, scoring=scoring, cv=3).mean() > chance


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
def test_the_likeliest_class_is_the_one_that_is_predicted(name, y):
    fitted = model(name).fit(X, y)
    Z = 3 * np.random.default_rng(1).standard_normal((500, 2))
    law = fitted.predict_proba(Z)
    assert law.shape == (500, np.unique(y).size)
    assert_allclose(law.sum(axis=1), 1, rtol=1e-14)
    assert (fitted.classes_[law.argmax(axis=1)] == fitted.predict(Z)).all()
    single = fitted.predict_proba(Z.astype(np.float32))
    assert single.dtype == np.float32
    assert np.median(np.abs(single - law)) < 1e-5


def test_the_log_loss_is_logistic_or_softmax():
    several = np.column_stack([TWO == "low", THREE == "top"]).astype(int)
    for y, loss in ((TWO, "logistic"), (several, "logistic"), (THREE, "softmax")):
        by_default = model("GatedReLUClassifier").fit(X, y)
        by_name = model("GatedReLUClassifier", loss=loss).fit(X, y)
        assert by_default.loss == "log_loss" and by_default.solution_.loss == loss
        np.testing.assert_array_equal(by_default.predict_proba(X), by_name.predict_proba(X))
    again = by_default.fit(X, TWO)
    np.testing.assert_array_equal(again.predict_proba(X), model("GatedReLUClassifier").fit(X, TWO).predict_proba(X))


def test_soft_votes_and_calibration_curves():
    pytest.importorskip("matplotlib").use("Agg")
    members = [(name, model(name)) for name in CLASSIFIERS] + [("linear", LogisticRegression())]
    for y in (TWO, THREE):
        votes = VotingClassifier(members, voting="soft").fit(X, y)
        alone = np.mean([member.fit(X, y).predict_proba(X) for _, member in members], axis=0)
        assert_allclose(votes.predict_proba(X), alone, atol=1e-12)
    for _, member in members:
        display = CalibrationDisplay.from_estimator(member.fit(X, TWO), X, TWO, n_bins=3)
        assert np.abs(display.prob_true - display.prob_pred).max() < 0.35


@pytest.mark.parametrize("name", [name for name in CLASSIFIERS if "ReLU" in name])
def test_without_them_the_error_says_what_to_set(name):
    squared = getattr(cvxrelu, name)(loss="squared")
    assert not hasattr(squared, "predict_proba")
    with pytest.raises(AttributeError, match=rf"{name} has no attribute 'predict_proba'.*one of log_loss, logistic"):
        squared.predict_proba(X)


@pytest.mark.parametrize("name", ["GatedReLUClassifier", "ReLUClassifier"])
@pytest.mark.parametrize("loss", [["logistic"], np.array(["logistic", "softmax"]), None])
def test_what_is_no_name_of_a_loss_is_refused_by_the_fit_alone(name, loss):
    made = model(name, loss=loss)
    assert not hasattr(made, "predict_proba")
    with pytest.raises(ValueError, match="loss must be one of log_loss, squared, logistic, softmax, not"):
        made.fit(X, TWO)
