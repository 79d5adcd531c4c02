import logging
import pickle
import warnings

import numpy as np
import pytest
import sklearn
from cvxrelu import ConvergenceWarning, GatedReLUClassifier, GatedReLURegressor
from cvxrelu.datasets import load_yacht
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks


@parametrize_with_checks(
    [
        GatedReLURegressor(n_threads=1),
        GatedReLURegressor(gates="gaussian", n_gates=50, fit_bias=False, n_threads=1),
        GatedReLUClassifier(n_threads=1),
        GatedReLUClassifier(gates="gaussian", n_gates=50, fit_bias=False, n_threads=1),
    ]
)
def test_scikit_learn_has_no_complaints(estimator, check):
    check(estimator)


def regression(n=80, seed=0, outputs=()):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 3))
    return X, np.abs(X[:, 0]).reshape(n, *[1] * len(outputs)) + 0.1 * rng.standard_normal((n, *outputs))


def small(**settings):
    return GatedReLURegressor(**{"n_gates": 60, "fit_intercept": False, "random_state": 0, "n_threads": 1} | settings)


def test_attributes_describe_the_optimum():
    X, y = regression()
    model = small(tol=1e-8).fit(X, y)
    assert model.dual_gap_ == model.solution_.gap <= 1e-8 * 0.5 * (y @ y)
    assert model.n_active_ == model.network_.n_neurons == len(model.solution_.active) > 0
    assert model.objective_ == pytest.approx(model.network_.objective(X, y, model.beta_), rel=1e-10)
    assert len(model.patterns_) == len(model.solution_.coef)
    np.testing.assert_allclose(model.predict(X), model.network_.predict(X))
    assert model.score(X, y) > 0.9


def test_the_gap_bounds_what_is_left():
    X, y = regression()
    rough, fine = small(tol=1e-2).fit(X, y), small(tol=1e-10).fit(X, y)
    assert rough.objective_ - fine.objective_ <= rough.dual_gap_ * (1 + 1e-9)
    assert fine.objective_ - fine.dual_gap_ <= rough.objective_


@pytest.mark.parametrize("outputs", [(1,), (3,)])
def test_several_outputs(outputs):
    X, y = regression(outputs=outputs)
    model = small().fit(X, y)
    assert model.predict(X).shape == y.shape
    assert model.network_.w2.shape[1:] == outputs
    np.testing.assert_allclose(
        model.predict(X), model.solution_.predict(np.column_stack([X, np.ones(len(X))])), atol=1e-10
    )
    weighted = small(beta=model.beta_).fit(np.repeat(X, 2, axis=0), np.repeat(y, 2, axis=0))
    same = small(beta=model.beta_).fit(X, y, sample_weight=np.full(len(X), 2.0))
    np.testing.assert_array_equal(weighted.predict(X), same.predict(X))


def test_float32_predictions():
    X, y = regression()
    model = small().fit(X.astype(np.float32), y.astype(np.float32))
    assert model.predict(X.astype(np.float32)).dtype == np.float32
    assert isinstance(model.dual_gap_, float)
    np.testing.assert_allclose(model.predict(X), small().fit(X, y).predict(X), atol=1e-2)


def test_given_gates_and_given_penalty():
    X, y = regression()
    gates = np.random.default_rng(3).standard_normal((30, 4))
    model = small(gates=gates, beta=0.5).fit(X, y)
    assert model.beta_ == 0.5
    assert {tuple(g) for g in model.patterns_.gates} <= {tuple(g) for g in gates}
    zero = small(beta=1e9).fit(X, y)
    assert zero.n_active_ == 0 and not zero.predict(X).any()


def test_warm_start_keeps_the_gates():
    X, y = regression()
    model = small(random_state=None, warm_start=True).fit(X, y)
    gates, n_iter = model.patterns_.gates, model.n_iter_
    model.fit(X, y)
    np.testing.assert_array_equal(model.patterns_.gates, gates)
    assert model.n_iter_ < n_iter
    model.set_params(fit_bias=False, gates="gaussian").fit(X, y)
    assert model.patterns_.n_features == 3
    cold = small(random_state=None).fit(X, y)
    assert (cold.fit(X, y).patterns_.gates[0] != gates[0]).any()


