"""The graph of the regions of an arrangement: neighbours, facets, distances."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import WordArray


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class TopeGraph:
    """Which regions lie on either side of a common facet.

    Made by :meth:`Arrangement.tope_graph`.

    Attributes
    ----------
    edges : ndarray of shape (n_edges, 2), int32
        Regions, the one on the positive side of the hyperplane between them first.
    crossed : ndarray of shape (n_edges,), int32
        The hyperplane between them, by the first row that gives it.
    words : ndarray of shape (n_regions, n_words), uint64
        Patterns of the regions.
    hyperplanes : ndarray of shape (n_hyperplanes, n_words), uint64
        The rows that give each hyperplane, as masks; which are those of `rows`.
    rows : ndarray of shape (n_hyperplanes,), int32
        The first row of each hyperplane.
    """

    edges: npt.NDArray[np.int32]
    crossed: npt.NDArray[np.int32]
    words: WordArray
    hyperplanes: WordArray
    rows: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.edges)

    def __repr__(self) -> str:
        return f"TopeGraph({len(self.words)} regions, {len(self)} edges, {len(self.rows)} hyperplanes)"

    @property
    def n_facets(self) -> npt.NDArray[np.int64]:
        """How many facets every region has: its degree."""
        return np.bincount(self.edges.ravel(), minlength=len(self.words))

    def facets(self, region: int) -> npt.NDArray[np.int32]:
        """Return the hyperplanes that a region has facets on, by their first rows, in increasing order."""
        found: npt.NDArray[np.int32] = np.sort(self.crossed[(self.edges == region).any(axis=1)])
        return found

    def adjacency(self) -> Any:
        """Return a symmetric sparse matrix (SciPy's, CSR) with a 1 where two regions are neighbours."""
        from scipy.sparse import coo_array  # here: the package itself needs NumPy only

        first, second = self.edges.T
        ones = np.ones(2 * len(self.edges), dtype=np.int8)
        ends = np.concatenate([first, second]), np.concatenate([second, first])
        return coo_array((ones, ends), shape=(len(self.words), len(self.words))).tocsr()

    def distance(self, first: npt.ArrayLike, second: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return how many hyperplanes separate regions, which is also their distance in the graph.

        Parameters
        ----------
        first, second : int or array_like of int
            Regions, broadcast against each other.

        Returns
        -------
        ndarray of int
        """
        representatives = np.zeros(64 * self.words.shape[1], dtype=np.uint8)
        representatives[self.rows] = 1
        mask = np.packbits(representatives, bitorder="little").view("<u8").astype(np.uint64)
        differ = (self.words[np.asarray(first)] ^ self.words[np.asarray(second)]) & mask
        return np.asarray(np.bitwise_count(differ).sum(axis=-1, dtype=np.int64))
