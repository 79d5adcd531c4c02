"""Data for property tests: designs in general and in degenerate position, and problems over them."""

import cvxrelu
import numpy as np
from hypothesis import strategies as st


@st.composite
def designs(draw, max_samples=40, max_features=6):
    """A design of normal, integer, collinear, partly zero or duplicated rows, with 1 up to the given shape."""
    n, d = draw(st.integers(1, max_samples)), draw(st.integers(1, max_features))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.standard_normal((n, d))
    kind = draw(st.sampled_from(["normal", "integer", "collinear", "duplicates", "zeros", "constant"]))
    if kind == "integer":
        X = rng.integers(-2, 3, size=(n, d)).astype(float)
    elif kind == "collinear":
        X[:, -1] = X[:, 0]
    elif kind == "duplicates":
        X = X[rng.integers(0, (n + 1) // 2, size=n)]
    elif kind == "zeros":
        X[rng.random(n) < 0.3] = 0
    elif kind == "constant":
        X[:, -1] = 1
    if not X.any():
        X[0, 0] = 1.0
    return X


@st.composite
def problems(draw, max_samples=40, max_features=6, max_patterns=30, max_outputs=1):
    """X, y, patterns and beta, the last from 1e-4 of beta_max to beyond it."""
    X = draw(designs(max_samples, max_features))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    patterns = sampled(X, draw(st.integers(1, max_patterns)), rng)
    outputs = draw(st.integers(1, max_outputs))
    y = rng.standard_normal(len(X)) if outputs == 1 else rng.standard_normal((len(X), outputs))
    ratio = draw(st.sampled_from([1e-4, 1e-2, 0.1, 0.5, 0.999, 1.5]))
    return X, y, patterns, ratio * max(cvxrelu.beta_max(X, y, patterns), 1e-3)


def sampled(X, n_gates, rng):
    """Patterns of Gaussian gates, tried again where all of them are inactive."""
    while True:
        gates = rng.standard_normal((n_gates, X.shape[1]))
        if (X @ gates.T >= 0).any():
            return cvxrelu.sample_patterns(X, gates=gates)


def many_rows(n, d, p):
    """X, y, patterns: a planted network of four neurons with noise, and Gaussian gates."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    y = np.maximum(X @ rng.standard_normal((d, 4)), 0) @ rng.standard_normal(4) + 0.1 * rng.standard_normal(n)
    return X, y, cvxrelu.sample_patterns(X, p, random_state=0)


def teacher(n, d, p, seed=0, noise=0.1):
    """Gaussian data with a planted two-layer ReLU network of ten neurons."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = np.maximum(X @ rng.standard_normal((d, 10)) / np.sqrt(d), 0) @ rng.standard_normal(10)
    y += noise * rng.standard_normal(n)
    return X, y, cvxrelu.sample_patterns(X, p, random_state=seed)
