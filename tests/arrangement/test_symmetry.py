"""Regions and their orbits under groups of symmetries: published numbers, and orbits of listed regions."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction as F

import numpy as np
import pytest
from arrangement_families import gaussian, resonance, type_b
from cvxrelu import Arrangement
from cvxrelu.arrangement.permutations import PermutationGroup
from test_affine import differences


def images(rows, move):
    """The permutation of rows, up to sign, that a map makes."""
    place = {tuple(row): j for j, row in enumerate(rows.tolist())}
    moved = [tuple(move(np.array(row)).tolist()) for row in rows]
    return [place[row] if row in place else ~place[tuple(-x for x in row)] for row in moved]


def coordinates(rows, d):
    """Two permutations of the coordinates that generate all."""
    swap, turn = [1, 0, *range(2, d)], np.roll(np.arange(d), 1)
    return [images(rows, lambda row: row[swap]), images(rows, lambda row: row[turn])]


def resonance_group(d):
    """The symmetric group on d + 1 points: the last one is minus the sum of all others."""
    rows = resonance(d)
    return rows, [*coordinates(rows, d), images(rows, lambda row: np.array([-row[0], *(row[1:] - row[0])]))]


def signs_group(d):
    """All signs in d coordinates, up to antipodes: the threshold arrangement of d - 1 variables."""
    rows = np.array([row for row in itertools.product((1, -1), repeat=d) if row[0] == 1])
    return rows, [*coordinates(rows, d), images(rows, lambda row: row * np.array([-1] + [1] * (d - 1)))]


def braid_group(m):
    rows = np.array([np.eye(m)[i] - np.eye(m)[j] for i, j in itertools.combinations(range(m), 2)]).astype(int)
    return rows, coordinates(rows, m)


def b_group(d):
    rows = type_b(d).astype(int)
    return rows, [*coordinates(rows, d), images(rows, lambda row: row * np.array([-1] + [1] * (d - 1)))]


def listed_orbits(arrangement, generators):
    """Sizes of the orbits of the sign vectors."""
    signs = arrangement.sign_vectors().tolist()
    place = {tuple(row): i for i, row in enumerate(signs)}
    moves = []
    for generator in np.array(generators):
        to = np.where(generator < 0, ~generator, generator)
        moved = np.empty_like(signs)
        moved[:, to] = np.array(signs) * np.where(generator < 0, -1, 1)
        moves.append([place[tuple(row)] for row in moved.tolist()])
    sizes, seen = [], [False] * len(signs)
    for start in range(len(signs)):
        orbit = [] if seen[start] else [start]
        seen[start] = True
        for i in orbit:
            for move in moves:
                if not seen[move[i]]:
                    seen[move[i]] = True
                    orbit.append(move[i])
        sizes += [len(orbit)] if orbit else []
    return sizes


FAMILIES = {
    "braid 5": (braid_group(5), 120, 120),
    "B3": (b_group(3), 48, 48),
    "B4": (b_group(4), 384, 384),
    "resonance 4": (resonance_group(4), 120, 370),
    "resonance 5": (resonance_group(5), 720, 11292),
    "threshold 3": (signs_group(4), 384, 104),
    "threshold 4": (signs_group(5), 3840, 1882),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_families_against_listed_orbits(name):
    (rows, generators), order, n_regions = FAMILIES[name]
    arrangement = Arrangement(rows, n_threads=1)
    orbits = arrangement.orbits(generators)
    sizes = listed_orbits(arrangement, generators)
    assert orbits.order == order and f"order {order}" in repr(orbits)
    assert orbits.whitney_numbers == arrangement.whitney_numbers and orbits.n_regions == n_regions == sum(sizes)
    assert orbits.n_orbits == len(sizes)
    if name.startswith(("braid", "B")):
        assert orbits.n_orbits == 1  # reflections take every region to every other


def test_numbers_far_beyond_a_list():
    """OEIS A034997 and A000609; the orbits are self-dual threshold functions up to signs and order (A001532)."""
    rows, generators = resonance_group(7)
    orbits = Arrangement(rows, n_threads=1).orbits(generators)
    assert orbits.n_regions == 347_326_352 and orbits.order == math.factorial(8)
    rows, generators = signs_group(8)
    assert Arrangement(rows, n_threads=1).orbits(generators).n_regions == 8_378_070_864
    found = []
    for d in range(2, 7):
        rows, generators = signs_group(d)
        found.append(Arrangement(rows, n_threads=1).orbits(generators).n_orbits)
    assert found == [1, 2, 3, 7, 21]


@pytest.mark.slow
def test_resonance_8():
    rows, generators = resonance_group(8)
    assert Arrangement(rows, n_threads=1).orbits(generators).n_regions == 419_172_756_930


def test_subgroups_and_no_group():
    rows, generators = resonance_group(4)
    arrangement = Arrangement(rows)
    for some in ([], generators[:1], generators[1:2], generators[:2]):
        orbits = arrangement.orbits(some)
        assert orbits.whitney_numbers == arrangement.whitney_numbers
        assert orbits.n_orbits == len(listed_orbits(arrangement, some))
    X = gaussian(9, 4)
    assert Arrangement(X).orbits([]).n_orbits == Arrangement(X).n_regions
    antipodes = Arrangement(X).orbits([[~j for j in range(9)]])
    assert antipodes.order == 2 and antipodes.n_orbits == Arrangement(X).n_regions // 2


@pytest.mark.parametrize("levels", [(0, 1), (-1, 0, 1), (-1, 1)], ids=["Shi", "Catalan", "semiorder"])
def test_affine_arrangements(levels):
    m = 4
    pairs = [(i, j, c) for i, j in itertools.combinations(range(m), 2) for c in levels]
    A, b = differences(m, levels)
    arrangement = Arrangement(A, b)
    whole = {(i, j, c): k for k, (i, j, c) in enumerate(pairs)}

    def permuted(p, sign=1):
        """x_i becomes sign x_p(i)."""
        result = []
        for *ends, c in pairs:
            i, j = [p[i] for i in ends][::sign]
            result.append(whole[i, j, c] if i < j else ~whole[j, i, -c])
        return result

    generators = [permuted([3, 2, 1, 0], -1)] if 0 in levels else [permuted([1, 0, 2, 3]), permuted([1, 2, 3, 0])]
    if levels == (-1, 0, 1):
        generators += [permuted([1, 0, 2, 3]), permuted([1, 2, 3, 0])]
    orbits = arrangement.orbits(generators)
    assert orbits.whitney_numbers == arrangement.whitney_numbers
    assert orbits.n_bounded_regions == arrangement.n_bounded_regions
    assert orbits.n_orbits == len(listed_orbits(arrangement, generators))


def test_degenerate_rows_and_scales():
    rows = [[0, 0, 0], [1, 0, 0], [0, F(1, 3), 0], [5, 0, 0], [0, 2, 0], [0, 0, 0], [1, 1, 0]]
    arrangement = Arrangement(rows)
    swap = [5, 2, 3, 4, 1, 0, 6]
    orbits = arrangement.orbits([swap])
    assert orbits.order == 4 and orbits.n_regions == arrangement.n_regions == 6
    assert orbits.n_orbits == len(listed_orbits(arrangement, [swap])) == 4
    nothing = Arrangement([[0, 0]]).orbits([])
    assert nothing.n_regions == nothing.n_orbits == nothing.order == 1
    line = Arrangement([[2]]).orbits([[~0]])
    assert line.whitney_numbers == (1, -1) and line.n_orbits == 1


def test_what_is_no_symmetry():
    arrangement = Arrangement([[1, 0], [0, 1], [1, 2]])
    assert arrangement.orbits([[1, 0, 2]]).n_orbits == 4  # a multiple of a row is as good
    for generator in ([1, 2, 0], [1, ~0, 2], [0, 1, ~2]):
        with pytest.raises(ValueError, match=r"generators\[0\] is no symmetry"):
            arrangement.orbits([generator])
    with pytest.raises(ValueError, match=r"generators\[1\] is no symmetry"):
        Arrangement(gaussian(6, 3)).orbits([range(6), [1, 0, 2, 3, 4, 5]])
    with pytest.raises(ValueError, match="arrays of 3 integers"):
        arrangement.orbits([[0, 1]])
    with pytest.raises(ValueError, match="arrays of 3 integers"):
        arrangement.orbits([[0.0, 1.0, 2.0]])
    with pytest.raises(ValueError, match="each of the rows 0"):
        arrangement.orbits([[0, 1, ~1]])
    irrational = Arrangement([[1, 0], [0, 1], [1, 1], [1, 2]]).orbits([[1, 0, 3, 2]])  # fixes u_0 = sqrt(2) u_1
    assert irrational.n_regions == 8
    with pytest.raises(ValueError, match="not rational"):
        _ = irrational.n_orbits
    affine = Arrangement([[1], [1]], [0, 3])
    assert affine.orbits([[~1, ~0]]).n_orbits == 2
    with pytest.raises(ValueError, match="is no symmetry"):  # it would take infinity to a point
        affine.orbits([[1, 0]])


def test_progress():
    told = []
    rows, generators = resonance_group(5)
    assert Arrangement(rows).orbits(generators, callback=told.append).n_regions == 11292
    assert [state["rank"] for state in told] == sorted(state["rank"] for state in told)
    assert told[-1]["rank"] == 4 and all(state["done"] <= state["flats"] for state in told)
    with pytest.raises(TypeError, match="callback must be callable"):
        Arrangement(rows).orbits(generators, callback=1)


def test_groups():
    for d, n_classes in [(1, 1), (4, 5), (6, 11), (7, 15)]:
        generators = [np.array([1, 0, *range(2, d)]), np.roll(np.arange(d), 1)] if d > 1 else []
        group = PermutationGroup(generators, d)
        classes = list(group.classes())
        assert group.order == sum(size for _, size in classes) == math.factorial(d) and len(classes) == n_classes
        assert classes[0][1] == 1 and (classes[0][0] == np.arange(d)).all()
    two = PermutationGroup([np.array([1, 2, 0, 3, 4]), np.array([0, 1, 2, 4, 3])], 5)
    assert two.order == 6 and len(list(two.classes())) == 6
