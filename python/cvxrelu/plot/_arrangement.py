"""Hyperplane arrangements and their cells as figures."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt

from ..arrangement.enumerate import enumerate_patterns
from ..base.arrays import FloatArray, as_design
from ..base.native import core
from ..patterns.checks import as_patterns
from ..patterns.patterns import ActivationPatterns
from ._display import Display, turned_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Projection = Literal["cones", "plane", "sphere"]
_PIXELS = 700  # across a disc or the plane
_APART = 2.15  # centres of the two sides of the sphere


@dataclasses.dataclass(eq=False)
class ArrangementDisplay(Display):
    """The hyperplanes x_j . u = 0 of the samples, and the cells in which the activation pattern of u does not change.

    Make it with :meth:`from_data`.

    Parameters
    ----------
    X : ndarray of shape (n_samples, 2) or (n_samples, 3)
        Data matrix.
    patterns : ActivationPatterns
        Cells to colour.
    values : ndarray of shape (n_patterns,)
        What to colour them by.
    projection : {"cones", "plane", "sphere"}
        How to draw.
    view : tuple of float
        For the sphere: elevation and azimuth, in degrees, that it is seen from.
    extent : float
        For the plane: it is drawn from -extent to extent in both directions.
    values_name : str
        What the values are, beside the scale of colours.

    Attributes
    ----------
    ax_, figure_
        Where it was plotted.
    lines_ : list of Line2D
        One for every hyperplane that is seen.
    image_ : AxesImage
        The coloured cells; on the sphere the side that is seen from `view`, and on its right the other one.
    colorbar_ : Colorbar or None
        The scale of colours.
    """

    X: FloatArray
    patterns: ActivationPatterns
    values: FloatArray
    projection: Projection
    view: tuple[float, float] = (25.0, 35.0)
    extent: float = 3.0
    values_name: str = "active samples"
    image_: Any = dataclasses.field(default=None, init=False, repr=False)
    colorbar_: Any = dataclasses.field(default=None, init=False, repr=False)

    @classmethod
    def from_data(
        cls,
        X: npt.ArrayLike,
        patterns: ActivationPatterns | None = None,
        *,
        values: npt.ArrayLike | None = None,
        values_name: str | None = None,
        projection: Literal["auto", "cones", "plane", "sphere"] = "auto",
        view: tuple[float, float] = (25.0, 35.0),
        extent: float | None = None,
        labels: bool = False,
        colorbar: bool = True,
        cmap: str = "YlGnBu",
        ax: Axes | None = None,
        **style: Any,
    ) -> Self:
        """Plot the arrangement of the rows of X.

        Parameters
        ----------
        X : array_like of shape (n_samples, 2) or (n_samples, 3)
            Data matrix.
        patterns : ActivationPatterns, optional
            Cells to colour; by default all. What belongs to none of them stays white.
        values : array_like of shape (n_patterns,), optional
            What to colour them by; by default the number of active samples, which changes by one across a line.
        values_name : str, optional
            What the values are, for the scale of colours.
        projection : {"auto", "cones", "plane", "sphere"}
            "cones": lines through the origin, for two features. "plane": for three features, the lines that the
            arrangement cuts out of the plane u_3 = 1; in a data matrix with a column of ones these are all vectors
            with a positive bias. "sphere": for three features, great circles on the unit sphere, both sides of it.
            "auto": "cones", or "plane" where the last column of X is constant, or "sphere".
        view : tuple of float
            For the sphere: elevation and azimuth, in degrees, that it is seen from.
        extent : float, optional
            For the plane: it is drawn from -extent to extent; by default so that most crossings are seen.
        labels : bool, default False
            Write its pattern into every cell.
        colorbar : bool, default True
            Draw the scale of colours.
        cmap : str
            Colour map.
        ax : matplotlib axes, optional
            Where to; by default a new figure.
        **style
            Passed on to the lines.

        Returns
        -------
        ArrangementDisplay

        Raises
        ------
        ValueError
            For a number of features or a projection that cannot be drawn.

        Examples
        --------
        >>> from cvxrelu.plot import ArrangementDisplay
        >>> display = ArrangementDisplay.from_data([[1, 0], [0, 1], [1, 1]])  # doctest: +SKIP
        """
        X = as_design(X)
        d = X.shape[1]
        if d not in (2, 3):
            raise ValueError(f"only 2 or 3 features can be drawn, but X has {d}")
        patterns = enumerate_patterns(X) if patterns is None else as_patterns(patterns, X)
        if projection == "auto":
            flat = d == 3 and X[0, 2] != 0 and bool((X[:, 2] == X[0, 2]).all())
            projection = "cones" if d == 2 else "plane" if flat else "sphere"
        wanted = {"cones": 2, "plane": 3, "sphere": 3}
        if projection not in wanted:
            raise ValueError(f'projection must be "auto", "cones", "plane" or "sphere", not {projection!r}')
        if wanted[projection] != d:
            raise ValueError(f"projection={projection!r} needs {wanted[projection]} features, but X has {d}")
        chosen = patterns.to_dense().sum(axis=0) if values is None else np.asarray(values)
        if chosen.shape != (len(patterns),):
            raise ValueError(f"values must have shape ({len(patterns)},), not {chosen.shape}")
        name = values_name or ("active samples" if values is None else "value")
        display = cls(X, patterns, chosen.astype(float), projection, view, extent or _spread(X), name)
        return display.plot(ax, labels=labels, colorbar=colorbar, cmap=cmap, **style)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        labels: bool = False,
        colorbar: bool = True,
        cmap: str = "YlGnBu",
        **style: Any,
    ) -> Self:
        """Plot on given or new axes.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to; by default a new figure.
        labels : bool, default False
            Write its pattern into every cell.
        colorbar : bool, default True
            Draw the scale of colours.
        cmap : str
            Colour map.
        **style
            Passed on to the lines.

        Returns
        -------
        ArrangementDisplay
            Itself.
        """
        ax = self._axes(ax)
        half = self.extent if self.projection == "plane" else 1.0
        right = half + _APART if self.projection == "sphere" else half
        pixel = 2 * half / _PIXELS
        x, y = (np.arange(-half + pixel / 2, end, pixel) for end in (right, half))
        a, b = (axis.ravel() for axis in np.meshgrid(x, y))
        vectors, inside = self._vectors(a, b)
        cells = np.full(a.size, -1)
        cells[inside] = self._cells_at(vectors)
        colours = np.where(cells >= 0, self.values[cells], np.nan).reshape(y.size, x.size)
        box = (-half, x[-1] + pixel / 2, -half, half)
        self.image_ = ax.imshow(colours, cmap=cmap, origin="lower", extent=box, interpolation="nearest")
        look: dict[str, Any] = {"color": "0.15", "linewidth": 0.9, "solid_capstyle": "butt"} | style
        self.lines_ = []
        normals = np.unique(_directions(self.X), axis=0)
        for normal in normals:
            x, y = self._trace(normal)
            if x.size:
                self.lines_ += ax.plot(x, y, **look)
        if labels:
            self._write_patterns(ax, cells, a, b)
        if self.projection == "plane":
            ax.set_xlabel("$u_1$")
            ax.set_ylabel("$u_2$")
        else:
            turn = np.linspace(0, 2 * np.pi, 361)
            for centre in (0.0, _APART) if self.projection == "sphere" else (0.0,):
                ax.plot(centre + np.cos(turn), np.sin(turn), color=look["color"], linewidth=1.3)
            ax.set_axis_off()
        margin = 0.0 if self.projection == "plane" else 0.03
        ax.set_xlim(-half - margin, right + margin)
        ax.set_ylim(-half - margin, half + margin)
        ax.set_aspect("equal")
        seen, known = np.unique(cells[cells >= 0]).size, len(self.patterns)
        counted = f"{known} cells" if seen == known else f"{seen} of {known} cells seen"
        ax.set_title(f"{len(normals)} hyperplanes, {counted}", fontsize="medium")
        if colorbar:
            below = self.projection == "sphere"  # whose two sides are wide
            location, shrink = ("bottom", 0.5) if below else ("right", 0.8)
            self.colorbar_ = ax.figure.colorbar(
                self.image_, ax=ax, label=self.values_name, location=location, shrink=shrink
            )
            if (self.values == np.round(self.values)).all():
                self.colorbar_.ax.locator_params(axis="x" if below else "y", integer=True)
        return self

    def _vectors(self, a: FloatArray, b: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Return the vectors u that are drawn at points (a, b), and at which there is one."""
        if self.projection == "plane":
            return np.column_stack([a, b, np.ones_like(a)]), np.ones(a.size, dtype=bool)
        if self.projection == "cones":
            inside = a**2 + b**2 <= 1
            return np.column_stack([a, b])[inside], inside
        behind = a > 1 + (_APART - 2) / 2
        a = np.where(behind, a - _APART, a)
        inside = a**2 + b**2 <= 1
        a, b, behind = a[inside], b[inside], behind[inside]
        seen = np.column_stack([a, b, np.sqrt(np.maximum(1 - a**2 - b**2, 0))])
        vectors = np.where(behind[:, None], seen @ turned_frame(_opposite(self.view)), seen @ turned_frame(self.view))
        return np.ascontiguousarray(vectors), inside

    def _trace(self, normal: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the curve normal . u = 0."""
        if self.projection == "cones":
            x, y = np.outer([-normal[1], normal[0]], [-1.0, 1.0])
            return x, y
        if self.projection == "plane":
            size = np.hypot(normal[0], normal[1])
            if size == 0 or abs(normal[2]) > 2 * self.extent * size:
                return np.empty(0), np.empty(0)
            foot = -normal[2] / size**2 * normal[:2]
            x, y = foot[:, None] + np.outer([-normal[1], normal[0]], [-1.0, 1.0]) * 4 * self.extent / size
            return x, y
        first = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal))])
        first /= np.linalg.norm(first)
        second = np.cross(normal, first)
        sides = []
        for centre, view in ((0.0, self.view), (_APART, _opposite(self.view))):
            frame = turned_frame(view)
            start = np.arctan2(frame[2] @ second, frame[2] @ first)  # the nearest point; half a turn around it is seen
            turn = start + np.linspace(-np.pi / 2, np.pi / 2, 181)
            x, y = frame[:2] @ (np.outer(first, np.cos(turn)) + np.outer(second, np.sin(turn)))
            sides.append((np.append(centre + x, np.nan), np.append(y, np.nan)))
        x, y = np.hstack(sides)
        return x, y

    def _cells_at(self, vectors: FloatArray) -> npt.NDArray[np.intp]:
        """Return the indices of the patterns of vectors, -1 where they are not listed."""
        words, _ = core.pack_patterns(self.X, vectors, 1)
        known = {row.tobytes(): i for i, row in enumerate(self.patterns.words)}
        distinct, position = np.unique(words, axis=0, return_inverse=True)
        return np.array([known.get(row.tobytes(), -1) for row in distinct])[position.ravel()]

    def _write_patterns(self, ax: Axes, cells: npt.NDArray[np.intp], a: FloatArray, b: FloatArray) -> None:
        """Write into the middle of every cell of which enough is seen."""
        masks = self.patterns.to_dense().T
        for i in np.unique(cells[cells >= 0]):
            pixels = np.flatnonzero(cells == i)
            if pixels.size > 2e-3 * cells.size:
                text = "".join("1" if bit else "0" for bit in masks[i])
                ax.annotate(text, (a[pixels].mean(), b[pixels].mean()), ha="center", va="center", fontsize="x-small")
                ax.texts[-1].set_bbox({"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.75})


def _opposite(view: tuple[float, float]) -> tuple[float, float]:
    """Return the view of the sphere from behind."""
    return -view[0], view[1] + 180


def _directions(X: FloatArray) -> FloatArray:
    """Return unit normals of the rows that are not zero, one sign and rounding for both sides."""
    rows = X[X.any(axis=1)]
    rows = rows / np.abs(rows).max(axis=1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    first = rows[np.arange(len(rows)), (np.abs(rows) > 1e-12).argmax(axis=1)]
    return np.asarray(np.round(rows * np.sign(first)[:, None], 12) + 0.0)


def _spread(X: FloatArray) -> float:
    """Return how far most crossings of the lines in the plane u_3 = 1 are from its origin."""
    if X.shape[1] == 2:
        return 1.0
    normals = _directions(X)
    crossings = np.cross(normals[:, None], normals[None])[np.triu_indices(len(normals), 1)]
    crossings = crossings[np.abs(crossings[:, 2]) > 1e-9]
    if not len(crossings):
        return 3.0
    return float(1.5 * np.quantile(np.abs(crossings[:, :2] / crossings[:, 2:]).max(axis=1), 0.7))
