import subprocess
import sys

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import cvxrelu  # noqa: E402
from cvxrelu.plot import (  # noqa: E402
    ArrangementDisplay,
    ConvergenceDisplay,
    KernelMatrixDisplay,
    KernelWeightsDisplay,
    RegularizationPathDisplay,
    ZonotopeDisplay,
)
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


def test_a_path_of_relu_networks(problem):
    X, y, patterns = problem
    given = cvxrelu.relu_path(X, y, patterns, n_betas=4, n_threads=1)
    display = RegularizationPathDisplay.from_path(given)
    assert display.norms.shape == (4, len(patterns))
    penalties = [np.linalg.norm(solution.blocks, axis=1).sum() for solution in given]
    np.testing.assert_allclose(display.norms.sum(axis=1), penalties)
    for targets in (y[:12], np.column_stack([y[:12], y[12:24]])):
        searched = cvxrelu.relu_path(X[:12, :2], targets, n_betas=4, random_state=0, n_threads=1)
        display = RegularizationPathDisplay.from_path(searched)
        penalties = [np.linalg.norm(solution.blocks, axis=1).sum() for solution in searched]
        np.testing.assert_allclose(display.norms.sum(axis=1), penalties)
        owners = {searched[-1].patterns.words[i].tobytes() for i in searched[-1].active}
        assert (display.norms[-1] > 0).sum() == len(owners)
    alone = RegularizationPathDisplay.from_path(cvxrelu.relu_path(X[:12, :2], targets, betas=[1e6]))
    assert alone.norms.shape == (1, 0)


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
    passes = display.lines_[0].get_xdata()
    np.testing.assert_array_equal(passes, [report["iteration"] for report in history])
    assert all(tick == round(tick) for tick in display.ax_.get_xticks())
    path = [{"iteration": k, "objective": 1.0, "gap": 0.5} for k in (1, 2, 5, 1, 3, 1)]
    np.testing.assert_array_equal(ConvergenceDisplay.from_history(path).lines_[0].get_xdata(), [1, 2, 5, 6, 8, 9])
    with pytest.raises(ValueError, match="history is empty"):
        ConvergenceDisplay.from_history([])


def area_shares(display):
    """Of the disc, by the values of the cells."""
    colours = display.image_.get_array().compressed()
    values, counts = np.unique(colours, return_counts=True)
    return dict(zip(values.tolist(), (counts / counts.sum()).tolist(), strict=True))


def test_cones_fill_the_disc_by_their_angles():
    X = np.random.default_rng(1).standard_normal((5, 2))
    patterns = cvxrelu.enumerate_patterns(np.vstack([X, 4 * X[:1], np.zeros((1, 2))]))
    X = np.vstack([X, 4 * X[:1], np.zeros((1, 2))])
    display = ArrangementDisplay.from_data(X, patterns, values=np.arange(10), labels=True)
    assert display.projection == "cones" and len(display.lines_) == 5
    shares = area_shares(display)
    np.testing.assert_allclose([shares[i] for i in range(10)], patterns.measure(X), atol=2e-3)
    assert {text.get_text() for text in display.ax_.texts} <= {
        "".join(map(str, mask)) for mask in patterns.to_dense().T.astype(int)
    }
    assert len(display.ax_.texts) >= 8
    pyplot.close("all")


def test_the_scale_says_what_the_colours_are():
    X = np.random.default_rng(1).standard_normal((5, 2))
    display = ArrangementDisplay.from_data(X)
    assert display.colorbar_.ax.get_ylabel() == "active samples"
    assert all(tick == round(tick) for tick in display.colorbar_.get_ticks())
    valued = ArrangementDisplay.from_data(X, values=np.linspace(0, 1, 10), values_name="probability")
    assert valued.colorbar_.ax.get_ylabel() == "probability"
    figure, ax = pyplot.subplots()
    assert display.plot(ax, colorbar=False).ax_ is ax and figure.axes == [ax]
    pyplot.close("all")


