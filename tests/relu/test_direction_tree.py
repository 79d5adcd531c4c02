"""The maximum of |theta . (X u)_+| by subdivision of directions, against all cells one by one."""

import subprocess
import sys

import cvxrelu
import numpy as np
import pytest
from cvxrelu.base.native import core
from cvxrelu.relu.pricer import Pricer
from hypothesis import given
from hypothesis import strategies as st
from reference import cone as reference
from strategies import designs
from support import SECONDS_TO_HEAR_CTRL_C, press_ctrl_c_after

ACCURACY = 1e-6


def subdivide(X, theta, threshold=0.0, **settings):
    return core.price_by_directions(X, theta, threshold, **{"accuracy": ACCURACY, **settings})


def over_cells(X, theta):
    """Return the maximum by a projection onto every cone, for either sign."""
    masks = reference.cells(X)
    return max(reference.projection_norm(X, m, X.T @ (m * s * theta)) for m in masks.T for s in (1, -1))


def at(X, theta, u):
    return theta @ np.maximum(X @ u, 0)


def problem(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal(n)


def trained(n, d, seed=0):
    """A residual at which many neurons attain the penalty, where a search has most to do; and the penalty."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = np.maximum(X @ rng.standard_normal((d, 5)), 0) @ rng.choice([-1.0, 1.0], 5) + 0.3 * rng.standard_normal(n)
    beta = 0.1 * cvxrelu.beta_max(X, y, cvxrelu.sample_patterns(X, 200, random_state=0))
    network = cvxrelu.train_relu(X, y, beta, certificate="given patterns", random_state=0).to_network()
    return X, y - network.predict(X), beta


@given(
    designs(max_samples=8, max_features=3),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["normal", "signs", "one sign", "sparse"]),
)
def test_the_bound_is_the_maximum_over_all_cells(X, seed, kind):
    rng = np.random.default_rng(seed)
    theta = rng.standard_normal(len(X))
    if kind == "signs":
        theta = rng.choice([-1.0, 1.0], len(X))  # rows that are equal may cancel
    elif kind == "one sign":
        theta = -np.abs(theta)
    elif kind == "sparse":
        theta[rng.random(len(X)) < 0.5] = 0
    expected = over_cells(X, theta)
    found = subdivide(X, theta)
    size = np.abs(theta) @ np.linalg.norm(X, axis=1)
    assert found["complete"]
    assert expected - 1e-12 * size <= found["bound"] <= (1 + ACCURACY) * expected + 1e-11 * size
    assert found["value"] <= expected + 1e-12 * size
    if expected > 1e-9 * size:
        u = found["points"][0]
        assert np.linalg.norm(u) == pytest.approx(1)
        assert found["signs"][0] * at(X, theta, u) == pytest.approx(found["value"], rel=1e-10)


@pytest.mark.parametrize(("n", "d"), [(60, 2), (40, 3), (25, 4)])
def test_equals_the_enumeration(n, d):
    X, theta = problem(n, d)
    X[:5] = np.round(X[:5])
    X[5:10, -1] = 1
    X[10] = 0
    X[12] = -X[11]
    cells = cvxrelu.enumerate_patterns(X)
    expected, _, _ = core.price_patterns(X, cells.words, theta, 0.0, 1)
    assert subdivide(X, theta, accuracy=1e-9)["bound"] == pytest.approx(expected, rel=1e-8)


def test_a_level_is_decided_on_either_side():
    X, residual, _ = trained(60, 4)
    nu = subdivide(X, residual, accuracy=1e-10)["bound"]
    below = subdivide(X, residual, nu * (1 + 1e-6))
    assert below["complete"] and below["bound"] <= nu * (1 + 1e-6)
    assert below["bound"] >= nu * (1 - 1e-9)
    above = subdivide(X, residual, nu * (1 - 1e-4), until_found=True)
    assert above["value"] > nu * (1 - 1e-4)


def test_directions_above_the_level_are_apart_and_largest_first():
    X, residual, beta = trained(60, 4)
    level = 0.9 * beta
    found = subdivide(X, residual, level)
    points, values, signs = found["points"], found["values"], np.array(found["signs"])
    assert len(points) > 1 and (values > level).all() and (np.diff(values) <= 0).all()
    np.testing.assert_allclose(signs * (np.maximum(X @ points.T, 0).T @ residual), values, rtol=1e-10)
    cosines = (points @ points.T)[np.triu_indices(len(points), 1)]
    same = (signs[:, None] == signs)[np.triu_indices(len(points), 1)]
    assert cosines[same].max(initial=-1) < 0.9 + 1e-9


def test_a_search_cut_short_still_bounds():
    X, theta = problem(100, 6)
    exact = subdivide(X, theta)
    bounds = [subdivide(X, theta, max_nodes=nodes)["bound"] for nodes in (1, 30, 300)]
    assert bounds[0] >= bounds[1] >= bounds[2] > exact["bound"]
    assert not subdivide(X, theta, max_nodes=30)["complete"]
    timed = subdivide(X, theta, max_seconds=0.0)
    assert not timed["complete"] and timed["bound"] >= exact["bound"]
    tolerances, bounds, nodes = np.array(exact["rounds"]).T
    assert (np.diff(tolerances) < 0).all() and (np.diff(bounds) <= 0).all() and (np.diff(nodes) >= 0).all()


def test_the_same_bits_for_any_number_of_threads():
    X, residual, beta = trained(80, 5)
    one, two = (subdivide(X, residual, 1.001 * beta, n_threads=threads) for threads in (1, 2))
    for key, value in one.items():
        np.testing.assert_array_equal(two[key], value, err_msg=key)


def test_columns_that_are_combinations_of_others_cost_nothing():
    X, theta = problem(50, 3)
    wide = X @ np.random.default_rng(1).standard_normal((3, 12))
    narrow = np.linalg.svd(wide, full_matrices=False)
    found, same = subdivide(wide, theta), subdivide((narrow[0] * narrow[1])[:, :3].copy(), theta)
    assert found["bound"] == pytest.approx(same["bound"], rel=3 * ACCURACY)
    assert found["n_nodes"] < 3 * same["n_nodes"]
    with pytest.raises(ValueError, match="12 independent features"):
        subdivide(*problem(50, 13))


def test_a_sign_of_which_nothing_is_positive_costs_nothing():
    X, theta = problem(8, 5)
    found = subdivide(X * 10.0 ** -np.arange(5), -np.abs(theta), accuracy=1e-2)
    assert found["complete"] and found["n_nodes"] < 1000


def test_rows_that_cancel_leave_nothing():
    X, theta = problem(20, 5)
    found = subdivide(np.vstack([X, X]), np.append(theta, -theta))
    assert found["complete"] and found["bound"] <= 1e-11 * np.abs(theta).sum() * np.linalg.norm(X)
    odd = subdivide(np.vstack([X, -X]), np.append(theta, -theta))  # theta . (Xu)_+ - theta . (-Xu)_+ = theta . Xu
    assert odd["bound"] == pytest.approx(np.linalg.norm(X.T @ theta), rel=1e-6)


@pytest.mark.parametrize("power", [-150, 0, 150])
def test_scales_are_taken_out_before(power):
    X, theta = problem(30, 3)
    X[3] *= 1e-300 if power < 0 else 1.0
    expected, _, _ = core.price_patterns(X, cvxrelu.enumerate_patterns(X).words, theta, 0.0, 1)
    pricer = Pricer(10.0**power * X, 1, max_nodes=10**5, deadline=np.inf, method="subdivision")
    norm = pricer.over_all(10.0**power * theta, 0.0, accuracy=ACCURACY)
    assert norm.exact and norm.priced_by == "subdivision"
    bound = norm.bound / 10.0**power / 10.0**power
    assert (1 - 1e-11) * expected <= bound <= (1 + 2 * ACCURACY) * expected


def test_ctrl_c_is_heard():
    X, theta = problem(300, 11)
    with press_ctrl_c_after(0.5) as state, pytest.raises(KeyboardInterrupt):
        subdivide(X, theta, max_nodes=10**9)
    assert state.seconds_until_caught < SECONDS_TO_HEAR_CTRL_C


@pytest.mark.slow
@pytest.mark.parametrize(("n", "d"), [(200, 5), (100, 8)])
def test_networks_at_real_sizes_are_certified(n, d):
    X, residual, beta = trained(n, d)
    found = subdivide(X, residual, (1 + 1e-6) * beta, max_nodes=10**7)
    assert found["complete"]
    starts = np.random.default_rng(0).standard_normal((200, d))
    _, _, _, best = core.walk_cells(X, residual, starts, np.inf)
    assert found["bound"] >= best * (1 - 1e-12)
    assert found["bound"] <= (1 + 1e-6) * max((1 + 1e-6) * beta, found["value"])


@pytest.mark.slow
def test_cells_that_wait_take_little_memory():
    program = """
import resource
import numpy as np
from cvxrelu.base.native import core

rng = np.random.default_rng(0)
X, theta = rng.standard_normal((150, 12)), rng.standard_normal(150)
core.price_by_directions(X, theta, 0.0, accuracy=0.5, max_nodes=10)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = core.price_by_directions(X, theta, 0.0, accuracy=1e-6, max_nodes=800_000, n_threads=1)
assert not found["complete"]
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 130 * 1024  # kilobytes; more cells are open than may wait
