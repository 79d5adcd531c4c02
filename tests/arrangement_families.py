"""Arrangements with known counts of cells, and random small ones in every kind of degenerate position."""

import itertools
import math

import numpy as np
from hypothesis import strategies as st


def gaussian(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def moment_curve(n, d):
    return np.arange(1.0, n + 1)[:, None] ** np.arange(d)


def braid(m):
    rows = [np.eye(m)[i] - np.eye(m)[j] for i, j in itertools.combinations(range(m), 2)]
    return np.array(rows)[:, :-1]


def type_d(d):
    return np.array([np.eye(d)[i] + s * np.eye(d)[j] for i, j in itertools.combinations(range(d), 2) for s in (1, -1)])


def type_b(d):
    return np.vstack([type_d(d), np.eye(d)])


def f4():
    return np.vstack([2 * type_b(4), np.array(list(itertools.product((1, -1), repeat=4)))[:8]])


def e8():
    signs = np.array([s for s in itertools.product((1, -1), repeat=8) if np.prod(s) == 1 and s[0] == 1])
    return np.vstack([2 * type_d(8), signs])


def e7():
    roots = e8()
    return roots[roots @ np.ones(8) == 0]


def e6():
    roots = e7()
    return roots[roots @ np.array([1, 0, 0, 0, 0, 0, 0, 1]) == 0]


def resonance(d):
    return np.array(list(itertools.product((0, 1), repeat=d)))[1:]


def threshold(d):
    return np.array([(1, *c) for c in itertools.product((0, 1), repeat=d)])


def cross_polytope(d):
    return np.array([(1, *(s * np.eye(d)[i])) for i in range(d) for s in (1, -1)])


def near_pencil(n):
    return np.array([(1, i, 0) for i in range(n - 1)] + [(0, 0, 1)])


def petersen():
    edges = [(i, (i + 1) % 5) for i in range(5)] + [(i, i + 5) for i in range(5)]
    edges += [(5 + i, 5 + (i + 2) % 5) for i in range(5)]
    return np.array([np.eye(10)[i] - np.eye(10)[j] for i, j in edges])


def one_hot_pairs(a, b):
    return np.array([np.concatenate([np.eye(a)[i], np.eye(b)[j]]) for i in range(a) for j in range(b)])


def stirling(n, k):
    return sum((-1) ** (k - j) * math.comb(k, j) * j**n for j in range(k + 1)) // math.factorial(k)


def one_hot_count(a, b):
    return sum(math.factorial(m) ** 2 * stirling(a + 1, m + 1) * stirling(b + 1, m + 1) for m in range(min(a, b) + 1))


def coned(m, offsets):
    """x_i - x_j = c for i < j, with the hyperplane at infinity; half the cells are those of the affine arrangement."""
    rows = [(*(np.eye(m)[i] - np.eye(m)[j])[:-1], -c) for i, j in itertools.combinations(range(m), 2) for c in offsets]
    return np.array([*rows, (*np.zeros(m - 1), 1)])


GOLDEN = (1 + math.sqrt(5)) / 2


def h3():
    rows = [np.eye(3)[i] * 2 for i in range(3)]
    for signs in itertools.product((1, -1), repeat=2):
        for shift in range(3):
            rows.append(np.roll([1, signs[0] * GOLDEN, signs[1] / GOLDEN], shift))
    return np.array(rows)


entries = {
    "signs": st.sampled_from([-1.0, 0.0, 1.0]),
    "bits": st.sampled_from([0.0, 1.0]),
    "integers": st.integers(-6, 6).map(float),
    "eighths": st.integers(-99, 99).map(lambda k: k / 8),
    "floats": st.floats(-1, 1, width=64).filter(lambda x: x == 0 or abs(x) > 1e-3),
    "large": st.integers(-(2**40), 2**40).map(float),
}


@st.composite
def designs(draw, most=8, widest=4):
    n, d = draw(st.integers(1, most)), draw(st.integers(1, widest))
    entry = entries[draw(st.sampled_from(sorted(entries)))]
    rows = [draw(st.lists(entry, min_size=d, max_size=d)) for _ in range(n)]
    X = np.array(rows)
    for _ in range(draw(st.integers(0, 2))):
        i, j = draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1))
        X[i] = draw(st.sampled_from([-2.0, -1.0, 0.0, 1.0, 4.0])) * X[j]
    if d > 1 and draw(st.booleans()):
        X[:, draw(st.integers(0, d - 1))] = draw(st.sampled_from([-1.0, 0.0, 0.5])) * X[:, draw(st.integers(0, d - 1))]
    return X
