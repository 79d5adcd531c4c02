"""Convergence of a solver as a figure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray
from ._display import Display

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(eq=False)
class ConvergenceDisplay(Display):
    """Objective, bound from below and duality gap while a solver ran.

    Make it with :meth:`from_history`.

    Parameters
    ----------
    iterations : ndarray of shape (n_reports,)
        Passes over all patterns; where they begin anew, as at the next penalty of a path, they are counted on.
    objectives : ndarray of shape (n_reports,)
        Objective at each of them.
    gaps : ndarray of shape (n_reports,)
        Duality gap: ``objectives - gaps`` is the bound from below.

    Attributes
    ----------
    ax_, figure_
        Where it was plotted; the gap has an axis of its own, ``gap_ax_``, on the right.
    lines_ : list of Line2D
        Objective, bound, gap.
    """

    iterations: npt.NDArray[np.int64]
    objectives: FloatArray
    gaps: FloatArray
    gap_ax_: Any = dataclasses.field(default=None, init=False, repr=False)

    @classmethod
    def from_history(cls, history: Sequence[Mapping[str, Any]], *, ax: Axes | None = None, **style: Any) -> Self:
        """Plot what a callback has seen.

        Parameters
        ----------
        history : sequence of dict
            Reports with ``iteration``, ``objective`` and ``gap``: solve with ``callback=history.append``.
        ax : matplotlib axes, optional
            Where to; by default a new figure.
        **style
            Passed on to the lines.

        Returns
        -------
        ConvergenceDisplay

        Examples
        --------
        >>> from cvxrelu.plot import ConvergenceDisplay
        >>> history = []  # solve_gated(..., callback=history.append)
        """
        if not history:
            raise ValueError("history is empty: pass callback=history.append to the solver")
        columns = {key: np.array([report[key] for report in history]) for key in ("iteration", "objective", "gap")}
        return cls(columns["iteration"], columns["objective"], columns["gap"]).plot(ax, **style)

    def plot(self, ax: Axes | None = None, **style: Any) -> Self:
        """Plot on given or new axes.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to; by default a new figure.
        **style
            Passed on to the lines.

        Returns
        -------
        ConvergenceDisplay
            Itself.
        """
        ax = self._axes(ax)
        anew = np.append(0, np.where(np.diff(self.iterations) <= 0, self.iterations[:-1], 0))
        steps = self.iterations + np.cumsum(anew)
        lines = ax.plot(steps, self.objectives, label="objective", color="C0", **style)
        lines += ax.plot(steps, self.objectives - self.gaps, label="bound from below", color="C1", **style)
        right = self.gap_ax_ = ax.twinx()
        positive = np.where(self.gaps > 0, self.gaps, np.nan)
        lines += right.plot(
            steps, positive, label="gap to the optimum (right)", color="0.5", **({"linestyle": "--"} | style)
        )
        self.lines_ = lines
        right.set_yscale("log")
        right.set_ylabel("duality gap")
        ax.set_xlabel("pass over all patterns")
        ax.locator_params(axis="x", integer=True)
        ax.set_ylabel("objective")
        right.legend(handles=lines, loc="upper right", fontsize="small")
        return self
