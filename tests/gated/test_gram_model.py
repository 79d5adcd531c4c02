"""Gram statistics of a working set: the program over it without further passes, and when they are worth gathering."""

import cvxrelu
import numpy as np
import pytest
from cvxrelu.gated.gram_model import GramModel
from cvxrelu.gated.passes import PassesProgram
from cvxrelu.gated.problem import GatedData, Penalty, Stopping
from cvxrelu.gated.sums import gram_columns
from cvxrelu.rows.chunks import RowChunks

N, D, P = 20_000, 5, 60


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, D))
    Y = np.stack([np.maximum(X @ rng.standard_normal((D, 4)), 0) @ rng.standard_normal(4), np.sin(X[:, 0])], axis=1)
    Y += 0.1 * rng.standard_normal(Y.shape)
    patterns = cvxrelu.sample_patterns(X, P, random_state=0)
    return X, Y, patterns


def explicit(X, patterns):
    return np.einsum("np,nd->npd", patterns.to_dense(), X).reshape(len(X), -1)


def gathered(X, Y, patterns, groups, n_added):
    rows = RowChunks([X[:70], X[70:3000], X[3000:]])
    return rows.masked(Y, None, patterns.gates).sum(gram_columns, np.array(groups), n_added, 0)[0]


def test_columns_are_those_of_the_explicit_matrix(problem):
    X, Y, patterns = problem
    A = explicit(X, patterns[[7, 3, 11]])
    whole = gathered(X, Y, patterns, [7, 3, 11], 3)
    np.testing.assert_allclose(whole, A.T @ A, rtol=1e-12, atol=1e-9)
    model = GramModel(np.array([7]), gathered(X, Y, patterns, [7], 1))
    model = model.extended(np.array([3, 11]), gathered(X, Y, patterns, [7, 3, 11], 2))
    assert model.groups.tolist() == [7, 3, 11]
    np.testing.assert_allclose(model.gram, whole, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 40.0])
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("ratio", [0.5, 0.02, 1.5])
def test_the_solution_over_the_patterns_is_the_solvers(problem, ridge, outputs, ratio):
    X, Y, patterns = problem
    Y, groups = Y[:, :outputs], np.array([40, 2, 5, 21, 30, 8])
    few = patterns[groups]
    beta = ratio * cvxrelu.beta_max(X, Y, few)
    reference = cvxrelu.solve_gated(X, Y, few, beta, ridge=ridge, tol=1e-13, solver="newton")
    model = GramModel(groups, gathered(X, Y, patterns, groups, 6))
    # From another point than zero: the statistics and the correlations there are all that is known.
    V = np.random.default_rng(1).standard_normal((6, D, outputs))
    R = Y - explicit(X, few) @ V.reshape(-1, outputs)
    columns = [W.swapaxes(1, 2).reshape(6, -1).T for W in (V, (explicit(X, few).T @ R).reshape(6, D, outputs))]
    solved = model.solve(*columns, float(np.vdot(R, R)), np.full(6, beta), ridge, 1e-10 * np.vdot(Y, Y))
    blocks = solved.blocks.T.reshape(-1, outputs, D).swapaxes(1, 2)
    expected = np.zeros_like(V)
    expected[np.searchsorted(np.sort(groups), groups[reference.active])] = reference.blocks
    found = np.zeros_like(V)
    found[np.searchsorted(np.sort(groups), solved.active)] = blocks
    np.testing.assert_allclose(found, expected, atol=1e-4)


def solve(X, y, patterns, beta, overhead):
    rows = RowChunks([X[:9000], X[9000:]], n_threads=1)
    rows.overhead = overhead
    program = PassesProgram(GatedData.checked(rows, y, patterns, n_threads=1), Penalty())
    return program.path(np.array([beta]), None, Stopping(1e-9, 100))[0][0], program


def test_they_are_gathered_where_passes_are_dear_and_save_passes(problem):
    X, Y, patterns = problem
    y = Y[:, 0]
    beta = 0.05 * cvxrelu.beta_max(X, y, patterns)
    cheap, _ = solve(X, y, patterns, beta, 0.0)
    dear, program = solve(X, y, patterns, beta, 5.0)
    assert set(cheap.inner_solvers) == {"sample"} and "gram" in dear.inner_solvers
    assert cheap.converged and dear.converged and dear.n_iter < cheap.n_iter
    assert dear.objective == pytest.approx(cheap.objective, rel=1e-9)
    assert len(dear.inner_solvers) == dear.n_iter - 1
    assert set(program.gram.groups) >= set(dear.active)
    # The statistics stay: another penalty needs only what the new patterns add.
    (again,), _ = program.path(np.array([0.9 * beta]), dear, Stopping(1e-9, 100))
    assert again.converged and again.n_iter <= dear.n_iter


def test_they_are_not_gathered_for_many_coefficients(problem, monkeypatch):
    X, Y, patterns = problem
    monkeypatch.setattr("cvxrelu.gated.passes._GRAM_COEFFICIENTS", 3 * D)
    beta = 0.05 * cvxrelu.beta_max(X, Y[:, 0], patterns)
    solution, _ = solve(X, Y[:, 0], patterns, beta, 5.0)
    assert solution.converged and set(solution.inner_solvers) == {"sample"}
