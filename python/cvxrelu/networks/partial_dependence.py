"""A network along one feature, exactly: it is piecewise linear there, with breakpoints that are known."""

from __future__ import annotations

import numpy as np

from ..base.arrays import FloatArray, append_ones
from .network import Network


def along_feature(
    network: Network, X: FloatArray, feature: int, lower: float, upper: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the mean over samples of the outputs as a function of one feature, the others as they are.

    Neuron j of sample x opens or closes where ``a + g_j t = 0``, a the product with the other features. Between these
    breakpoints of all samples and neurons the mean is linear; intercept and slope are sums of what changes there.

    Parameters
    ----------
    network : Network
        The network.
    X : ndarray of shape (m, n_features)
        Samples.
    feature : int
        The feature.
    lower, upper : float
        Where the function begins and ends.

    Returns
    -------
    t : ndarray of shape (n_points,)
        Ends and breakpoints between them, increasing.
    before, after : ndarray of shape (n_points, n_outputs)
        Limits from below and from above, which differ where a gate makes the function jump.
    """
    rest = X.copy()
    rest[:, feature] = 0
    design = append_ones(rest) if network.bias else rest
    borders = network.W1 if network.gates is None else network.gates
    w2 = network.w2 if network.w2.ndim == 2 else network.w2[:, None]
    offsets, tilt = design @ borders.T, borders[:, feature]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = -offsets / tilt
    opening = np.where(tilt > 0, crossings <= lower, crossings > lower)
    active = np.where(tilt == 0, offsets >= 0, opening)
    # What a neuron adds to the mean while it is active: (intercept, slope) of each sample, for each output.
    n_samples, n_outputs = X.shape[0], w2.shape[1]
    heights = (design @ network.W1.T)[:, :, None] * w2 / n_samples
    slopes = network.W1[:, feature, None] * w2 / n_samples
    lines = np.stack([heights, np.broadcast_to(slopes, heights.shape)], axis=-1)

    first = (lines * active[:, :, None, None]).sum(axis=(0, 1))
    if network.skip is not None:
        skip = network.skip.reshape(X.shape[1], n_outputs)
        first += np.stack([rest.mean(axis=0) @ skip, skip[feature]], axis=-1)
    if network.output_bias is not None:
        first[:, 0] += network.output_bias

    inside = (tilt != 0) & (crossings > lower) & (crossings < upper)
    order = np.argsort(crossings[inside], kind="stable")
    t = crossings[inside][order]
    changes = (np.sign(tilt)[None, :, None, None] * lines)[inside][order]
    pieces = np.concatenate([first[None], changes]).cumsum(axis=0)

    def at(points: FloatArray, lines: FloatArray) -> FloatArray:
        return np.asarray(lines[..., 0] + lines[..., 1] * points[:, None])

    before = at(np.append(t, upper), pieces)
    after = at(np.insert(t, 0, lower), pieces)
    t = np.concatenate([[lower], t, [upper]])
    return t, np.concatenate([after[:1], before]), np.concatenate([after, before[-1:]])
