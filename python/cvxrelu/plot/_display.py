"""What the displays share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.arrays import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

    from ..kernels.mkl_solution import MKLSolution


class Display:
    """What displays share: `ax_`, `figure_` and `lines_` after `plot`."""

    ax_: Axes
    figure_: Figure | SubFigure
    lines_: list[Line2D]

    def _axes(self, ax: Axes | None) -> Axes:
        if ax is None:
            (ax,) = new_axes(1)
        self.ax_, self.figure_ = ax, ax.figure
        return ax


def new_axes(count: int, **settings: Any) -> list[Axes]:
    """Return the axes of a new figure, side by side."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'cvxrelu[plot]'") from error
    _, axes = pyplot.subplots(1, count, squeeze=False, **settings)
    return list(axes[0])


def turned_frame(view: tuple[float, float]) -> FloatArray:
    """Return right, up and towards the viewer, who looks from an elevation and an azimuth, in degrees."""
    elevation, azimuth = np.deg2rad(view)
    ce, se, ca, sa = np.cos(elevation), np.sin(elevation), np.cos(azimuth), np.sin(azimuth)
    return np.array([[-sa, ca, 0], [-se * ca, -se * sa, ce], [ce * ca, ce * sa, se]])


def tangent_name(solution: MKLSolution) -> str:
    """Return what the kernel before learning is: drawn gates need not be Gaussian, and are finitely many."""
    return "neural tangent kernel" if solution.patterns.counts is None else "tangent kernel of the drawn gates"
