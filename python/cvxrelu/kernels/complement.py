"""The orthogonal complement of a vector, in coordinates: what is left of a kernel beside an intercept."""

from __future__ import annotations

import numpy as np

from ..base.arrays import FloatArray

_ROWS = 1 << 10  # of a kernel that are changed at a time


class Complement:
    """The vectors orthogonal to one, in coordinates of an orthonormal basis: all but the first row of a reflection.

    The Householder reflection H that takes the vector to the first axis has the complement of that axis as the image
    of the complement of the vector. So K beside an intercept, ``min_b`` over targets y - b v, is the last n - 1 rows
    and columns of H K H, whatever the condition of K.

    Parameters
    ----------
    vector : ndarray of shape (n,)
        The vector, not zero.
    """

    def __init__(self, vector: FloatArray) -> None:
        normal = vector / np.linalg.norm(vector)
        normal[0] += np.copysign(1.0, normal[0])
        self._normal = normal / np.linalg.norm(normal)

    def of_symmetric(self, K: FloatArray) -> FloatArray:
        """Return a symmetric matrix, which is overwritten, on the complement."""
        v = self._normal
        image = 2 * (K @ v)
        image -= (v @ image) * v
        for first in range(0, v.size, _ROWS):
            rows = slice(first, first + _ROWS)
            K[rows] -= np.outer(v[rows], image)
            K[rows] -= np.outer(image[rows], v)
        return np.ascontiguousarray(K[1:, 1:])

    def coordinates(self, columns: FloatArray) -> FloatArray:
        """Return the coordinates (n - 1, c) of the parts of columns (n, c) in the complement."""
        return np.asarray((columns - 2 * np.outer(self._normal, self._normal @ columns))[1:], order="F")

    @property
    def normal(self) -> FloatArray:
        """The coordinates (n - 1,) of the reflection's normal but for its first, for :meth:`inverse_diagonal`."""
        return np.asarray(self._normal[1:])

    def inverse_diagonal(self, diagonal: FloatArray, of_normal: FloatArray) -> FloatArray:
        """Return the diagonal (n,) of V A^-1 V', V a basis of the complement, A symmetric in its coordinates.

        It takes the diagonal of A^-1, and A^-1 times `normal`: V' e_j is e_j - 2 v_j v without their first entries.
        """
        v = self._normal
        whole = 4 * v**2 * (v[1:] @ of_normal)
        whole[1:] += diagonal - 4 * v[1:] * of_normal
        return np.asarray(whole)

    def vectors(self, coordinates: FloatArray) -> FloatArray:
        """Return the vectors (n, c) of the complement with these coordinates."""
        v = self._normal
        vectors = -2 * np.outer(v, v[1:] @ coordinates)
        vectors[1:] += coordinates
        return vectors
