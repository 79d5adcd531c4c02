"""Enumeration of all activation patterns: known counts, exact oracles, degeneracy, streaming, errors."""

from __future__ import annotations

import math
import pickle
import warnings
from fractions import Fraction

import cvxrelu
import numpy as np
import pytest
from arrangement_families import (
    braid,
    coned,
    cross_polytope,
    designs,
    e6,
    e7,
    e8,
    f4,
    gaussian,
    h3,
    moment_curve,
    near_pencil,
    one_hot_count,
    one_hot_pairs,
    petersen,
    resonance,
    threshold,
    type_b,
    type_d,
)
from cvxrelu import count_patterns, enumerate_patterns, iter_patterns, pattern_bound
from cvxrelu.arrangement.cells import count_part, list_part
from cvxrelu.arrangement.problem import prepare
from cvxrelu.base.native import core
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import arrangement as reference
from reference import cone as cone_reference

pytestmark = pytest.mark.filterwarnings("ignore:.*exact decisions find cells that only rounding makes")

# ---- families with known counts ----

f = math.factorial

FAMILIES = {
    "gaussian 1x1": (lambda: gaussian(1, 1), 2),
    "gaussian 12x4": (lambda: gaussian(12, 4), 464),
    "gaussian 30x5": (lambda: gaussian(30, 5), 55682),
    "gaussian 5x8": (lambda: gaussian(5, 8), 32),
    "gaussian 9x9": (lambda: gaussian(9, 9), 512),
    "gaussian 12x7": (lambda: gaussian(12, 7), pattern_bound(12, 7)),
    "gaussian 200x3": (lambda: gaussian(200, 3), pattern_bound(200, 3)),
    "gaussian 1500x2": (lambda: gaussian(1500, 2), 3000),
    "moment curve 20x4": (lambda: moment_curve(20, 4), pattern_bound(20, 4)),
    "moment curve 12x6": (lambda: moment_curve(12, 6), pattern_bound(12, 6)),
    "boolean 8": (lambda: np.eye(8), 2**8),
    "braid 6": (lambda: braid(6), f(6)),
    "braid 7": (lambda: braid(7), f(7)),
    "B2": (lambda: type_b(2), 8),
    "B5": (lambda: type_b(5), 2**5 * f(5)),
    "D4": (lambda: type_d(4), 2**3 * f(4)),
    "D5": (lambda: type_d(5), 2**4 * f(5)),
    "F4": (f4, 1152),
    "E6": (e6, 51840),
    "resonance 4": (lambda: resonance(4), 370),
    "resonance 5": (lambda: resonance(5), 11292),
    "threshold 4": (lambda: threshold(4), 1882),
    "threshold 5": (lambda: threshold(5), 94572),
    "cross-polytope 4": (lambda: cross_polytope(4), 2 * 3**4 - 2**4),
    "near-pencil 12": (lambda: near_pencil(12), 44),
    "petersen": (petersen, 16680),
    "one-hot 3x3": (lambda: one_hot_pairs(3, 3), one_hot_count(3, 3)),
    "one-hot 5x4": (lambda: one_hot_pairs(5, 4), 41506),
    "Shi 4": (lambda: coned(4, (0, 1)), 2 * 5**3),
    "Catalan 4": (lambda: coned(4, (-1, 0, 1)), 2 * f(4) * 14),
    "Linial 5": (lambda: coned(5, (1,)), 2 * 246),
    "semiorder 4": (lambda: coned(4, (-1, 1)), 2 * 183),
}
SLOW_FAMILIES = {
    "gaussian 40x6": (lambda: gaussian(40, 6), 1335856),
    "gaussian 1000x3": (lambda: gaussian(1000, 3), 999002),
    "gaussian 20x10": (lambda: gaussian(20, 10), 524288),
    "gaussian 17x14": (lambda: gaussian(17, 14), pattern_bound(17, 14)),
    "braid 9": (lambda: braid(9), f(9)),
    "E7": (e7, 2903040),
    "resonance 6": (lambda: resonance(6), 1066044),
    "threshold 6": (lambda: threshold(6), 15028134),
    "one-hot 4x6": (lambda: one_hot_pairs(4, 6), 237686),
    "Linial 6": (lambda: coned(6, (1,)), 2 * 2104),
    "semiorder 5": (lambda: coned(5, (-1, 1)), 2 * 2371),
}


