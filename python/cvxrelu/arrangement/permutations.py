"""Groups of permutations given by generators: a chain of stabilizers, the order, the classes of conjugate elements.

The chain is that of Schreier and Sims (Seress, Permutation Group Algorithms, 2003, chapter 4): base points b_0, b_1,
and so on, the groups G_k of all elements that fix the first k of them, and an element of G_k for each point of the
orbit of b_k, which takes b_k there. Every element is a product of one from each level in exactly one way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Permutation = npt.NDArray[np.intp]

#: Elements that are multiplied at once.
_BATCH = 1 << 14


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
        """Yield an element of each class of conjugate elements, and how many there are in it; a byte for each element.

        Elements are numbered by the digits that their carriers are in the levels, and known by the images of the base
        points.
        """
        tables = [np.stack(list(level.carriers.values())) for level in self.levels]
        divisors = [np.argsort(table, axis=1) for table in tables]
        bases = np.array([level.base for level in self.levels], dtype=np.intp)
        wheres = [np.full(self.degree, -1) for _ in self.levels]
        for where, level in zip(wheres, self.levels, strict=True):
            where[list(level.carriers)] = np.arange(len(level.carriers))
        sizes = [len(table) for table in tables]

        def apply(numbers: Permutation, points: Permutation) -> Permutation:
            """Return the images of points under elements."""
            images = np.broadcast_to(points, (len(numbers), len(points)))
            digits = np.unravel_index(numbers, sizes) if sizes else ()
            for table, digit in zip(reversed(tables), reversed(digits), strict=True):
                images = table[digit[:, None], images]
            return images

        def number(images: Permutation) -> Permutation:
            """Return the elements with these images of the base points."""
            result = np.zeros(len(images), dtype=np.intp)
            for k, (where, divisor) in enumerate(zip(wheres, divisors, strict=True)):
                digit = where[images[:, k]]
                result = result * len(divisor) + digit
                images = divisor[digit[:, None], images]
            return result

        generators = self.levels[0].generators if self.levels else []
        seen = np.zeros(self.order, dtype=bool)
        while not seen.all():
            front = np.array([seen.argmin()])
            seen[front] = True
            element, size = apply(front, np.arange(self.degree))[0], 0
            while len(front):
                size += len(front)
                new = []
                for part in np.array_split(front, len(front) // _BATCH + 1):
                    for g in generators:
                        conjugates = number(g[apply(part, np.argsort(g)[bases])])
                        fresh = np.unique(conjugates[~seen[conjugates]])
                        seen[fresh] = True
                        new.append(fresh)
                front = np.concatenate(new) if new else front[:0]
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
