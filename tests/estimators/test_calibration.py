"""The temperature that makes probabilities of the scores of the kernel classifiers."""

import cvxrelu
import numpy as np
import pytest
from cvxrelu.estimators.calibration import temperature
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar
from sklearn.base import clone
from sklearn.model_selection import KFold

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 2))
THREE = np.digitize(np.abs(X[:, 0]) + 0.3 * rng.standard_normal(60), [0.4, 1.0])
TWO = THREE > 0
GATES = {"gates": rng.standard_normal((20, 3)), "n_threads": 1}


def likeliest(scores, labels, weights):
    """The temperature by a search over the loss, with Platt's targets: of n + 2 like a class n + 1 are of it."""
    logits = np.stack([-scores / 2, scores / 2], axis=1) if scores.ndim == 1 else scores
    members = (labels[:, None] == np.arange(logits.shape[1])).astype(float)
    sizes = weights @ members
    aims = np.where(members, (sizes + 1) / (sizes + 2), 0)
    aims += (1 - members) * (members @ (1 / (sizes + 2)))[:, None] / (sizes.size - 1)

    def loss(log_temperature):
        scaled = logits / np.exp(log_temperature)
        return weights @ (np.logaddexp.reduce(scaled, axis=1) - (aims * scaled).sum(axis=1))

    return np.exp(minimize_scalar(loss, bounds=(-6, 6), method="bounded", options={"xatol": 1e-10}).x)


def expected(scores, labels, weights):
    """Of two classes for each side of 0."""
    if scores.ndim == 2:
        return likeliest(scores, labels, weights)
    return [likeliest(scores[side], labels[side].astype(int), weights[side]) for side in (scores <= 0, scores > 0)]


def targets_of(labels):
    return np.where(labels, 1.0, -1) if labels.dtype == bool else np.where(labels[:, None] == np.arange(3), 1.0, -1)


def without_each(members, fit, weights):
    """Scores at every sample after a fit without it and its copies."""
    scores = [None] * len(members)
    for member in np.unique(members):
        out = members == member
        found = fit(np.where(out, 0, weights), out)
        for k, value in zip(np.flatnonzero(out), found, strict=True):
            scores[k] = value
    return np.array(scores)


