"""Groups of permutations given by generators: a chain of stabilizers, the order, the classes of conjugate elements.

The chain is that of Schreier and Sims (Seress, Permutation Group Algorithms, 2003, chapter 4): base points b_0, b_1, ...
the groups G_k of all elements that fix the first k of them, and an element of G_k for each point of the orbit of b_k,
which takes b_k there. Every element is a product of one from each level in exactly one way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Permutation = npt.NDArray[np.intp]


class Level:
    """The group that fixes the base points before, as it acts on one more.

    Attributes
    ----------
    base : int
        The point.
    generators : list of ndarray
        Of the group.
    carriers : dict
        To each point of its orbit an element that takes it there.
    """

    def __init__(self, base: int, degree: int) -> None:
        self.base = base
        self.generators: list[Permutation] = []
        self.carriers: dict[int, Permutation] = {base: np.arange(degree)}


class PermutationGroup:
    """The group that some permutations generate, none or more, with base points of short orbits.

    Attributes
    ----------
    degree : int
        Points.
    levels : list of Level
        The chain, from the whole group on.
    """

    def __init__(self, generators: Sequence[Permutation], degree: int) -> None:
        self.degree = degree
        self.levels: list[Level] = []
        rest = [g for g in generators if (g != np.arange(degree)).any()]
        while rest:
            orbits = _orbits(rest, degree)
            chain = _Chain(min((orbit for orbit in orbits if len(orbit) > 1), key=len)[0], degree)
            for generator in rest:
                chain.insert(generator)
            self.levels.append(chain.levels[0])
            rest = chain.levels[1].generators if len(chain.levels) > 1 else []

    @property
    def order(self) -> int:
        """Number of elements."""
        return math.prod(len(level.carriers) for level in self.levels)

    def classes(self) -> Iterator[tuple[Permutation, int]]:
        """Yield an element of each class of conjugate elements, and how many there are in it.

        Memory is that of all elements, as permutations of the orbits of the base points.
        """
        if not self.levels:
            yield np.arange(self.degree), 1
            return
        generators = self.levels[0].generators
        points = {level.base for level in self.levels}
        moved = [p for orbit in _orbits(generators, self.degree) if points & set(orbit) for p in orbit]
        place = np.full(self.degree, -1)
        place[moved] = np.arange(len(moved))
        tables = [np.stack([place[carrier[moved]] for carrier in level.carriers.values()]) for level in self.levels]
        inverses = [np.argsort(table, axis=1) for table in tables]
        wheres = [np.full(len(moved), -1) for _ in self.levels]
        for where, level in zip(wheres, self.levels, strict=True):
            where[place[list(level.carriers)]] = np.arange(len(level.carriers))
        bases = [int(place[level.base]) for level in self.levels]

        def number(elements: Permutation) -> Permutation:
            """Sift elements through the chain: their places in the orbits are the digits."""
            result = np.zeros(len(elements), dtype=np.intp)
            for base, where, inverse in zip(bases, wheres, inverses, strict=True):
                digit = where[elements[:, base]]
                result = result * len(inverse) + digit
                elements = np.take_along_axis(inverse[digit], elements, axis=1)
            return result

        small = [(place[g[moved]], np.argsort(place[g[moved]])) for g in generators]
        seen = np.zeros(self.order, dtype=bool)
        while not seen.all():
            digits = np.unravel_index(int(seen.argmin()), [len(table) for table in tables])
            element, first = np.arange(self.degree), np.arange(len(moved))
            for level, table, digit in zip(self.levels, tables, digits, strict=True):
                element, first = element[list(level.carriers.values())[digit]], first[table[digit]]
            seen[seen.argmin()] = True
            size, front = 1, first[None]
            while len(front):
                conjugates = np.concatenate([g[front[:, inverse]] for g, inverse in small])
                numbers, which = np.unique(number(conjugates), return_index=True)
                new = ~seen[numbers]
                seen[numbers[new]] = True
                front = conjugates[which[new]]
                size += len(front)
            yield element, size


class _Chain:
    """A chain under construction; a level knows all of its group when `insert` returns."""

    def __init__(self, base: int, degree: int) -> None:
        self.degree = degree
        self.levels = [Level(base, degree)]

    def insert(self, generator: Permutation) -> None:
        """Add an element to the group."""
        if self._sift(generator, 0) is not None:
            self._extend(0, generator)

    def _sift(self, element: Permutation, first: int) -> Permutation | None:
        """Divide by elements of the levels; None if nothing is left."""
        for level in self.levels[first:]:
            carrier = level.carriers.get(int(element[level.base]))
            if carrier is None:
                return element
            element = np.argsort(carrier)[element]
        return element if (element != np.arange(self.degree)).any() else None

    def _extend(self, k: int, generator: Permutation) -> None:
        """Add an element to the group of level k, which it is not in."""
        if k == len(self.levels):
            self.levels.append(Level(int((generator != np.arange(self.degree)).argmax()), self.degree))
        level = self.levels[k]
        level.generators.append(generator)
        pending = [(point, generator) for point in level.carriers]
        while pending:
            point, step = pending.pop()
            element = step[level.carriers[point]]
            image = int(element[level.base])
            if image not in level.carriers:
                level.carriers[image] = element
                pending += [(image, g) for g in level.generators]
                continue
            left = self._sift(np.argsort(level.carriers[image])[element], k + 1)  # Schreier's lemma
            if left is not None:
                self._extend(k + 1, left)


def _orbits(generators: Sequence[Permutation], degree: int) -> list[list[int]]:
    """Return the orbits, each in increasing order."""
    orbits, seen = [], np.zeros(degree, dtype=bool)
    for start in range(degree):
        if seen[start]:
            continue
        seen[start] = True
        orbit = [start]
        for point in orbit:
            for g in generators:
                if not seen[g[point]]:
                    seen[g[point]] = True
                    orbit.append(int(g[point]))
        orbits.append(sorted(orbit))
    return orbits
