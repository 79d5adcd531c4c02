"""A callback may write into whatever it reaches: the problem that is solved and certified is the one that was posed."""

import copy

import cvxrelu
import numpy as np
import pytest

N = 40


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, 3))
    return {"X": X, "y": np.abs(X[:, 0]) + 0.1 * rng.standard_normal(N), "weight": rng.uniform(0.5, 2, N)}


def gated(**settings):
    def solve(X, y, weight, omega, callback):
        P = cvxrelu.sample_patterns(X.copy(), 30, random_state=0)
        omega = omega[: len(P)]
        common = {"sample_weight": weight, "group_weights": omega, **settings}
        beta = 0.05 * cvxrelu.beta_max(X, y, P, **common)
        return cvxrelu.solve_gated(X, y, P, beta, callback=callback, tol=1e-8, **common)

    return solve


def path(X, y, weight, omega, callback):
    P = cvxrelu.sample_patterns(X.copy(), 30, random_state=0)
    return cvxrelu.gated_path(
        X, y, P, sample_weight=weight, group_weights=omega[: len(P)], n_betas=4, tol=1e-8, callback=callback
    )[-1]


def checkpointed(tmp_path):
    def solve(X, y, weight, omega, callback):
        P = cvxrelu.sample_patterns(X.copy(), 30, random_state=0)
        file = tmp_path / f"{callback is None}.npz"
        return cvxrelu.gated_path(X, y, P, sample_weight=weight, n_betas=3, callback=callback, checkpoint=file)[-1]

    return solve


def relu(loss):
    def solve(X, y, weight, omega, callback):
        P = cvxrelu.sample_patterns(X.copy(), 30, random_state=0)
        Z = np.ones((N, 1))
        return cvxrelu.solve_relu(
            *(X, y, P, 0.5),
            **{"sample_weight": weight, "unpenalised": Z, "loss": loss, "group_weights": omega[: len(P)]},
            callback=callback,
        )

    return solve


def train(loss):
    def solve(X, y, weight, omega, callback):
        settings = {"sample_weight": weight, "loss": loss, "random_state": 0, "certificate": "given patterns"}
        return cvxrelu.train_relu(X, y, 0.5, callback=callback, **settings)

    return solve


def relu_path(X, y, weight, omega, callback):
    P = cvxrelu.sample_patterns(X.copy(), 30, random_state=0)
    omega = omega[: len(P)]
    return cvxrelu.relu_path(
        X, y, patterns=P, betas=[2.0, 1.0, 0.5], sample_weight=weight, group_weights=omega, callback=callback
    )[-1]


def mkl(form, max_iter):
    def solve(X, y, weight, omega, callback):
        P = cvxrelu.sample_patterns(X.copy(), 30, random_state=0)
        return cvxrelu.solve_mkl(X, y, P, 0.5, form=form, sample_weight=weight, max_iter=max_iter, callback=callback)

    return solve


WAYS = {
    "squared": gated(),
    "huber": gated(loss="huber"),
    "poisson": gated(loss="poisson"),
    "path": path,
    "relu": relu("squared"),
    "relu_huber": relu("huber"),
    "train": train("squared"),
    "train_huber": train("huber"),
    "relu_path": relu_path,
    "mkl": mkl("beta", 5),
    "mkl_simplex": mkl("simplex", 0),
}


def spoil(value):
    """Write into every array within reach."""
    if isinstance(value, np.ndarray):
        if value.flags.writeable and value.size:
            value[...] = 7
    elif isinstance(value, dict):
        for part in value.values():
            spoil(part)
    elif hasattr(value, "__dict__"):
        spoil(vars(value))


@pytest.mark.parametrize("way", [*WAYS, "checkpoint"])
def test_a_callback_cannot_change_the_problem(data, way, tmp_path):
    solve = WAYS[way] if way in WAYS else checkpointed(tmp_path)
    given = {**data, "omega": np.linspace(1, 2, 30)}
    if way == "poisson":
        given["y"] = np.abs(given["y"])
    expected = solve(**copy.deepcopy(given), callback=None)
    calls = []

    def hostile(progress):
        calls.append(progress["gap"])
        spoil(given)
        spoil(progress)

    got = solve(**given, callback=hostile)
    assert calls
    assert got.objective == expected.objective
    assert got.gap == expected.gap
    np.testing.assert_array_equal(got.dual, expected.dual)


def test_the_network_returned_on_ctrl_c_is_not_the_one_that_was_shown(data):
    X, y = data["X"], data["y"]
    expected = []

    def hostile(progress):
        if progress["finished"] is None:
            return
        expected.append(progress["finished"].objective)
        spoil(progress["finished"])
        raise KeyboardInterrupt

    solution = cvxrelu.train_relu(X, y, 0.5, random_state=0, callback=hostile, on_interrupt="return")
    network = solution.to_network()
    assert network.objective(X, y, 0.5) == pytest.approx(expected[0], rel=1e-9)


def test_a_learned_kernel_does_not_change_with_the_array_that_it_was_learned_from(data):
    X = data["X"]
    P = cvxrelu.sample_patterns(X, 20, random_state=0)
    solution = cvxrelu.solve_mkl(X, data["y"], P, 0.5)
    before = solution.kernel()
    X[...] = 0
    np.testing.assert_array_equal(solution.kernel(), before)


@pytest.mark.parametrize("kind", ["frame", "list", "tensor"])
def test_what_is_copied_may_be_a_frame_or_anything_with_an_array(data, kind):
    pandas = pytest.importorskip("pandas")
    X = data["X"]
    given = {"frame": pandas.DataFrame(X), "list": X.tolist(), "tensor": Tensor(X)}[kind]
    P = cvxrelu.sample_patterns(X.copy(), 20, random_state=0)
    expected = cvxrelu.solve_gated(X.copy(), data["y"], P, 0.5)

    def hostile(progress):
        X[...] = 0

    got = cvxrelu.solve_gated(given, data["y"], P, 0.5, callback=hostile)
    assert got.objective == expected.objective


class Tensor:
    """What NumPy sees of an array of another library: the same memory."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self._array, dtype=dtype, copy=copy)
