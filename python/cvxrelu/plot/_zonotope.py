"""Zonotopes as figures: the polytopes whose vertices are the regions of a central arrangement."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ..arrangement.hyperplanes import Arrangement, SignArray
from ..base.arrays import FloatArray, as_design
from ._display import Display, turned_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(eq=False)
class ZonotopeDisplay(Display):
    """The zonotope sum_j [-x_j, x_j] of the samples: a vertex sum_j s_j x_j for the signs s of each region.

    Its edges are the facets between neighbouring regions, and in three dimensions its faces are the rays. Make it with
    :meth:`from_data`.

    Parameters
    ----------
    vertices : ndarray of shape (n_regions, 2) or (n_regions, 3)
        One for each region, in the order of :func:`cvxrelu.enumerate_patterns`.
    faces : list of ndarray of int
        The vertices of each face (of the polygon itself in two dimensions), in a cyclic order.
    normals : ndarray of shape (n_faces, 3)
        Outer normals of the faces; those of a polygon show towards the viewer.
    view : tuple of float
        In three dimensions: elevation and azimuth, in degrees, that it is seen from.

    Attributes
    ----------
    ax_, figure_
        Where it was plotted.
    lines_ : list of Line2D
        The outline of each face that is seen.
    points_ : PathCollection
        The vertices that are seen.
    """

    vertices: FloatArray
    faces: list[npt.NDArray[np.intp]]
    normals: FloatArray
    view: tuple[float, float] = (25.0, 35.0)
    points_: Any = dataclasses.field(default=None, init=False, repr=False)

    @classmethod
    def from_data(
        cls,
        X: npt.ArrayLike,
        *,
        view: tuple[float, float] = (25.0, 35.0),
        cmap: str = "YlGnBu",
        ax: Axes | None = None,
        **style: Any,
    ) -> Self:
        """Plot the zonotope of the rows of X.

        Parameters
        ----------
        X : array_like of shape (n_samples, 2) or (n_samples, 3)
            Data matrix, whose rows span the space.
        view : tuple of float
            In three dimensions: elevation and azimuth, in degrees, that it is seen from.
        cmap : str
            Colour map of the faces, by how far they are turned towards the viewer.
        ax : matplotlib axes, optional
            Where to; by default a new figure.
        **style
            Passed on to the lines.

        Returns
        -------
        ZonotopeDisplay

        Raises
        ------
        ValueError
            For a number of features that cannot be drawn, and for rows that do not span the space.

        Examples
        --------
        >>> from cvxrelu.plot import ZonotopeDisplay
        >>> display = ZonotopeDisplay.from_data([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])  # doctest: +SKIP
        """
        X = as_design(X)
        d = X.shape[1]
        if d not in (2, 3):
            raise ValueError(f"only 2 or 3 features can be drawn, but X has {d}")
        arrangement = Arrangement(X)
        if not arrangement.is_essential:
            raise ValueError(f"X has rank {arrangement.rank}: its zonotope is flat")
        vertices = arrangement.zonotope_vertices()
        covectors = arrangement.covectors()
        signs = covectors[: len(vertices)]
        rays = covectors[-1 - arrangement.face_vector[1] : -1] if d == 3 else covectors[-1:]
        faces, normals = zip(*(_face(ray, signs, vertices) for ray in rays), strict=True)
        return cls(vertices, list(faces), np.array(normals), view).plot(ax, cmap=cmap, **style)

    def plot(self, ax: Axes | None = None, *, cmap: str = "YlGnBu", **style: Any) -> Self:
        """Plot on given or new axes.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to; by default a new figure.
        cmap : str
            Colour map of the faces, by how far they are turned towards the viewer.
        **style
            Passed on to the lines.

        Returns
        -------
        ZonotopeDisplay
            Itself.
        """
        ax = self._axes(ax)
        flat = self.vertices.shape[1] == 2
        frame = np.eye(3) if flat else turned_frame(self.view)
        points = self.vertices if flat else self.vertices @ frame[:2].T
        look: dict[str, Any] = {"color": "0.15", "linewidth": 0.9, "solid_joinstyle": "round"} | style
        self.lines_ = []
        seen = np.zeros(len(points), dtype=bool)
        turned = self.normals @ frame[2]
        from matplotlib import colormaps  # here, as pyplot is in `_axes`

        for face, towards in zip(self.faces, turned, strict=True):
            if towards <= 1e-12:
                continue
            seen[face] = True
            x, y = points[np.append(face, face[0])].T
            ax.fill(x, y, color=colormaps[cmap](0.1 + 0.5 * float(towards)), linewidth=0)
            self.lines_ += ax.plot(x, y, **look)
        self.points_ = ax.scatter(points[seen, 0], points[seen, 1], s=12, color=look["color"], zorder=3)
        ax.set_aspect("equal")
        if not flat:
            ax.set_axis_off()
        edges = sum(map(len, self.faces)) // (1 if flat else 2)
        counts = f"{len(points)} vertices, {edges} edges"
        ax.set_title(counts if flat else f"{counts}, {len(self.faces)} faces", fontsize="medium")
        return self


def _face(ray: SignArray, signs: SignArray, vertices: FloatArray) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Return the vertices whose signs agree with those of a ray, in a cyclic order, and the direction of the ray."""
    face = np.flatnonzero((signs[:, ray != 0] == ray[ray != 0]).all(axis=1))
    around = vertices[face] - vertices[face].mean(axis=0)
    if vertices.shape[1] == 2:
        return face[np.argsort(np.arctan2(around[:, 1], around[:, 0]))], np.array([0.0, 0.0, 1.0])
    first, second, normal = np.linalg.svd(around)[2]
    order = np.argsort(np.arctan2(around @ second, around @ first))
    return face[order], normal * (1 if normal @ vertices[face[0]] > 0 else -1)
