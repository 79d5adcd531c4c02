"""Labels as targets, and scores as labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray
from ..rows.rows import is_dask


def decide(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    """Return the index of the class that scores of one column (two classes) or of several columns mean."""
    return np.asarray(scores > 0 if scores.ndim == 1 else scores.argmax(axis=1), dtype=np.intp)


def one_against_rest(labels: npt.NDArray[np.integer], n_classes: int) -> FloatArray:
    """Return targets of -1 and +1 for labels 0, 1, ...: one column for two classes, else one for each class."""
    members = labels == 1 if n_classes == 2 else labels[:, None] == np.arange(n_classes)
    return np.where(members, 1.0, -1.0)


def labels_of_scores(scores: Any, classes: Any) -> Any:
    """Return the labels that belong to scores."""
    if not is_dask(scores):
        return classes[decide(scores)]
    drop = [1] if scores.ndim == 2 else None
    return scores.map_blocks(lambda block: classes[decide(block)], drop_axis=drop, dtype=classes.dtype)
