"""Several independent samples of gates in one estimator."""

import pickle

import cvxrelu
import numpy as np
import pytest
from cvxrelu.rows.chunks import RowChunks
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import KFold
from sklearn.utils.estimator_checks import parametrize_with_checks

QUICK = {"n_gates": 40, "random_state": 0, "n_threads": 1}
DRAWING = [
    f"{family}{kind}{cv}"
    for family in ("GatedReLU", "MKL")
    for kind in ("Regressor", "Classifier")
    for cv in ("", "CV")
]
NEW = np.random.default_rng(9).standard_normal((60, 3))


def regression(n=70, outputs=()):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, 3))
    return X, 5 + np.abs(X[:, 0]).reshape(-1, *[1] * len(outputs)) + 0.3 * rng.standard_normal((n, *outputs))


def with_ones(X):
    return np.column_stack([X, np.ones(len(X))])


@parametrize_with_checks(
    [
        cvxrelu.GatedReLURegressor(n_gates=40, n_draws=2, n_threads=1),
        cvxrelu.GatedReLUClassifier(n_gates=40, n_draws=2, n_threads=1),
        cvxrelu.MKLRegressor(n_gates=40, n_draws=2, n_threads=1),
    ]
)
def test_scikit_learn_has_no_complaints(estimator, check):
    check(estimator)


@pytest.mark.parametrize("outputs", [(), (2,)])
def test_every_draw_has_a_certified_solution_and_the_network_predicts_their_mean(outputs):
    X, y = regression(outputs=outputs)
    model = cvxrelu.GatedReLURegressor(n_draws=3, beta_ratio=0.05, **QUICK).fit(X, y)
    alone = cvxrelu.GatedReLURegressor(n_draws=1, beta_ratio=0.05, **QUICK).fit(X, y)
    assert_array_equal(model.solutions_[0].patterns.gates, alone.patterns_.gates)
    objectives, values = [], []
    for found in model.solutions_:
        other = cvxrelu.solve_gated(
            with_ones(X), y, found.patterns, model.beta_, unpenalised="intercept", tol=1e-9, n_threads=1
        )
        assert found.objective - found.gap <= other.objective <= found.objective * (1 + 1e-12)
        objectives.append(other.objective)
        values.append(found.to_network().predict(with_ones(NEW)))
    assert len({found.patterns.gates.tobytes() for found in model.solutions_}) == 3
    assert_allclose(model.predict(NEW), np.mean(values, axis=0), rtol=1e-10)
    assert_allclose(model.network_.predict(NEW), model.predict(NEW))
    proved = model.certificate_
    assert proved.lower_bound <= np.mean(objectives) <= proved.upper_bound == model.objective_
    assert proved.gap == model.dual_gap_ == pytest.approx(np.mean([found.gap for found in model.solutions_]))
    assert proved.converged and proved.relative_gap <= 1e-6
    if not outputs:  # with several, the network's weight decay is that of another norm
        assert model.network_.objective(X, y, model.beta_) <= proved.upper_bound
    assert model.n_active_ == sum(len(found.active) for found in model.solutions_)


def test_the_largest_penalty_is_that_of_all_draws():
    X, y = regression()
    model = cvxrelu.GatedReLURegressor(n_draws=4, beta_ratio=1.0, **QUICK).fit(X, y)
    own = [cvxrelu.beta_max(with_ones(X), y - y.mean(), found.patterns) for found in model.solutions_]
    assert model.beta_ == model.beta_max_ == pytest.approx(max(own))
    assert model.network_.n_neurons == 0


@pytest.mark.parametrize("name", DRAWING)
def test_predictions_are_means_whatever_the_estimator(name):
    X, y = regression()
    kind = getattr(cvxrelu, name)
    few = {"n_betas": 3, "cv": 2} if name.startswith("Gated") else {"beta_ratios": (0.3, 0.03), "n_folds": 2}
    settings = QUICK | (few if name.endswith("CV") else {})
    targets = y > 6 if "Classifier" in name else y
    model = kind(n_draws=3, **settings).fit(X, targets)
    evaluate = "decision_function" if "Classifier" in name else "predict"
    values = getattr(model, evaluate)(NEW)
    assert len(model.solutions_) == 3
    assert_allclose(model._predicting_network().predict(NEW), values, rtol=1e-9, atol=1e-9)
    assert_array_equal(getattr(pickle.loads(pickle.dumps(model)), evaluate)(NEW), values)
    assert not hasattr(model, "solution_") and not hasattr(model, "patterns_")
    with pytest.raises(AttributeError, match="there are 3 draws of gates, each with a solution: see solutions_"):
        model.solution_  # noqa: B018
    one = kind(n_draws=1, **settings).fit(X, targets)
    assert one.solution_ is one.solutions_[0] and one.patterns_ is one.solution_.patterns


