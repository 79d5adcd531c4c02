"""scikit-learn's callbacks hear of every fit and of its steps, with estimators that are fitted as far as it came."""

import pickle

import cvxrelu
import joblib
import numpy as np
import pytest
from cvxrelu import GatedReLUClassifier, GatedReLURegressor, GatedReLURegressorCV, MKLRegressor, ReLURegressor
from support import PREDICTORS

callbacks = pytest.importorskip("sklearn.callback", reason="this scikit-learn has no callbacks")

QUICK = {
    "n_gates": 30,
    "n_betas": 3,
    "cv": 2,
    "random_state": 0,
    "n_threads": 1,
    "max_seconds": None,
    "max_rounds": 3,
    "certificate": "given patterns",
    "tol": 1e-6,
}
STEPS = {"GatedReLU": {"iteration"}, "MKL": {"iteration"}, "ReLU": {"round"}, "NTK": set()}


class Recorder:
    def __init__(self, stop_after=10**9):
        self.tasks, self.gaps, self.stop_after = [], [], stop_after

    def setup(self, estimator, context):
        self.tasks.append("setup")

    def on_fit_task_begin(self, estimator, context):
        self.tasks.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.tasks.append(f"end {context.task_name}")
        self.gaps.append(getattr(fitted_estimator, "dual_gap_", None))
        return self.tasks.count("end iteration") + self.tasks.count("end round") >= self.stop_after

    def teardown(self, estimator, context):
        self.tasks.append("teardown")


def data(name, n=60):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 2))
    y = np.maximum(X[:, 0], X[:, 1]) + 0.01 * rng.standard_normal(n)
    return X, y if "Regressor" in name else np.where(y > 0.3, "far", "near")


def quick(name):
    model = getattr(cvxrelu, name)()
    known = model.get_params()
    return model.set_params(**{key: value for key, value in QUICK.items() if key in known})


@pytest.mark.filterwarnings("ignore::cvxrelu.ConvergenceWarning")
@pytest.mark.parametrize("name", PREDICTORS)
def test_every_estimator_tells_of_its_steps(name):
    X, y = data(name)
    measure = "r2" if "Regressor" in name else "accuracy"
    recorder, monitor = Recorder(), callbacks.ScoringMonitor(scoring=measure)
    model = quick(name).set_callbacks(recorder, monitor).fit(X, y, sample_weight=np.arange(60) % 3)
    assert recorder.tasks[:2] == ["setup", "begin fit"] and recorder.tasks[-2:] == ["end fit", "teardown"]
    for task in set(recorder.tasks):
        if task.startswith("begin"):
            assert recorder.tasks.count(task) == recorder.tasks.count(task.replace("begin", "end"))
    steps = {task.removeprefix("end ") for task in recorder.tasks if task.startswith("end")} - {"fit"}
    family = next(kind for kind in STEPS if name.startswith(kind))
    expected = STEPS[family]
    if name.endswith("CV"):
        expected = {"fold"} | {"GatedReLU": {"path"}, "ReLU": {"path", "round"}}.get(family, expected)
    assert steps == expected
    # The scores of the whole fit are those of the estimator.
    weight = np.arange(60) % 3
    scores = [row for row in monitor.get_logs().data if row["task_name"] == "fit"]
    assert [row[measure] for row in scores] == [model.score(X, y, sample_weight=weight)]
    again = pickle.loads(pickle.dumps(quick(name).fit(X, y)))
    assert not hasattr(again, "_callback_fit_ctx")


@pytest.mark.parametrize("name", ["GatedReLURegressor", "GatedReLUClassifier"])
def test_scores_in_the_middle_of_a_fit(name):
    X, y = data(name)
    measure = "r2" if "Regressor" in name else "accuracy"
    monitor, recorder = callbacks.ScoringMonitor(scoring=measure), Recorder()
    model = quick(name).set_params(beta_ratio=1e-3, tol=1e-9).set_callbacks(monitor, recorder).fit(X, y)
    scores = [row[measure] for row in monitor.get_logs().data if row["task_name"] == "iteration"]
    assert len(scores) >= 3
    assert scores[0] <= scores[-1] == pytest.approx(model.score(X, y), abs=1e-6)
    gaps = recorder.gaps[: len(scores)]
    assert gaps[-1] == model.dual_gap_ < gaps[0]


