import cvxrelu
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from reference import kernels as reference
from strategies import designs, sampled
from support import SECONDS_TO_HEAR_CTRL_C, press_ctrl_c_after

KINDS = (("gated", 1), ("gated-both", 1), ("relu", 1), ("relu", 3))


def scale_of(X, Z):
    return max(np.linalg.norm(X, axis=1).max() * np.linalg.norm(Z, axis=1).max(), 1e-300)


@given(designs(), st.integers(1, 30), st.sampled_from([k for k in KINDS if k[1] == 1]))
def test_ntk_is_its_formula(X, m, kind):
    Z = np.vstack([np.random.default_rng(m).standard_normal((m, X.shape[1])), X[:2], -X[:2]])
    assert_allclose(cvxrelu.ntk(X, Z, kind=kind[0]), reference.ntk(X, Z, kind[0]), rtol=0, atol=1e-14 * scale_of(X, Z))
    assert_allclose(cvxrelu.ntk(X, kind=kind[0]), reference.ntk(X, X, kind[0]), rtol=0, atol=1e-14 * scale_of(X, X))


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
def test_deep_relu_follows_the_arc_cosine_recursion(depth):
    X = np.random.default_rng(0).standard_normal((40, 5))
    Z = np.random.default_rng(1).standard_normal((7, 5))
    assert_allclose(cvxrelu.ntk(X, Z, kind="relu", depth=depth), reference.ntk(X, Z, "relu", depth), rtol=0, atol=1e-14)
    assert_allclose(
        np.diag(cvxrelu.ntk(X, kind="relu", depth=depth)), (depth + 1) * (X**2).sum(1) / 2**depth, rtol=1e-14
    )


@pytest.mark.parametrize("n,d", [(1, 1), (127, 3), (128, 2), (300, 7), (513, 40)])
@pytest.mark.parametrize("kind,depth", KINDS)
def test_ntk_symmetric_and_rectangular_agree_across_tiles(n, d, kind, depth):
    X = np.random.default_rng(n).standard_normal((n, d))
    full = cvxrelu.ntk(X, X, kind=kind, depth=depth)
    half = cvxrelu.ntk(X, kind=kind, depth=depth)
    assert_array_equal(half, half.T)
    assert_allclose(half, full, rtol=0, atol=1e-15 * scale_of(X, X))
    assert_array_equal(half, cvxrelu.ntk(X, kind=kind, depth=depth, n_threads=3))


@pytest.mark.parametrize("t", [0.0, 1e-12, 1e-9, 1e-5, 0.1, 1.5, np.pi / 2, 1.6, 3.0])
def test_angles_near_zero_and_pi_keep_their_digits(t):
    X = np.array([[1.0, 0.0], [-1.0, 0.0]])
    Z = np.array([[np.cos(t), np.sin(t)]])
    near, far = cvxrelu.ntk(X, Z)[0]
    assert near == pytest.approx(np.cos(t) * (np.pi - t) / (2 * np.pi), rel=4e-16, abs=1e-16)
    # The angle to -x is pi - t, so that pi minus it is t: to full relative accuracy.
    assert far == pytest.approx(-np.cos(t) * t / (2 * np.pi), rel=1e-14)


def test_deep_relu_of_nearly_equal_rows():
    t = np.array([1e-10, 1e-8, 1e-6])
    Z = np.column_stack([np.cos(t), np.sin(t)])
    X = np.array([[1.0, 0.0]])
    # To first order every layer keeps the angle: T loses t/(2 pi) of each layer's incoming kernel.
    value = cvxrelu.ntk(X, Z, kind="relu", depth=2)[:, 0]
    expected = 0.75 - (0.5 * (0.5 * t / np.pi) + 0.5 * t / np.pi)
    assert_allclose(value, expected, rtol=0, atol=2 * 1e-12)
    assert_allclose((0.75 - value)[0], (0.75 - expected)[0], rtol=1e-4)


