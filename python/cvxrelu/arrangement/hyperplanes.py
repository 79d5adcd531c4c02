"""An arrangement of hyperplanes as a geometric object: regions, faces, polynomials, and what is made of it."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import WordArray, as_count, as_threads
from ..base.bits import pack_mask, unpack_patterns
from ..base.callbacks import Callback, as_callback
from ..base.native import core
from ..patterns.patterns import ActivationPatterns
from .affine import Regions, list_regions
from .cell import Cell, cell_of
from .cells import certificate_of, list_cells, refuse_too_many, single_cell
from .characteristic import Characteristic, whitney_numbers, without_infinity
from .exact_rows import ExactRows, primitive
from .problem import Problem, prepare
from .row_operations import essential_columns, restriction_of, with_infinity
from .symmetry import RegionOrbits
from .tope_graph import TopeGraph
from .watch import count_cells

SignArray = npt.NDArray[np.int8]


class Arrangement(Characteristic):
    """Hyperplanes {u : a_j . u = b_j} in R^d, or through the origin.

    All results are exact for the numbers given. What is costly is computed when it is first asked for, and kept.

    Parameters
    ----------
    rows : array_like of shape (n_rows, d)
        Normals a_j: floats, integers of any size, fractions, decimals, SymPy rationals, strings such as "1/3".
    offsets : array_like of shape (n_rows,), optional
        The b_j; by default all are 0, and the arrangement is a central one.
    n_threads : int, optional
        Threads; by default what OpenMP would take. No result depends on it.
    callback : callable, optional
        Told how far counts and lists of regions are, as :func:`enumerate_patterns` says.

    Attributes
    ----------
    n_rows : int
        Rows, however many of them give the same hyperplane. A row that is zero gives none; its sign is that of -b_j.
    dimension : int
        d.

    Raises
    ------
    TypeError, ValueError, ArrangementTooLargeError
        As :func:`enumerate_patterns`.

    Examples
    --------
    >>> from cvxrelu import Arrangement
    >>> lines = Arrangement([[1, 0], [0, 1], [1, 1]], offsets=[0, 0, 1])
    >>> lines.n_regions, lines.n_bounded_regions
    (7, 1)
    >>> lines.characteristic_polynomial  # t^2 - 3 t + 3
    (1, -3, 3)
    """

    def __init__(
        self,
        rows: npt.ArrayLike,
        offsets: npt.ArrayLike | None = None,
        *,
        n_threads: int | None = None,
        callback: Callback | None = None,
    ) -> None:
        given, threads = prepare(rows, None, None, offsets), as_threads(n_threads)
        # A copy, as what is computed later is to belong to the rows that are given now.
        problem = dataclasses.replace(given, rows=dataclasses.replace(given.rows, sums=given.rows.sums.copy()))
        self._set_up(problem, threads, as_callback(callback))

    def _set_up(self, problem: Problem, threads: int, callback: Callback | None) -> None:
        self._problem, self._affine, self._threads, self._callback = problem, problem.affine, threads, callback
        self.n_rows = problem.n_samples - problem.affine
        self.dimension = problem.n_features - problem.affine

    def _made(self, rows: ExactRows, affine: bool) -> Arrangement:
        """Return another arrangement with the same settings."""
        return arrangement_of(Problem(rows, "exact", 0.0, affine), self._threads, self._callback)

    def __repr__(self) -> str:
        kind = "affine" if self._affine else "central"
        return f"Arrangement({kind}, {self.n_hyperplanes} hyperplanes in dimension {self.dimension})"

    # ---- invariants ----

    @functools.cached_property
    def _counted(self) -> Any:
        """The search of the cells, of the cone where the arrangement is affine, after a count."""
        cells = self._problem.search(False)
        if cells.rank:
            refuse_too_many(cells)
            count_cells(cells, self._threads, self._callback)
        return cells

    @functools.cached_property
    def n_hyperplanes(self) -> int:
        """Distinct hyperplanes."""
        return int(self._problem.search(False).n_hyperplanes) - self._affine

    @functools.cached_property
    def rank(self) -> int:
        """Rank of the normals."""
        return int(self._problem.search(False).rank) - self._affine

    @property
    def is_essential(self) -> bool:
        """Whether the normals span the space."""
        return self.rank == self.dimension

    @functools.cached_property
    def is_central(self) -> bool:
        """Whether some point lies on all hyperplanes."""
        if not self._affine:
            return True
        rows = Problem(self._problem.rows.select(np.arange(self.n_rows)), "exact", 0.0)
        return int(rows.search(False).rank) == self.rank

    @property
    def is_simple(self) -> bool:
        """Whether the hyperplanes are in general position: k of them meet in codimension k, or not at all if k > rank.

        Through the origin more than `rank` of them always meet there, which is no exception.
        """
        m, r = self.n_hyperplanes, self.rank
        signs = [-1 if k % 2 else 1 for k in range(r + 1)]
        if self._affine:
            return list(self.whitney_numbers) == [s * math.comb(m, k) for k, s in enumerate(signs)]
        expected = [s * math.comb(m, k) for k, s in enumerate(signs[:-1])]
        return r == 0 or list(self.whitney_numbers[:-1]) == expected

    @functools.cached_property
    def whitney_numbers(self) -> tuple[int, ...]:
        """Whitney numbers of the first kind, w_0 = 1, ..., w_rank: with signs, as in the characteristic polynomial.

        (-1)^k w_k is the number of sets of k hyperplanes without broken circuit.
        """
        numbers = whitney_numbers(self._counted.rank, self._counted.counts["sets"])
        return tuple(without_infinity(numbers) if self._affine else numbers)

    @functools.cached_property
    def face_vector(self) -> tuple[int, ...]:
        """Faces of dimension 0, 1, ..., d; the last are the regions."""
        vector = [0] * (self.dimension + 1)
        vector[self.dimension] = self.n_regions
        for rank, restricted, _ in self._restrictions():
            count = 1 if restricted is None else count_cells(restricted, self._threads)
            vector[self.dimension - rank] += count
        return tuple(vector)

    def _restrictions(self) -> Iterator[tuple[int, Any, WordArray]]:
        """Yield rank, search and mask of every flat but the whole space; no search where the flat is the origin."""
        cells = self._problem.search(False)
        infinity = self._infinity
        for rank in range(1, cells.rank):
            for mask, basis in zip(*cells.flats(rank), strict=True):
                if not (mask & infinity).any():
                    yield rank, core.Arrangement(cells, basis), mask
        if cells.rank and not self._affine:
            yield cells.rank, None, self._live

    @functools.cached_property
    def _live(self) -> WordArray:
        return pack_mask(np.asarray(self._problem.rows.sums.any(axis=1)))

    @property
    def _infinity(self) -> WordArray:
        """The row that the cone adds, as a mask."""
        return pack_mask(np.arange(self._problem.n_samples) == (self.n_rows if self._affine else -1))

    # ---- regions and faces ----

    def regions(self, *, max_patterns: int | None = None) -> ActivationPatterns | Regions:
        """Return all regions with a point inside each, as :func:`enumerate_patterns` does."""
        cells = self._problem.search(True)
        if cells.rank == 0:
            return single_cell(self._problem, cells)
        limit = None if max_patterns is None else as_count(max_patterns, "max_patterns")
        if self._affine:
            return list_regions(self._problem, cells, limit, True, self._threads, self._callback)
        words, gates = list_cells(self._problem, cells, limit, self._threads, callback=self._callback)
        certificate = certificate_of(cells, "exact", True)
        return ActivationPatterns(gates, words, self.n_rows, certificate=certificate)

    @functools.cached_property
    def _words(self) -> WordArray:
        """The patterns of all regions."""
        return self._patterns_of(self._problem.search(False), self._live[:0])

    def _patterns_of(self, cells: Any, mask: WordArray) -> WordArray:
        if cells.rank == 0:
            return pack_mask(np.ones(self.n_rows, dtype=bool))[None]
        return list_cells(self._problem, cells, None, self._threads, gates=False)[0]

    def sign_vectors(self) -> SignArray:
        """Return the signs of a_j . u - b_j in all regions, of shape (n_regions, n_rows), -1, 0 or 1.

        Zeros are where a row is zero, and its offset as well.
        """
        return self._signs(self._words, np.zeros_like(self._live))

    def covectors(self) -> SignArray:
        """Return the sign vectors of all faces, of shape (sum(face_vector), n_rows): regions first, points last."""
        signs = [self.sign_vectors()]
        for _, restricted, mask in self._restrictions():
            if restricted is None:
                signs.append(np.zeros((1, self.n_rows), dtype=np.int8))
            else:
                signs.append(self._signs(self._patterns_of(restricted, mask), mask))
        return np.concatenate(signs)

    def _signs(self, words: WordArray, vanishing: WordArray) -> SignArray:
        zero = unpack_patterns((vanishing | ~self._live)[None], self._problem.n_samples)[: self.n_rows, 0]
        signs: SignArray = np.where(unpack_patterns(words, self.n_rows), 1, -1).T.astype(np.int8)
        signs[:, zero] = 0
        return signs

    def cell(self, signs: npt.ArrayLike) -> Cell:
        """Return the vertices, extreme rays and lines of a region, exactly.

        Parameters
        ----------
        signs : array_like of shape (n_rows,)
            A sign vector of :meth:`sign_vectors`, or a pattern, such as a column of ``regions().to_dense()``. Of rows
            that are zero it does not matter.

        Returns
        -------
        Cell

        Raises
        ------
        ValueError
            For signs that no region has.

        Examples
        --------
        >>> from cvxrelu import Arrangement
        >>> lines = Arrangement([[3, 0], [0, 1], [1, 1]], offsets=[1, 0, 2])
        >>> triangle = lines.cell([1, 1, -1])
        >>> triangle
        Cell(3 vertices, 0 rays, 0 lines)
        >>> triangle.vertices[0]
        (Fraction(1, 3), Fraction(0, 1))
        """
        given = np.asarray(signs)
        if given.shape != (self.n_rows,):
            raise ValueError(f"signs must have shape ({self.n_rows},), not {given.shape}")
        sides = [1 if s > 0 else -1 for s in given.tolist()] + [1] * self._affine
        return cell_of([primitive(row) for row in self._problem.rows.rational()], sides, self._affine)

    def tope_graph(self) -> TopeGraph:
        """Return which regions are neighbours, in the order of :meth:`regions`, and what hyperplane is between them."""
        words = self._words
        cells = self._problem.search(False)
        if cells.rank < 2:
            masks = self._live[None][: cells.rank]
        else:
            masks = cells.flats(1)[0]
        masks = masks[~(masks & self._infinity).any(axis=1), : words.shape[1]]
        dense = unpack_patterns(masks, self.n_rows)
        rows = dense.argmax(axis=0).astype(np.int32)
        order = np.argsort(rows)
        masks, rows = np.ascontiguousarray(masks[order]), rows[order]
        edges, crossed = core.tope_graph(words, masks, self._threads)
        return TopeGraph(edges, crossed, words, masks, rows)

    def zonotope_vertices(self) -> npt.NDArray[np.float64]:
        """Return sum_j s_j a_j for the sign vector s of every region: the vertices of the sum of segments [-a_j, a_j].

        Raises
        ------
        ValueError
            For an affine arrangement, and where float64 does not hold the rows.
        """
        if self._affine or not self._problem.rows.as_given:
            raise ValueError("zonotopes are those of float64 rows without offsets")
        vertices: npt.NDArray[np.float64] = self.sign_vectors() @ self._problem.rows.rounded
        return vertices

    def orbits(self, generators: Sequence[npt.ArrayLike], *, callback: Callback | None = None) -> RegionOrbits:
        """Return the regions under a group of symmetries, to be counted without being listed, all of them or by orbits.

        Parameters
        ----------
        generators : sequence of array_like of shape (n_rows,), int
            Permutations of the rows that a linear map makes: the image of row j is ``generator[j]``, up to a positive
            factor, or with ~k for k the opposite of row k. With offsets the map is affine.
        callback : callable, optional
            Told of the flats whose orbits are looked for, with a dict: their `rank`, how many `flats` there are up to
            symmetry, and how many are `done`. Where it returns True the search ends with ArrangementTooLargeError.

        Returns
        -------
        RegionOrbits

        Raises
        ------
        ValueError
            For what is no permutation, or no symmetry of the arrangement.

        Examples
        --------
        >>> from cvxrelu import Arrangement
        >>> braid = Arrangement([[1, -1, 0], [1, 0, -1], [0, 1, -1]])
        >>> orbits = braid.orbits([[2, ~0, ~1]])  # a shift of the three coordinates
        >>> orbits.n_regions, orbits.order, orbits.n_orbits
        (6, 3, 2)
        """
        return RegionOrbits(self._problem, self._affine, generators, self._threads, callback)

    # ---- other arrangements ----

    def deletion(self, row: int) -> Arrangement:
        """Return the arrangement without a row."""
        keep = np.arange(self._problem.n_samples) != self._row(row)
        if keep.sum() == self._affine:
            raise ValueError("an arrangement needs a row")
        return self._made(self._problem.rows.select(keep), self._affine)

    def restriction(self, row: int) -> Arrangement:
        """Return what the other rows cut out of the hyperplane of a row, in all coordinates but one.

        The coordinate that is left out is the first one in which the row's entry is largest. Rows keep their order and
        signs; those parallel to the hyperplane become zero.
        """
        j = self._row(row)
        if not self._problem.rows.sums[j].any():
            raise ValueError(f"row {row} is zero: it has no hyperplane")
        if self.n_rows == 1 or self.dimension == 1:
            raise ValueError("a restriction needs another row, and a hyperplane that is not a point")
        return self._made(restriction_of(self._problem.rows, j, self.dimension), self._affine)

    def essentialization(self) -> Arrangement:
        """Return the arrangement in as many coordinates as its rank, of which all others are functions on the rows."""
        rows = essential_columns(self._problem.rows, self._affine)
        if rows is None:
            raise ValueError("there are no hyperplanes")
        return self._made(rows, self._affine)

    def cone(self) -> Arrangement:
        """Return the central arrangement of the rows (a_j, -b_j) and, last, the hyperplane at infinity (0, 1)."""
        rows = self._problem.rows
        return self._made(rows if self._affine else with_infinity(rows), False)

    def _row(self, row: int) -> int:
        index = int(np.arange(self.n_rows)[row])
        return index


def arrangement_of(problem: Problem, threads: int, callback: Callback | None) -> Arrangement:
    """Return the arrangement of prepared rows."""
    arrangement = object.__new__(Arrangement)
    arrangement._set_up(problem, threads, callback)
    return arrangement
