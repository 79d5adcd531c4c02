"""Search for the gate whose pattern maximises ||X' D theta||, circle by circle, in plain NumPy."""

import numpy as np


def best_on_circle(X, theta, g, h):
    """The largest ||X' D theta|| over the cells that cos(a) g + sin(a) h passes, and a gate in that cell.

    Every row is zero at one angle in [0, pi), where its bit turns; the other half of the circle has the opposite masks.
    """
    rows = theta[:, None] * X
    first, second = X @ g, X @ h
    moving = (first != 0) | (second != 0)
    angles = np.arctan2(-first[moving], second[moving]) % np.pi
    order = np.argsort(angles)
    angles = np.concatenate([[0], angles[order], [np.pi]])
    best, gate = -1.0, g
    for k in np.flatnonzero(np.diff(angles) > 0):
        middle = (angles[k] + angles[k + 1]) / 2
        candidate = np.cos(middle) * g + np.sin(middle) * h
        for sign in (1, -1):
            value = np.linalg.norm(((sign * (X @ candidate) >= 0)[:, None] * rows).sum(axis=0))
            if value > best * (1 + 1e-12):
                best, gate = value, sign * candidate
    return best, gate
