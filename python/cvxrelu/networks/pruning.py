"""Networks with fewer neurons that predict the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray
from ..base.bits import unpack_patterns
from ..base.native import core
from ..base.scaling import row_lengths
from .blocks import layers_of_blocks

Layers = tuple[FloatArray, FloatArray, FloatArray | None]  # W1, w2 with a column for each output, gates

_SAME = 1e-14  # of unit vectors that differ by rounding alone


def joined_everywhere(layers: Layers, bias: bool) -> Layers:
    """Join neurons that are active at the same points, and leave out those without effect at any point."""
    W1, w2, gates = layers
    borders = W1 if gates is None else gates
    features = borders[:, :-1] if bias else borders
    constant = np.abs(features).max(axis=1, initial=0.0) == 0
    never = constant & (borders[:, -1] < 0)  # without a bias that is a zero row, whose gate is open
    kept = ~never & W1.any(axis=1) & w2.any(axis=1)
    W1, w2, borders = W1[kept], w2[kept], borders[kept]
    lengths = row_lengths(borders)
    units = borders / np.where(lengths > 0, lengths, 1)[:, None]
    if gates is not None:
        units[constant[kept]] = 0  # gates that are always open
        return _joined_gated(W1, w2, borders, _groups_of_equal(units))
    groups = _groups_of_equal(units)
    summed = np.zeros((groups.max(initial=-1) + 1, w2.shape[1]))
    sizes = np.zeros(len(summed))
    np.add.at(summed, groups, lengths[:, None] * w2)
    np.add.at(sizes, groups, lengths * row_lengths(w2))
    norms = row_lengths(summed)
    left = norms > _SAME * sizes  # the others cancel
    root = np.sqrt(norms[left])[:, None]
    _, first = np.unique(groups, return_index=True)
    return root * units[first][left], summed[left] / root, None


def pruned_on(layers: Layers, X: FloatArray, n_threads: int) -> Layers:
    """Join neurons that are active on the same samples, then leave out as many as others make up for on these."""
    W1, w2, gates = layers
    if not len(W1):
        return layers
    masks = _masks(layers, X, n_threads)
    if gates is not None:
        W1, w2, gates = _joined_gated(W1, w2, gates, _groups_of(masks))
    elif w2.shape[1] == 1:  # with several outputs neurons of one cone do not add up to one
        signs = np.sign(w2)
        groups = _groups_of(np.column_stack([masks, signs > 0]))
        blocks = np.zeros((groups.max() + 1, W1.shape[1]))
        np.add.at(blocks, groups, np.abs(w2) * W1)
        signs = signs[np.unique(groups, return_index=True)[1]]
        W1, w2, _ = layers_of_blocks(blocks, blocks[:, :, None])
        w2 = w2 * signs[blocks.any(axis=1)]
    lengths = row_lengths(W1) * row_lengths(w2)
    hidden = np.where(_masks((W1, w2, gates), X, n_threads).T, X @ W1.T, 0.0)
    outputs = np.einsum("nm,mc->ncm", hidden, w2).reshape(-1, lengths.size) / lengths
    scale = np.sqrt(prune_lengths(outputs, lengths) / lengths)
    kept = scale > 0
    scale = scale[kept, None]
    return scale * W1[kept], scale * w2[kept], None if gates is None else gates[kept]


def _masks(layers: Layers, X: FloatArray, n_threads: int) -> npt.NDArray[np.bool_]:
    """Return (n_neurons, n_samples): which neurons are active on which samples, decided exactly."""
    W1, _, gates = layers
    if not len(W1):
        return np.zeros((0, X.shape[0]), dtype=bool)
    words, _ = core.pack_patterns(X, np.ascontiguousarray(W1 if gates is None else gates), n_threads)
    return np.transpose(unpack_patterns(words, X.shape[0]))


def _joined_gated(W1: FloatArray, w2: FloatArray, gates: FloatArray, groups: npt.NDArray[np.intp]) -> Layers:
    """Add up the blocks ``w1 w2'`` of each group behind the gate of its first neuron."""
    blocks = np.zeros((groups.max(initial=-1) + 1, W1.shape[1], w2.shape[1]))
    np.add.at(blocks, groups, W1[:, :, None] * w2[:, None, :])
    _, first = np.unique(groups, return_index=True)
    return layers_of_blocks(gates[first], blocks)


def _groups_of(masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Number rows so that equal ones have the same number."""
    _, groups = np.unique(np.packbits(masks, axis=1), axis=0, return_inverse=True)
    return np.asarray(groups, dtype=np.intp).reshape(-1)  # NumPy 2.0.0 returns a column


def _groups_of_equal(rows: FloatArray) -> npt.NDArray[np.intp]:
    """Number rows so that those that are equal up to rounding have the same number."""
    groups = np.zeros(len(rows), dtype=np.intp)
    distinct: list[int] = []
    for k, row in enumerate(rows):
        same = np.flatnonzero((np.abs(rows[distinct] - row) <= _SAME).all(axis=1))
        groups[k] = same[0] if same.size else len(distinct)
        if not same.size:
            distinct.append(k)
    return groups


def prune_lengths(outputs: FloatArray, lengths: FloatArray) -> FloatArray:
    """Return lengths with at most rank(outputs) non-zeros that give the same combination and no larger sum.

    `outputs` has a column for each neuron, its output per unit length. A null combination moves the lengths until
    one is zero, in the direction in which their sum falls fastest; at an optimum the sum cannot change.
    """
    lengths = lengths.copy()
    if lengths.size < outputs.shape[0]:
        outputs = np.asarray(np.linalg.qr(outputs, mode="r"), dtype=np.float64)  # has the same null combinations
    _, values, right = np.linalg.svd(outputs, full_matrices=outputs.shape[0] < lengths.size)
    null = right[int((values > 1e-12 * values.max(initial=0.0)).sum()) :].T.copy()
    null = _vanishing_on(null, lengths <= 0)
    while null.shape[1]:
        falling = null @ null.sum(axis=0)
        direction = -falling if np.abs(falling).max() > 1e-9 else null[:, 0]
        if not (direction < 0).any():
            direction = -direction
        shrinking = np.flatnonzero(direction < 0)
        ratios = lengths[shrinking] / -direction[shrinking]
        lengths = np.maximum(lengths + ratios.min() * direction, 0)
        lengths[shrinking[ratios.argmin()]] = 0
        lengths[lengths <= 1e-15 * lengths.max()] = 0
        null = _vanishing_on(null, (lengths == 0) & null.any(axis=1))
    return lengths


def _vanishing_on(basis: FloatArray, rows: npt.NDArray[np.bool_]) -> FloatArray:
    """Return an orthonormal basis of the part of a column space, given by one, that is zero on some rows."""
    for row in np.flatnonzero(rows):
        size = float(np.linalg.norm(basis[row]))
        if basis.shape[1] and size > 1e-12:
            # The reflection that turns the row into a multiple of its first entry; that column leaves.
            mirror = basis[row].copy()
            mirror[0] += np.copysign(size, mirror[0])
            basis = (basis - np.outer(basis @ mirror, 2 / (mirror @ mirror) * mirror))[:, 1:]
        basis[row] = 0
    return basis