def test_callback_sees_progress_and_stops():
    X, y = regression()
    seen = []
    model = small(callback=seen.append, tol=1e-9).fit(X, y)
    assert [state["iteration"] for state in seen] == sorted(state["iteration"] for state in seen)
    assert set(seen[0]) >= {"iteration", "objective", "gap", "relative_gap", "active"}
    assert seen[-1]["relative_gap"] <= 1e-9
    stopped = small(callback=lambda state: True, tol=1e-12, beta_ratio=1e-3).fit(X, y)
    assert stopped.n_iter_ < model.n_iter_ + 10 and stopped.dual_gap_ >= 0

    def fail(state):
        raise RuntimeError("from the callback")

    with pytest.raises(RuntimeError, match="from the callback"):
        small(callback=fail).fit(X, y)


@pytest.mark.skipif(not hasattr(GatedReLURegressor, "set_callbacks"), reason="this scikit-learn has no callbacks")
def test_scikit_learn_callbacks():
    class Recorder:
        def __init__(self, stop_after=10**9):
            self.events, self.stop_after = [], stop_after

        def setup(self, estimator, context):
            self.events.append("setup")

        def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
            self.events.append(f"begin {context.task_name}")

        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            self.events.append(f"end {context.task_name}")
            if context.task_name == "fit":
                self.score = fitted_estimator.score(*regression())
            return len(self.events) > self.stop_after

        def teardown(self, estimator, context):
            self.events.append("teardown")

    X, y = regression()
    recorder = Recorder()
    model = small().set_callbacks(recorder).fit(X, y)
    assert recorder.events[:2] == ["setup", "begin fit"]
    assert recorder.events[-2:] == ["end fit", "teardown"]
    assert recorder.events.count("end iteration") == recorder.events.count("begin iteration") >= 2
    assert recorder.score == model.score(X, y)
    short = Recorder(stop_after=3)
    small(tol=1e-12, beta_ratio=1e-4).set_callbacks(short).fit(X, y)
    assert short.events.count("end iteration") <= 2


def test_a_warning_with_numbers_where_the_tolerance_is_not_reached():
    X, y = regression()
    with pytest.warns(ConvergenceWarning, match=r"duality gap .* above tol=1.0e-14"):
        small(max_iter=1, tol=1e-14, beta_ratio=1e-4).fit(X, y)


def test_verbose_logs_and_leaves_no_handler(capsys, caplog):
    X, y = regression()
    small(verbose=1).fit(X, y)
    logger = logging.getLogger("cvxrelu")
    assert [type(handler) for handler in logger.handlers] == [logging.NullHandler]
    assert any("gated network: 80 samples" in record.message for record in caplog.records)
    caplog.clear()
    small(verbose=2).fit(X, y)
    assert sum("iteration" in record.message for record in caplog.records) >= 2
    caplog.clear()
    small().fit(X, y)
    assert not caplog.records


def test_verbose_reaches_stderr_without_configuration():
    import subprocess
    import sys

    code = (
        "import numpy as np, cvxrelu; X = np.eye(4)\n"
        "cvxrelu.GatedReLURegressor(n_gates=9, random_state=0, verbose=1).fit(X, X[0])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.startswith("gated network: 4 samples")
    assert result.stdout == ""


def test_classes_of_two_and_more():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 2))
    two = np.where(X[:, 0] * X[:, 1] > 0, "same", "other")
    model = GatedReLUClassifier(n_threads=1, random_state=0).fit(X, two)
    assert model.classes_.tolist() == ["other", "same"]
    assert model.decision_function(X).shape == (120,)
    assert model.score(X, two) > 0.9
    assert ((model.decision_function(X) > 0) == (model.predict(X) == "same")).all()
    three = np.digitize(np.hypot(*X.T), [0.7, 1.4])
    model = GatedReLUClassifier(n_threads=1, random_state=0).fit(X, three)
    assert model.decision_function(X).shape == (120, 3)
    assert model.score(X, three) > 0.85


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_gates": 0}, ValueError, "n_gates must be at least 1"),
        ({"n_gates": 1.5}, TypeError, "n_gates must be an integer"),
        ({"gates": "uniform"}, ValueError, "gates must be"),
        ({"gates": np.eye(3)}, ValueError, "gates has 3 features, but 4 are expected"),
        ({"gates": "mixed", "fit_bias": False}, ValueError, "needs a constant column"),
        ({"beta": -1.0}, ValueError, "beta must be"),
        ({"beta": np.nan}, ValueError, "beta must be"),
        ({"beta_ratio": 0.0}, ValueError, "beta_ratio must be"),
        ({"tol": 0.0}, ValueError, "tol must be"),
        ({"max_iter": 0}, ValueError, "max_iter must be"),
        ({"n_threads": 0}, ValueError, "n_threads must be"),
        ({"random_state": "x"}, ValueError, "random_state must be"),
    ],
)
def test_settings_that_are_refused(settings, error, message):
    X, y = regression()
    with pytest.raises(error, match=message):
        small(**settings).fit(X, y)