def test_relu_ntk_is_the_mean_of_gradients():
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((2, 3))
    W = rng.standard_normal((400_000, 3))
    a, b = W @ x, W @ z
    both = (a >= 0) & (b >= 0)
    V = rng.standard_normal((400_000, 3))  # first-layer weights that are not the gates
    first = both * (x @ z)
    for kind, terms in (
        ("gated", first),
        ("gated-both", first + both * (V @ x) * (V @ z)),
        ("relu", first + both * a * b),
    ):
        value = cvxrelu.ntk(x[None], z[None], kind=kind)[0, 0]
        assert abs(terms.mean() - value) < 4 * terms.std() / np.sqrt(len(W))


def test_ntk_agrees_with_neural_tangents():
    stax = pytest.importorskip("neural_tangents.stax")
    X = np.random.default_rng(0).standard_normal((20, 6))
    for depth in (1, 3):
        layers = [stax.Dense(1), *[stax.Relu(), stax.Dense(1)] * depth]
        peer = np.asarray(stax.serial(*layers)[2](X, None, "ntk"))
        assert_allclose(cvxrelu.ntk(X, kind="relu", depth=depth) / X.shape[1], peer, rtol=1e-5)


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_ntk_is_the_mixture_of_masking_kernels_by_the_measure_of_cells(n, seed):
    X = np.random.default_rng(seed).standard_normal((n, 2))
    gates, measure = reference.arcs(X)
    masks = X @ gates.T >= 0
    assert_allclose(reference.masking_kernel(X, masks, measure), cvxrelu.ntk(X), rtol=0, atol=1e-13)
    patterns = cvxrelu.sample_patterns(X, gates=gates)
    eta = np.bincount(patterns.draw_pattern, weights=measure[masks.any(axis=0)], minlength=len(patterns))
    assert_allclose(cvxrelu.masking_kernel(X, patterns, eta), cvxrelu.ntk(X), rtol=0, atol=1e-13)


