"""Predictions chunk by chunk."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.scaling import predictions_in
from .open import as_rows
from .passes import Chunk


def predict_rows(X: Any, network: Any) -> npt.NDArray[np.floating[Any]]:
    """Return ``network.predict`` on rows: blockwise for dask, else chunk by chunk in one array."""
    rows = as_rows(X)
    n_outputs = 1 if network.w2.ndim == 1 else network.w2.shape[1]
    values = rows.assemble(rows.chunks, _predicted, network, n_outputs, rows.dtype)
    predicted: npt.NDArray[np.floating[Any]] = values[:, 0] if network.w2.ndim == 1 else values
    return predicted


def _predicted(chunk: Chunk, network: Any, n_outputs: int, dtype: np.dtype[Any]) -> Any:
    return predictions_in(network.predict(chunk.X, n_threads=1).reshape(-1, n_outputs), dtype)
