"""The penalties of a path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..base.arrays import FloatArray, as_count, as_penalties, as_scalar


def path_grid(betas: Any, n_betas: int, beta_min_ratio: float, beta_max: Callable[[], float]) -> FloatArray:
    """Return the decreasing penalties of :func:`gated_path`, checked."""
    if betas is not None:
        return np.sort(as_penalties(betas, "betas"))[::-1]
    ratio = as_scalar(beta_min_ratio, "beta_min_ratio", strict=True)
    if ratio >= 1:
        raise ValueError(f"beta_min_ratio must be below 1, not {ratio}")
    largest = beta_max()
    if largest == 0:
        raise ValueError("beta_max is zero, since y is uncorrelated with every block: give betas")
    return np.geomspace(largest, ratio * largest, as_count(n_betas, "n_betas"))
