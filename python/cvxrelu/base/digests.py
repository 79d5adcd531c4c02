"""Digests of what a result depends on: equal where it is equal bit for bit, and else different."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt


def digest_of(*values: npt.ArrayLike) -> str:
    """Return BLAKE2b (RFC 7693) of arrays: of their shapes, their types and their entries, in this order."""
    state = hashlib.blake2b(digest_size=32)
    for value in values:
        array: npt.NDArray[Any] = np.asarray(value)
        array = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
        state.update(f"{array.dtype.str}{array.shape}".encode())
        # As bytes: text has no buffer that is understood, and neither has an array without entries.
        if array.size:
            state.update(np.ravel(array).view(np.uint8).data)
    return state.hexdigest()
