"""Pictures, in the manner of scikit-learn's displays: computed once, plotted on any axes. Need matplotlib."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ._validation import FloatArray
from .group_lasso import GatedPath

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D


class _Display:
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


@dataclasses.dataclass(eq=False)
class RegularizationPathDisplay(_Display):
    """Norms of the blocks of a gated network along the penalty.

    Make it with :meth:`from_path` or :meth:`from_estimator`.

    Parameters
    ----------
    betas : ndarray of shape (n_betas,)
        Penalties.
    norms : ndarray of shape (n_betas, n_patterns)
        Norm of each pattern's block at each penalty.
    chosen : float, optional
        A penalty to mark.

    Attributes
    ----------
    ax_, figure_
        Where it was plotted.
    lines_ : list of Line2D
        One line for each pattern that is ever active.
    """

    betas: FloatArray
    norms: FloatArray
    chosen: float | None = None

    @classmethod
    def from_path(cls, path: GatedPath, *, chosen: float | None = None, ax: Axes | None = None, **style: Any) -> Self:
        """Plot a path.

        Parameters
        ----------
        path : GatedPath
            What `gated_path` returned.
        chosen : float, optional
            A penalty to mark.
        ax : matplotlib axes, optional
            Where to; by default a new figure.
        **style
            Passed on to the lines.

        Returns
        -------
        RegularizationPathDisplay
        """
        if not len(path):
            raise ValueError("path has no solutions")
        norms = np.zeros((len(path), len(path[0].patterns)))
        for row, solution in zip(norms, path, strict=True):
            blocks = np.asarray(solution.blocks, dtype=np.float64)
            row[solution.active] = np.sqrt(np.sum(blocks**2, axis=tuple(range(1, blocks.ndim))))
        return cls(path.betas, norms, chosen).plot(ax, **style)

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None, **style: Any) -> Self:
        """Plot the path of a fitted estimator that has chosen its penalty.

        Parameters
        ----------
        estimator : GatedReLURegressorCV or GatedReLUClassifierCV
            A fitted one.
        ax : matplotlib axes, optional
            Where to; by default a new figure.
        **style
            Passed on to the lines.

        Returns
        -------
        RegularizationPathDisplay
        """
        if not hasattr(estimator, "path_"):
            raise ValueError(f"{type(estimator).__name__} has no path_: fit a GatedReLURegressorCV or ...ClassifierCV")
        return cls.from_path(estimator.path_, chosen=estimator.beta_, ax=ax, **style)

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
        RegularizationPathDisplay
            Itself.
        """
        ax = self._axes(ax)
        ever = self.norms.any(axis=0)
        self.lines_ = ax.plot(self.betas, self.norms[:, ever], **({"linewidth": 1.0} | style)) if ever.any() else []
        if self.chosen is not None:
            ax.axvline(self.chosen, color="0.4", linestyle=":", linewidth=1.0)
        ax.set_xscale("log")
        ax.invert_xaxis()
        ax.set_xlabel(r"penalty $\beta$")
        ax.set_ylabel(r"block norm $\|u_i\|$")
        ax.set_title(f"{int(ever.sum())} of {ever.size} patterns ever active", fontsize="medium")
        return self


@dataclasses.dataclass(eq=False)
class ConvergenceDisplay(_Display):
    """Objective, bound from below and duality gap while a solver ran.

    Make it with :meth:`from_history`.

    Parameters
    ----------
    iterations : ndarray of shape (n_reports,)
        Iterations.
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
        steps = np.arange(self.iterations.size)
        lines = ax.plot(steps, self.objectives, label="objective", color="C0", **style)
        lines += ax.plot(steps, self.objectives - self.gaps, label="bound from below", color="C1", **style)
        right = self.gap_ax_ = ax.twinx()
        positive = np.where(self.gaps > 0, self.gaps, np.nan)
        lines += right.plot(steps, positive, label="gap (right)", color="0.5", **({"linestyle": "--"} | style))
        self.lines_ = lines
        right.set_yscale("log")
        right.set_ylabel("duality gap")
        ax.set_xlabel("pass over all patterns")
        ax.set_ylabel("objective")
        right.legend(handles=lines, loc="upper right", fontsize="small")
        return self
