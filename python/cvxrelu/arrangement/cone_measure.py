"""Gaussian measure of all or some cells of an arrangement."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..patterns.measure import ConeMeasure, measure_cells
from ..patterns.patterns import ActivationPatterns
from ..rows.rows import is_dask
from .enumerate import enumerate_patterns


def cone_measure(
    X: npt.ArrayLike,
    patterns: ActivationPatterns | None = None,
    *,
    method: str = "auto",
    n_draws: int = 1_000_000,
    random_state: Any = None,
    n_threads: int | None = None,
) -> ConeMeasure:
    """Compute P[h in K_i] for standard Gaussian h and the cells K_i = {u : 1[X u >= 0] = mask i}.

    These are the weights with which masks average to the neural tangent kernel,
    ``sum_i P[h in K_i] mask_i mask_i' * X X' = NTK``. Over all cells they sum to one, with the zero mask's share.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        The data matrix that the patterns belong to.
    patterns : ActivationPatterns, optional
        All or some of its cells, with gates inside. By default all, in the order of :func:`enumerate_patterns`; of a
        dask array they are measured on the workers that find them.
    method : {"auto", "exact", "quadrature", "sample"}
        "exact": angles for rank 2 and areas of spherical polygons for rank 3 of X; lower ranks are trivial.
        "quadrature": volumes of spherical polytopes for rank 4 and 5, by orthoschemes and adaptive quadrature, good to
        some 1e-13; time is proportional to n_samples^3 and n_samples^4 for each pattern. "sample": frequencies of
        Gaussian vectors and their negatives, for any rank. "auto": the first of these that there is for the rank, but
        "sample" where quadrature would take many seconds. The rank is the numerical one: a direction that float64
        hardly sees changes no measure by more than `errors` say.
    n_draws : int
        Vectors to draw by "sample".
    random_state : None, int, numpy.random.Generator or RandomState
        Source of the draws.
    n_threads : int, optional
        Threads; by default what OpenMP would take. The result does not depend on it.

    Returns
    -------
    ConeMeasure
        Probabilities and their errors.

    Raises
    ------
    ValueError
        For shapes that do not fit, an unknown method, "exact" where the rank of X is above 3, or "quadrature" where it
        is not 4 or 5.
    """
    if is_dask(X):
        from .cluster import measure_all

        if patterns is None:
            return measure_all(X, method=method, n_draws=n_draws, random_state=random_state, n_threads=n_threads)
        X = np.asarray(X)
    if patterns is None:
        patterns = enumerate_patterns(X, certify=False, n_threads=n_threads)
    return measure_cells(X, patterns, method=method, n_draws=n_draws, random_state=random_state, n_threads=n_threads)
