"""Partial dependence from breakpoints, against predictions on a grid."""

import cvxrelu
import numpy as np
import pytest
from cvxrelu import Network
from network_families import networks

pytest.importorskip("matplotlib").use("Agg")

from cvxrelu.plot import PartialDependenceDisplay  # noqa: E402
from matplotlib import pyplot  # noqa: E402

X = np.random.default_rng(3).standard_normal((20, 4))


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def predicted(network, samples, feature, t, output):
    rows = np.repeat(samples[None], len(t), axis=0)
    rows[:, :, feature] = t[:, None]
    values = network.predict(rows.reshape(-1, samples.shape[1])).reshape(len(t), len(samples), -1)
    return values[:, :, output].mean(axis=1)


@pytest.mark.parametrize("network", list(networks()), ids=repr)
def test_lines_are_the_predictions(network):
    output = 0 if network.w2.ndim == 1 else 1
    for feature in (0, 3):
        display = PartialDependenceDisplay.from_network(network, X, feature, kind="both", output=output)
        assert len(display.lines_) == 21
        curves = [display.average, display.individual[7]]
        for samples, (t, values) in zip((X, X[7:8]), curves, strict=True):
            assert t[0] == X[:, feature].min() and t[-1] == X[:, feature].max() and (np.diff(t) >= 0).all()
            between = np.unique(t)[:-1] + np.diff(np.unique(t)) * np.linspace(0.1, 0.9, np.unique(t).size - 1)
            expected = predicted(network, samples, feature, between, output)
            # Behind each point is the segment that starts at the last corner of the same t.
            start = np.searchsorted(t, between, side="right") - 1
            share = (between - t[start]) / (t[start + 1] - t[start])
            drawn = values[start] + share * (values[start + 1] - values[start])
            np.testing.assert_allclose(drawn, expected, rtol=1e-8, atol=1e-10)


def test_a_relu_network_has_no_more_corners_than_it_has_kinks():
    network = Network(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.ones(3))
    display = PartialDependenceDisplay.from_network(network, [[5.0, 0.25]], 0, bounds=(-1, 1), feature_name="size")
    t, values = display.average
    np.testing.assert_allclose(t, [-1, -0.25, 0, 1])
    np.testing.assert_allclose(values, [0.25, 0.25, 0.5, 2.5])
    assert display.ax_.get_xlabel() == "size" and display.ax_.get_ylabel() == "mean prediction"


def test_the_average_of_scikit_learn():
    inspection = pytest.importorskip("sklearn.inspection")
    model = cvxrelu.GatedReLURegressor(n_gates=50, random_state=0).fit(X, np.abs(X[:, 0]))
    found = inspection.partial_dependence(model, X, [0], grid_resolution=15, percentiles=(0.05, 0.95))
    display = PartialDependenceDisplay.from_network(model.network_, X, 0)
    t, values = display.average
    np.testing.assert_allclose(np.interp(found["grid_values"][0], t, values), found["average"][0], rtol=1e-8)


def test_bad_settings_are_named():
    network = Network(np.eye(4), np.ones(4))
    draw = PartialDependenceDisplay.from_network
    for settings, message in [
        ({"feature": 4}, "feature must be from 0 to 3, not 4"),
        ({"feature": 0, "kind": "grid"}, "kind must be one of 'average', 'individual', 'both'"),
        ({"feature": 0, "output": 1}, "output must be from 0 to 0, not 1"),
        ({"feature": 0, "bounds": (1.0, 1.0)}, "bounds must increase, not go from 1.0 to 1.0"),
    ]:
        with pytest.raises(ValueError, match=message):
            draw(network, X, **settings)
    individual = draw(network, X, 0, kind="individual", color="C3")
    assert individual.average is None and individual.lines_[0].get_color() == "C3" and len(individual.lines_) == 20
