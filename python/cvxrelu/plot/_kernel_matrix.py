"""A kernel matrix before and after its weights were learned, as a figure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_targets
from ..kernels.kernels import masking_kernel, ntk_weights
from ..kernels.mkl_solution import MKLSolution
from ._display import new_axes, tangent_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage


@dataclasses.dataclass(eq=False)
class KernelMatrixDisplay:
    """The neural tangent kernel and the learned mixture on the training samples, both scaled to mean diagonal 1.

    For patterns that were drawn the former is that of the network with these gates. Make it with :meth:`from_solution`.

    Parameters
    ----------
    before, after : ndarray of shape (n_samples, n_samples)
        Kernel matrices.
    alignments : tuple of float
        Cosine of the angle between each and y y': 1 for a kernel that is the targets.
    name : str
        What the kernel before is called.

    Attributes
    ----------
    axes_, figure_
        Where it was plotted.
    images_ : list of AxesImage
        The two pictures.
    """

    before: FloatArray
    after: FloatArray
    alignments: tuple[float, float]
    name: str = "neural tangent kernel"
    axes_: list[Axes] = dataclasses.field(init=False, repr=False)
    figure_: Figure | SubFigure = dataclasses.field(init=False, repr=False)
    images_: list[AxesImage] = dataclasses.field(init=False, repr=False)

    @classmethod
    def from_solution(
        cls, solution: MKLSolution, y: npt.ArrayLike, *, axes: Sequence[Axes] | None = None, **style: Any
    ) -> Self:
        """Plot the kernel that `solve_mkl` learned beside the neural tangent kernel of the same gates.

        Parameters
        ----------
        solution : MKLSolution
            A solution with weights that are not all zero, or the `solution_` of an estimator.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            Targets. Samples are shown in the order of the (first) target.
        axes : sequence of two matplotlib axes, optional
            Where to; by default a new figure.
        **style
            Passed on to the images.

        Returns
        -------
        KernelMatrixDisplay
        """
        X = solution.X
        targets = as_targets(y, X.shape[0]).reshape(X.shape[0], -1)
        order = np.lexsort((X[:, 0], targets[:, 0]))
        kernels = []
        for eta in (ntk_weights(X, solution.patterns, random_state=0), solution.eta):
            kernel = masking_kernel(X, solution.patterns, eta)[np.ix_(order, order)]
            kernels.append(kernel / np.trace(kernel) * X.shape[0])
        outer = targets[order] @ targets[order].T
        before, after = (float(np.vdot(k, outer) / (np.linalg.norm(k) * np.linalg.norm(outer))) for k in kernels)
        return cls(kernels[0], kernels[1], (before, after), tangent_name(solution)).plot(axes, **style)

    def plot(self, axes: Sequence[Axes] | None = None, **style: Any) -> Self:
        """Plot on given or new axes.

        Parameters
        ----------
        axes : sequence of two matplotlib axes, optional
            Where to; by default a new figure.
        **style
            Passed on to the images.

        Returns
        -------
        KernelMatrixDisplay
            Itself.
        """
        axes = list(new_axes(2, figsize=(8.6, 3.8), layout="constrained") if axes is None else axes)
        # One scale for both, from the entries that are not extreme, so that neither is a single bright diagonal.
        limit = float(np.quantile(np.abs([self.before, self.after]), 0.99))
        scale: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit, "interpolation": "nearest"}
        names = (self.name, "optimal kernel")
        self.images_ = []
        for ax, kernel, name, alignment in zip(axes, (self.before, self.after), names, self.alignments, strict=True):
            self.images_.append(ax.imshow(kernel, **(scale | style)))
            ax.set_title(name, fontsize="medium")
            ax.set_xticks([])
            ax.set_yticks([])
            ax.set_xlabel(f"samples by target; alignment with targets {alignment:.2f}")
        self.axes_, self.figure_ = axes, axes[0].figure
        self.figure_.colorbar(self.images_[0], ax=axes, shrink=0.85)
        return self
