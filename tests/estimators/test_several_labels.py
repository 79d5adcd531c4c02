"""Several labels of each sample: a matrix that indicates them, with an output for each."""

import cvxrelu
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.metrics import get_scorer
from sklearn.model_selection import cross_val_score
from sklearn.utils import get_tags
from support import PREDICTORS

QUICK = {
    "n_gates": 20,
    "n_betas": 3,
    "beta_min_ratio": 0.1,
    "cv": 3,
    "random_state": 0,
    "n_threads": 1,
    "max_rounds": 5,
    "certificate": "given patterns",
}
CLASSIFIERS = [name for name in PREDICTORS if "Classifier" in name]
rng = np.random.default_rng(0)
X = rng.standard_normal((60, 2))
Y = np.stack([X[:, 0] > 0, np.abs(X[:, 1]) > 0.7, X.sum(axis=1) > 1], axis=1).astype(int)


def model(name, **settings):
    made = getattr(cvxrelu, name)(**settings)
    return made.set_params(**{key: value for key, value in QUICK.items() if key in made.get_params()})


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.filterwarnings("ignore::cvxrelu.ConvergenceWarning")  # few rounds
def test_every_label_has_an_output(name):
    fitted = model(name).fit(X, Y)
    assert fitted.decision_function(X).shape == (60, 3)
    assert_array_equal(fitted.predict(X), fitted.decision_function(X) > 0)
    assert fitted.score(X, Y) > 0.6
    assert [part.tolist() for part in fitted.classes_] == [[0, 1]] * 3
    assert get_tags(fitted).classifier_tags.multi_label
    assert_array_equal(model(name).fit(X, sparse.csr_array(Y)).predict(X), fitted.predict(X))


def test_one_label_of_them_is_a_problem_of_its_own():
    gates = rng.standard_normal((20, 3))
    settings = {"beta": 0.5, "tol": 1e-7, "loss": "logistic", "random_state": 0, "certificate": "given patterns"}
    both = cvxrelu.ReLUClassifier(**settings).fit(X, Y)
    for k in range(3):
        alone = cvxrelu.ReLUClassifier(**settings).fit(X, Y[:, k])
        assert_allclose(both.decision_function(X)[:, k], alone.decision_function(X), atol=5e-3)
        assert_allclose(both.predict_proba(X)[:, k], alone.predict_proba(X)[:, 1], atol=1e-3)
    shared = model("GatedReLUClassifier", loss="squared", gates=gates, beta=0.5, tol=1e-9).fit(X, Y)
    regression = cvxrelu.GatedReLURegressor(gates=gates, beta=0.5, tol=1e-9, fit_intercept=False, n_threads=1)
    assert_array_equal(shared.decision_function(X), regression.fit(X, 2.0 * Y - 1).predict(X))


def test_probabilities_are_of_each_label():
    fitted = model("GatedReLUClassifier", loss="logistic").fit(X, Y)
    assert_allclose(fitted.predict_proba(X), 1 / (1 + np.exp(-fitted.decision_function(X))), rtol=1e-12)
    two = model("GatedReLUClassifier", loss="logistic").fit(X, Y[:, :2])  # two labels are not two classes
    for scoring in ("roc_auc", "average_precision", "f1_macro", "accuracy"):
        assert get_scorer(scoring)(two, X, Y[:, :2]) > 0.8
    assert cross_val_score(two, X, Y[:, :2], scoring="average_precision", cv=3).min() > 0.7


def test_a_label_that_nobody_has():
    never = np.column_stack([Y, np.zeros(60, dtype=int)])
    for loss in ("log_loss", "squared"):
        assert not model("GatedReLUClassifier", loss=loss).fit(X, never).predict(X)[:, 3].any()


@pytest.mark.parametrize(
    ("settings", "y", "message"),
    [
        (
            {"loss": "softmax"},
            Y,
            "loss='softmax' gives every sample one label, but y has several: set loss=\"log_loss\"",
        ),
        ({"class_weight": "balanced"}, Y, "class_weight is for one label of each sample, not for several"),
        ({}, 2 * Y - 1, r"y of shape \(60, 3\) must hold 0 and 1, several labels of each sample, but has -1"),
        ({}, Y + np.arange(3), r"y should be a 1d array, got an array of shape \(60, 3\)"),
    ],
)
def test_what_cannot_be_several_labels(settings, y, message):
    with pytest.raises(ValueError, match=message):
        model("GatedReLUClassifier", **settings).fit(X, y)
    assert not get_tags(cvxrelu.GatedReLUClassifier(loss="softmax")).classifier_tags.multi_label


def test_rows_in_chunks_have_them():
    settings = {"gates": rng.standard_normal((20, 3)), "loss": "squared"}
    chunks = model("GatedReLUClassifier", **settings).fit(cvxrelu.RowChunks([X[:30], X[30:]]), Y.tolist())
    assert_array_equal(chunks.predict(X), model("GatedReLUClassifier", **settings).fit(X, Y).predict(X))
