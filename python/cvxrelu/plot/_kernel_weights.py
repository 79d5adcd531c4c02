"""Weights of masking kernels, those of the neural tangent kernel and the optimal ones, as a figure."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..base.arrays import FloatArray
from ..kernels.kernels import ntk_weights
from ..kernels.mkl_solution import MKLSolution
from ._display import Display, tangent_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(eq=False)
class KernelWeightsDisplay(Display):
    """Weights of the masking kernels before and after they were learned, both scaled to sum 1.

    Before: those of the neural tangent kernel, for patterns that were drawn that of the network with these gates. The
    pattern that is 0 everywhere, whose kernel is 0, is left out. Make it with :meth:`from_solution`.

    Parameters
    ----------
    before : ndarray of shape (n_patterns,)
        Weights of the neural tangent kernel.
    after : ndarray of shape (n_patterns,)
        Learned weights.
    name : str
        What the weights before are called.

    Attributes
    ----------
    ax_, figure_
        Where it was plotted.
    lines_ : list of Line2D
        The two curves of markers.
    """

    before: FloatArray
    after: FloatArray
    name: str = "neural tangent kernel"

    @classmethod
    def from_solution(
        cls, solution: MKLSolution, *, order: str = "weight", ax: Axes | None = None, **style: Any
    ) -> Self:
        """Plot what `solve_mkl` learned beside the weights of the neural tangent kernel.

        Parameters
        ----------
        solution : MKLSolution
            A solution, or the `solution_` of an estimator.
        order : {"weight", "angle"}
            Patterns by decreasing learned weight, or by the angle of their gates: the order of their cells on the
            circle where there are two features, such as one and a column of ones.
        ax : matplotlib axes, optional
            Where to; by default a new figure.
        **style
            Passed on to the markers.

        Returns
        -------
        KernelWeightsDisplay
        """
        before = ntk_weights(solution.X, solution.patterns, random_state=0)
        after = solution.eta
        if order == "weight":
            index = np.lexsort((-before, -after))
        elif order == "angle":
            if solution.patterns.n_features != 2:
                raise ValueError(f'order="angle" needs two features, not {solution.patterns.n_features}')
            index = np.argsort(np.arctan2(solution.patterns.gates[:, 1], solution.patterns.gates[:, 0]))
        else:
            raise ValueError(f'order must be "weight" or "angle", not {order!r}')
        zero = np.flatnonzero(~solution.patterns.words.any(axis=1))
        index = index[~np.isin(index, zero)]
        before, after = before[index], after[index]
        return cls(before / before.sum(), after / (after.sum() or 1.0), tangent_name(solution)).plot(ax, **style)

    def plot(self, ax: Axes | None = None, **style: Any) -> Self:
        """Plot on given or new axes.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to; by default a new figure.
        **style
            Passed on to the markers.

        Returns
        -------
        KernelWeightsDisplay
            Itself.
        """
        ax = self._axes(ax)
        place = np.arange(1, self.before.size + 1)
        many = place.size > 60
        style = {"linestyle": "none", "markersize": 3 if many else 5} | style
        ax.vlines(place, 0, self.after, color="C0", linewidth=1.2)
        lines = ax.plot(place, self.after, marker="o", color="C0", label="optimal kernel", **style)
        lines += ax.plot(place, self.before, marker="s", color="0.55", label=self.name, **style)
        self.lines_ = lines
        ax.set_ylim(0, 1.25 * max(self.before.max(), self.after.max()))
        if many:
            ax.set_xscale("log")
        ax.set_xlabel("activation pattern")
        ax.set_ylabel("share of the weight")
        active = int(np.count_nonzero(self.after))
        ax.set_title(f"{active} of {place.size} masking kernels carry the optimum", fontsize="medium")
        ax.legend(handles=lines, loc="upper right", fontsize="small", frameon=False)
        return self
