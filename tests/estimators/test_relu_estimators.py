import itertools
import pickle
import time
import warnings

import cvxrelu
import numpy as np
import pytest
from cvxrelu import ConvergenceWarning, ReLUClassifier, ReLURegressor, ReLURegressorCV
from cvxrelu.estimators.relu import _affordable_nodes
from cvxrelu.relu.pricer import DIRECTIONS_FOR_A_NODE
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils.estimator_checks import parametrize_with_checks

QUICK = {"beta_ratio": 0.1, "max_seconds": None, "n_threads": 1}


# A few nodes are too few for some of the data; what is checked is everything else.
@pytest.mark.filterwarnings("ignore::cvxrelu.ConvergenceWarning")
@parametrize_with_checks(
    [
        ReLURegressor(max_nodes=10, **QUICK),
        ReLURegressor(certificate="given patterns", fit_bias=False, **QUICK),
        ReLUClassifier(max_nodes=10, **QUICK),
        ReLUClassifier(certificate="given patterns", fit_bias=False, **QUICK),
    ]
)
def test_scikit_learn_has_no_complaints(estimator, check):
    check(estimator)


def regression(n=40, n_features=2):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, n_features))
    return X, np.abs(X[:, 0]) + 0.1 * rng.standard_normal(n)


def with_ones(X):
    return np.column_stack([X, np.ones(len(X))])


def model(**settings):
    return ReLURegressor(**{"beta_ratio": 0.05, "fit_intercept": False, "random_state": 0, "n_threads": 1, **settings})


def test_the_certificate_holds_over_all_enumerated_patterns():
    X, y = regression(n=14)
    fit = model(tol=1e-7).fit(X, y)
    proof = fit.certificate_
    assert proof.scope == "all patterns" and proof.converged
    patterns = cvxrelu.enumerate_patterns(with_ones(X))
    best = cvxrelu.solve_relu(with_ones(X), y, patterns, fit.beta_, tol=1e-9)
    assert proof.lower_bound <= best.objective + 1e-9
    assert proof.upper_bound >= best.objective - best.gap - 1e-9
    assert proof.gap <= 1e-7 * 0.5 * (y @ y)
    assert fit.dual_gap_ == proof.gap
    assert proof.upper_bound == pytest.approx(fit.network_.objective(X, y, fit.beta_), rel=1e-10)


def test_certify_agrees():
    X, y = regression()
    fit = model().fit(X, y)
    judged = cvxrelu.certify(X, y, fit.network_, fit.beta_)
    assert judged.upper_bound == pytest.approx(fit.certificate_.upper_bound, rel=1e-10)
    assert judged.relative_gap <= 2e-4
    assert fit.n_active_ == fit.network_.n_neurons > 0
    assert "all patterns" in repr(fit.certificate_)


def test_the_default_penalty_is_relative_to_the_smallest_with_a_zero_optimum():
    X, y = regression()
    zero = model(beta_ratio=1 + 1e-6).fit(X, y)
    assert zero.n_active_ == 0
    assert_array_equal(zero.predict(X), np.zeros(40))
    assert zero.certificate_.upper_bound == pytest.approx(0.5 * (y @ y))
    assert model(beta_ratio=0.95).fit(X, y).n_active_ > 0
    assert model(beta=2.5, beta_ratio=7.0).fit(X, y).beta_ == 2.5


def test_an_integer_weight_is_that_many_copies():
    X, y = regression()
    weights = np.random.default_rng(1).integers(0, 4, 40)
    weighted = model().fit(X, y, sample_weight=weights)
    copied = model().fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    assert_array_equal(weighted.predict(X), copied.predict(X))
    assert weighted.certificate_ == copied.certificate_


def test_weights_enter_the_objective():
    X, y = regression()
    weights = np.random.default_rng(1).random(40)
    fit = model().fit(X, y, sample_weight=weights)
    W1, w2 = fit.network_.W1, fit.network_.w2
    loss = 0.5 * np.sum(weights * (fit.predict(X) - y) ** 2)
    decay = 0.5 * fit.beta_ * (np.sum(W1**2) + np.sum(w2**2))
    assert fit.certificate_.upper_bound == pytest.approx(loss + decay, rel=1e-10)
    root = np.sqrt(weights)
    scaled = cvxrelu.train_relu(root[:, None] * with_ones(X), root * y, fit.beta_, tol=1e-4, random_state=1)
    assert scaled.objective == pytest.approx(fit.certificate_.upper_bound, rel=1e-3)