@given(st.integers(2, 3), st.integers(1, 8), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_measured_cells_give_the_ntk_and_their_refinement_gives_it_everywhere(d, n, m, seed):
    rng = np.random.default_rng(seed)
    X, Z = rng.standard_normal((n, d)), rng.standard_normal((m, d))
    patterns = cvxrelu.enumerate_patterns(X)
    weights = cvxrelu.ntk_weights(X, patterns)
    assert_allclose(cvxrelu.masking_kernel(X, patterns, weights), cvxrelu.ntk(X), rtol=0, atol=1e-12)
    cross = cvxrelu.masking_kernel(X, patterns, weights, Z, at="refined")
    assert_allclose(cross, cvxrelu.ntk(X, Z), rtol=0, atol=1e-12)
    # Two new points that are active together in a cell where nothing else is do not show in cells of X.
    own = cvxrelu.masking_kernel(X, patterns, weights, Z, at="refined", block="self")
    assert (np.diag(own) <= np.diag(cvxrelu.ntk(Z)) + 1e-12).all()


def test_refinement_is_the_limit_of_cell_averages():
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((6, 3)), rng.standard_normal((3, 3))
    patterns = cvxrelu.sample_patterns(X, 100_000, random_state=0)
    eta = rng.random(len(patterns))
    limit = cvxrelu.masking_kernel(X, patterns, eta, Z, at="refined")
    average = cvxrelu.masking_kernel(X, patterns, eta, Z, at="cell-average")
    assert_allclose(average, limit, rtol=0, atol=0.05 * np.abs(limit).max())


def test_shares_of_draws_estimate_the_ntk_within_standard_errors():
    X = np.random.default_rng(0).standard_normal((30, 5))
    N = 40_000
    patterns = cvxrelu.sample_patterns(X, N, random_state=1)
    weights = cvxrelu.ntk_weights(X, patterns)
    assert weights.sum() == pytest.approx(1 - patterns.zero_count / N)
    H, estimate = cvxrelu.ntk(X), cvxrelu.ntk(X, patterns=patterns)
    q = H / (X @ X.T)
    error = np.abs(X @ X.T) * np.sqrt(q * (1 - q) / N)
    assert (np.abs(estimate - H) < 5 * error).all()
    assert_allclose(estimate, cvxrelu.masking_kernel(X, patterns, weights), rtol=1e-13)


def test_finite_ntk_is_the_mean_over_all_gates_drawn_at_new_points_too():
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((9, 3)), rng.standard_normal((6, 3))
    gates = rng.standard_normal((500, 3))
    patterns = cvxrelu.sample_patterns(X, gates=gates)
    at_x, at_z = (X @ gates.T >= 0).astype(float), (Z @ gates.T >= 0).astype(float)
    assert_allclose(cvxrelu.ntk(X, patterns=patterns), (X @ X.T) * (at_x @ at_x.T) / 500, atol=1e-13)
    assert_allclose(cvxrelu.ntk(X, Z, patterns=patterns), (Z @ X.T) * (at_z @ at_x.T) / 500, atol=1e-13)
    both = cvxrelu.ntk(X, Z, patterns=patterns, kind="gated-both")
    assert_allclose(both, 2 * cvxrelu.ntk(X, Z, patterns=patterns), rtol=1e-13)


def test_cell_average_converges_to_the_ntk_at_new_points_and_one_gate_per_cell_does_not():
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((8, 3)), rng.standard_normal((5, 3))
    patterns = cvxrelu.sample_patterns(X, 50_000, random_state=0)
    weights = cvxrelu.ntk_weights(X, patterns)
    H = cvxrelu.ntk(X, Z)
    average = cvxrelu.masking_kernel(X, patterns, weights, Z, at="cell-average")
    single = cvxrelu.masking_kernel(X, patterns, weights, Z, at="representative")
    assert np.abs(average - H).max() < 0.02 * np.abs(H).max()
    assert np.abs(single - H).max() > 0.05 * np.abs(H).max()


@given(designs(max_samples=150), st.integers(1, 90), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_masking_kernel_is_its_definition(X, p, m, seed):
    rng = np.random.default_rng(seed)
    patterns = sampled(X, p, rng)
    eta = rng.random(len(patterns)) * (rng.random(len(patterns)) < 0.7)
    eta[0] = 1.0
    masks = patterns.to_dense()
    tolerance = 1e-13 * eta.sum()
    K = cvxrelu.masking_kernel(X, patterns, eta)
    assert_array_equal(K, K.T)
    assert_allclose(K, reference.masking_kernel(X, masks, eta), rtol=0, atol=tolerance * scale_of(X, X))
    assert np.linalg.eigvalsh(K).min() >= -1e-12 * max(np.trace(K), 1e-300)

    Z = rng.standard_normal((m, X.shape[1]))
    single = patterns.activations(Z).astype(float)
    draws = (Z @ patterns.draws.T >= 0).astype(float)
    shares = np.zeros_like(single)
    np.add.at(shares.T, patterns.draw_pattern, draws.T)
    shares /= np.bincount(patterns.draw_pattern)
    for at, z_masks in (("representative", single), ("cell-average", shares)):
        cross = cvxrelu.masking_kernel(X, patterns, eta, Z, at=at)
        expected = reference.masking_kernel(X, masks, eta, Z, z_masks)
        assert_allclose(cross, expected, rtol=0, atol=tolerance * scale_of(X, Z))
    own = cvxrelu.masking_kernel(X, patterns, eta, Z, block="self")
    assert_allclose(own, reference.masking_kernel(Z, single, eta), rtol=0, atol=tolerance * scale_of(Z, Z))
    own = cvxrelu.masking_kernel(X, patterns, eta, Z, block="self", at="cell-average")
    per_draw = (eta / np.bincount(patterns.draw_pattern))[patterns.draw_pattern]
    assert_allclose(own, reference.masking_kernel(Z, draws, per_draw), rtol=0, atol=tolerance * scale_of(Z, Z))


@pytest.mark.parametrize("n", [63, 64, 65, 2049, 2200])
def test_masking_kernel_across_words_and_tiles(n):
    rng = np.random.default_rng(n)
    X = rng.standard_normal((n, 3))
    patterns = cvxrelu.sample_patterns(X, 40, random_state=0)
    eta = rng.random(len(patterns))
    K = cvxrelu.masking_kernel(X, patterns, eta)
    assert_allclose(K, reference.masking_kernel(X, patterns.to_dense(), eta), rtol=0, atol=1e-12)
    assert_array_equal(K, cvxrelu.masking_kernel(X, patterns, eta, n_threads=3))


def test_float32_in_float32_out():
    X = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    patterns = cvxrelu.sample_patterns(X, 10, random_state=0)
    eta = np.ones(len(patterns))
    for kernel in (cvxrelu.ntk(X), cvxrelu.masking_kernel(X, patterns, eta), cvxrelu.ntk(X, patterns=patterns)):
        assert kernel.dtype == np.float32
    assert cvxrelu.ntk(X, X.astype(float)).dtype == np.float64
    assert_array_equal(cvxrelu.ntk(X), cvxrelu.ntk(X.astype(float)).astype(np.float32))


def test_extreme_lengths_leave_angles_alone():
    X = np.random.default_rng(0).standard_normal((10, 3))
    scales = 10.0 ** np.arange(-100, 100, 20)
    assert_allclose(cvxrelu.ntk(scales[:, None] * X), np.outer(scales, scales) * cvxrelu.ntk(X), rtol=1e-13)


def test_ctrl_c_stops_a_masking_kernel():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 5))
    patterns = cvxrelu.sample_patterns(X, 40_000, random_state=0)
    eta = np.ones(len(patterns))
    with press_ctrl_c_after(0.3) as pressed, pytest.raises(KeyboardInterrupt):
        cvxrelu.masking_kernel(X, patterns, eta, n_threads=1)
    assert pressed.seconds_until_caught < SECONDS_TO_HEAR_CTRL_C


