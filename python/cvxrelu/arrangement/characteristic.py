"""Whitney numbers, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence


class Characteristic:
    """What the Whitney numbers of an arrangement tell.

    Attributes
    ----------
    dimension : int
        Of the space.
    """

    dimension: int

    @property
    def whitney_numbers(self) -> tuple[int, ...]:
        """Whitney numbers of the first kind, w_0 = 1, ..., w_rank: with signs, as in the characteristic polynomial.

        (-1)^k w_k is the number of sets of k hyperplanes without broken circuit.
        """
        raise NotImplementedError

    @property
    def characteristic_polynomial(self) -> tuple[int, ...]:
        """Coefficients of chi(t) = sum_k w_k t^(d - k), that of t^d first, as ``numpy.polyval`` takes them."""
        numbers = self.whitney_numbers
        return numbers + (0,) * (self.dimension + 1 - len(numbers))

    @property
    def n_regions(self) -> int:
        """Regions, (-1)^d chi(-1) (Zaslavsky, 1975)."""
        return sum(map(abs, self.whitney_numbers))

    @property
    def n_bounded_regions(self) -> int:
        """Regions that are bounded but for the directions parallel to all hyperplanes."""
        return abs(sum(self.whitney_numbers))


def whitney_numbers(rank: int, sets: Sequence[int]) -> list[int]:
    """Return (-1)^k times the number of no-broken-circuit sets of size k, for k up to the rank, from those of a count.

    The search counts all sets of sizes r - 1, r - 3, ..., and of the others those without the first hyperplane h. A set
    S without h has no broken circuit if and only if S + h has none, so that b_k = c_k + c_(k-1).
    """
    without = [0] * (rank + 1)
    for k in range(rank):
        without[k] = sets[k] if (rank - k) % 2 == 0 else sets[k] - (without[k - 1] if k else 0)
    if rank == 0:
        return [1]
    return [(-1) ** k * (without[k] + (without[k - 1] if k else 0)) for k in range(rank + 1)]


def without_infinity(numbers: list[int]) -> list[int]:
    """Return the Whitney numbers of an affine arrangement from those of its cone, by chi_cone(t) = (t - 1) chi(t)."""
    result = [numbers[0]]
    for w in numbers[1:-1]:
        result.append(w + result[-1])
    return result