def test_equal_samples_with_other_targets_count_in_the_certificate():
    X, y = regression()
    X, y = np.vstack([X, X[:10]]), np.concatenate([y, y[:10] + 1])
    fit = model().fit(X, y)
    assert fit.certificate_.upper_bound == pytest.approx(fit.network_.objective(X, y, fit.beta_), rel=1e-10)
    assert len(fit.solutions_[0].dual) == 40


def test_each_output_has_its_own_network():
    X, y = regression()
    Y = np.column_stack([y, X[:, 1] * 0.5, np.zeros(40)])
    fit = model(beta=0.7).fit(X, Y)
    assert fit.predict(X).shape == (40, 3)
    assert (np.count_nonzero(fit.network_.w2, axis=1) == 1).all()
    assert_array_equal(fit.predict(X)[:, 2], np.zeros(40))
    alone = [model(beta=0.7).fit(X, column) for column in Y.T]
    expected = sum(single.certificate_.upper_bound for single in alone)
    assert fit.certificate_.upper_bound == pytest.approx(expected, rel=1e-3)
    assert len(fit.solutions_) == 3


@pytest.mark.parametrize("n_classes", [2, 3])
def test_classification(n_classes):
    X = np.random.default_rng(0).standard_normal((60, 2))
    y = np.array(["a", "b", "c"])[np.digitize(X[:, 0] * X[:, 1], [0.0, 0.5][: n_classes - 1])]
    fit = ReLUClassifier(loss="squared", random_state=0, n_threads=1, tol=1e-3).fit(X, y)
    assert fit.score(X, y) > 0.85
    assert fit.decision_function(X).shape == ((60,) if n_classes == 2 else (60, 3))
    assert fit.certificate_.converged and fit.certificate_.scope == "all patterns"
    targets = np.where(y == "b", 1.0, -1.0) if n_classes == 2 else np.where(y[:, None] == fit.classes_, 1.0, -1.0)
    objective = fit.network_.objective(X, targets, fit.beta_)
    assert fit.certificate_.upper_bound == pytest.approx(objective, rel=1e-10)
    assert_array_equal(pickle.loads(pickle.dumps(fit)).predict(X), fit.predict(X))


def test_a_certificate_that_was_cut_short_is_loose_and_true():
    X, y = regression(n=60, n_features=4)
    with pytest.warns(ConvergenceWarning, match="over all patterns"):
        hasty = model(max_nodes=1, max_rounds=1).fit(X, y)
    better = model(certificate="given patterns").fit(X, y)
    assert hasty.beta_ == better.beta_
    assert hasty.certificate_.scope == "all patterns" and not hasty.certificate_.converged
    assert hasty.certificate_.lower_bound <= better.certificate_.upper_bound
    assert better.certificate_.scope == "given patterns" and better.certificate_.converged


def test_no_time_at_all():
    X, y = regression(n=200, n_features=6)
    with pytest.warns(ConvergenceWarning, match="max_seconds"):
        fit = model(max_seconds=0).fit(X, y)
    assert fit.certificate_.scope == "all patterns"
    assert 0 < fit.certificate_.lower_bound <= fit.certificate_.upper_bound < 0.5 * (y @ y)