def iris():
    from sklearn.datasets import load_iris

    return np.rint(10 * load_iris().data)


SLOW_FAMILIES["iris"] = (iris, 1066478)
STREAMED_FAMILIES = {"resonance 7": (lambda: resonance(7), 347326352), "E8": (e8, 696729600)}


def assert_right(X, patterns, count):
    """The count, distinct patterns, antipodes, and gates inside their cells by independent exact arithmetic."""
    X = np.asarray(X, dtype=float)
    assert len(patterns) == count
    assert len(np.unique(patterns.words, axis=0)) == count
    certificate = patterns.certificate
    assert certificate.complete and certificate.n_cells == certificate.n_verified == count
    masks = patterns.to_dense()
    nonzero = X.any(axis=1)
    assert (masks[nonzero, ::2] != masks[nonzero, 1::2]).all() and masks[~nonzero].all()
    np.testing.assert_array_equal(patterns.gates[::2], -patterns.gates[1::2])
    rows = reference.exact_rows(X)
    for i in np.random.default_rng(0).choice(count, min(count, 10), replace=False):
        gate = [Fraction(float(g)) for g in patterns.gates[i]]
        dots = [sum(a * b for a, b in zip(row, gate, strict=True)) for row in rows]
        assert all(dot != 0 for dot, live in zip(dots, nonzero, strict=True) if live)
        assert [dot >= 0 for dot in dots] == masks[:, i].tolist()


@pytest.mark.parametrize("name", FAMILIES)
def test_known_counts(name):
    make, count = FAMILIES[name]
    assert_right(make(), enumerate_patterns(make(), n_threads=1), count)
    assert count_patterns(make(), n_threads=2) == count


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW_FAMILIES)
def test_known_counts_of_large_families(name):
    make, count = SLOW_FAMILIES[name]
    assert_right(make(), enumerate_patterns(make()), count)


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMED_FAMILIES)
def test_known_counts_without_storing(name):
    make, count = STREAMED_FAMILIES[name]
    assert count_patterns(make()) == count


# ---- exact oracles ----


def found(X, **settings_):
    patterns = enumerate_patterns(X, n_threads=1, **settings_)
    masks = patterns.to_dense()
    result = {tuple(masks[:, i].tolist()) for i in range(len(patterns))}
    assert len(result) == len(patterns)
    assert patterns.certificate.complete
    return result


@settings(max_examples=150)
@given(designs())
def test_agrees_with_exact_insertion(X):
    assert found(X) == reference.patterns(X)


@settings(max_examples=40)
@given(designs(most=6, widest=3))
def test_agrees_with_exact_elimination(X):
    assert found(X) == reference.patterns_by_elimination(X)


def test_oracles_see_small_coefficients():
    """Linear programs in floating point do not: HiGHS takes a coefficient of 1e-9 for zero, and finds 4 cells."""
    X = np.array([[1, 0], [1, 1e-9], [1, 2e-9]])
    assert len(reference.patterns(X)) == len(reference.patterns_by_elimination(X)) == 6
    assert cone_reference.cells(X).shape == (3, 6)
    assert found(X) == reference.patterns(X)


@settings(max_examples=60)
@given(designs(most=7, widest=3), st.data())
def test_extreme_scales_change_nothing(X, data):
    exponents = data.draw(st.lists(st.integers(-500, 500), min_size=len(X), max_size=len(X)))
    assert found(np.ldexp(X, np.array(exponents)[:, None])) == found(X)


@settings(max_examples=40)
@given(designs(most=6, widest=3), st.sampled_from([1e150, 1e-150]), st.integers(0, 63))
def test_decimal_scales_are_exact_for_what_they_round_to(X, scale, which):
    Y = X.copy()
    Y[[bool(which >> j & 1) for j in range(len(X))]] *= scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rounding makes cells without a float64 gate
        masks = enumerate_patterns(Y).to_dense()
    assert {tuple(mask) for mask in masks.T.tolist()} == reference.patterns(Y)