@pytest.mark.parametrize("labels", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("intercept", [False, True])
def test_scores_of_the_ntk_are_those_of_refits(labels, intercept):
    few = np.r_[:30, 3, 3, 5]  # with copies, which are left out together
    weights = np.random.default_rng(1).uniform(0.5, 2, few.size)
    weights[7] = 0
    ridge = cvxrelu.NTKClassifier(beta=0.3, fit_intercept=intercept)
    fitted = clone(ridge).fit(X[few], labels[few], sample_weight=weights)

    def fit(left, out):
        return clone(ridge).fit(X[few], labels[few], sample_weight=left).decision_function(X[few][out])

    scores = without_each(few, fit, weights)
    assert_allclose(fitted.temperature_, expected(scores, labels[few], weights), rtol=1e-5)
    same = cvxrelu.NTKClassifierCV(betas=[0.3], fit_intercept=intercept)
    assert_allclose(same.fit(X[few], labels[few], weights).temperature_, fitted.temperature_, rtol=1e-8)


@pytest.mark.parametrize("intercept", [False, True])
def test_many_samples_left_out_by_a_factor_as_by_eigenvectors(intercept):
    Z = np.random.default_rng(2).standard_normal((300, 2))  # in tiles of the factor
    fits = [
        made.fit(Z, np.abs(Z[:, 0]) > 0.5 + 0.2 * Z[:, 1])
        for made in (
            cvxrelu.NTKClassifier(beta=0.3, fit_intercept=intercept, n_threads=2),
            cvxrelu.NTKClassifierCV(betas=[0.3], fit_intercept=intercept),
        )
    ]
    assert_allclose(fits[0].temperature_, fits[1].temperature_, rtol=1e-8)


@pytest.mark.parametrize("labels", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("intercept", [False, True])
def test_scores_of_mkl_are_those_of_ridge_regression_with_the_learned_kernel(labels, intercept):
    weights = np.random.default_rng(1).uniform(0.5, 2, 60)
    model = cvxrelu.MKLClassifier(fit_intercept=intercept, tol=1e-10, **GATES).fit(X, labels, weights)
    K, targets = model.solution_.kernel(), targets_of(labels)

    def fit(s, out):
        """Kernel ridge regression by its own equations: (S K + beta I) a = S (y - b), b where sum(a) is 0."""
        n, ones = len(s), np.ones(len(s))
        system = np.block([[s[:, None] * K + model.beta_ * np.eye(n), s[:, None]], [ones[None], np.zeros((1, 1))]])
        right = np.concatenate([(s * targets.T).T, np.zeros((1, *targets.shape[1:]))])
        if not intercept:
            system, right = system[:n, :n], right[:n]
        found = np.linalg.solve(system, right)
        return K[out] @ found[:n] + (found[n] if intercept else 0)

    everyone = fit(weights, np.ones(60, dtype=bool))
    assert_allclose(everyone, model.set_params(at="representative").decision_function(X), atol=1e-4)
    scores = without_each(np.arange(60), fit, weights)
    assert_allclose(model.temperature_, expected(scores, labels, weights), rtol=1e-5)


@pytest.mark.parametrize("name", ["NTKClassifierCV", "MKLClassifierCV"])
def test_what_is_held_out_in_the_choice_calibrates(name):
    folds = list(KFold(3).split(X))
    penalty = {"betas": [0.3]} if "NTK" in name else {"beta_ratios": [0.1]} | GATES
    single = {"beta": 0.3} if "NTK" in name else {"beta_ratio": 0.1} | GATES
    scores = np.empty((60, 3))
    for train, test in folds:
        member = getattr(cvxrelu, name.removesuffix("CV"))(**single)
        scores[test] = member.fit(X[train], THREE[train]).decision_function(X[test])
    fitted = getattr(cvxrelu, name)(cv=folds, **penalty).fit(X, THREE)
    assert_allclose(fitted.temperature_, likeliest(scores, THREE, np.ones(60)), rtol=1e-3)


@pytest.mark.parametrize("name", ["NTKClassifier", "NTKClassifierCV", "MKLClassifier"])
def test_weights_are_copies_and_classes_are_weights(name):
    model = getattr(cvxrelu, name)(**(GATES if "MKL" in name else {}))
    copies = np.where(TWO, 1, 2)
    copied = clone(model).fit(np.repeat(X, copies, axis=0), np.repeat(TWO, copies))
    weighted = clone(model).fit(X, TWO, sample_weight=copies)
    by_class = clone(model).set_params(class_weight={False: 2}).fit(X, TWO)
    assert_array_equal(copied.predict_proba(X), weighted.predict_proba(X))
    assert_array_equal(by_class.predict_proba(X), weighted.predict_proba(X))


def test_several_labels_have_a_temperature_each():
    labels = np.column_stack([TWO, X[:, 1] > 0, np.zeros(60)]).astype(int)
    model = cvxrelu.NTKClassifier().fit(X, labels)
    assert model.temperature_.shape == (3, 2)
    for k in range(2):
        alone = cvxrelu.NTKClassifier().fit(X, labels[:, k])
        assert_allclose(model.predict_proba(X)[:, k], alone.predict_proba(X)[:, 1], rtol=1e-8)
    assert (model.predict_proba(X)[:, 2] < 0.5).all()
    assert model.predict_proba(X.astype(np.float32)).dtype == np.float32


def test_scores_that_never_err_or_tell_nothing():
    truth = np.repeat([-1.0, 1.0], 20)
    assert 0.05 < temperature(truth, truth, np.ones(40)) < 1
    assert temperature(1e200 * truth, truth, np.ones(40)) / 1e200 == pytest.approx(
        temperature(truth, truth, np.ones(40)), rel=1e-9
    )
    wrong = temperature(-truth, truth, np.ones(40))
    assert 100 < wrong < np.inf
    assert temperature(np.zeros(40), truth, np.ones(40)) == 1
    assert temperature(np.full(40, np.nan), truth, np.ones(40)) == 1
    assert temperature(np.r_[truth, 5.0], np.r_[truth, -1.0], np.r_[np.ones(40), 0]) == pytest.approx(
        temperature(truth, truth, np.ones(40))
    )


@pytest.mark.parametrize("intercept", [False, True])
def test_samples_that_are_all_equal(intercept):
    model = cvxrelu.NTKClassifier(fit_intercept=intercept).fit([[1.0], [1.0], [1.0]], [0, 0, 1])
    assert_allclose(model.predict_proba([[1.0]]).sum(), 1)
    assert model.predict([[1.0]]) == [0] and model.predict_proba([[1.0]])[0, 0] > 0.5


def test_kernels_that_do_not_fit_are_refused_before_the_fit(monkeypatch):
    rng = np.random.default_rng(0)
    X, seen = rng.standard_normal((40, 2)), []
    model = cvxrelu.MKLClassifier(n_gates=20, max_iter=0, random_state=0, callback=seen.append)
    monkeypatch.setattr("cvxrelu.base.memory.machine_memory", lambda: 2.5 * 8 * 40 * 40)
    with pytest.raises(MemoryError, match="3 kernel matrices of shape"):
        model.fit(X, X[:, 0] > 0)
    assert not seen