def test_data_that_are_refused():
    X, y = regression()
    with pytest.raises(ValueError, match="one class only"):
        GatedReLUClassifier().fit(X, np.ones(len(X)))
    with pytest.raises(ValueError, match="one class only, 'a'"):
        GatedReLUClassifier().fit(X, ["a"] * len(X))
    with pytest.raises(ValueError, match=r"sample_weight|weights"):
        small().fit(X, y, sample_weight=np.zeros(len(X)))
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        small().fit(X, y, sample_weight=-np.ones(len(X)))
    with pytest.raises(ValueError, match="NaN"):
        small().fit(np.where(X > 2, np.nan, X), y)


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (np.array([[1.0, 2.0]]), np.array([3.0])),
        (np.ones((6, 2)), np.arange(6.0)),
        (np.zeros((6, 2)), np.arange(6.0)),
        (np.repeat(np.arange(6.0)[:, None], 3, axis=1), np.arange(6.0)),
        (np.arange(6.0)[:, None], np.zeros(6)),
    ],
    ids=["one sample", "constant columns", "zero samples", "equal columns", "zero target"],
)
def test_degenerate_data(X, y):
    model = small(tol=1e-9).fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    assert model.objective_ == pytest.approx(model.network_.objective(X, y, model.beta_), rel=1e-8, abs=1e-12)


def test_read_only_and_strided_data():
    X, y = regression()
    wide = np.repeat(X, 2, axis=1)[:, ::2]
    wide.flags.writeable = False
    np.testing.assert_array_equal(small().fit(wide, y).predict(X), small().fit(X, y).predict(X))


def test_order_of_the_samples_does_not_matter():
    X, y = regression()
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_array_equal(small().fit(X[order], y[order]).predict(X), small().fit(X, y).predict(X))


def test_pickle_clone_pipeline_and_search():
    X, y = regression()
    model = small().fit(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    assert not hasattr(clone(model), "network_")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), small()), {"gatedreluregressor__beta_ratio": [1e-1, 1e-3]}, cv=3
    )
    assert search.fit(X, y).best_score_ > 0.8


def test_sample_weight_is_routed():
    X, y = regression()
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        model = make_pipeline(scaler, small().set_fit_request(sample_weight=True))
        weights = np.r_[np.ones(40), np.zeros(40)]
        routed = model.fit(X, y, sample_weight=weights)
        assert routed[-1].patterns_.n_samples == 40


