"""Probabilities of classifiers: where there are some, and what says what to set where there are none."""

import warnings

import cvxrelu
import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from support import PREDICTORS

GATED = {"n_gates": 30, "gates": "gaussian", "random_state": 0, "n_threads": 1}
RELU = {"certificate": "given patterns", "max_rounds": 5, "random_state": 0, "n_threads": 1}
WITH = [
    (name, settings | {"loss": loss})
    for name, settings in (("GatedReLUClassifier", GATED), ("ReLUClassifier", RELU))
    for loss in ("logistic", "softmax")
]
WITH.append(("GatedReLUClassifierCV", GATED | {"loss": "logistic", "n_betas": 3, "cv": 3}))
rng = np.random.default_rng(0)
X = rng.standard_normal((120, 2))
THREE = np.array(["low", "mid", "top"])[np.digitize(np.abs(X[:, 0]) + 0.3 * rng.standard_normal(120), [0.4, 1.0])]
TWO = np.where(THREE == "low", "low", "high")


@pytest.mark.parametrize(("name", "settings"), WITH, ids=str)
@pytest.mark.filterwarnings("ignore::cvxrelu.ConvergenceWarning")  # few rounds
def test_scores_that_need_them(name, settings):
    model = getattr(cvxrelu, name)(**settings)
    for y, scoring in ((TWO, "neg_log_loss"), (TWO, "roc_auc"), (THREE, "roc_auc_ovr"), (THREE, "neg_log_loss")):
        chance = 0.5 if "auc" in scoring else -np.log(np.unique(y).size)
        assert cross_val_score(model, X, y, scoring=scoring, cv=3).mean() > chance


def test_the_log_loss_is_logistic_or_softmax():
    several = np.column_stack([TWO == "low", THREE == "top"]).astype(int)
    for y, loss in ((TWO, "logistic"), (several, "logistic"), (THREE, "softmax")):
        by_default = cvxrelu.GatedReLUClassifier(**GATED).fit(X, y)
        by_name = cvxrelu.GatedReLUClassifier(loss=loss, **GATED).fit(X, y)
        assert by_default.loss == "log_loss" and by_default.solution_.loss == loss
        np.testing.assert_array_equal(by_default.predict_proba(X), by_name.predict_proba(X))
    again = by_default.fit(X, TWO)
    alone = cvxrelu.GatedReLUClassifier(**GATED).fit(X, TWO)
    np.testing.assert_array_equal(again.predict_proba(X), alone.predict_proba(X))


def test_soft_votes_and_calibration_curves():
    pytest.importorskip("matplotlib").use("Agg")
    network = cvxrelu.GatedReLUClassifier(loss="logistic", **GATED)
    votes = VotingClassifier([("network", network), ("linear", LogisticRegression())], voting="soft").fit(X, TWO)
    alone = (network.fit(X, TWO).predict_proba(X) + LogisticRegression().fit(X, TWO).predict_proba(X)) / 2
    assert_allclose(votes.predict_proba(X), alone, atol=1e-12)
    display = CalibrationDisplay.from_estimator(network, X, TWO, n_bins=4)
    assert np.abs(display.prob_true - display.prob_pred).max() < 0.25


@pytest.mark.parametrize("name", [name for name in PREDICTORS if "Classifier" in name])
def test_without_them_the_error_says_what_to_set(name):
    model = getattr(cvxrelu, name)(**({"loss": "squared"} if "ReLU" in name else {}))
    assert not hasattr(model, "predict_proba")
    expected = "set loss to one of log_loss, logistic, softmax" if "ReLU" in name else "CalibratedClassifierCV"
    with pytest.raises(AttributeError, match=rf"{name} has no attribute 'predict_proba'.*{expected}"):
        model.predict_proba(X)


@pytest.mark.parametrize("name", ["NTKClassifier", "MKLClassifier"])
def test_scores_are_calibrated_out_of_fold(name):
    model = getattr(cvxrelu, name)(**({} if name == "NTKClassifier" else {"n_gates": 30, "random_state": 0}))
    calibrated = CalibratedClassifierCV(model, ensemble=False, cv=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cross_val_score(calibrated, X, THREE, scoring="neg_log_loss", cv=3).mean() > -0.9
