"""class_weight of every classifier: the same as weights of samples."""

import inspect

import cvxrelu
import numpy as np
import pytest
from sklearn.base import clone
from support import PREDICTORS

CLASSIFIERS = [name for name in PREDICTORS if "Classifier" in name]
QUICK = {
    "n_gates": 20,
    "n_betas": 3,
    "beta_min_ratio": 0.1,
    "cv": 2,
    "random_state": 0,
    "n_threads": 1,
    "max_rounds": 2,
}
rng = np.random.default_rng(0)
X = rng.standard_normal((40, 2))
Y = np.where(X[:, 0] + 0.5 * rng.standard_normal(40) > 0.8, "rare", "often")
WEIGHTS = rng.uniform(0.5, 2, 40)


def model(name, **settings):
    made = getattr(cvxrelu, name)(**settings)
    return made.set_params(**{key: value for key, value in QUICK.items() if key in made.get_params()})


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.filterwarnings("ignore::cvxrelu.ConvergenceWarning")  # two rounds are few
def test_weights_of_classes_are_weights_of_samples(name):
    by_class = clone(model(name, class_weight={"rare": 3.0})).fit(X, Y, sample_weight=WEIGHTS)
    by_sample = model(name).fit(X, Y, sample_weight=np.where(Y == "rare", 3.0, 1.0) * WEIGHTS)
    np.testing.assert_array_equal(by_class.decision_function(X), by_sample.decision_function(X))


def test_balanced_classes_weigh_the_same_with_copies_too():
    twice = np.repeat(np.arange(40), np.where(Y == "rare", 1, 2))
    balanced = model("GatedReLUClassifier", class_weight="balanced", gates=rng.standard_normal((20, 3)), beta=1.0)
    by_weight = clone(balanced).fit(X, Y, sample_weight=np.where(Y == "rare", 1, 2))
    np.testing.assert_allclose(
        clone(balanced).fit(X[twice], Y[twice]).decision_function(X),
        by_weight.decision_function(X),
        rtol=1e-3,
        atol=1e-4,
    )
    share = np.mean(Y == "rare")
    equal = np.where(Y == "rare", 0.5 / share, 0.5 / (1 - share))
    same = clone(balanced).set_params(class_weight=None).fit(X, Y, sample_weight=equal)
    np.testing.assert_allclose(balanced.fit(X, Y).decision_function(X), same.decision_function(X), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_signature_shows_it(name):
    parameters = inspect.signature(getattr(cvxrelu, name)).parameters
    assert list(parameters)[int("loss" in parameters)] == "class_weight" and len(parameters) > 5
    with pytest.raises(TypeError, match="unexpected keyword argument 'weight'"):
        getattr(cvxrelu, name)(weight=1)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ("even", 'class_weight must be "balanced", a dict'),
        ({"never": 1.0}, "class_weight has 'never', which is not among the labels"),
        ({"rare": -1.0}, "class_weight must hold weights that are finite, not negative"),
        ({"rare": 0.0, "often": 0.0}, "not all zero"),
    ],
)
def test_bad_weights_are_named(class_weight, message):
    with pytest.raises(ValueError, match=message):
        model("GatedReLUClassifier", class_weight=class_weight).fit(X, Y)


def test_rows_in_chunks_have_none():
    with pytest.raises(ValueError, match="class_weight is not for rows in chunks"):
        model("GatedReLUClassifier", class_weight="balanced").fit(cvxrelu.RowChunks([X]), Y)