@settings(max_examples=80)
@given(designs(most=6, widest=4), st.integers(0, 2**32 - 1))
def test_near_degenerate_floats_are_decided(X, seed):
    """A sum of rows, moved by one unit in the last place, is no longer in their plane."""
    rng = np.random.default_rng(seed)
    row = X[rng.integers(len(X))] + X[rng.integers(len(X))]
    k = rng.integers(X.shape[1])
    row[k] = np.nextafter(row[k], rng.choice([-np.inf, np.inf]))
    if row[k] == 0 or abs(row[k]) > 1e-300:
        Y = np.vstack([X, row])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some of these cells hold no float64 gate
            masks = enumerate_patterns(Y).to_dense()
        assert {tuple(mask.tolist()) for mask in masks.T} == reference.patterns(Y)
        assert masks.shape[1] == len(reference.patterns(Y))


@settings(max_examples=60)
@given(designs(most=14, widest=6), st.booleans(), st.integers(0, 2**32 - 1))
def test_masks_alone_are_those_that_come_with_gates(X, moved, seed):
    """Without gates the search takes two elements at once where it can, and must see when it cannot."""
    if moved:
        rng = np.random.default_rng(seed)
        X = np.nextafter(X @ rng.standard_normal((X.shape[1], X.shape[1])), rng.choice([-np.inf, np.inf], X.shape))
    expected = enumerate_patterns(X, certify=False).words
    for threads in (1, 2):
        words, done = np.empty((len(expected) + 2, expected.shape[1]), dtype=np.uint64), 0
        cells = core.Arrangement(np.ascontiguousarray(X, dtype=float), 0.0, False)
        if cells.rank == 0:
            return
        while not cells.finished:
            words = np.vstack([words, np.empty((cells.room, words.shape[1]), dtype=np.uint64)])
            done += cells.fill(words[done:], np.empty((0, 0)), threads)
        np.testing.assert_array_equal(words[:done], expected)


def test_cell_without_any_float_gate():
    X = np.array([[1, 1], [1, 1 - 2.0**-53]])
    with pytest.warns(UserWarning, match="2 of 4 cells are so thin"):
        patterns = enumerate_patterns(X)
    assert len(patterns) == 4 and patterns.certificate.n_verified == 2 and not patterns.certificate.complete
    assert len(enumerate_patterns(X, certify=False)) == 4


def test_one_ulp_apart():
    X = gaussian(8, 3, seed=5)
    Y = np.vstack([X, np.nextafter(X[0], np.inf)])
    patterns = enumerate_patterns(Y)
    assert_right(Y, patterns, pattern_bound(9, 3))
    assert patterns.certificate.n_exact_fallbacks > 0


def exact_determinant(A):
    rows, determinant = [[Fraction(float(x)) for x in row] for row in A], Fraction(1)
    for k in range(len(rows)):
        pivot = next((i for i in range(k, len(rows)) if rows[i][k]), None)
        if pivot is None:
            return Fraction(0)
        if pivot != k:
            rows[k], rows[pivot], determinant = rows[pivot], rows[k], -determinant
        determinant *= rows[k][k]
        for i in range(k + 1, len(rows)):
            factor = rows[i][k] / rows[k][k]
            rows[i] = [x - factor * y for x, y in zip(rows[i], rows[k], strict=True)]
    return determinant


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 9, 16, 17])
def test_determinants_that_floating_point_tells(size):
    rng = np.random.default_rng(size)
    told = 0
    for trial in range(12):
        A = rng.standard_normal((size, size))
        if trial % 3 == 1 and size > 1:  # dependent but for some bits of one entry, down to the last one
            A[-1] = A[:-1].sum(axis=0)
            A[0, 0] += 2.0 ** (trial - 60)
        if trial % 3 == 2:  # integers, often dependent
            A = rng.integers(-1, 2, (size, size)).astype(float)
        determinant, sign = exact_determinant(A), core.testing.filtered_determinant_sign(A)
        assert sign in (0, (determinant > 0) - (determinant < 0))
        assert trial % 3 or sign != 0
        told += sign != 0
    assert told >= 4
    assert core.testing.filtered_determinant_sign(np.zeros((size, size))) == 0
    for spoilt in (np.nan, np.inf, 1e308):
        A = np.eye(size)
        A[0, -1] = spoilt
        assert core.testing.filtered_determinant_sign(A) in (0, 1)


