"""What the displays share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D


class Display:
    """What displays share: `ax_`, `figure_` and `lines_` after `plot`."""

    ax_: Axes
    figure_: Figure | SubFigure
    lines_: list[Line2D]

    def _axes(self, ax: Axes | None) -> Axes:
        if ax is None:
            try:
                from matplotlib import pyplot
            except ImportError as error:
                raise ImportError("plots need matplotlib: pip install 'cvxrelu[plot]'") from error
            _, ax = pyplot.subplots()
        self.ax_, self.figure_ = ax, ax.figure
        return ax
