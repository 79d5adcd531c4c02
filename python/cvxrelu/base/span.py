"""The span of a few columns of any sizes and offsets, such as an intercept beside times: which of them are independent.

Pivoted Gram-Schmidt, each column twice, over columns that powers of two have brought to one size. What is left of a
column is compared with that column alone, so that its unit does not matter, and with rounding that does not grow with
the rows: a basis vector has errors relative to its entries, and the longest remainder is taken first, so that errors of
a short one (relative to it) meet no column of which more than that is left. Columns of one value go first: what is left
of the others beside them is exact, since numbers within a factor of two have an exact difference (Sterbenz).
"""

from __future__ import annotations

import numpy as np

from .arrays import FloatArray

_ROUNDING = 4 * np.finfo(np.float64).eps  # for each basis vector, of what is left of a column beside its length


class Span:
    """An orthonormal basis of columns, and the way back to them.

    Parameters
    ----------
    columns : ndarray of shape (n, q)
        Finite columns.

    Attributes
    ----------
    basis : ndarray of shape (n, r)
        Orthonormal columns with the same span, Fortran-ordered.
    """

    def __init__(self, columns: FloatArray) -> None:
        n, q = columns.shape
        self._orders = np.frexp(np.abs(columns).max(axis=0, initial=0.0))[1]
        rest = np.ldexp(columns, -self._orders)
        lengths = np.linalg.norm(rest, axis=0)
        constant = (rest == rest[:1]).all(axis=0)
        self.basis = np.zeros((n, 0), order="F")
        self._triangle = np.zeros((q, q))  # row k: what the columns have of basis vector k
        self._chosen: list[int] = []
        while len(self._chosen) < min(n, q):
            left = np.linalg.norm(rest, axis=0) / np.where(lengths > 0, lengths, 1)
            left[self._chosen] = 0
            if left.max() <= _ROUNDING * (len(self._chosen) + 1):
                break
            first = left * (constant & (left == 1))
            self._take(int(np.argmax(first if first.any() else left)), rest)

    def _take(self, column: int, rest: FloatArray) -> None:
        """Make what is left of a column the next basis vector, and take it out of the others."""
        rank = len(self._chosen)
        vector = rest[:, column]
        for _ in range(2):
            vector = vector / np.linalg.norm(vector)
            vector = vector - self.basis @ (self.basis.T @ vector)
        vector /= np.linalg.norm(vector)
        self.basis = np.asfortranarray(np.column_stack([self.basis, vector]))
        self._chosen.append(column)
        for _ in range(2):
            shares = vector @ rest
            self._triangle[rank] += shares
            rest -= np.outer(vector, shares)

    def without(self, values: FloatArray) -> FloatArray:
        """Return what of the columns of `values` is orthogonal to the span, to rounding of what is returned."""
        for _ in range(2 if self.basis.size else 0):
            values = values - self.basis @ (self.basis.T @ values)
        return np.asfortranarray(values)

    def coefficients(self, amounts: FloatArray) -> FloatArray:
        """Return coefficients (q, c) of the columns from those of the basis, (r, c); 0 for columns not needed.

        They are infinite where float64 does not hold them.
        """
        rank = len(self._chosen)
        rest, solved = amounts.copy(), np.zeros_like(amounts)
        triangle = self._triangle[:rank, self._chosen]
        for k in reversed(range(rank)):
            solved[k] = rest[k] / triangle[k, k]
            rest[:k] -= np.outer(triangle[:k, k], solved[k])
        coefficients = np.zeros((self._triangle.shape[0], amounts.shape[1]))
        coefficients[self._chosen] = solved
        with np.errstate(over="ignore"):
            return np.asarray(np.ldexp(coefficients, -self._orders[:, None]))
