"""Fitted estimators survive pickle and skops, and predict the same afterwards."""

import importlib
import pickle
import warnings

import cvxrelu
import numpy as np
import pytest
from support import PREDICTORS

QUICK = {
    "n_gates": 20,
    "n_betas": 3,
    "random_state": 0,
    "n_threads": 1,
    "max_seconds": None,
    "max_rounds": 2,
    "certificate": "given patterns",
}


def fitted(name):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 2))
    y = np.abs(X[:, 0]) if "Regressor" in name else np.where(np.abs(X[:, 0]) > 0.7, "far", "near")
    model = getattr(cvxrelu, name)()
    known = model.get_params()
    model.set_params(**{key: value for key, value in QUICK.items() if key in known})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cvxrelu.ConvergenceWarning)  # two rounds are few
        return model.fit(X, y), rng.standard_normal((20, 2))


def same(one, two):
    if one.dtype.kind == "f":
        np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-12)
    else:
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", PREDICTORS)
def test_pickle_and_skops(name):
    model, Z = fitted(name)
    expected = model.predict(Z)
    same(pickle.loads(pickle.dumps(model)).predict(Z), expected)
    skops = pytest.importorskip("skops.io")
    content = skops.dumps(model)
    assert set(skops.get_untrusted_types(data=content)) <= set(cvxrelu.SKOPS_TRUSTED)
    same(skops.loads(content, trusted=cvxrelu.SKOPS_TRUSTED).predict(Z), expected)


@pytest.mark.parametrize("name", cvxrelu.SKOPS_TRUSTED)
def test_types_to_trust_are_there(name):
    module, _, attribute = name.rpartition(".")
    kind = getattr(importlib.import_module(module), attribute)
    assert f"{kind.__module__}.{kind.__qualname__}" == name