def test_defaults_do_not_look_at_the_clock(monkeypatch):
    X, y = regression(n=60, n_features=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        quiet = model(max_nodes=20, max_rounds=3).fit(X, y)
        # A machine so busy that a year passes between two looks at the clock.
        years = itertools.count(step=3.2e7)
        monkeypatch.setattr(time, "monotonic", lambda: next(years))
        busy = model(max_nodes=20, max_rounds=3).fit(X, y)
    assert ReLURegressor().max_seconds is ReLURegressorCV().max_seconds is None
    assert_array_equal(busy.network_.W1, quiet.network_.W1)
    assert busy.certificate_ == quiet.certificate_


def test_the_default_budget_is_one_for_all_searches():
    X, y = regression(n=60, n_features=4)
    nodes = _affordable_nodes(np.column_stack([X, np.ones(60)]), 1)
    assert nodes == 10_000_000 // 600
    with pytest.warns(ConvergenceWarning, match="over all patterns"):
        fit = model(max_nodes=30, tol=1e-7).fit(X, y)
    most = DIRECTIONS_FOR_A_NODE * (30 + fit.solutions_[0].n_rounds)
    assert fit.solutions_[0].n_nodes <= 1.5 * most  # a search ends with the cells at work


def test_callback_stops_and_the_scope_says_so():
    X, y = regression()
    seen = []
    fit = model(callback=lambda state: seen.append(state) or True).fit(X, y)
    assert len(seen) == 1 and {"objective", "gap", "active"} <= set(seen[0])
    assert fit.certificate_.scope == "given patterns"


def test_repeatable_and_independent_of_the_order():
    X, y = regression()
    order = np.random.default_rng(3).permutation(40)
    first, second = model().fit(X, y), model().fit(X[order], y[order])
    assert_array_equal(first.predict(X), second.predict(X))
    other = model(random_state=1).fit(X, y)
    assert other.certificate_.upper_bound == pytest.approx(first.certificate_.upper_bound, rel=1e-3)


def test_degenerate_data():
    X, _ = regression()
    assert_array_equal(model().fit(X, np.zeros(40)).predict(X), np.zeros(40))
    flat = model(fit_bias=False).fit(np.zeros((5, 2)), np.ones(5))
    assert_array_equal(flat.predict(X), np.zeros(40))
    assert flat.certificate_.gap == 0
    assert flat.certificate_.upper_bound == pytest.approx(2.5)
    single = model(beta=1e-3, tol=1e-6).fit([[1.0, 2.0]], [3.0])
    assert_allclose(single.predict([[1.0, 2.0]]), [3.0], atol=1e-2)


def test_float32_predictions():
    X, y = regression()
    fit = model().fit(X.astype(np.float32), y)
    assert fit.predict(X.astype(np.float32)).dtype == np.float32
    assert fit.predict(X).dtype == np.float64


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"beta": 0.0}, ValueError, "beta must be finite and above 0"),
        ({"beta": "small"}, TypeError, "beta must be a real number"),
        ({"beta_ratio": -1.0}, ValueError, "beta_ratio must be finite and above 0"),
        ({"certificate": "none"}, ValueError, "certificate must be"),
        ({"tol": 0.0}, ValueError, "tol must be finite and above 0"),
        ({"max_rounds": 0}, ValueError, "max_rounds must be at least 1"),
        ({"max_nodes": 0}, ValueError, "max_nodes must be at least 1"),
        ({"max_seconds": -1.0}, ValueError, "max_seconds must be finite and at least 0"),
        ({"random_state": "seed"}, ValueError, "random_state must be"),
        ({"n_threads": 0}, ValueError, "n_threads must be at least 1"),
    ],
)
def test_bad_settings(settings, error, message):
    X, y = regression()
    with pytest.raises(error, match=message):
        model(**settings).fit(X, y)


def test_bad_data():
    X, y = regression()
    with pytest.raises(ValueError, match="zero"):
        model().fit(X, y, sample_weight=np.zeros(40))
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        model().fit(X, y, sample_weight=-np.ones(40))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model().fit(X, y[:-1])
    with pytest.raises(ValueError, match="one class only"):
        ReLUClassifier().fit(X, np.zeros(40, dtype=int))
    with pytest.raises(ValueError, match="is expecting 2 features"):
        model().fit(X, y).predict(X[:, :1])


