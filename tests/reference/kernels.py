"""Kernels by their formulas, one entry after the other in spirit."""

import numpy as np


def angles(X, Z):
    """Angles between the rows of Z and of X, accurate everywhere; any angle where a row is zero."""

    def unit(A):
        norms = np.linalg.norm(A, axis=1, keepdims=True)
        return A / np.where(norms > 0, norms, 1)

    a, b = unit(Z)[:, None], unit(X)[None]
    return 2 * np.arctan2(np.linalg.norm(a - b, axis=2), np.linalg.norm(a + b, axis=2))


def ntk(X, Z, kind="gated", depth=1):
    """The neural tangent kernel of rows of Z with rows of X."""
    t, dots = angles(X, Z), Z @ X.T
    if kind == "gated":
        return dots * (np.pi - t) / (2 * np.pi)
    if kind == "gated-both":
        return dots * (np.pi - t) / np.pi
    norms = np.linalg.norm(Z, axis=1)[:, None] * np.linalg.norm(X, axis=1)
    kernel = dots
    for _ in range(depth):
        k0 = (np.pi - t) / np.pi
        k1 = (np.sin(t) + (np.pi - t) * np.cos(t)) / np.pi
        norms = norms / 2
        kernel = norms * k1 + kernel * k0 / 2
        t = np.arccos(np.clip(k1, -1, 1))
    return kernel


def masking_kernel(X, masks, eta, Z=None, z_masks=None):
    """sum_i eta_i m_i(z) m_i(x) z.x for masks of shape (n, p), which may be shares between 0 and 1."""
    if Z is None:
        Z, z_masks = X, masks
    return (Z @ X.T) * ((z_masks * eta) @ masks.T)


def arcs(X):
    """One direction inside each cell of the plane, and the share of the circle that the cell takes."""
    normal = np.arctan2(X[:, 1], X[:, 0])
    borders = np.unique(np.concatenate([normal + np.pi / 2, normal - np.pi / 2]) % (2 * np.pi))
    lengths = np.diff(np.append(borders, borders[0] + 2 * np.pi))
    middle = borders + lengths / 2
    return np.column_stack([np.cos(middle), np.sin(middle)]), lengths / (2 * np.pi)