def test_high_ranks_need_few_exact_decisions():
    patterns = enumerate_patterns(gaussian(18, 16))
    assert len(patterns) == pattern_bound(18, 16) and patterns.certificate.complete
    assert patterns.certificate.n_exact_fallbacks < 100  # 2,117 without floating-point determinants


@pytest.mark.parametrize("scale", [30, 1000, 10**6, 2**40])
@pytest.mark.parametrize(
    "make, count", [(lambda: resonance(4), 370), (lambda: threshold(4), 1882), (lambda: type_d(5), 1920)]
)
def test_every_arithmetic_sees_the_same_degeneracy(make, count, scale):
    """Mixing the columns keeps all ranks but makes minors large: single, double, paired lanes, floating point."""
    X = make()
    rng = np.random.default_rng(scale % 97)
    mixed = X @ rng.integers(-scale, scale, (X.shape[1], X.shape[1])).astype(float)
    assert_right(mixed, enumerate_patterns(mixed), count)


def test_all_four_arithmetics_occur():
    X = resonance(4)
    mixes = [np.eye(4), np.random.default_rng(0).integers(-30, 30, (4, 4)).astype(float)]
    mixes += [np.random.default_rng(0).integers(-s, s, (4, 4)).astype(float) for s in (10**4, 10**9)]
    names = [enumerate_patterns(X @ mix).certificate.arithmetic for mix in mixes]
    assert len(set(names)) == 4


# ---- invariances ----


def test_invariances():
    X = gaussian(9, 3)
    base = found(X)
    rng = np.random.default_rng(3)
    assert found(X * 2.0 ** rng.integers(-30, 30, (9, 1))) == base
    assert found(X[:, [2, 0, 1]]) == base
    assert found(np.hstack([X, X[:, :1]])) == base
    order = rng.permutation(9)
    assert {tuple(np.array(p)[order].tolist()) for p in base} == found(X[order])
    doubled = np.vstack([X, X[:2], -4 * X[2:3], np.zeros((1, 3))])
    assert found(doubled) == {(*p, p[0], p[1], not p[2], True) for p in base}


def test_integer_column_mixing():
    X = np.random.default_rng(1).integers(-4, 5, (9, 4)).astype(float)
    assert found(X @ np.array([[1.0, 2, 0, 0], [0, 1, -3, 0], [0, 0, 1, 5], [0, 0, 0, 1]])) == found(X)


def test_threads_change_nothing():
    for X in (gaussian(40, 4), resonance(5), gaussian(20, 3) @ np.diag([1, 1, 1e-9])):
        one, three = (enumerate_patterns(X, n_threads=k) for k in (1, 3))
        np.testing.assert_array_equal(one.words, three.words)
        np.testing.assert_array_equal(one.gates, three.gates)
        assert one.certificate == three.certificate


@pytest.mark.parametrize("chunk", [2, 7, 1000, 10**6])
@pytest.mark.parametrize("X", [np.round(gaussian(18, 4) * 8) / 8, resonance(5)])
def test_stream_is_the_same(X, chunk):
    whole = enumerate_patterns(X, n_threads=1)
    pieces = list(iter_patterns(X, chunk=chunk, n_threads=3))
    assert max(map(len, pieces)) <= chunk
    np.testing.assert_array_equal(np.vstack([p.words for p in pieces]), whole.words)
    np.testing.assert_array_equal(np.vstack([p.gates for p in pieces]), whole.gates)
    assert pieces[-1].certificate == whole.certificate