def test_logistic_classifiers_have_probabilities_and_a_certificate():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 1))
    labels = np.where(np.abs(X[:, 0]) > 0.7, "far", "near")
    model = ReLUClassifier(loss="logistic", random_state=0).fit(X, labels)
    assert model.certificate_.scope == "all patterns" and model.certificate_.converged
    law = model.predict_proba(X)
    np.testing.assert_allclose(law.sum(axis=1), 1)
    np.testing.assert_allclose(law[:, 1], 1 / (1 + np.exp(-model.decision_function(X))))
    np.testing.assert_array_equal(model.classes_[law.argmax(axis=1)], model.predict(X))
    design = np.column_stack([X, np.ones(30)])
    network = model.network_.W1, model.network_.w2
    certificate = cvxrelu.certify(design, np.where(labels == "near", 1.0, -1.0), network, model.beta_, loss="logistic")
    assert certificate.upper_bound == pytest.approx(model.certificate_.upper_bound)
    assert certificate.lower_bound >= model.certificate_.lower_bound - 1e-4 * 30 * np.log(2)
    assert not hasattr(ReLUClassifier(loss="squared"), "predict_proba")


@pytest.mark.parametrize("loss", ["huber", "poisson"])
def test_other_losses_of_regression(loss):
    rng = np.random.default_rng(1)
    X = rng.integers(-3, 4, (40, 1)) / 2.0
    y = rng.poisson(np.exp(np.abs(X[:, 0]))).astype(float)
    weights = rng.integers(0, 3, 40).astype(float)
    model = ReLURegressor(loss=loss, fit_intercept=False, random_state=0, tol=1e-5).fit(X, y, sample_weight=weights)
    design = np.column_stack([X, np.ones(40)])
    certificate = cvxrelu.certify(
        design, y, (model.network_.W1, model.network_.w2), model.beta_, loss=loss, sample_weight=weights
    )
    assert certificate.upper_bound == pytest.approx(model.certificate_.upper_bound)
    assert model.certificate_.lower_bound <= certificate.upper_bound
    values = model.network_.predict(X)
    np.testing.assert_allclose(model.predict(X), np.exp(values) if loss == "poisson" else values)
    copies = ReLURegressor(loss=loss, fit_intercept=False, random_state=0, tol=1e-5, beta=model.beta_)
    repeated = np.repeat(np.arange(40), weights.astype(int))
    copies.fit(X[repeated], y[repeated])
    assert copies.certificate_.upper_bound == pytest.approx(model.certificate_.upper_bound, rel=1e-4)


def test_outputs_that_share_neurons_cost_less_and_have_a_certificate():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((20, 2)), rng.standard_normal((20, 2))
    apart = ReLURegressor(beta=1.0, random_state=0).fit(X, Y)
    shared = ReLURegressor(beta=1.0, share_neurons=True, random_state=0).fit(X, Y)
    told = shared.certificate_
    assert told.converged and told.scope == "all patterns" and len(shared.solutions_) == 1
    assert told.upper_bound <= apart.certificate_.upper_bound * (1 + 1e-4)
    assert shared.network_.objective(X, Y, 1.0) == pytest.approx(told.upper_bound, rel=1e-9)
    assert shared.predict(X).shape == (20, 2)
    zero = ReLURegressor(beta_ratio=1.0001, share_neurons=True, random_state=0).fit(X, Y)
    assert zero.n_active_ == 0


def test_softmax_trains_one_network_for_all_classes():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((24, 2))
    y = np.array(["a", "b", "c"])[np.argmax(X @ rng.standard_normal((2, 3)), axis=1)]
    model = ReLUClassifier(loss="softmax", beta=0.3, random_state=0).fit(X, y)
    assert model.certificate_.converged and model.certificate_.scope == "all patterns"
    law = model.predict_proba(X)
    np.testing.assert_allclose(law.sum(axis=1), 1)
    network = model.network_
    loss = -np.log(law[np.arange(24), np.searchsorted(model.classes_, y)]).sum()
    decay = 0.15 * (np.sum(network.W1**2) + np.sum(network.w2**2))
    assert loss + decay == pytest.approx(model.certificate_.upper_bound, rel=1e-9)
    assert (model.predict(X) == y).mean() > 0.9
    two = ReLUClassifier(loss="softmax", beta=0.3, random_state=0).fit(X, y == "a")
    assert two.decision_function(X).shape == (24,) and two.certificate_.converged
