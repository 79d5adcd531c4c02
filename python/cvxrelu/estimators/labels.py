"""Labels as targets, and scores as labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray
from ..rows.rows import is_dask


def decide(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    """Return the index of the class that scores of one column (two classes) or of several columns mean."""
    return np.asarray(scores > 0 if scores.ndim == 1 else scores.argmax(axis=1), dtype=np.intp)


def labels_of_scores(scores: Any, classes: Any) -> Any:
    """Return the labels that belong to scores, or for several labels of each sample the matrix that indicates them."""
    if isinstance(classes, list):
        return (scores > 0).astype(np.int64)
    if not is_dask(scores):
        return classes[decide(scores)]
    drop = [1] if scores.ndim == 2 else None
    return scores.map_blocks(lambda block: classes[decide(block)], drop_axis=drop, dtype=classes.dtype)


def coded(y: Any, targets_of: Callable[[npt.NDArray[np.integer], int], FloatArray]) -> tuple[Any, Any]:
    """Return targets for labels, and the labels in order; of a dask collection as a dask array, block by block.

    A matrix indicates several labels of each sample: it has a target for every column, and a list of its labels.
    """
    y = y if is_dask(y) else np.asarray(y)
    if y.ndim == 2 and y.shape[1] > 1:
        indicators = _indicators(y)
        targets = np.stack([targets_of(column, 2) for column in indicators.T], axis=1)
        return targets, [np.arange(2) for _ in indicators.T]
    if not is_dask(y):
        classes, labels = np.unique(y, return_inverse=True)
        require_two(classes)
        return targets_of(labels, classes.size), classes
    import dask

    y = y.to_dask_array(lengths=True) if hasattr(y, "to_dask_array") else y
    pieces = y.map_blocks(lambda block: np.unique(block), dtype=y.dtype)
    classes = np.unique(np.concatenate(dask.compute(*pieces.to_delayed().ravel())))
    require_two(classes)

    def code(block: Any) -> Any:
        return targets_of(np.searchsorted(classes, block), classes.size)

    if classes.size == 2:
        return y.map_blocks(code, dtype=np.float64), classes
    return y.map_blocks(code, dtype=np.float64, new_axis=1, chunks=(*y.chunks, (classes.size,))), classes


def require_two(classes: npt.NDArray[Any]) -> None:
    """Check that there is something to tell apart."""
    if classes.size < 2:
        raise ValueError(f"y has one class only, {classes.tolist()[0]!r}: a classifier needs two or more")


def _indicators(y: Any) -> npt.NDArray[np.int64]:
    if is_dask(y):
        raise ValueError(f"y of shape {y.shape} indicates several labels: it must be an array, not a dask collection")
    bad = np.argwhere((y != 0) & (y != 1))
    if bad.size:
        where = tuple(int(k) for k in bad[0])
        raise ValueError(f"y of shape {y.shape} must hold 0 and 1, several labels of each sample, but has {y[where]}")
    return np.asarray(y, dtype=np.int64)
