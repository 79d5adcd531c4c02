"""Powers of two in the data change results by powers of two; those that float64 does not hold are refused by name."""

import cvxrelu
import numpy as np
import pytest

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 3))
Y = X[:, 0] + np.abs(X[:, 1])
PATTERNS = cvxrelu.sample_patterns(X, 20, random_state=0)


@pytest.mark.parametrize("options", [{}, {"ridge": 0.5}, {"loss": "huber", "delta": 1.0}, {"unpenalised": X[:, :1]}])
@pytest.mark.parametrize(
    ("a", "b"), [(500, 0), (0, 400), (-500, 500), (512, -500), (520, 400), (-600, 400), (600, -400)]
)
def test_solutions_are_equivariant(a, b, options):
    A, B = 2.0**a, 2.0**b
    scaled = dict(options)
    if "delta" in options:
        scaled["delta"] = B
    if "ridge" in options:
        if not -1000 < 2 * a < 1000:
            pytest.skip("the ridge, of the square of X, is not within float64")
        scaled["ridge"] = 0.5 * A * A
    rest = {name: value for name, value in options.items() if name != "ridge"}
    beta = cvxrelu.beta_max(X, Y, PATTERNS, **rest)
    rest = {name: value for name, value in scaled.items() if name != "ridge"}
    assert cvxrelu.beta_max(A * X, B * Y, PATTERNS, **rest) == A * beta * B
    here = cvxrelu.solve_gated(X, Y, PATTERNS, 0.1 * beta, **options)
    there = cvxrelu.solve_gated(A * X, B * Y, PATTERNS, A * (0.1 * beta) * B, **scaled)
    assert there.objective == B * here.objective * B
    assert there.relative_gap == here.relative_gap
    np.testing.assert_array_equal(there.blocks, here.blocks * B / A)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (0, 540, "y and weights are too large: the objective at zero is not within float64"),
        (0, -560, "y and weights are too small: the objective at zero is not within float64"),
        (600, 450, "X, y and weights are too large: beta_max is not within float64"),
        (-700, -400, "X, y and weights are too small: beta_max is not within float64"),
        (900, -400, "ratios of y to X are too small: a coefficient is not within float64"),
    ],
)
def test_what_float64_does_not_hold_is_refused_by_name(a, b, message):
    with pytest.raises(ValueError, match=message):
        cvxrelu.solve_gated(2.0**a * X, 2.0**b * Y, PATTERNS, 1.0)
    if "beta_max" in message:
        with pytest.raises(ValueError, match=message):
            cvxrelu.beta_max(2.0**a * X, 2.0**b * Y, PATTERNS)


@pytest.mark.parametrize("in_chunks", [False, True])
def test_coefficients_beyond_float32_are_refused(in_chunks):
    small, large = (1e-30 * X).astype(np.float32), (1e10 * Y).astype(np.float32)
    design = cvxrelu.RowChunks([small]) if in_chunks else small
    with pytest.raises(ValueError, match="float32 does not hold the coefficients"):
        cvxrelu.solve_gated(design, large, PATTERNS, 1e-30)


def test_kernels_beyond_float64_are_refused():
    with pytest.raises(ValueError, match="float64 does not hold their kernel"):
        cvxrelu.ntk(1e155 * X)
    with pytest.raises(ValueError, match="float64 does not hold their kernel"):
        cvxrelu.masking_kernel(1e155 * X, PATTERNS, np.ones(len(PATTERNS)))


def test_weights_and_settings_are_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="X, y and weights are too large: beta_max"):
        cvxrelu.GatedReLURegressorCV(n_gates=10, n_betas=3, cv=3).fit(X, Y, sample_weight=np.full(60, 1e307))
    with pytest.raises(ValueError, match="y and weights are too small"):
        cvxrelu.GatedReLURegressorCV(n_gates=10, n_betas=3, cv=3).fit(X, 1e-170 * Y)
    for model in (cvxrelu.GatedReLURegressor, cvxrelu.NTKRegressor, cvxrelu.MKLRegressor, cvxrelu.GatedReLURegressorCV):
        with pytest.raises(TypeError, match="fit_bias must be True or False, not 'False'"):
            model(fit_bias="False").fit(X, Y)
    for options in ({"loss": "logistic"}, {"block_norm": "nuclear"}):
        ((name, value),) = options.items()
        with pytest.raises(ValueError, match=f"checkpoint is not available with {name}='{value}'"):
            cvxrelu.gated_path(X, Y, PATTERNS, checkpoint=tmp_path / "file.npz", **options)


@pytest.mark.parametrize(("a", "b"), [(300, 0), (0, 400), (-500, 500), (512, -500), (-600, 400)])
@pytest.mark.parametrize("form", ["beta", "simplex"])
def test_learned_kernels_are_equivariant(form, a, b):
    A, B = 2.0**a, 2.0**b
    beta = 0.1 * cvxrelu.beta_max(X, Y, PATTERNS)
    units = A * beta * B if form == "beta" else A * beta * A
    if units in (0, np.inf):
        with pytest.raises(ValueError, match="X, y and weights are too"):
            cvxrelu.solve_mkl(A * X, B * Y, PATTERNS, 1.0, form=form)
        return
    here = cvxrelu.solve_mkl(X, Y, PATTERNS, beta, form=form)
    there = cvxrelu.solve_mkl(A * X, B * Y, PATTERNS, units, form=form)
    assert there.converged
    assert there.objective / B / B == pytest.approx(here.objective, rel=1e-9)


@pytest.mark.parametrize("name", ["NTKRegressor", "NTKRegressorCV"])
def test_tangent_kernels_are_equivariant_or_refused(name):
    here = getattr(cvxrelu, name)(fit_bias=False).fit(X, Y).predict(X)
    for a, b in ((300, 0), (-200, 300), (0, -400)):
        there = getattr(cvxrelu, name)(fit_bias=False).fit(2.0**a * X, 2.0**b * Y).predict(2.0**a * X)
        np.testing.assert_allclose(there / 2.0**b, here, rtol=1e-9)
    with pytest.raises(ValueError, match="float64 does not hold the coefficients"):
        getattr(cvxrelu, name)(fit_bias=False).fit(2.0**-400 * X, 2.0**500 * Y)
    for a in (600, -600):
        with pytest.raises(ValueError, match=r"X is too (large|small): float64 does not hold its kernel"):
            getattr(cvxrelu, name)(fit_bias=False).fit(2.0**a * X, Y)
