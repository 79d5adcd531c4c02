"""The models that are compared: each evaluates all its candidates at once, so that tuning shares what it can.

A model is called as model(X, y, Z, candidates, seed), with y of -1 and 1, and returns decision values at Z, one row for
each candidate; its sign is the predicted class.
"""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import cvxrelu
import numpy as np
from cvxrelu.kernels.mkl_solution import masked_values
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.svm import SVC

RATIOS = (0.5, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.01)


@dataclasses.dataclass(frozen=True)
class Model:
    """A model with the candidates to choose from; `by_loss` tells whether its values have a meaningful square loss."""

    values: Callable[..., np.ndarray]
    candidates: tuple[Any, ...]
    by_loss: bool = True


def with_ones(X):
    return np.column_stack([X, np.ones(len(X))])


def ntk(kind, depth=1):
    """Kernel ridge regression with a neural tangent kernel; candidates are penalties over the mean diagonal."""

    def values(X, y, Z, candidates, seed):
        X, Z = with_ones(X), with_ones(Z)
        K, across = cvxrelu.ntk(X, kind=kind, depth=depth), cvxrelu.ntk(X, Z, kind=kind, depth=depth)
        spectrum, vectors = np.linalg.eigh(K)
        rotated, cross = vectors.T @ y, across @ vectors
        return np.array([cross @ (rotated / (spectrum.clip(0) + c * np.trace(K) / len(y))) for c in candidates])

    return values


def deep_ntk(depths):
    """The plain-ReLU kernel of several depths; candidates are pairs of depth and penalty."""

    def values(X, y, Z, candidates, seed):
        rows = {}
        for depth in depths:
            mine = [c for c in candidates if c[0] == depth]
            penalties = [c[1] for c in mine]
            rows |= zip(mine, ntk("relu", depth)(X, y, Z, penalties, seed) if mine else (), strict=True)
        return np.array([rows[c] for c in candidates])

    return values


def optimal_kernel(gates, n_gates, *, draws=1, at="cell-average", iterations=None):
    """The optimal mixture of masking kernels, averaged over draws of the gates; candidates are beta over beta_max.

    With `iterations` reweighting from the neural tangent kernel's weights stops early.
    """

    def values(X, y, Z, candidates, seed):
        X, Z = with_ones(X), with_ones(Z)
        total = np.zeros((len(candidates), len(Z)))
        for draw in range(draws):
            patterns = cvxrelu.sample_patterns(X, n_gates, gates=gates, random_state=[seed, draw])
            betas = np.array(candidates) * cvxrelu.beta_max(X, y, patterns)
            if iterations is None:
                path = cvxrelu.gated_path(X, y, patterns, betas=betas, tol=1e-5)
                coefs = [path[k].coef for k in np.argsort(np.argsort(-betas))]
            else:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", cvxrelu.ConvergenceWarning)  # it is meant to stop early
                    coefs = [
                        cvxrelu.solve_mkl(X, y, patterns, beta, max_iter=iterations, finish=False, tol=1e-5).coef
                        for beta in betas
                    ]
            total += np.array([masked_values(patterns, coef, X, Z, at, None) for coef in coefs])
        return total / draws

    return values


def priced_patterns(gates, n_gates, *, draws=1, rounds=6):
    """The optimal kernel over drawn patterns and those that searches add to them, for each penalty anew."""

    def values(X, y, Z, candidates, seed):
        X, Z = with_ones(X), with_ones(Z)
        total = np.zeros((len(candidates), len(Z)))
        for draw in range(draws):
            drawn = cvxrelu.sample_patterns(X, n_gates, gates=gates, random_state=[seed, draw])
            largest = cvxrelu.beta_max(X, y, drawn)
            for row, ratio in zip(total, candidates, strict=True):
                solution = cvxrelu.train_gated(
                    X, y, ratio * largest, patterns=drawn, max_rounds=rounds, tol=1e-4, random_state=[seed, draw]
                )
                row += masked_values(solution.patterns, solution.coef, X, Z, "cell-average", None)
        return total / draws

    return values


def peer(make):
    """A classifier of scikit-learn."""

    def values(X, y, Z, candidates, seed):
        rows = []
        for candidate in candidates:
            model = make(candidate, seed).fit(X, y)
            scores = getattr(model, "decision_function", None)
            rows.append(scores(Z) if scores else model.predict_proba(Z)[:, 1] - 0.5)
        return np.array(rows)

    return values


def models(n_gates):
    """All models by name; "ntk" is what the others are compared with."""
    penalties = tuple(np.logspace(-6, 1, 22))
    svm = tuple((c, g) for c in 10.0 ** np.arange(-1, 4) for g in 2.0 ** np.arange(-7, 3, 2))
    return {
        "ntk": Model(ntk("gated"), penalties),
        "ntk relu": Model(ntk("relu"), penalties),
        "ntk relu, deep": Model(deep_ntk(range(1, 6)), tuple((k, c) for k in range(1, 6) for c in penalties)),
        "optimal kernel": Model(optimal_kernel("gaussian", n_gates), RATIOS),
        "one gate per cell": Model(optimal_kernel("gaussian", n_gates, at="representative"), RATIOS),
        "5 draws": Model(optimal_kernel("gaussian", n_gates, draws=5), RATIOS),
        "mixed gates": Model(optimal_kernel("mixed", n_gates), RATIOS),
        "mixed, 5 draws": Model(optimal_kernel("mixed", n_gates, draws=5), RATIOS),
        "priced patterns": Model(priced_patterns("gaussian", n_gates // 2), RATIOS),
        "priced, 3 draws": Model(priced_patterns("mixed", n_gates // 5, draws=3), RATIOS),
        "10 iterations": Model(optimal_kernel("gaussian", n_gates, iterations=10), RATIOS),
        "rbf svm": Model(peer(lambda c, s: SVC(C=c[0], gamma=c[1])), svm, False),
        "random forest": Model(
            peer(lambda c, s: RandomForestClassifier(300, max_features=c, random_state=s)), ("sqrt", 0.5), False
        ),
        "ridge": Model(peer(lambda c, s: RidgeClassifier(alpha=c)), tuple(np.logspace(-3, 4, 15))),
        "boosting": Model(
            peer(lambda c, s: GradientBoostingClassifier(n_estimators=200, max_depth=c, random_state=s)),
            (1, 2, 3),
            False,
        ),
    }


AUTO = ("ntk", "ntk relu", "5 draws", "mixed, 5 draws")
"""What kernel="auto" chooses from, by the loss on the validation samples: averages over draws, not single ones, whose
loss is noisier by more than kernels differ."""
