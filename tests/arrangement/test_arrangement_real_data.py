"""Arrangements of real data: raw, standardised to six digits, and one-hot. Degenerate in many ways, and in floats."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from cvxrelu import count_patterns, enumerate_patterns
from reference import arrangement as reference

UCI = Path(__file__).parents[3] / "shared" / "data" / "uci"
NAMES = ["balance-scale", "glass", "haberman-survival", "hayes-roth", "iris", "mammographic", "wine", "yacht"]


def of_scikit_learn(name):
    datasets = pytest.importorskip("sklearn.datasets")
    return getattr(datasets, f"load_{name}")().data


def of_uci(name):
    if not UCI.is_dir():
        pytest.skip("the UCI sets do not lie beside the repository")
    return np.loadtxt(UCI / f"{name}.csv", delimiter=",", skiprows=1)[:, :-1]


def one_hot(X, columns):
    """Thirds of the first columns, one indicator a level."""
    parts = []
    for column in X[:, :columns].T:
        level = np.searchsorted(np.unique(np.quantile(column, [1 / 3, 2 / 3])), column)
        parts.append(np.eye(level.max() + 1)[level])
    return np.hstack(parts)


def check(X, few=9, many=40):
    """The same set as exact insertion on a few samples; proved complete on many."""
    spread = np.linspace(0, len(X) - 1, few).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some cells of decimal numbers hold no float64 gate
        patterns = enumerate_patterns(X[spread])
    assert {tuple(mask) for mask in patterns.to_dense().T.tolist()} == reference.patterns(X[spread])
    some = X[np.linspace(0, len(X) - 1, min(len(X), many)).astype(int)]
    patterns = enumerate_patterns(some, decimals=6)
    assert patterns.certificate.complete
    assert len(patterns) == len(np.unique(patterns.words, axis=0)) == count_patterns(some, decimals=6)


DATA = [pytest.param(of_scikit_learn, name, id=f"sklearn {name}") for name in ("iris", "wine", "diabetes")]
DATA += [pytest.param(of_uci, name, id=f"uci {name}") for name in NAMES]


@pytest.mark.parametrize("source, name", DATA)
@pytest.mark.parametrize("columns", [2, 3, 4, 5])
def test_first_columns(source, name, columns):
    X = source(name)[:, :columns]
    check(X, few=9 if columns < 4 else 7, many=40 if columns < 5 else 20)


@pytest.mark.parametrize("source, name", DATA)
def test_one_hot(source, name):
    X = one_hot(source(name), 3)
    check(X, few=8, many=200)
    patterns = enumerate_patterns(X, closed=True)
    assert patterns.certificate.complete and patterns.certificate.n_on_hyperplanes == 0  # rows lie in a half-space


@pytest.mark.parametrize("source, name", DATA[:2])
def test_centred_one_hot_has_patterns_on_hyperplanes(source, name):
    X = one_hot(source(name), 2)
    X = 3 * (X[:, :2] - X[:, 2:4])[:7]
    patterns = enumerate_patterns(X, closed=True)
    assert patterns.certificate.complete
    assert {tuple(mask) for mask in patterns.to_dense().T.tolist()} == reference.closed_patterns(X)


@pytest.mark.slow
def test_degenerate_floats_with_long_mantissas():
    patterns = enumerate_patterns(of_uci("balance-scale"))
    assert patterns.certificate.complete and len(patterns) == 3767040
    assert patterns.certificate.n_exact_fallbacks > 10**6