def test_defaults_are_decent_on_real_data():
    data = load_yacht()
    order = np.random.default_rng(0).permutation(len(data.y))
    train, test = order[62:], order[:62]
    model = make_pipeline(StandardScaler(), GatedReLURegressor(random_state=0, n_threads=1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(data.X[train], data.y[train])
    assert model.score(data.X[test], data.y[test]) > 0.98


@parametrize_with_checks(
    [
        GatedReLURegressor(loss="huber", gates="gaussian", n_gates=30, n_threads=1),
        GatedReLURegressor(loss="poisson", gates="gaussian", n_gates=30, n_threads=1),
        GatedReLUClassifier(loss="squared", gates="gaussian", n_gates=30, n_threads=1),
        GatedReLUClassifier(loss="softmax", gates="gaussian", n_gates=30, n_threads=1),
    ]
)
def test_scikit_learn_has_no_complaints_about_losses(estimator, check):
    check(estimator)


def labelled(n_classes, n=200, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 2))
    return X, np.array(["a", "b", "c"])[np.digitize(np.hypot(*X.T), [1.0, 1.7][: n_classes - 1])]


@pytest.mark.parametrize("loss", ["logistic", "softmax"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities(loss, n_classes):
    X, y = labelled(n_classes)
    model = GatedReLUClassifier(loss=loss, n_gates=60, random_state=0, n_threads=1).fit(X, y)
    law, scores = model.predict_proba(X), model.decision_function(X)
    assert law.shape == (len(X), n_classes) and scores.shape == ((len(X),) if n_classes == 2 else law.shape)
    np.testing.assert_allclose(law.sum(axis=1), 1, atol=1e-14)
    assert (model.classes_[law.argmax(axis=1)] == model.predict(X)).all()
    assert model.score(X, y) > 0.85
    if n_classes == 2:
        np.testing.assert_allclose(law[:, 1], 1 / (1 + np.exp(-scores)), atol=1e-14)
    likelihood = -np.log(law[np.arange(len(y)), np.searchsorted(model.classes_, y)]).sum()
    if loss == "softmax" or n_classes == 2:
        penalty = model.objective_ - likelihood
        norms = np.sqrt((model.solution_.blocks.reshape(model.n_active_, -1) ** 2).sum(axis=1))
        assert penalty == pytest.approx(model.beta_ * norms.sum(), rel=1e-6)
    assert np.isfinite(model.predict_proba(1e6 * X)).all()


def test_huber_ignores_outliers_and_poisson_predicts_means():
    X, y = regression(n=300)
    wrong = y.copy()
    wrong[::10] += 30
    huber, squared = (small(loss=loss, delta=0.2, beta_ratio=0.1).fit(X, wrong) for loss in ("huber", "squared"))
    assert huber.score(X, y) > 0.9 > 0 > squared.score(X, y)
    counts = np.random.default_rng(0).poisson(np.exp(1 + np.abs(X[:, 0])))
    poisson = small(loss="poisson", beta_ratio=1e-3).fit(X, counts)
    assert (poisson.predict(X) > 0).all()
    assert poisson.score(X, counts) > 0.6
    assert poisson.predict(X).mean() == pytest.approx(counts.mean(), rel=0.05)
    with pytest.raises(ValueError, match="not negative"):
        small(loss="poisson").fit(X, -counts)


@pytest.mark.parametrize("loss", ["huber", "poisson"])
def test_weights_are_copies_for_every_loss(loss):
    X, y = regression()
    y = np.round(np.abs(y) * 3)
    copies = np.random.default_rng(0).integers(0, 3, size=len(y))
    weighted = small(loss=loss, beta=0.5).fit(X, y, sample_weight=copies)
    copied = small(loss=loss, beta=0.5).fit(np.repeat(X, copies, axis=0), np.repeat(y, copies))
    np.testing.assert_array_equal(weighted.predict(X), copied.predict(X))


def test_equal_samples_with_different_labels():
    X = np.repeat(np.random.default_rng(0).standard_normal((15, 2)), 4, axis=0)
    y = np.random.default_rng(1).integers(0, 2, size=60)
    for loss in ("logistic", "softmax"):
        model = GatedReLUClassifier(loss=loss, n_gates=20, random_state=0).fit(X, y)
        law = model.predict_proba(X)
        norms = np.sqrt((model.solution_.blocks.reshape(model.n_active_, -1) ** 2).sum(axis=1))
        objective = -np.log(law[np.arange(60), y]).sum() + model.beta_ * norms.sum()
        assert model.objective_ == pytest.approx(objective, rel=1e-9)


def test_losses_that_are_refused():
    X, y = regression()
    with pytest.raises(ValueError, match="loss must be one of squared, huber, poisson, not 'softmax'"):
        small(loss="softmax").fit(X, y)
    with pytest.raises(ValueError, match="loss must be one of log_loss, squared, logistic, softmax, not 'hinge'"):
        GatedReLUClassifier(loss="hinge").fit(*labelled(2))
    with pytest.raises(ValueError, match="delta must be"):
        small(loss="huber", delta=-1.0).fit(X, y)