@pytest.mark.parametrize(
    "make", [lambda: gaussian(40, 4), lambda: resonance(5), lambda: gaussian(6, 3), lambda: np.zeros((3, 2))]
)
@pytest.mark.parametrize("of", [1, 3])
def test_parts_have_all_cells_between_them(make, of):
    X = make()
    whole, problem = enumerate_patterns(X), prepare(X, None, None)
    parts = [list(list_part(problem, index, of, 1000, True, 1)) for index in range(of)]
    assert max(len(piece) for pieces in parts for piece in pieces) <= 1000
    for index, pieces in enumerate(parts):
        assert sum(map(len, pieces)) == count_part(problem, index, of, 1)[0]
        assert all(piece.certificate.complete for piece in pieces)
    words = np.vstack([piece.words for pieces in parts for piece in pieces])
    gates = np.vstack([piece.gates for pieces in parts for piece in pieces])
    np.testing.assert_array_equal(words, whole.words)
    np.testing.assert_array_equal(gates, whole.gates)


def test_parts_of_many_cells_are_of_similar_size():
    problem = prepare(gaussian(40, 5), None, None)
    sizes = [count_part(problem, index, 4, 1)[0] for index in range(4)]
    assert sum(sizes) == pattern_bound(40, 5) and max(sizes) < 1.3 * min(sizes)


def test_a_part_must_be_one_of_the_parts():
    for index, of in [(2, 2), (-1, 2), (0, 0)]:
        with pytest.raises(ValueError, match="part must be below"):
            count_part(prepare(np.eye(3), None, None), index, of, 1)
    cells = core.Arrangement(gaussian(5, 2), 0.0, True)
    cells.count(100, 1)
    with pytest.raises(ValueError, match="already"):
        cells.restrict(0, 2)


# ---- modes ----


def test_decimals_see_the_degeneracy_that_was_meant():
    X = np.array([[0.1, 0.2], [0.3, 0.6], [0.7, 0.1], [0.2, 0.3]])  # 0.3 / 0.6 is not 0.1 / 0.2 in binary
    assert count_patterns(X, decimals=1) == 6
    assert count_patterns(X) == 2 * len({Fraction(a) / Fraction(b) for a, b in X})
    exact = enumerate_patterns(np.rint(10 * X))
    rounded = enumerate_patterns(X, decimals=1)
    np.testing.assert_array_equal(rounded.words, exact.words)
    assert rounded.certificate.mode == "decimals" and rounded.certificate.complete


def test_tolerance_mode():
    assert count_patterns(h3(), tol=1e-9) == 120
    patterns = enumerate_patterns(h3(), tol=1e-9)
    assert not patterns.certificate.complete and patterns.certificate.mode == "tol"
    assert count_patterns(gaussian(12, 4), tol=1e-10) == 464


@pytest.mark.parametrize("n_threads", [1, 2])
def test_signs_that_a_tolerance_decides_inconsistently_are_an_error(n_threads):
    rng = np.random.default_rng(0)
    X = np.repeat(rng.standard_normal((6, 2)), 3, axis=0) + 0.03 * rng.standard_normal((18, 2))
    with pytest.raises(ValueError, match="no arrangement"):
        enumerate_patterns(X, tol=0.1, n_threads=n_threads)
    assert len(enumerate_patterns(X, tol=1e-9)) == len(enumerate_patterns(X)) == 36


def test_no_hyperplanes():
    patterns = enumerate_patterns(np.zeros((70, 2)))
    assert len(patterns) == count_patterns(np.zeros((70, 2))) == 1
    assert patterns.to_dense().all() and patterns.certificate.complete
    assert [len(p) for p in iter_patterns(np.zeros((3, 2)))] == [1]


def test_without_certificate_the_same_patterns():
    X = gaussian(14, 4)
    plain, checked = enumerate_patterns(X, certify=False), enumerate_patterns(X)
    np.testing.assert_array_equal(plain.words, checked.words)
    np.testing.assert_array_equal(plain.gates, checked.gates)
    assert plain.certificate.n_verified == 0


def test_result_is_plain_data():
    patterns = enumerate_patterns(gaussian(6, 2))
    again = pickle.loads(pickle.dumps(patterns))
    np.testing.assert_array_equal(again.words, patterns.words)
    assert again.certificate == patterns.certificate
    np.testing.assert_array_equal(patterns.activations(gaussian(6, 2)), patterns.to_dense())


# ---- errors ----