@pytest.mark.filterwarnings("ignore::cvxrelu.ConvergenceWarning")
def test_scores_of_the_rounds_of_several_outputs():
    X, y = data("Regressor", 30)
    Y = np.column_stack([y, -np.abs(X[:, 0])])
    monitor = callbacks.ScoringMonitor(scoring="neg_mean_squared_error")
    model = quick("ReLURegressor").set_callbacks(monitor).fit(X, Y)
    rounds = [row["neg_mean_squared_error"] for row in monitor.get_logs().data if row["task_name"] == "round"]
    assert len(rounds) >= 2
    assert rounds[0] < rounds[-1] <= -((model.predict(X) - Y) ** 2).mean() + 1e-3


@pytest.mark.parametrize(
    "model",
    [
        GatedReLURegressor(n_gates=50, tol=1e-12, beta_ratio=1e-4, random_state=0),
        GatedReLURegressor(n_gates=50, tol=1e-12, beta_ratio=1e-4, random_state=0, loss="huber"),
        MKLRegressor(n_gates=50, tol=1e-14, random_state=0),
        ReLURegressor(certificate="given patterns", tol=1e-9, beta_ratio=1e-4, max_seconds=None, random_state=0),
    ],
)
def test_a_callback_stops_the_fit(model):
    X, y = data("Regressor", 40)
    recorder = Recorder(stop_after=2)
    model.set_callbacks(recorder).fit(X, y)
    # The step that was begun when the second ended is closed for nothing.
    assert recorder.tasks.count("end iteration") + recorder.tasks.count("end round") <= 3
    assert np.isfinite(model.predict(X)).all() and model.dual_gap_ >= 0


def test_callbacks_change_nothing():
    X, y = data("Regressor")
    alone = GatedReLURegressor(n_gates=50, random_state=0).fit(X, y)
    heard = GatedReLURegressor(n_gates=50, random_state=0).set_callbacks(callbacks.ScoringMonitor(scoring="r2"))
    np.testing.assert_array_equal(alone.predict(X), heard.fit(X, y).predict(X))


@pytest.mark.parametrize("backend", ["threading", "loky", "dask"])
def test_folds_are_told_whatever_the_backend(backend):
    X, y = data("Regressor")
    recorder, client = Recorder(), None
    if backend == "dask":
        distributed = pytest.importorskip("distributed")
        client = distributed.Client(processes=False, dashboard_address=":0", n_workers=2, threads_per_worker=1)
    model = GatedReLURegressorCV(n_gates=30, n_betas=3, cv=3, random_state=0, n_threads=1)
    alone = model.fit(X, y).loss_path_
    with joblib.parallel_config(backend, n_jobs=2):
        model.set_callbacks(recorder).fit(X, y)
    if client is not None:
        client.close()
    np.testing.assert_array_equal(model.loss_path_, alone)
    assert recorder.tasks.count("end fold") == 3


def test_searches_hand_their_callbacks_on():
    from sklearn.model_selection import GridSearchCV

    X, y = data("Regressor")
    monitor = callbacks.ScoringMonitor(scoring="r2")
    model = GatedReLURegressor(n_gates=30, random_state=0).set_callbacks(monitor)
    search = GridSearchCV(model, {"beta_ratio": [0.1, 0.01]}, cv=2).fit(X, y)
    assert search.best_params_ == {"beta_ratio": 0.01}
    assert {row["estimator_name"] for row in monitor.get_logs().data} == {"GatedReLURegressor"}


def test_progress_bar():
    pytest.importorskip("rich")
    X, y = data("Regressor")
    GatedReLURegressor(n_gates=30, random_state=0).set_callbacks(callbacks.ProgressBar()).fit(X, y)


def test_plain_callbacks_are_given_the_network():
    X, y = data("Classifier")
    seen = []
    model = GatedReLUClassifier(n_gates=30, random_state=0, tol=1e-9, callback=lambda state: seen.append(state))
    model.fit(X, y)
    last = seen[-1]
    np.testing.assert_allclose(last["network"].predict(X), model.decision_function(X), atol=1e-12)
    assert last["objective"] == pytest.approx(model.objective_, rel=1e-12)
    assert last["beta"] == model.beta_