def test_lines_in_the_plane():
    X = np.array([[1.0, 0, 1], [0, 1, 1], [1, 1, 1], [-1, 1, 1]])
    display = ArrangementDisplay.from_data(X, linewidth=2.0)
    assert display.ax_.get_title() == "4 hyperplanes, 9 of 12 cells seen"
    assert display.projection == "plane" and display.lines_[0].get_linewidth() == 2.0
    for line in display.lines_:
        u = np.column_stack([*line.get_data(), np.ones(2)])
        assert np.abs(X @ u.T).max(axis=1).min() < 1e-12  # both ends on one of the hyperplanes
    grid = (np.arange(700) + 0.5) / 700 * 2 * display.extent - display.extent
    u = np.array([grid[100], grid[500], 1.0])
    assert display.image_.get_array()[500, 100] == (X @ u >= 0).sum()
    pyplot.close("all")


def test_great_circles_on_the_sphere():
    X = np.random.default_rng(2).standard_normal((7, 3))
    patterns = cvxrelu.enumerate_patterns(X)
    display = ArrangementDisplay.from_data(X, patterns, view=(90.0, -90.0))  # from the north pole: right is u_1
    assert display.projection == "sphere" and len(display.lines_) == 7
    for line in display.lines_:
        a, b = (part[:181] for part in line.get_data())
        u = np.column_stack([a, b, np.sqrt(np.maximum(1 - a**2 - b**2, 0))])
        assert np.abs(X @ u.T).max(axis=1).min() < 1e-5  # the root amplifies rounding at the rim
        assert (a**2 + b**2 <= 1 + 1e-12).all()
        # From behind, the south pole's side, with right as it was: what was up is down.
        a, b = (part[182:-1] for part in line.get_data())
        u = np.column_stack([2.15 - a, b, -np.sqrt(np.maximum(1 - (a - 2.15) ** 2 - b**2, 0))])
        assert np.abs(X @ u.T).max(axis=1).min() < 1e-5
    colours = display.image_.get_array()
    assert colours[350, 350] == (X[:, 2] >= 0).sum()
    assert colours[350, 350 + round(2.15 * 350)] == (-X[:, 2] >= 0).sum()
    assert set(colours.compressed()) == set(patterns.to_dense().sum(axis=0))
    assert display.ax_.get_title() == "7 hyperplanes, 44 cells"
    few = ArrangementDisplay.from_data(X, patterns[:2])
    assert np.ma.getmaskarray(few.image_.get_array()).mean() > 0.3
    pyplot.close("all")


def test_zonotopes():
    cube = ZonotopeDisplay.from_data(np.eye(3), linewidth=2.0)
    assert len(cube.vertices) == 8 and len(cube.faces) == 6 and len(cube.lines_) == 3
    assert cube.lines_[0].get_linewidth() == 2.0 and len(cube.points_.get_offsets()) == 7  # one is behind
    assert cube.ax_.get_title() == "8 vertices, 12 edges, 6 faces"
    for face, normal in zip(cube.faces, cube.normals, strict=True):
        np.testing.assert_allclose(cube.vertices[face] @ normal, 1)
        steps = np.diff(cube.vertices[[*face, face[0]]], axis=0)
        np.testing.assert_array_equal(np.abs(steps).sum(axis=1), 2)  # around along edges, not across
    X = np.vstack([np.random.default_rng(4).standard_normal((6, 3)), [[1.0, 0, 1], [2, 0, 2], [1, 1, 2], [0, 1, 1]]])
    display = ZonotopeDisplay.from_data(X, view=(90.0, -90.0))  # from above: right is u_1
    from scipy.spatial import ConvexHull

    hull = ConvexHull(display.vertices)
    assert len(hull.vertices) == len(display.vertices)
    assert len(np.unique(np.round(hull.equations, 9), axis=0)) == len(display.faces)
    edges = sum(map(len, display.faces)) // 2
    assert len(display.vertices) - edges + len(display.faces) == 2  # Euler
    outline = np.vstack([np.column_stack(line.get_data()) for line in display.lines_])
    np.testing.assert_allclose(np.abs(outline).max(axis=0), np.abs(X).sum(axis=0)[:2])
    plane = ZonotopeDisplay.from_data(X[:, :2])
    corners = np.column_stack(plane.lines_[0].get_data())[:-1]
    assert len(ConvexHull(corners).vertices) == len(corners) == len(plane.vertices)
    _, ax = pyplot.subplots()
    assert plane.plot(ax).ax_ is ax
    with pytest.raises(ValueError, match="2 or 3 features"):
        ZonotopeDisplay.from_data(np.eye(4))
    with pytest.raises(ValueError, match="X has rank 2: its zonotope is flat"):
        ZonotopeDisplay.from_data([[1, 0, 1], [0, 1, 1]])
    pyplot.close("all")