def test_the_penalty_is_chosen_by_the_loss_of_the_mean():
    X, y = regression()
    folds = list(KFold(3).split(X))
    chosen = cvxrelu.GatedReLURegressorCV(n_draws=3, n_betas=4, beta_min_ratio=1e-2, cv=folds, tol=1e-9, **QUICK)
    chosen.fit(X, y)
    seed = int(np.random.default_rng(0).integers(2**63))  # that of all folds
    for k, (train, test) in enumerate(folds):
        for i, ratio in enumerate(chosen.beta_ratios_):
            fitted = cvxrelu.GatedReLURegressor(
                n_draws=3, beta_ratio=ratio, tol=1e-9, n_gates=40, n_threads=1, random_state=seed
            ).fit(X[train], y[train])
            loss = np.mean((fitted.predict(X[test]) - y[test]) ** 2)
            assert chosen.loss_path_[i, k] == pytest.approx(loss, rel=1e-3)  # off the training samples
    assert [len(path) for path in chosen.paths_] == 3 * [
        np.flatnonzero(chosen.beta_ratios_ == chosen.beta_ratio_)[0] + 1
    ]
    assert not hasattr(chosen, "path_")


def test_mixtures_choose_by_the_loss_of_the_mean():
    X, y = regression()
    single = [
        cvxrelu.MKLRegressorCV(n_draws=k, beta_ratios=(0.3, 0.03), n_folds=3, **QUICK).fit(X, y).cv_errors_
        for k in (1, 8)
    ]
    assert (single[1] != single[0]).all()


def test_weights_of_samples_are_copies():
    X, y = regression()
    weights = np.random.default_rng(0).integers(0, 3, size=len(y))
    weighted = cvxrelu.GatedReLURegressor(n_draws=2, **QUICK).fit(X, y, sample_weight=weights)
    copied = cvxrelu.GatedReLURegressor(n_draws=2, **QUICK).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    assert_array_equal(weighted.predict(NEW), copied.predict(NEW))


@pytest.mark.parametrize("name", DRAWING)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_draws": 0}, "n_draws must be at least 1"),
        ({"n_draws": 2, "gates": np.eye(4)}, "n_draws is 2, but gates is an array"),
    ],
)
def test_bad_settings(name, settings, message):
    X, y = regression()
    with pytest.raises(ValueError, match=message):
        getattr(cvxrelu, name)(**settings).fit(X, y > 6)


def test_a_callback_hears_of_one_draw_after_the_other_and_may_stop_all():
    X, y = regression()
    heard = []

    def stop_in_the_second(state):
        heard.append(state)
        return state["draw"] == 1

    model = cvxrelu.GatedReLURegressor(n_draws=5, callback=stop_in_the_second, **QUICK).fit(X, y)
    assert {state["draw"] for state in heard} == {0, 1}
    assert len(model.solutions_) == 2
    mean = np.mean([found.to_network().predict(with_ones(NEW)) for found in model.solutions_], axis=0)
    assert_allclose(model.predict(NEW), mean, rtol=1e-10)
    mixture = cvxrelu.MKLRegressor(n_draws=5, callback=lambda state: True, **QUICK).fit(X, y)
    assert len(mixture.solutions_) == 1


def test_a_warm_start_keeps_the_gates_of_every_draw():
    X, y = regression()
    model = cvxrelu.GatedReLURegressor(n_draws=2, warm_start=True, **QUICK).fit(X, y)
    gates, first = [found.patterns.gates for found in model.solutions_], model.n_iter_
    model.fit(X, y)
    assert model.n_iter_ < first
    for found, own in zip(model.solutions_, gates, strict=True):
        assert_array_equal(found.patterns.gates, own)
    assert len(model.set_params(n_draws=3).fit(X, y).solutions_) == 3


def test_rows_in_chunks():
    X, y = regression()
    chunks = cvxrelu.GatedReLURegressor(n_draws=2, **QUICK).fit(RowChunks(X), y)
    assert len(chunks.solutions_) == 2 and chunks.certificate_.converged
    values = [found.to_network().predict(with_ones(NEW)) for found in chunks.solutions_]
    assert_allclose(chunks.predict(NEW), np.mean(values, axis=0), rtol=1e-9)


def test_the_union_is_one_network_to_save(tmp_path):
    X, y = regression(outputs=(2,))
    model = cvxrelu.GatedReLURegressor(n_draws=2, **QUICK).fit(X, y)
    model.network_.save(tmp_path / "network.npz")
    assert_array_equal(cvxrelu.Network.load(tmp_path / "network.npz").predict(NEW), model.predict(NEW))
