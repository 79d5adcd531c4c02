"""max over unit u of ||T' (X u)_+||, slowly: exactly in the plane, from below elsewhere."""

import numpy as np


def in_the_plane(X, T):
    """In each cell it is the largest singular value, at a singular vector or at an end of the arc."""
    angles = np.concatenate([np.arctan2(X[:, 1], X[:, 0]) + turn for turn in (np.pi / 2, -np.pi / 2)])
    ends = np.sort(angles % (2 * np.pi))
    candidates = [np.stack([np.cos(ends), np.sin(ends)], axis=1)]
    for left, right in zip(ends, np.append(ends[1:], ends[0] + 2 * np.pi), strict=True):
        middle = np.array([np.cos((left + right) / 2), np.sin((left + right) / 2)])
        inner = np.linalg.svd(T.T @ (X * (X @ middle > 0)[:, None]))[2]
        candidates += [inner, -inner]
    return norms(X, T, np.concatenate(candidates)).max()


def norms(X, T, units):
    """||T' (X u)_+|| for the rows of `units`."""
    return np.linalg.norm(np.maximum(X @ units.T, 0).T @ T, axis=1)


def over_samples(X, T, rng, size=4000):
    """The largest over random unit vectors, and where it is."""
    units = rng.standard_normal((size, X.shape[1]))
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    values = norms(X, T, units)
    return values.max(), units[values.argmax()]
