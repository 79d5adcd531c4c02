"""Blocks of a gated program as layers of a network."""

from __future__ import annotations

import numpy as np

from ..base.arrays import FloatArray
from ..base.scaling import row_lengths


def layers_of_blocks(gates: FloatArray, blocks: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return W1, w2 and gates of the neurons of blocks; see :func:`cvxrelu.networks.network.network_from_blocks`."""
    if blocks.ndim not in (2, 3) or gates.shape != blocks.shape[:2]:
        raise ValueError(f"blocks of shape {blocks.shape} do not fit gates of shape {gates.shape}")
    active = np.flatnonzero(blocks.any(axis=tuple(range(1, blocks.ndim))))
    blocks, gates = blocks[active], gates[active]
    if blocks.shape[2:] in ((), (1,)):
        root = np.sqrt(row_lengths(blocks.reshape(gates.shape)))
        return blocks.reshape(gates.shape) / root[:, None], root.reshape(root.size, *blocks.shape[2:]), gates
    left, s, right = np.linalg.svd(blocks, full_matrices=False)
    negligible = np.finfo(np.float64).eps * max(blocks.shape[1:])
    block, triple = np.nonzero(s > negligible * s.max(axis=1, initial=0.0, keepdims=True))
    root = np.sqrt(s[block, triple])[:, None]
    return root * left[block, :, triple], root * right[block, triple], gates[block]
