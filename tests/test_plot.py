import subprocess
import sys

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import cvxrelu  # noqa: E402
from cvxrelu.plot import ConvergenceDisplay, RegularizationPathDisplay  # noqa: E402
from matplotlib import pyplot  # noqa: E402


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 4))
    y = np.abs(X[:, 0]) + 0.1 * rng.standard_normal(80)
    yield X, y, cvxrelu.sample_patterns(X, 60, random_state=0)
    pyplot.close("all")


def test_a_path(problem):
    X, y, patterns = problem
    path = cvxrelu.gated_path(X, y, patterns, n_betas=8, n_threads=1)
    display = RegularizationPathDisplay.from_path(path, chosen=path.betas[3], linewidth=2.0)
    ever = np.any([np.isin(np.arange(len(patterns)), solution.active) for solution in path], axis=0)
    assert len(display.lines_) == ever.sum()
    assert display.lines_[0].get_linewidth() == 2.0
    expected = [np.linalg.norm(solution.coef, axis=1) for solution in path]
    np.testing.assert_allclose(display.norms, expected)
    left, right = display.ax_.get_xlim()
    assert left > right and display.ax_.get_xscale() == "log"
    _, ax = pyplot.subplots()
    assert display.plot(ax).ax_ is ax and display.figure_ is ax.figure


def test_a_path_of_zeros_and_an_empty_one(problem):
    X, y, patterns = problem
    zero = cvxrelu.gated_path(X, y, patterns, betas=[2 * cvxrelu.beta_max(X, y, patterns)], n_threads=1)
    assert RegularizationPathDisplay.from_path(zero).lines_ == []
    with pytest.raises(ValueError, match="path has no solutions"):
        RegularizationPathDisplay.from_path(cvxrelu.GatedPath((), complete=False))


def test_the_path_of_an_estimator(problem):
    X, y, _ = problem
    model = cvxrelu.GatedReLURegressorCV(n_gates=40, n_betas=5, cv=3, random_state=0, n_threads=1).fit(X, y)
    display = RegularizationPathDisplay.from_estimator(model)
    assert display.chosen == model.beta_
    with pytest.raises(ValueError, match="has no path_"):
        RegularizationPathDisplay.from_estimator(cvxrelu.GatedReLURegressor())


def test_convergence(problem):
    X, y, patterns = problem
    history = []
    beta = 0.01 * cvxrelu.beta_max(X, y, patterns)
    solution = cvxrelu.solve_gated(X, y, patterns, beta, n_threads=1, callback=history.append)
    display = ConvergenceDisplay.from_history(history)
    objective, bound, gap = (line.get_ydata() for line in display.lines_)
    assert objective[-1] == pytest.approx(solution.objective)
    assert solution.objective - solution.gap == pytest.approx(bound[-1])
    assert len(gap) == len(history) and display.gap_ax_.get_yscale() == "log"
    with pytest.raises(ValueError, match="history is empty"):
        ConvergenceDisplay.from_history([])


def test_without_matplotlib():
    code = """
import sys
sys.modules["matplotlib"] = None
from cvxrelu.plot import ConvergenceDisplay
ConvergenceDisplay.from_history([{"iteration": 1, "objective": 1.0, "gap": 0.5}])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stderr.splitlines()[-1] == "ImportError: plots need matplotlib: pip install 'cvxrelu[plot]'"
