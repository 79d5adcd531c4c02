"""The regularisation path as a figure."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..base.arrays import FloatArray, IntArray
from ..gated.solution import GatedPath
from ..relu.solution import ReLUPath
from ._display import Display

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(eq=False)
class RegularizationPathDisplay(Display):
    """Norms of the blocks of a network along the penalty.

    Make it with :meth:`from_path` or :meth:`from_estimator`.

    Parameters
    ----------
    betas : ndarray of shape (n_betas,)
        Penalties.
    norms : ndarray of shape (n_betas, n_patterns)
        Norm of each pattern's block at each penalty; for ReLU networks the sum over the neurons with the pattern.
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
    def from_path(
        cls, path: GatedPath | ReLUPath, *, chosen: float | None = None, ax: Axes | None = None, **style: Any
    ) -> Self:
        """Plot a path.

        Parameters
        ----------
        path : GatedPath or ReLUPath
            What `gated_path` or `relu_path` returned.
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
        columns = (
            _shared_columns(path) if isinstance(path, ReLUPath) else [np.arange(len(path[0].patterns))] * len(path)
        )
        norms = np.zeros((len(path), 1 + max(int(column.max(initial=-1)) for column in columns)))
        for k, column in enumerate(columns):
            solution = path[k]
            blocks = np.asarray(solution.blocks, dtype=np.float64)
            lengths = np.sqrt(np.sum(blocks**2, axis=tuple(range(1, blocks.ndim))))
            np.add.at(norms[k], column[solution.active], lengths)
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
        from matplotlib.ticker import NullFormatter

        ax = self._axes(ax)
        ever = self.norms.any(axis=0)
        self.lines_ = ax.plot(self.betas, self.norms[:, ever], **({"linewidth": 1.0} | style)) if ever.any() else []
        if self.chosen is not None:
            ax.axvline(self.chosen, color="0.4", linestyle=":", linewidth=1.0)
        ax.set_xscale("log")
        ax.invert_xaxis()
        if self.betas.max() >= 10 * self.betas.min():  # a power of ten is labelled: more labels would overlap
            ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlabel(r"penalty $\beta$")
        ax.set_ylabel(r"block norm $\|u_i\|$")
        ax.set_title(f"{int(ever.sum())} of {ever.size} patterns ever active", fontsize="medium")
        return self


def _shared_columns(path: ReLUPath) -> list[IntArray]:
    """Return a number for every pattern of every solution, whose lists may differ: the same for the same pattern."""
    numbers: dict[bytes, int] = {}
    return [
        np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in solution.patterns.words], dtype=np.int64)
        for solution in path
    ]