def test_a_matrix_that_cannot_fit_is_refused_before_it_is_begun():
    X = np.ones((3_000_000, 1))
    patterns = cvxrelu.sample_patterns(X, gates=[[1.0]])
    message = r"shape \(3000000, 3000000\) would take 6.71e\+04 GiB"
    with pytest.raises(MemoryError, match=message):
        cvxrelu.ntk(X)
    with pytest.raises(MemoryError, match=message):
        cvxrelu.masking_kernel(X, patterns, [1.0])
    with pytest.raises(MemoryError, match=message):
        cvxrelu.masking_kernel(X[:1], patterns[:1].reorder_samples(np.arange(1)), [1.0], X, block="self")
    with pytest.raises(MemoryError, match="2 kernel matrices"):
        cvxrelu.solve_mkl(X, np.ones(len(X)), patterns, 1.0)


def bad_calls():
    X = np.ones((4, 2))
    X[:, 0] = [0, 1, 2, 3]
    patterns = cvxrelu.sample_patterns(X, 20, random_state=0)
    eta = np.ones(len(patterns))
    negative, nan = eta.copy(), eta.copy()
    negative[1], nan[0] = -1, np.nan
    kernel = cvxrelu.masking_kernel
    return [
        (lambda: kernel(X, patterns, negative), "eta must be non-negative"),
        (lambda: kernel(X, patterns, nan), r"eta must be finite, but eta\[0\] is nan"),
        (lambda: kernel(X, patterns, eta[1:]), r"eta must have shape"),
        (lambda: kernel(X, patterns, 0 * eta), "eta are all zero"),
        (lambda: kernel(X[:3], patterns, eta), "patterns belong to data of shape"),
        (lambda: kernel(X, patterns, eta, np.ones((3, 5))), "Z has 5 features, but 2 are expected"),
        (lambda: kernel(X, patterns, eta, np.array([[np.inf, 1.0]])), "Z must be finite"),
        (lambda: kernel(X, patterns, eta, at="nowhere"), "at must be one of"),
        (lambda: kernel(X, patterns, eta, X, block="whole"), "block must be"),
        (lambda: kernel(X, patterns, eta, block="self"), "needs Z"),
        (lambda: cvxrelu.ntk(X, kind="tanh"), "kind must be one of"),
        (lambda: cvxrelu.ntk(X, depth=2), "depth must be 1"),
        (lambda: cvxrelu.ntk(X, kind="relu", depth=0), "depth must be at least 1"),
        (lambda: cvxrelu.ntk(X, kind="relu", patterns=patterns), "patterns are gates"),
        (lambda: cvxrelu.ntk(X, np.ones((2, 3))), "Z has 3 features"),
        (lambda: cvxrelu.ntk(np.full((2, 2), np.nan)), r"X must be finite, but X\[0, 0\] is nan"),
        (lambda: cvxrelu.ntk(X[:, 0]), "X must have shape"),
    ]


