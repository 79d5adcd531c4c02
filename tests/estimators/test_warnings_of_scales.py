"""Features in very different units are told of, and nothing else is."""

import warnings

import cvxrelu
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X = np.random.default_rng(0).standard_normal((50, 3))
Y = np.abs(X[:, 0]) + X[:, 1]


def model():
    return cvxrelu.GatedReLURegressor(n_gates=30, random_state=0)


def test_the_features_and_what_it_costs_are_named():
    units = np.array([1.0, 1e-4, 10.0])
    with pytest.warns(UserWarning, match=r"factor of 1\.\de\+05, .* X\[:, 1\] beside .* X\[:, 2\]: .* StandardScaler"):
        raw = model().fit(X * units, Y)
    scaled = make_pipeline(StandardScaler(), model()).fit(X * units, Y)
    assert scaled.score(X * units, Y) > raw.score(X * units, Y) + 0.1  # what it costs
    for name in ("NTKRegressor", "ReLUClassifier"):
        with pytest.warns(UserWarning, match="differ by a factor"):
            getattr(cvxrelu, name)().fit(X * units, Y > 1)


def test_no_word_of_common_or_constant_or_enormous_features():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for units in ([1, 1e-2, 5], [1, 0, 1], [0, 0, 0]):
            model().fit(X * units, Y)
