"""The rows of what a user passes."""

from __future__ import annotations

from typing import Any

import numpy as np

from .chunks import RowChunks
from .rows import Rows, is_dask


def as_rows(X: Any, n_threads: int | None = None) -> Rows:
    """Return the rows of `X`, also of an array."""
    if isinstance(X, Rows):
        return X
    if is_dask(X):
        from .dask import DaskRows

        return DaskRows(X, n_threads)
    return RowChunks(X if isinstance(X, np.memmap) else np.asarray(X), n_threads=n_threads)
