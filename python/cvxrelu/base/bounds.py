"""Lower bounds that rounding cannot make false."""

from __future__ import annotations

import numpy as np

from .arrays import FloatArray
from .scaling import row_lengths

_SHORT = 1e-100  # of lengths, whose squares vanish not far below
_ROUNDING = 1e-12  # of an objective and a gap, which are sums over samples and patterns


def bound_below(objective: float, gap: float) -> float:
    """Return the objective less the gap and what rounding may have added, or 0, below which no objective is."""
    return max(objective - gap - _ROUNDING * max(objective, gap), 0.0)


_SUM_ROUNDING = 1e-14  # of pairwise sums, relative to the sum of their terms' sizes

_GAP_ROUNDING = 1e-12  # of a gap, relative to the objective


def pricing_threshold(at_zero: float, size: float, beta: float, tol: float) -> float:
    """Return how large max_u |t . (X u)_+| may be before it costs more than two thirds of `tol` in the relative gap.

    Scaling t by beta / nu costs about (nu / beta - 1) times beta times the size of the network in the gap, and at most
    (nu / beta - 1)^2 times the objective `at_zero` of the zero network.
    """
    if beta == 0:
        return 0.0
    slack = 0.5 * tol * at_zero / max(beta * size, 1e-3 * at_zero, np.finfo(float).tiny)
    return beta * (1 + min(max(min(slack, 0.4 * float(np.sqrt(tol))), 1e-10), 0.1))


def masked_norm_bound(total: FloatArray, spread: FloatArray, length: float) -> float:
    """Return an upper bound on max over 0/1 masks D of ||X' D t||, so on max_u |t . (X u)_+|, from sums over rows.

    With a_j = t_j x_j these are sum_j a_j, sum_j a_j a_j' / ||a_j|| and sum_j ||a_j||. With D = (I + S) / 2 and S a
    diagonal of signs, ||X' D t|| <= ||X't|| / 2 + max_S ||sum_j S_j a_j|| / 2, and by the Cauchy-Schwarz inequality
    with weights ||a_j|| the maximum is at most sqrt(sum_j ||a_j|| * sigma_max(sum_j a_j a_j' / ||a_j||)).
    """
    widest = float(np.sqrt(length) * np.sqrt(np.linalg.norm(spread, 2)))
    return 0.5 * (float(row_lengths(total[None])[0]) + widest) * (1 + 1e-12)


def sums_of_rows(rows: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Return what :func:`masked_norm_bound` sums, for rows a_j."""
    lengths = np.linalg.norm(rows, axis=1)
    if not _SHORT < lengths.max(initial=0.0) < np.inf:
        lengths = row_lengths(rows)
    scaled = rows / np.sqrt(np.where(lengths > 0, lengths, 1))[:, None]
    return rows.sum(axis=0), scaled.T @ scaled, float(lengths.sum())


def feasible_dual(targets: FloatArray, theta: FloatArray, nu: float, beta: float) -> FloatArray:
    """Return the multiple s t with |s| nu <= beta that gives the best lower bound."""
    squared = float(np.sum(theta**2))
    if squared == 0:
        return np.zeros_like(theta)
    scale = float(np.sum(targets * theta)) / squared
    if nu > 0:
        scale = float(np.clip(scale, -beta / nu, beta / nu))
    return scale * theta


def dual_value(targets: FloatArray, theta: FloatArray) -> float:
    """Return <y, t> - ||t||^2 / 2 less what rounding may have added to it."""
    terms = theta * (targets - 0.5 * theta)
    return float(terms.sum()) - _SUM_ROUNDING * float(np.abs(terms).sum())


def proved(upper: float, value: float, gap: float) -> tuple[float, float]:
    """Return the lower bound that a feasible dual point of this value proves, and the gap to an upper bound.

    The bound is the value itself: `upper` less the gap would have lost all its digits for a network much worse than
    the zero network. `gap` is that of :func:`network_gap`, exact where bound and objective agree in all but their last
    digits; where it is off by more than these digits, it is not what is reported.
    """
    lower = min(max(value, 0.0), upper)
    difference = upper - lower
    return lower, gap if difference <= gap + _GAP_ROUNDING * upper else difference
