"""The masked design [D_1 X ... D_p X] as an explicit matrix."""

import numpy as np


def blocks(X, masks):
    """D_i X for every pattern, of shape (p, n, d); `masks` is (n, p)."""
    return masks.T[:, :, None] * X[None]


def correlations(X, masks, V):
    """X' D_i V for every pattern, of shape (p, d, c)."""
    return np.einsum("pnd,nc->pdc", blocks(X, masks), V)


def fitted(X, masks, W):
    """sum_i D_i X W_i for W of shape (p, d, c)."""
    return np.einsum("pnd,pdc->nc", blocks(X, masks), W)
