"""Estimators take sparse samples, and do with them what they do with arrays."""

import warnings

import cvxrelu
import numpy as np
import pytest
from scipy import sparse
from support import PREDICTORS
from test_persistence import QUICK, same


def data(name):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 4)) * (rng.random((30, 4)) < 0.5)
    y = np.abs(X[:, 0]) + X[:, 1]
    return X, y if "Regressor" in name else np.where(y > 0.3, "far", "near")


def quick(name):
    model = getattr(cvxrelu, name)()
    known = model.get_params()
    return model.set_params(**{key: value for key, value in QUICK.items() if key in known})


@pytest.mark.parametrize("name", PREDICTORS)
def test_sparse_is_dense(name):
    X, y = data(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cvxrelu.ConvergenceWarning)  # two rounds are few
        dense = quick(name).fit(X, y)
        for kind in (sparse.csr_array, sparse.csc_matrix, sparse.coo_array):
            model = quick(name).fit(kind(X), y)
            same(model.predict(kind(X)), dense.predict(X))
            same(model.predict(X), dense.predict(X))
            assert model.score(kind(X), y) == pytest.approx(dense.score(X, y), rel=1e-9)
        if "Regressor" in name:
            single = quick(name).fit(sparse.csr_array(X, dtype=np.float32), y)
            assert single.predict(sparse.csr_array(X, dtype=np.float32)).dtype == np.float32


def test_sparse_samples_that_would_not_fit():
    X = sparse.csr_array(([1.0], ([0], [0])), shape=(10**6, 10**8))
    with pytest.raises(MemoryError, match=r"sparse X as an array of shape \(1000000, 100000000\) would take"):
        cvxrelu.GatedReLURegressor().fit(X, np.zeros(10**6))


def test_sparse_samples_are_checked():
    X = sparse.csr_array(np.diag([1.0, np.nan, 2.0]))
    with pytest.raises(ValueError, match="NaN"):
        cvxrelu.GatedReLURegressor().fit(X, np.zeros(3))