@pytest.mark.parametrize(
    "X, message",
    [
        (np.array([[1.0, np.nan]]), "X\\[0, 1\\] is nan"),
        (np.array([[1.0], [np.inf]]), "X\\[1, 0\\] is inf"),
        (np.zeros((0, 3)), "empty"),
        (np.zeros(3), "n_samples, n_features"),
        (np.eye(63), "rank at most 62"),
    ],
)
def test_bad_matrices(X, message):
    for function in (enumerate_patterns, count_patterns, iter_patterns):
        with pytest.raises(ValueError, match=message):
            result = function(X)
            next(result)  # the rank is known only when the stream starts


def test_bad_settings():
    X = np.eye(2)
    with pytest.raises(ValueError, match="exclude each other"):
        enumerate_patterns(X, decimals=1, tol=1e-9)
    with pytest.raises(ValueError, match="tol must be"):
        enumerate_patterns(X, tol=0.0)
    with pytest.raises(ValueError, match="fewer"):
        enumerate_patterns(X * 1e10, decimals=12)
    with pytest.raises(ValueError, match="max_patterns"):
        enumerate_patterns(X, max_patterns=0)
    with pytest.raises(ValueError, match="chunk"):
        iter_patterns(X, chunk=1)


def test_too_many_patterns_are_refused_first():
    with pytest.raises(cvxrelu.ArrangementTooLargeError, match=r"464 patterns.*max_patterns is 463"):
        enumerate_patterns(gaussian(12, 4), max_patterns=463)
    assert len(enumerate_patterns(gaussian(12, 4), max_patterns=464)) == 464
    assert len(enumerate_patterns(resonance(4), max_patterns=370)) == 370  # the bound is 940
    with pytest.raises(MemoryError, match=r"at least \d+ and at most"):
        enumerate_patterns(gaussian(200, 5), max_patterns=9000)
    with pytest.raises(MemoryError, match=f"at least {142 * 2**59} and at most"):
        enumerate_patterns(gaussian(200, 60), max_patterns=1000)  # one part of the search would take for ever
    with pytest.raises(cvxrelu.ArrangementTooLargeError, match="too many to count"):
        count_patterns(gaussian(400, 20))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("n, d", [(60, 14), (200, 9)])
def test_counting_stops_within_a_part_of_the_search(n, d, threads):
    cells = core.Arrangement(gaussian(n, d), 0.0, False)
    assert 10**6 < cells.count(10**6, threads) < 10**7
    assert not cells.finished


def test_a_stopped_search_does_not_go_on():
    cells = core.Arrangement(gaussian(40, 8), 0.0, False)
    assert 2 * 10**5 < cells.count(2 * 10**5, 1) < 10**6
    with pytest.raises(ValueError, match="stopped"):
        cells.count(10**6, 1)


def test_too_little_memory_is_seen_first(monkeypatch):
    monkeypatch.setattr("cvxrelu.arrangement.cells.available_memory", lambda: 10_000)
    with pytest.raises(MemoryError, match="fit into memory"):
        enumerate_patterns(gaussian(12, 4))


def test_denormals_are_exact():
    X = np.round(gaussian(7, 3) * 8) * 5e-324
    assert found(X) == found(np.round(gaussian(7, 3) * 8))


def test_pattern_bound():
    assert pattern_bound(20, 10) == 524288
    assert pattern_bound(5, 9) == 32 and pattern_bound(0, 3) == pattern_bound(3, 0) == 1
    assert pattern_bound(400, 20) > 2**64
    with pytest.raises(ValueError, match="rank"):
        pattern_bound(3, -1)


def test_border_refuses_wrong_arrays():
    cells = core.Arrangement(gaussian(5, 2), 0.0, True)
    gates = np.empty((10, 2))
    with pytest.raises(ValueError, match="words"):
        cells.fill(np.empty((10, 2), dtype=np.uint64), gates, 1)
    with pytest.raises(ValueError, match="gates"):
        cells.fill(np.empty((10, 1), dtype=np.uint64), np.empty((9, 2)), 1)
    with pytest.raises(TypeError):
        cells.fill(np.empty((10, 1)), gates, 1)
    assert cells.fill(np.empty((10, 1), dtype=np.uint64), gates, 1) == 10 and cells.finished