@pytest.mark.parametrize("call,message", bad_calls())
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_undrawn_patterns_have_no_cell_average():
    X = np.random.default_rng(0).standard_normal((5, 2))
    patterns = cvxrelu.sample_patterns(X, 10, random_state=0)
    bare = cvxrelu.ActivationPatterns(gates=patterns.gates.copy(), words=patterns.words.copy(), n_samples=5)
    with pytest.raises(ValueError, match="needs patterns from sample_patterns"):
        cvxrelu.masking_kernel(X, bare, np.ones(len(bare)), X, at="cell-average")
    with pytest.raises(ValueError, match="enumerated, not drawn"):
        cvxrelu.ntk(X, patterns=bare)


def test_zero_rows_have_zero_kernel():
    X = np.random.default_rng(0).standard_normal((5, 3))
    X[2] = 0
    patterns = cvxrelu.sample_patterns(X, 10, random_state=0)
    for K in (
        cvxrelu.ntk(X),
        cvxrelu.ntk(X, kind="relu", depth=2),
        cvxrelu.masking_kernel(X, patterns, np.ones(len(patterns))),
    ):
        assert not K[2].any() and not K[:, 2].any()
        assert np.isfinite(K).all()


@pytest.mark.parametrize("kind", ["sampled", "enumerated"])
@pytest.mark.parametrize("scale", [1.0, 1e200])
def test_kernels_refuse_patterns_of_other_data(kind, scale):
    rng = np.random.default_rng(0)
    X, other = scale * rng.standard_normal((2, 30, 3))
    patterns = cvxrelu.sample_patterns(X, 20, random_state=0) if kind == "sampled" else cvxrelu.enumerate_patterns(X)
    with pytest.raises(ValueError, match="other data of the same shape"):
        cvxrelu.ntk_weights(other, patterns)
    with pytest.raises(ValueError, match="other data of the same shape"):
        cvxrelu.masking_kernel(other, patterns, np.ones(len(patterns)))
    assert cvxrelu.ntk_weights(X, patterns).sum() <= 1 + 1e-12


def test_samples_so_small_that_their_kernel_vanishes_are_refused():
    X = np.random.default_rng(0).standard_normal((8, 3))
    patterns = cvxrelu.sample_patterns(X, 5, random_state=0)
    for scale, dtype in ((1e-170, np.float64), (1e-155, np.float64), (1e-25, np.float32)):
        small = (X * scale).astype(dtype)
        with pytest.raises(ValueError, match="samples are too small"):
            cvxrelu.ntk(small)
        with pytest.raises(ValueError, match="samples are too small"):
            cvxrelu.masking_kernel(small, patterns, np.ones(len(patterns)))
    # One sample that is small beside others has a row of zeros, which is its kernel to rounding.
    mixed = np.vstack([X, 1e-170 * X[:1]])
    assert np.isfinite(cvxrelu.ntk(mixed)).all()
    assert_array_equal(cvxrelu.ntk(np.zeros((2, 3))), np.zeros((2, 2)))
