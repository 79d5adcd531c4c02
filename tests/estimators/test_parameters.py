"""Constructors: the parameters and defaults that scikit-learn, `help` and a user read from the signature."""

import inspect

import cvxrelu
import pytest
from sklearn.base import clone

ESTIMATORS = [
    f"{family}{kind}{cv}"
    for family in ("GatedReLU", "ReLU", "MKL", "NTK")
    for kind in ("Regressor", "Classifier")
    for cv in ("", "CV")
]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_signature_states_the_defaults_that_hold(name):
    estimator = getattr(cvxrelu, name)
    defaults = {key: value.default for key, value in inspect.signature(estimator).parameters.items()}
    assert estimator().get_params() == defaults
    assert defaults["fit_intercept"] is name.removesuffix("CV").endswith("Regressor")
    assert ("class_weight" in defaults) == ("Classifier" in name)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_what_is_given_is_kept(name):
    estimator = getattr(cvxrelu, name)
    given = {key: object() for key in inspect.signature(estimator).parameters}
    model = estimator(**given)
    assert all(getattr(model, key) is value for key, value in given.items())
    with pytest.raises(TypeError, match="unexpected keyword argument 'n_gate'"):
        estimator(n_gate=3)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_parameter_is_described_with_its_default(name):
    estimator = getattr(cvxrelu, name)
    parameters = inspect.getdoc(estimator).split("Attributes\n")[0].split("\n")
    for key, value in inspect.signature(estimator).parameters.items():
        [line] = [line for line in parameters if line.startswith(f"{key} : ")]
        if value.default is None:
            assert line.endswith((", optional", ", default None")), line
        else:
            stated = line.rpartition("default ")[2]
            assert eval(stated) == value.default, line


def test_families_differ_where_it_was_measured():
    defaults = {name: getattr(cvxrelu, name)().beta_ratio for name in ESTIMATORS if not name.endswith("CV")}
    assert defaults == {
        "GatedReLURegressor": 1e-2,
        "GatedReLUClassifier": 3e-2,
        "ReLURegressor": 1e-2,
        "ReLUClassifier": 3e-2,
        "MKLRegressor": 1e-3,
        "MKLClassifier": 3e-2,
        "NTKRegressor": 1e-2,
        "NTKClassifier": 1e-2,
    }


def test_clones_keep_added_parameters():
    assert clone(cvxrelu.GatedReLURegressor(delta=2.0)).delta == 2.0
    assert clone(cvxrelu.ReLUClassifier(class_weight={0: 1, 1: 2})).class_weight == {0: 1, 1: 2}
    assert cvxrelu.GatedReLURegressor().set_params(delta=3.0).delta == 3.0
