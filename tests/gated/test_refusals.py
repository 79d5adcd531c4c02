"""What `solve_gated` and `gated_path` refuse, and how they say it."""

import cvxrelu
import numpy as np
import pytest
from strategies import teacher

BAD = [
    (lambda X, y, P: (np.where(X == X[3, 1], np.nan, X), y, P, 1.0), ValueError, r"X\[3, 1\] is nan"),
    (lambda X, y, P: (X, np.r_[y[:-1], np.inf], P, 1.0), ValueError, r"y\[29\] is inf"),
    (lambda X, y, P: (X, y[:-1], P, 1.0), ValueError, "y has 29 entries, but X has 30"),
    (lambda X, y, P: (X[:, 0], y, P, 1.0), ValueError, r"X.reshape\(-1, 1\)"),
    (lambda X, y, P: (X[:, :0], y, P, 1.0), ValueError, "empty"),
    (lambda X, y, P: (X[:0], y[:0], P, 1.0), ValueError, "empty"),
    (lambda X, y, P: (X[:, :3], y, P, 1.0), ValueError, "patterns belong to data of shape"),
    (lambda X, y, P: (X[::-1], y, P, 1.0), ValueError, "patterns belong to other data of the same shape"),
    (lambda X, y, P: (X.astype(str), y, P, 1.0), TypeError, "X must be an array of real numbers"),
    (lambda X, y, P: (X + 1j, y, P, 1.0), TypeError, "real numbers"),
    (lambda X, y, P: (np.array([{}] * 30), y, P, 1.0), TypeError, "real numbers"),
    (lambda X, y, P: (X, y, P.gates, 1.0), TypeError, "patterns must be ActivationPatterns"),
    (lambda X, y, P: (X, y, P[:0], 1.0), ValueError, "patterns is empty"),
    (lambda X, y, P: (X, y, P, 0.0), ValueError, "beta must be finite and above 0"),
    (lambda X, y, P: (X, y, P, -1.0), ValueError, "beta"),
    (lambda X, y, P: (X, y, P, np.nan), ValueError, "beta"),
    (lambda X, y, P: (X, y, P, "1"), TypeError, "beta must be a real number"),
]


@pytest.mark.parametrize("change, error, message", BAD)
def test_bad_arguments(change, error, message):
    with pytest.raises(error, match=message):
        cvxrelu.solve_gated(*change(*teacher(30, 4, 10)))


@pytest.mark.parametrize("call", [cvxrelu.beta_max, cvxrelu.gated_path])
@pytest.mark.parametrize("n", [30, 3000])
def test_patterns_of_other_data(call, n):
    X, y, patterns = teacher(n, 4, 10)
    with pytest.raises(ValueError, match="patterns belong to other data of the same shape"):
        call(np.random.default_rng(1).standard_normal(X.shape), y, patterns)


def test_patterns_of_other_data_of_which_some_gate_is_right():
    rng = np.random.default_rng(0)
    X, Z = (np.column_stack([rng.standard_normal((20, 3)), np.ones(20)]) for _ in range(2))
    for seed in range(20):
        patterns = cvxrelu.sample_patterns(X, 50, gates="mixed", random_state=seed)
        with pytest.raises(ValueError, match="patterns belong to other data of the same shape"):
            cvxrelu.beta_max(Z, Z[:, 0], patterns)


def test_patterns_of_rows_in_chunks_have_no_bits():
    X, y, _ = teacher(30, 4, 10)
    patterns = cvxrelu.sample_patterns(cvxrelu.RowChunks(X), 10, random_state=0)
    with pytest.raises(ValueError, match="belong to rows in chunks"):
        cvxrelu.solve_gated(X, y, patterns, 1.0)


@pytest.mark.filterwarnings("ignore:.*exact decisions find cells")
@pytest.mark.filterwarnings("ignore:.*no float64 gate:UserWarning")
@pytest.mark.parametrize(
    "X, settings",
    [
        (np.array([[1.0, 1.0], [1.0, 1 - 2**-53]]), {}),
        (np.array([[1.0, 2.0], [-1.0, -2.0], [0.1 + 0.2, 0.6], [0.3, 0.6]]), {"closed": True}),
        (np.array([[0.1 + 0.2, 0.6], [0.3, 0.6], [0.7, 0.1]]), {"decimals": 1}),
        (np.array([[0.3 + 1e-6, 0.6], [0.3, 0.6], [0.7, 0.1]]), {"tol": 1e-4}),
    ],
)
def test_patterns_whose_gates_are_only_near_are_taken(X, settings):
    patterns = cvxrelu.enumerate_patterns(X, **settings)
    for k in range(len(patterns)):
        assert cvxrelu.beta_max(X, np.ones(len(X)), patterns[[k]]) >= 0


@pytest.mark.parametrize(
    "options, message",
    [
        ({"tol": 0}, "tol"),
        ({"max_iter": 0}, "max_iter must be at least 1"),
        ({"n_threads": 0}, "n_threads must be at least 1"),
        ({"solver": "sgd"}, "solver must be"),
        ({"ridge": -1.0}, "ridge"),
        ({"sample_weight": -np.ones(30)}, r"sample_weight\[0\] is -1"),
        ({"sample_weight": np.zeros(30)}, "all zero"),
        ({"sample_weight": np.ones(3)}, r"shape \(30,\)"),
        ({"group_weights": np.zeros(10)}, "group_weights must be positive"),
        ({"unpenalised": np.ones((3, 1))}, "unpenalised has 3 rows"),
    ],
)
def test_bad_settings(options, message):
    X, y, patterns = teacher(30, 4, 10)
    with pytest.raises(ValueError, match=message):
        cvxrelu.solve_gated(X, y, patterns, 1.0, **options)


def test_sparse_data_says_what_to_do():
    sparse = pytest.importorskip("scipy.sparse")
    X, y, patterns = teacher(30, 4, 10)
    with pytest.raises(TypeError, match=r"X.toarray\(\)"):
        cvxrelu.solve_gated(sparse.csr_array(X), y, patterns, 1.0)


def test_bad_paths():
    X, y, patterns = teacher(30, 4, 10)
    for options, message in [
        ({"betas": [1.0, -1.0]}, r"betas\[1\] is -1"),
        ({"betas": []}, "betas is empty"),
        ({"betas": 1.0}, r"betas must be a list of penalties, of shape \(n_betas,\), not \(\)"),
        ({"beta_min_ratio": 1.0}, "beta_min_ratio must be below 1"),
        ({"n_betas": 0}, "n_betas"),
        ({"on_interrupt": "ignore"}, "on_interrupt"),
    ]:
        with pytest.raises(ValueError, match=message):
            cvxrelu.gated_path(X, y, patterns, **options)
    with pytest.raises(ValueError, match="beta_max is zero"):
        cvxrelu.gated_path(X, np.zeros(30), patterns)
