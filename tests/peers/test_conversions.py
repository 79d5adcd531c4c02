"""The conversions of docs/coming_from.md, by running the package: its optimum is our certified one.

`python -m pip install '.[peers]'` brings all but adelie; what is not installed is skipped by name. The digits that are
asked for are those that the other solver has.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import SimpleNamespace

import cvxrelu
import numpy as np
import pytest

pytestmark = pytest.mark.filterwarnings("ignore")  # other packages warn of what they will


def peer(module, how=None):
    """The package, or a skip that names it and the command that brings it."""
    return pytest.importorskip(
        module, reason=f"{module} is not installed: pip install {how or module}", exc_type=ImportError
    )


@pytest.fixture(scope="module")
def problem():
    """A gated program, its explicit design and its optimum to 1e-12 of the objective at zero."""
    rng = np.random.default_rng(0)
    n, d = 40, 3
    X = rng.standard_normal((n, d))
    y = np.maximum(X[:, 0], X[:, 1]) + 0.1 * rng.standard_normal(n)
    patterns = cvxrelu.sample_patterns(X, 8, random_state=0)
    masks = patterns.to_dense().astype(float)
    beta = 0.05 * cvxrelu.beta_max(X, y, patterns)
    return SimpleNamespace(
        X=X, y=y, n=n, d=d, patterns=patterns, p=len(patterns), masks=masks, beta=beta,
        A=np.asfortranarray((masks[:, :, None] * X[:, None, :]).reshape(n, -1)),
        groups=np.repeat(np.arange(len(patterns)), d),
    )  # fmt: skip


def optimum(problem, **settings):
    return cvxrelu.solve_gated(problem.X, problem.y, problem.patterns, problem.beta, tol=1e-12, **settings).objective


def objective(problem, coef, *, intercept=0.0, ridge=0.0, weight=1.0):
    """Ours, of coefficients from elsewhere."""
    u = np.asarray(coef, dtype=float).reshape(problem.p, problem.d)
    residual = problem.y - problem.A @ u.ravel() - intercept
    penalty = problem.beta * weight * np.linalg.norm(u, axis=1).sum()
    return 0.5 * residual @ residual + penalty + 0.5 * ridge * (u**2).sum()


def assert_optimal(value, best, digits):
    assert best * (1 - 1e-10) <= value <= best * (1 + digits)


# ---- solvers of group lassos ----


@pytest.mark.parametrize("package", ["celer", "skglm"])
def test_celer_and_skglm_have_the_mean_loss(problem, package):
    model = peer(package).GroupLasso(
        groups=problem.d, alpha=problem.beta / problem.n, fit_intercept=False, tol=1e-12, max_iter=1000
    )
    assert_optimal(objective(problem, model.fit(problem.A, problem.y).coef_), optimum(problem), 1e-9)


@pytest.mark.parametrize("package", ["celer", "skglm"])
def test_their_default_intercept_is_an_unpenalised_column(problem, package):
    model = peer(package).GroupLasso(groups=problem.d, alpha=problem.beta / problem.n, tol=1e-12, max_iter=1000)
    model.fit(problem.A, problem.y)
    best = optimum(problem, unpenalised=np.ones((problem.n, 1)))
    assert_optimal(objective(problem, model.coef_, intercept=model.intercept_), best, 1e-9)
    assert best < 0.99 * optimum(problem)  # it is another program


@pytest.fixture
def adelie():
    return peer("adelie", "--no-deps adelie (it asks for numpy<2, and runs with 2.4)")


@pytest.fixture
def adelie_fit(problem, adelie):
    """Coefficients and intercept of adelie at one penalty, with its structured matrix."""
    masks = np.asfortranarray(problem.masks.astype(bool))
    design = adelie.matrix.convex_relu(np.asfortranarray(problem.X), masks, gated=True)

    def fit(lmda, glm=None, **settings):
        state = adelie.grpnet(
            design, adelie.glm.gaussian(problem.y) if glm is None else glm,
            groups=np.arange(0, problem.p * problem.d, problem.d),
            lmda_path=[lmda], early_exit=False, tol=1e-15, progress_bar=False, **settings,
        )  # fmt: skip
        return state.betas.toarray()[0], state.intercepts[0]

    return fit


def test_adelie_has_the_mean_loss(problem, adelie_fit):
    coef, _ = adelie_fit(problem.beta / problem.n, penalty=np.ones(problem.p), intercept=False)
    assert_optimal(objective(problem, coef), optimum(problem), 1e-9)


def test_adelie_weighs_by_the_root_of_the_size(problem, adelie_fit):
    coef, _ = adelie_fit(problem.beta / (problem.n * problem.d**0.5), intercept=False)
    assert_optimal(objective(problem, coef), optimum(problem), 1e-9)
    coef, _ = adelie_fit(problem.beta / problem.n, intercept=False)
    best = optimum(problem, group_weights=np.full(problem.p, problem.d**0.5))
    assert_optimal(objective(problem, coef, weight=problem.d**0.5), best, 1e-9)


def test_adelies_default_intercept_is_an_unpenalised_column(problem, adelie_fit):
    coef, intercept = adelie_fit(problem.beta / problem.n, penalty=np.ones(problem.p))
    best = optimum(problem, unpenalised=np.ones((problem.n, 1)))
    assert_optimal(objective(problem, coef, intercept=intercept), best, 1e-9)


def test_adelies_elastic_net(problem, adelie_fit):
    beta, ridge = problem.beta, 2.0
    coef, _ = adelie_fit(
        (beta + ridge) / problem.n, alpha=beta / (beta + ridge), penalty=np.ones(problem.p), intercept=False
    )
    assert_optimal(objective(problem, coef, ridge=ridge), optimum(problem, ridge=ridge), 1e-9)


@pytest.mark.parametrize("loss", ["logistic", "poisson"])
def test_adelies_families_are_losses_and_its_weights_sum_to_one(problem, adelie, adelie_fit, loss):
    rng = np.random.default_rng(1)
    weights = rng.uniform(0.5, 2, problem.n)
    if loss == "logistic":
        y = (problem.y > 1).astype(float)
        glm = adelie.glm.binomial(y, weights=weights)
    else:
        y = rng.poisson(np.exp(0.5 * problem.y)).astype(float)
        glm = adelie.glm.poisson(y, weights=weights)
    settings = {"loss": loss, "sample_weight": weights}
    beta = 0.05 * cvxrelu.beta_max(problem.X, y, problem.patterns, **settings)
    coef, _ = adelie_fit(beta / weights.sum(), glm, penalty=np.ones(problem.p), intercept=False, irls_tol=1e-12)
    u = np.asarray(coef).reshape(problem.p, problem.d)
    f = problem.A @ u.ravel()
    if loss == "logistic":
        fit = np.logaddexp(0, f) - y * f
    else:
        fit = np.exp(f) - y * f + y * np.log(np.maximum(y, 1)) - y
    value = weights @ fit + beta * np.linalg.norm(u, axis=1).sum()
    best = cvxrelu.solve_gated(problem.X, y, problem.patterns, beta, tol=1e-10, **settings).objective
    assert_optimal(value, best, 1e-7)


def test_adelies_cones_are_the_relu_program(problem, adelie):
    masks = np.asfortranarray(problem.masks.astype(bool))
    design = adelie.matrix.convex_relu(np.asfortranarray(problem.X), masks, gated=False)
    rows = np.where(masks.T[:, :, None], 1.0, -1.0) * problem.X
    inside = [
        adelie.constraint.linear(
            np.ascontiguousarray(row), np.zeros(problem.n), np.full(problem.n, np.inf), copy=True,
            configs={"tol": 1e-12, "nnls_tol": 1e-10, "pinball_tol": 1e-10, "max_iters": 1000},
        )
        for row in [*rows, *rows]
    ]  # fmt: skip
    state = adelie.grpnet(
        design, adelie.glm.gaussian(problem.y), constraints=inside, penalty=np.ones(2 * problem.p),
        groups=np.arange(0, 2 * problem.d * problem.p, problem.d), lmda_path=[problem.beta / problem.n],
        intercept=False, early_exit=False, tol=1e-12, progress_bar=False,
    )  # fmt: skip
    v, w = state.betas.toarray()[0].reshape(2, problem.p, problem.d)
    residual = problem.y - problem.A @ (v - w).ravel()
    value = 0.5 * residual @ residual + problem.beta * (np.linalg.norm(v, axis=1) + np.linalg.norm(w, axis=1)).sum()
    best = cvxrelu.solve_relu(problem.X, problem.y, problem.patterns, problem.beta, tol=1e-10).objective
    assert value == pytest.approx(best, rel=1e-6)


def test_group_lasso_halves_nothing_and_weighs_by_the_root_of_the_size(problem):
    group_lasso = peer("group_lasso", "group-lasso")
    model = group_lasso.GroupLasso(
        groups=problem.groups, group_reg=problem.beta / (2 * problem.n * problem.d**0.5), l1_reg=0,
        fit_intercept=False, tol=1e-12, n_iter=2000, supress_warning=True,
    )  # fmt: skip
    assert_optimal(objective(problem, model.fit(problem.A, problem.y).coef_), optimum(problem), 1e-6)


def test_asgl_halves_nothing_and_weighs_by_the_root_of_the_size(problem):
    model = peer("asgl").Regressor(
        model="lm", penalization="gl", lambda1=2 * problem.beta / (problem.n * problem.d**0.5),
        fit_intercept=False, tol=1e-10,
    )  # fmt: skip
    model.fit(problem.A, problem.y, group_index=problem.groups + 1)
    assert_optimal(objective(problem, model.coef_), optimum(problem), 1e-6)


def test_himalayas_group_lasso_has_the_mean_loss(problem):
    lasso = peer("himalaya.lasso", "himalaya")
    coef = lasso.solve_sparse_group_lasso(
        problem.A, problem.y[:, None], groups=problem.groups, l21_reg=problem.beta / problem.n, l1_reg=0,
        max_iter=1000, tol=1e-14, progress_bar=False,
    )  # fmt: skip
    assert_optimal(objective(problem, coef), optimum(problem), 1e-9)


def test_abess_chooses_groups_and_fits_them_without_penalty(problem):
    model = peer("abess").LinearRegression(support_size=2, group=problem.groups, fit_intercept=False)
    coef = model.fit(problem.A, problem.y).coef_
    chosen = np.flatnonzero(coef)
    assert len(np.unique(problem.groups[chosen])) == 2
    residual = problem.y - problem.A[:, chosen] @ np.linalg.lstsq(problem.A[:, chosen], problem.y)[0]
    assert np.linalg.norm(problem.y - problem.A @ coef) == pytest.approx(np.linalg.norm(residual), rel=1e-6)


# ---- pyscnn ----


@pytest.fixture
def scnn_fit(problem):
    """Convex weights of pyscnn, as blocks in the order of our patterns."""
    peer("scnn", "pyscnn")
    metrics, models, optimize, regularizers = (
        importlib.import_module(f"scnn.{name}") for name in ("metrics", "models", "optimize", "regularizers")
    )

    def fit(model, solver, **settings):
        model = getattr(models, model)(np.ascontiguousarray(problem.patterns.gates.T))
        found, *_ = optimize.optimize_model(
            model, solver(model), metrics.Metrics(), problem.X, problem.y[:, None], return_convex=True,
            regularizer=regularizers.NeuronGL1(problem.beta / problem.n), dtype="float64", **settings,
        )  # fmt: skip
        place = {gate.tobytes(): i for i, gate in enumerate(problem.patterns.gates)}  # it sorts the gates
        order = [place[gate.tobytes()] for gate in np.ascontiguousarray(found.G.T)]
        blocks = np.zeros((len(found.parameters), problem.p, problem.d))
        for half, weights in zip(blocks, found.parameters, strict=True):
            half[order] = np.asarray(weights)[0]
        return blocks

    return fit


def test_pyscnns_gated_program_has_the_mean_loss(problem, scnn_fit):
    solvers = importlib.import_module("scnn.solvers")
    settings = {"max_iters": 20000, "tol": 1e-16}
    (blocks,) = scnn_fit("ConvexGatedReLU", lambda model: solvers.RFISTA(model, **settings), unitize_data=False)
    assert_optimal(objective(problem, blocks), optimum(problem), 1e-7)
    (blocks,) = scnn_fit("ConvexGatedReLU", lambda model: solvers.RFISTA(model, **settings))
    assert objective(problem, blocks) > 1.01 * optimum(problem)  # by default it scales the columns to unit norm


@pytest.mark.slow
def test_pyscnns_relu_program_has_the_mean_loss(problem, scnn_fit):
    solvers = importlib.import_module("scnn.solvers")
    v, w = scnn_fit(
        "ConvexReLU",
        lambda model: solvers.AL(model, max_primal_iters=2000, max_dual_iters=200, tol=1e-8, constraint_tol=1e-8),
        unitize_data=False,
    )
    residual = problem.y - problem.A @ (v - w).ravel()
    value = 0.5 * residual @ residual + problem.beta * (np.linalg.norm(v, axis=1) + np.linalg.norm(w, axis=1)).sum()
    best = cvxrelu.solve_relu(problem.X, problem.y, problem.patterns, problem.beta, tol=1e-10).objective
    assert value == pytest.approx(best, rel=1e-3)  # its constraints hold up to a tolerance


# ---- kernels ----


@pytest.fixture
def kernels():
    """X, new points Z, targets, and neural-tangents in double precision."""
    tangents = peer("neural_tangents", "neural-tangents 'jax<0.5'")
    importlib.import_module("jax").config.update("jax_enable_x64", True)
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((12, 3)), rng.standard_normal((5, 3))
    return SimpleNamespace(tangents=tangents, stax=tangents.stax, X=X, Z=Z, y=X[:, 0] * X[:, 1], d=3)


@pytest.mark.parametrize("depth", [1, 3])
def test_neural_tangents_divides_by_the_fan_in(kernels, depth):
    layers = [kernels.stax.Dense(1), kernels.stax.Relu()] * depth
    kernel = kernels.stax.serial(*layers, kernels.stax.Dense(1))[2]
    ours = cvxrelu.ntk(kernels.X, kernels.Z, kind="relu", depth=depth) / kernels.d
    np.testing.assert_allclose(kernel(kernels.Z, kernels.X, "ntk"), ours, rtol=1e-10, atol=1e-12)


def test_a_bias_of_neural_tangents_is_a_scaled_column(kernels):
    b = 0.7
    stax = kernels.stax
    kernel = stax.serial(stax.Dense(1, b_std=b), stax.Relu(), stax.Dense(1))[2](kernels.X, None, "ntk")
    X = np.column_stack([kernels.X / kernels.d**0.5, np.full(len(kernels.X), b)])
    np.testing.assert_allclose(kernel, cvxrelu.ntk(X, kind="relu"), rtol=1e-7)  # its diagonal has half of the digits


def test_diag_reg_is_relative_to_the_mean_of_the_diagonal(kernels):
    stax, predict = kernels.stax, kernels.tangents.predict
    kernel = stax.serial(stax.Dense(1), stax.Relu(), stax.Dense(1))[2]
    ensemble = predict.gradient_descent_mse_ensemble(kernel, kernels.X, kernels.y[:, None], diag_reg=0.1)
    theirs = ensemble(x_test=kernels.Z, get="ntk", t=None)
    K = cvxrelu.ntk(kernels.X, kind="relu")
    model = cvxrelu.NTKRegressor(kind="relu", beta=0.1 * np.trace(K) / len(K), fit_bias=False, fit_intercept=False)
    np.testing.assert_allclose(np.ravel(theirs), model.fit(kernels.X, kernels.y).predict(kernels.Z), rtol=1e-6)


def test_diag_reg_may_be_absolute(kernels):
    stax, predict = kernels.stax, kernels.tangents.predict
    kernel = stax.serial(stax.Dense(1), stax.Relu(), stax.Dense(1))[2]
    settings = {"diag_reg": 0.1, "diag_reg_absolute_scale": True}
    ensemble = predict.gradient_descent_mse_ensemble(kernel, kernels.X, kernels.y[:, None], **settings)
    model = cvxrelu.NTKRegressor(kind="relu", beta=0.1 * kernels.d, fit_bias=False, fit_intercept=False).fit(
        kernels.X, kernels.y
    )
    theirs = np.ravel(ensemble(x_test=kernels.Z, get="ntk", t=None))
    np.testing.assert_allclose(theirs, model.predict(kernels.Z), rtol=1e-6)


def test_w_std_scales_the_kernel(kernels):
    s, stax = 1.3, kernels.stax
    layers = [stax.Dense(1, W_std=s), stax.Relu(), stax.Dense(1, W_std=s), stax.Relu(), stax.Dense(1, W_std=s)]
    ours = s**6 * cvxrelu.ntk(kernels.X, kernels.Z, kind="relu", depth=2) / kernels.d
    np.testing.assert_allclose(stax.serial(*layers)[2](kernels.Z, kernels.X, "ntk"), ours, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("package", ["sklearn.kernel_ridge", "himalaya.kernel_ridge"])
def test_alpha_of_kernel_ridge_regressions_is_beta(problem, package):
    KernelRidge = peer(package, package.split(".")[0]).KernelRidge
    K = cvxrelu.ntk(problem.X)
    theirs = KernelRidge(kernel="precomputed", alpha=problem.beta).fit(K, problem.y).predict(K)
    ours = (
        cvxrelu.NTKRegressor(beta=problem.beta, fit_bias=False, fit_intercept=False)
        .fit(problem.X, problem.y)
        .predict(problem.X)
    )
    np.testing.assert_allclose(theirs, ours, rtol=1e-6, atol=1e-8)


# ---- scikit-learn's MLP ----


def slope(n, alpha, **settings):
    """The product of both weights of one identity neuron on x = +-1, y = x: 1 - beta / n by the mathematics."""
    network = peer("sklearn.neural_network", "scikit-learn").MLPRegressor(
        hidden_layer_sizes=(1,), activation="identity", alpha=alpha, random_state=0, **settings
    )
    x = np.tile([1.0, -1.0], n // 2)
    network.fit(x[:, None], x)
    return (network.coefs_[0] @ network.coefs_[1]).item()


def test_alpha_of_an_mlp_is_beta_under_lbfgs():
    n, beta = 1000, 100.0
    assert slope(n, beta, solver="lbfgs", tol=1e-10) == pytest.approx(1 - beta / n, abs=1e-4)


@pytest.mark.parametrize("batch_size", [100, 500])
def test_alpha_of_an_mlp_counts_once_for_each_minibatch_under_adam(batch_size):
    n, beta = 1000, 100.0
    settings = {"batch_size": batch_size, "learning_rate_init": 0.01, "max_iter": 200, "n_iter_no_change": 200}
    assert slope(n, beta * batch_size / n, **settings) == pytest.approx(1 - beta / n, abs=5e-3)


def test_the_loss_of_an_mlp_is_our_objective_over_n(problem):
    MLPRegressor = peer("sklearn.neural_network", "scikit-learn").MLPRegressor
    mlp = MLPRegressor(hidden_layer_sizes=(6,), alpha=problem.beta, solver="lbfgs", random_state=0).fit(
        problem.X, problem.y
    )
    residual = problem.y - mlp.predict(problem.X)
    weights = sum((W**2).sum() for W in mlp.coefs_)  # without the biases, which no penalty sees
    ours = 0.5 * residual @ residual + 0.5 * problem.beta * weights
    assert mlp.loss_ == pytest.approx(ours / problem.n, rel=1e-6)


# ---- arrangements ----

SAGE = """
import sys
from fractions import Fraction
from sage.all__sagemath_polyhedra import HyperplaneArrangements, QQ
H = HyperplaneArrangements(QQ, ("x", "y", "z"))
rows = eval(sys.argv[1])
A = H([[[QQ(Fraction(v)) for v in row], 0] for row in rows])
print(A.n_regions(), len(A.regions()))
"""

ARRANGEMENTS = {
    "generic": np.random.default_rng(0).standard_normal((6, 3)),
    "nearly parallel": np.array([[1, 0, 0], [1, 1e-9, 0], [1, 2e-9, 0], [0, 1, 1]]),
    "of decimals": np.array([[0.1, 0.3, 0], [0.7, 2.1, 0], [0, 0.5, 1]]),  # the first two are parallel as decimals only
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_regions_of_sage(name):
    peer("sage.all__sagemath_polyhedra", "passagemath-polyhedra")
    rows = ARRANGEMENTS[name].tolist()
    done = subprocess.run([sys.executable, "-c", SAGE, repr(rows)], capture_output=True, text=True, check=True)
    counts = {int(word) for word in done.stdout.split()}
    assert counts == {cvxrelu.count_patterns(np.array(rows))}