def test_arrangements_that_cannot_be_drawn():
    with pytest.raises(ValueError, match="2 or 3 features"):
        ArrangementDisplay.from_data(np.eye(4))
    with pytest.raises(ValueError, match="needs 3 features"):
        ArrangementDisplay.from_data(np.eye(2), projection="sphere")
    with pytest.raises(ValueError, match="projection must be"):
        ArrangementDisplay.from_data(np.eye(2), projection="torus")
    with pytest.raises(ValueError, match="values must have shape"):
        ArrangementDisplay.from_data(np.eye(2), values=[1.0])


def test_without_matplotlib():
    code = """
import sys
sys.modules["matplotlib"] = None
from cvxrelu.plot import ConvergenceDisplay
ConvergenceDisplay.from_history([{"iteration": 1, "objective": 1.0, "gap": 0.5}])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert result.stderr.splitlines()[-1] == "ImportError: plots need matplotlib: pip install 'cvxrelu[plot]'"


def test_weights_of_kernels(problem):
    X, y, patterns = problem
    solution = cvxrelu.solve_mkl(X, y, patterns, 0.1 * cvxrelu.beta_max(X, y, patterns), n_threads=1)
    display = KernelWeightsDisplay.from_solution(solution, alpha=0.5)
    assert display.after.sum() == pytest.approx(1) and display.before.sum() == pytest.approx(1)
    np.testing.assert_allclose(display.after, np.sort(solution.eta)[::-1] / solution.eta.sum())
    np.testing.assert_allclose(np.sort(display.before), np.sort(patterns.counts) / patterns.counts.sum())
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), display.after)
    assert display.lines_[1].get_label() == "tangent kernel of the drawn gates"
    assert display.ax_.get_title().startswith(f"{solution.active.size} of {len(patterns)}")
    with pytest.raises(ValueError, match="needs two features, not 4"):
        KernelWeightsDisplay.from_solution(solution, order="angle")
    with pytest.raises(ValueError, match="order must be"):
        KernelWeightsDisplay.from_solution(solution, order="size")


def test_weights_of_enumerated_cells_in_the_order_of_their_gates():
    X = np.column_stack([[-1.0, -0.4, 0.1, 0.5, 1.0], np.ones(5)])
    patterns = cvxrelu.enumerate_patterns(X)
    solution = cvxrelu.solve_mkl(X, X[:, 0] ** 2, patterns, 0.01)
    display = KernelWeightsDisplay.from_solution(solution, order="angle")
    assert display.before.size == 9  # the pattern that is 0 everywhere has no kernel
    angles = np.arctan2(*patterns.gates[patterns.words.any(axis=1)].T[::-1])
    measure = cvxrelu.ntk_weights(X, patterns)[patterns.words.any(axis=1)]
    np.testing.assert_allclose(display.before, measure[np.argsort(angles)] / 0.75)
    assert display.lines_[1].get_label() == "neural tangent kernel"
    pyplot.close("all")


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_kernel_matrices(problem, n_outputs):
    X, y, patterns = problem
    y = y if n_outputs == 1 else np.column_stack([y, X[:, 1]])
    solution = cvxrelu.solve_mkl(X, y, patterns, 0.1 * cvxrelu.beta_max(X, y, patterns), n_threads=1)
    display = KernelMatrixDisplay.from_solution(solution, y, cmap="viridis")
    assert len(display.axes_) == 2 and display.images_[0].get_cmap().name == "viridis"
    for matrix, eta in ((display.before, cvxrelu.ntk_weights(X, patterns)), (display.after, solution.eta)):
        assert np.trace(matrix) == pytest.approx(len(X))
        expected = np.linalg.eigvalsh(cvxrelu.masking_kernel(X, patterns, eta))
        np.testing.assert_allclose(np.linalg.eigvalsh(matrix), expected / expected.mean(), atol=1e-9 * len(X))
    assert display.alignments[1] > display.alignments[0] > 0
    _, axes = pyplot.subplots(1, 2)
    assert display.plot(axes).figure_ is axes[0].figure
