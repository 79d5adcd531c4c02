"""The rows of arrangements that are made of others."""

from __future__ import annotations

import numpy as np

from .affine import basis_columns
from .exact_rows import ExactRows, from_rational, primitive


def restriction_of(rows: ExactRows, j: int, d: int) -> ExactRows:
    """Return the other rows on the hyperplane of row j, without the first of d coordinates in which it is largest."""
    entries = [primitive(row) for row in rows.rational()]
    own = entries.pop(j)
    pivot = max(range(d), key=lambda k: abs(own[k]))
    sign = 1 if own[pivot] > 0 else -1
    left = [k for k in range(len(own)) if k != pivot]
    return from_rational([[sign * (x[k] * own[pivot] - x[pivot] * own[k]) for k in left] for x in entries])


def essential_columns(rows: ExactRows, affine: bool) -> ExactRows | None:
    """Return the columns that all others depend on; None if all rows are zero. The column of offsets stays."""
    n, d = len(rows.sums) - affine, rows.n_features - affine
    columns = basis_columns([primitive(entries)[:d] for entries in rows.rational()[:n]])
    if not columns:
        return None
    kept = columns + [d] * affine
    parts = [part * rows.n_features + k for part in range(rows.parts) for k in kept]
    return ExactRows(np.ascontiguousarray(rows.sums[:, parts]), rows.parts, rows.as_given)


def with_infinity(rows: ExactRows) -> ExactRows:
    """Return the rows in one more coordinate, and the row of that coordinate last."""
    n, d = len(rows.sums), rows.n_features
    sums = np.zeros((n + 1, rows.parts * (d + 1)))
    for part in range(rows.parts):
        sums[:n, part * (d + 1) : part * (d + 1) + d] = rows.sums[:, part * d : (part + 1) * d]
    sums[n, d] = 1.0
    return ExactRows(sums, rows.parts, rows.as_given)
