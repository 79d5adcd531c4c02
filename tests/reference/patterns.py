"""Activation patterns in rational arithmetic, one dot product at a time."""

from fractions import Fraction

import numpy as np


def exact_sign(a, b):
    """Sign of the exact dot product of two float vectors."""
    value = sum((Fraction(float(s)) * Fraction(float(t)) for s, t in zip(a, b, strict=True)), Fraction(0))
    return (value > 0) - (value < 0)


def masks(X, gates):
    """Boolean (n, p): x_j . g_i >= 0, exactly."""
    return np.array([[exact_sign(x, g) >= 0 for g in gates] for x in X], dtype=bool).reshape(len(X), len(gates))


def words(dense):
    """Pack a boolean (n, p) array bit by bit: uint64 of shape (p, ceil(n / 64))."""
    n, p = dense.shape
    packed = np.zeros((p, (n + 63) // 64), dtype=np.uint64)
    for i in range(p):
        for j in range(n):
            if dense[j, i]:
                packed[i, j // 64] |= np.uint64(1) << np.uint64(j % 64)
    return packed


def merge(dense):
    """Distinct columns in the order of their first appearance: list of lists of column indices."""
    groups = {}
    for i in range(dense.shape[1]):
        groups.setdefault(dense[:, i].tobytes(), []).append(i)
    return list(groups.values())
