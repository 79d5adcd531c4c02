"""Regions counted with a group of symmetries: all of them by orbits of flats, and the orbits of regions.

A symmetry is a permutation g of the rows, with signs s_j, that a linear map M makes: M a_j = c_j s_j a_g(j), c_j > 0.
Whether there is one is decided exactly. With the rows of a basis as coordinates, a_j = sum_b L[j, b] a_b and
s_j a_g(j) = sum_b L'[j, b] s_b a_g(b), M is the relation L'[j, b] c_j = L[j, b] c_b between the two tables: c follows
from one entry to the next, and all others are checks.

Orbits of regions are counted by Burnside's lemma: their number is the mean number of regions that a symmetry maps onto
themselves. Such a region has a point that the symmetry fixes (M can be scaled to be of finite order; take the mean of
the images of any point), so these are the regions of the arrangement within the fixed subspace, and there is none where
a hyperplane contains that. Conjugate symmetries have equally many.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.bits import pack_mask
from ..base.callbacks import Callback, as_callback
from ..base.native import core
from ..exceptions import ArrangementTooLargeError
from .cells import pattern_bound, refuse_too_many
from .characteristic import Characteristic, without_infinity
from .exact_rows import from_rational, primitive
from .permutations import Permutation, PermutationGroup
from .problem import Problem
from .rational import Table, inverse, null_space, rational_root, reduced
from .watch import count_cells

#: Elements of a group whose classes are found: a byte each, and some more for a while.
_MOST_ELEMENTS = 10**7

#: Orbits of flats between two looks at the caller's thread.
_PIECE = 256


class RegionOrbits(Characteristic):
    """The regions of an arrangement under a group of symmetries.

    Made by :meth:`Arrangement.orbits`. What is costly is computed when it is first asked for, and kept.

    Attributes
    ----------
    order : int
        Elements of the group, as permutations of rows and their opposites.
    dimension : int
        Of the space.
    """

    def __init__(
        self, problem: Problem, affine: bool, generators: Any, threads: int, callback: Callback | None
    ) -> None:
        as_callback(callback)
        self._problem, self._affine, self._threads, self._callback = problem, affine, threads, callback
        self.dimension = problem.n_features - affine
        rows = [primitive(row) for row in problem.rows.rational()]
        self._symmetries = _Symmetries(rows)
        n = len(rows) - affine
        self._generators = [_signed(generator, n, affine) for generator in generators]
        for k, generator in enumerate(self._generators):
            if self._symmetries.factors(generator) is None:
                raise ValueError(f"generators[{k}] is no symmetry: no linear map takes the rows to their images")
        self._group = PermutationGroup(self._generators, 2 * len(rows))
        self.order = self._group.order

    def __repr__(self) -> str:
        return f"RegionOrbits({len(self._generators)} generators, a group of order {self.order})"

    @functools.cached_property
    def whitney_numbers(self) -> tuple[int, ...]:
        """As those of the arrangement, from the orbits of its flats."""
        cells = self._problem.search(False)
        if cells.rank == 0:
            return (1,)
        n = self._problem.n_samples
        if pattern_bound(cells.n_hyperplanes, cells.rank) * n >= 1 << 127:
            raise ArrangementTooLargeError("there may be too many regions for integers of 128 bits")
        group = PermutationGroup([g[:n] % n for g in self._generators], n)
        chain = []
        for k, level in enumerate(group.levels):
            images = [np.argsort(carrier).tolist() for carrier in level.carriers.values()]
            fixed = np.ones(n, dtype=bool)
            for generator in group.levels[k + 1].generators if k + 1 < len(group.levels) else []:
                fixed &= generator == np.arange(n)
            chain.append(core.StabilizerLevel(images, pack_mask(fixed).tolist()))
        orbits = core.FlatOrbits(cells, chain)
        while not orbits.finished:
            orbits.advance(_PIECE, self._threads)
            if self._callback is not None:
                self._callback({"rank": orbits.rank, "flats": orbits.orbits, "done": orbits.done})
        numbers = [(-1) ** k * number for k, number in enumerate(orbits.whitney_numbers)]
        return tuple(without_infinity(numbers) if self._affine else numbers)

    @functools.cached_property
    def n_orbits(self) -> int:
        """Orbits of the regions: signs s and t are in one orbit when an element of the group takes s to t.

        Raises
        ------
        ValueError
            For a group of more than ten million elements, and for a symmetry whose fixed subspace is not rational.
        """
        if len(self.whitney_numbers) == 1:
            return 1
        if self.order > _MOST_ELEMENTS:
            raise ValueError(f"the group has {self.order} elements: orbits are counted for at most {_MOST_ELEMENTS}")
        fixed = sum(size * self._n_fixed(element) for element, size in self._group.classes())
        return fixed // self.order

    def _n_fixed(self, element: Permutation) -> int:
        """Return how many regions a symmetry maps onto themselves."""
        if (element == np.arange(len(element))).all():
            return self.n_regions
        rows = self._symmetries.on_fixed_space(element)
        if rows is None:
            return 0
        cells = Problem(from_rational(rows), "exact", 0.0).search(False)
        refuse_too_many(cells)
        return count_cells(cells, self._threads) // (1 + self._affine)


class _Symmetries:
    """Rows with their coefficients in a basis of them."""

    def __init__(self, rows: list[list[int]]) -> None:
        self.n = len(rows)
        self.live = [any(row) for row in rows]
        columns = reduced(rows)[1]
        self.basis = reduced(list(zip(*rows, strict=True)))[1]
        self.rows = np.array([[row[k] for k in columns] for row in rows], dtype=object).reshape(self.n, len(columns))
        self.table = self._coefficients(self.rows)

    def _coefficients(self, rows: npt.NDArray[np.object_]) -> Table | None:
        """Return the coefficients of integer rows in those of the basis; None if these are not independent."""
        inverted = inverse(rows[self.basis].tolist())
        if inverted is None:
            return None
        scale = math.lcm(*(x.denominator for row in inverted for x in row))
        factors = np.array([[int(x * scale) for x in row] for row in inverted], dtype=object)
        multiples = rows @ factors.reshape(len(inverted), len(inverted))
        return [[Fraction(x, scale) for x in row] for row in multiples.tolist()]

    def _images(self, element: Permutation) -> npt.NDArray[np.object_]:
        """Return s_j a_g(j)."""
        images: npt.NDArray[np.object_] = self.rows[element[: self.n] % self.n]
        images[element[: self.n] >= self.n] *= -1
        return images

    def factors(self, element: Permutation) -> list[Fraction] | None:
        """Return the c_j, up to a factor for each component of the matroid; None if the element is no symmetry."""
        table = self._coefficients(self._images(element))
        if table is None or self.table is None:
            return None
        neighbours: list[list[tuple[int, Fraction]]] = [[] for _ in range(self.n)]  # with c there over c here
        for j, (own, new) in enumerate(zip(self.table, table, strict=True)):
            for b, x, y in zip(self.basis, own, new, strict=True):
                if x * y < 0 or (x == 0) != (y == 0):
                    return None
                if x:
                    neighbours[j].append((b, y / x))
                    neighbours[b].append((j, x / y))
        c = dict[int, Fraction]()
        for root in range(self.n):
            pending = [] if root in c else [root]
            c.setdefault(root, Fraction(1))
            for at in pending:
                for to, quotient in neighbours[at]:
                    if to not in c:
                        c[to] = c[at] * quotient
                        pending.append(to)
                    elif c[to] != c[at] * quotient:
                        return None
        return [c[j] for j in range(self.n)]

    def on_fixed_space(self, element: Permutation) -> list[list[int]] | None:
        """Return the rows on the subspace that a symmetry fixes, in coordinates there; None if one vanishes."""
        factors = self.factors(element)
        assert factors is not None
        n, images = self.n, self._images(element)
        for start in range(n):
            cycle = [start]
            while element[cycle[-1]] % n != start:
                cycle.append(int(element[cycle[-1]]) % n)
            scale = rational_root(math.prod((factors[j] for j in cycle), start=Fraction(1)), len(cycle))
            if scale is None:
                raise ValueError(
                    "a symmetry fixes a subspace that is not rational: orbits are counted where, after scaling, the "
                    "symmetries take rows to rows"
                )
            for j in cycle:
                factors[j] /= scale
        equations = [(self.rows[b] - factors[b] * images[b]).tolist() for b in self.basis]
        directions = np.array(null_space(equations), dtype=object).reshape(-1, len(self.basis))
        rows = [primitive(row) for row in (self.rows @ directions.T).tolist()]
        return None if any(live and not any(row) for live, row in zip(self.live, rows, strict=True)) else rows


def _signed(generator: npt.ArrayLike, n: int, affine: bool) -> Permutation:
    """Return a generator as a permutation of the rows, and behind them of their opposites; that of infinity stays."""
    images = np.asarray(generator)
    if images.shape != (n,) or images.dtype.kind not in "iu":
        raise ValueError(f"generators must be arrays of {n} integers, row j or ~j for its opposite")
    rows = np.where(images < 0, ~images, images)
    if sorted(rows.tolist()) != list(range(n)):
        raise ValueError(f"generators must have each of the rows 0, ..., {n - 1} once, or its opposite ~j")
    signed = np.where(images < 0, rows + n + affine, rows)
    if affine:
        signed = np.append(signed, n)
    return np.concatenate([signed, (signed + n + affine) % (2 * (n + affine))])
