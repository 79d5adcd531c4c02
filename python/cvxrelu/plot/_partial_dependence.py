"""The predictions of a network along one feature as a figure."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_design
from ..networks.network import Network
from ..networks.partial_dependence import along_feature
from ._display import Display

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_KINDS = ("average", "individual", "both")


@dataclasses.dataclass(eq=False)
class PartialDependenceDisplay(Display):
    """Partial dependence of a network on one feature, drawn exactly: from its breakpoints, not from a grid.

    Make it with :meth:`from_network`.

    Parameters
    ----------
    average : tuple of ndarray (t, values), or None
        Corners of the mean over the samples; two with the same t where gates make it jump.
    individual : list of tuple of ndarray (t, values)
        Corners for each sample.
    feature_name : str
        Label of the axis.

    Attributes
    ----------
    ax_, figure_
        Where it was plotted.
    lines_ : list of Line2D
        Those of the samples, then that of the mean.
    """

    average: tuple[FloatArray, FloatArray] | None
    individual: list[tuple[FloatArray, FloatArray]]
    feature_name: str

    @classmethod
    def from_network(
        cls,
        network: Network,
        X: npt.ArrayLike,
        feature: int,
        *,
        kind: str = "average",
        output: int = 0,
        bounds: tuple[float, float] | None = None,
        feature_name: str | None = None,
        ax: Axes | None = None,
        **style: Any,
    ) -> Self:
        """Plot what a network predicts for samples in which one feature is given every value.

        Parameters
        ----------
        network : Network
            The network; `network_` of an estimator.
        X : array_like of shape (m, n_features)
            Samples, as the network takes them: behind a scaler scaled.
        feature : int
            The feature.
        kind : {"average", "individual", "both"}
            The mean over the samples, a line for each (individual conditional expectation), or both.
        output : int
            Which output, of several.
        bounds : tuple of float, optional
            From where to where; by default the range of the feature in `X`.
        feature_name : str, optional
            Label of the axis.
        ax : matplotlib axes, optional
            Where to; by default a new figure.
        **style
            Passed on to the line of the mean, or to those of the samples where there is none.

        Returns
        -------
        PartialDependenceDisplay

        Examples
        --------
        >>> from cvxrelu.plot import PartialDependenceDisplay
        >>> # PartialDependenceDisplay.from_network(model.network_, X, 0)
        """
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {', '.join(map(repr, _KINDS))}, not {kind!r}")
        X = as_design(X, "X", network.n_features)
        if feature not in range(X.shape[1]):
            raise ValueError(f"feature must be from 0 to {X.shape[1] - 1}, not {feature!r}")
        n_outputs = 1 if network.w2.ndim == 1 else network.w2.shape[1]
        if output not in range(n_outputs):
            raise ValueError(f"output must be from 0 to {n_outputs - 1}, not {output!r}")
        lower, upper = (X[:, feature].min(), X[:, feature].max()) if bounds is None else bounds
        if not lower < upper:
            raise ValueError(f"bounds must increase, not go from {lower} to {upper}: the feature may be constant in X")

        def corners(samples: FloatArray) -> tuple[FloatArray, FloatArray]:
            t, before, after = along_feature(network, samples, feature, float(lower), float(upper))
            if network.gates is None:  # no jumps
                return t, after[:, output]
            return np.repeat(t, 2), np.column_stack([before[:, output], after[:, output]]).ravel()

        average = None if kind == "individual" else corners(X)
        individual = [] if kind == "average" else [corners(sample[None]) for sample in X]
        name = f"feature {feature}" if feature_name is None else feature_name
        return cls(average, individual, name).plot(ax, **style)

    def plot(self, ax: Axes | None = None, **style: Any) -> Self:
        """Plot on given or new axes.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to; by default a new figure.
        **style
            Passed on to the line of the mean, or to those of the samples where there is none.

        Returns
        -------
        PartialDependenceDisplay
            Itself.
        """
        ax = self._axes(ax)
        thin: dict[str, Any] = {"color": "0.6", "linewidth": 0.6, "alpha": 0.6} | (
            style if self.average is None else {}
        )
        self.lines_ = [line for curve in self.individual for line in ax.plot(*curve, **thin)]
        if self.average is not None:
            self.lines_ += ax.plot(*self.average, **{"color": "C0"} | style)
        ax.set_xlabel(self.feature_name)
        ax.set_ylabel("prediction" if self.average is None else "mean prediction")
        return self
