"""Counting the cells of an arrangement on a cluster.

Adding row j to rows 1, ..., j - 1 splits the cells that hyperplane j meets, one for each cell of the arrangement that
the rows before cut out of it. So there are 1 + sum_j r_j cells, r_j the number of those, and 0 where row j is zero or
parallel to an earlier one (deletion and restriction; Zaslavsky, 1975). Every r_j is a task of its own, and its cells
are counted where they are found.
"""

from __future__ import annotations

from typing import Any

import dask
import numpy as np

from ._native import core
from ._validation import FloatArray, as_design

_LIMIT = (1 << 63) - 1


def count_patterns(X: Any, n_threads: int | None = None) -> int:
    """As :func:`cvxrelu.count_patterns`, exactly on the numbers given; one thread to a task unless told otherwise."""
    data = as_design(dask.compute(X)[0])
    shared = dask.delayed(data, pure=False)
    # The last rows' tasks are the largest: they begin first.
    tasks = [dask.delayed(_cells_met, pure=False)(shared, j, n_threads or 1) for j in reversed(range(len(data)))]
    return 1 + int(sum(dask.compute(*tasks)))


def _cells_met(data: FloatArray, j: int, n_threads: int) -> int:
    """Return the number of cells of rows before j that hyperplane j meets."""
    if not data[j].any():
        return 0
    whole = core.Arrangement(np.ascontiguousarray(data[: j + 1]), 0.0, False)
    before = core.Arrangement(np.ascontiguousarray(data[:j]), 0.0, False).n_hyperplanes if j else 0
    if whole.n_hyperplanes == before:
        return 0
    part = core.Arrangement(whole, [j])
    return 1 if part.rank == 0 else int(part.count(_LIMIT, n_threads))
