"""Certificates of ReLU networks by sums over rows that are elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..base.arrays import FloatArray, as_scalar
from ..base.bounds import masked_norm_bound, proved, sums_of_rows
from ..base.native import core
from ..base.scaling import row_lengths
from ..patterns.checks import as_patterns
from ..patterns.patterns import ActivationPatterns
from ..rows.passes import Chunk, RowBlock
from ..rows.rows import Rows, is_dask
from .layers import as_relu_layers
from .solution import Certificate

_GATHERED_BYTES = 1 << 27  # of rows that may be brought here where nothing else will do

_SUM_ROUNDING = 1e-12  # of sums over many rows, relative to the product of the norms


def has_one_output(y: Any) -> bool:
    """Say whether targets, which may be a dask collection, are a vector."""
    return len(getattr(y, "shape", np.shape(y))) == 1


def may_be_gathered(rows: Rows) -> bool:
    """Say whether rows are few enough to be brought into this process."""
    return 8 * rows.shape[0] * rows.shape[1] <= _GATHERED_BYTES


def gathered(
    rows: Rows, y: Any, dual: Any, sample_weight: Any, patterns: ActivationPatterns | None, summed: bool
) -> tuple[FloatArray, Any, Any, Any, ActivationPatterns | None]:
    """Bring rows here, with what belongs to them, or say why they are too many; `summed` says that sums were tried."""
    if not may_be_gathered(rows):
        if summed:
            raise ValueError("the network's values on these rows are so large that float64 does not hold their sums")
        raise ValueError(
            "several outputs, other losses, dual, sample_weight, unpenalised columns and pricing are not for so many "
            "rows in chunks: what bounds the networks there is the residual of this one, by sums over the rows"
        )
    X = np.concatenate(rows.chunks.collect(_rows_of))
    y, dual, sample_weight = (a.compute() if is_dask(a) else a for a in (y, dual, sample_weight))
    if patterns is not None:
        words, _ = core.pack_patterns(X, np.ascontiguousarray(patterns.gates), rows.n_threads)
        patterns = ActivationPatterns(patterns.gates, words, rows.shape[0])
    return X, y, dual, sample_weight, patterns


def _rows_of(chunk: Chunk) -> FloatArray:
    return chunk.X


def certify_by_sums(
    rows: Rows, y: Any, network: Any, beta: float, patterns: ActivationPatterns | None, tol: float
) -> Certificate | None:
    """Bound by the closed form of `masked_norm_bound` for all patterns, by max_i ||X' D_i t|| for given ones.

    The dual point is the scaled residual of the network. None where the sums are above what float64 holds.
    """
    as_scalar(tol, "tol", strict=True)
    beta = as_scalar(beta, "beta")
    W1, w2, bias = as_relu_layers(network, rows.shape[1])
    if W1.shape[1] != rows.shape[1] + bias:
        raise ValueError(f"the network takes {W1.shape[1] - bias} features, but X has {rows.shape[1]}")
    if patterns is not None and bias:
        raise ValueError("patterns of a network with a bias are those of X with its ones column: append it to X")
    gates = np.zeros((0, rows.shape[1])) if patterns is None else as_patterns(patterns, rows).gates
    blocks = rows.masked(y, None, np.ascontiguousarray(gates))
    sums = blocks.sum(network_sums, W1, w2, bias, rows.n_threads)
    if not all(np.isfinite(part).all() for part in sums):
        return None
    correlations, total, spread, scalars, fits = sums
    rr, yr, yy, length = (float(value) for value in scalars)
    if patterns is None:
        nu = masked_norm_bound(total, spread, length)
    else:
        nu = float(row_lengths(correlations.T).max()) * (1 + 1e-12)
    scale = yr / rr if rr > 0 else 0.0
    if nu > 0:
        scale = float(np.clip(scale, -beta / nu, beta / nu))
    decay = 0.5 * (np.sum(W1**2, axis=1) + w2**2)
    gap = 0.5 * (1 - scale) ** 2 * rr + float(np.maximum(beta * decay - scale * w2 * fits, 0).sum())
    upper = 0.5 * rr + beta * float(decay.sum())
    rounding = _SUM_ROUNDING * (abs(scale) * np.sqrt(yy) * np.sqrt(rr) + scale**2 * rr)
    lower, gap = proved(upper, scale * yr - 0.5 * scale**2 * rr - rounding, gap)
    theta = rows.assemble(blocks, network_residual, W1, w2, bias, scale)
    return Certificate(
        beta=beta,
        upper_bound=upper,
        lower_bound=lower,
        gap=gap,
        relative_gap=gap / (0.5 * yy) if yy > 0 else gap,
        scope="all patterns" if patterns is None else "given patterns",
        dual=theta[:, 0],
        dual_norm=nu,
        exact=False,
        n_nodes=0,
        priced_by="closed form" if patterns is None else "given patterns",
    )


def network_residual(block: RowBlock, W1: FloatArray, w2: FloatArray, bias: bool, scale: float = 1.0) -> FloatArray:
    """Return the scaled residual (m, 1) of a ReLU network with one output."""
    return scale * (block.Y - (_hidden(block, W1, bias) @ w2)[:, None])


def network_sums(block: RowBlock, W1: FloatArray, w2: FloatArray, bias: bool, n_threads: int) -> tuple[FloatArray, ...]:
    """Return what a certificate of a ReLU network sums over rows, with residual R and rows a_j = r_j x_j.

    These are vec(X' D_i R) for every pattern, sum a_j, sum a_j a_j' / ||a_j||, the scalars (||R||^2, <Y, R>, ||Y||^2,
    sum ||a_j||), and R'(X w)_+ for every neuron.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # of networks so large that the sums are not finite
        hidden = _hidden(block, W1, bias)
        R = np.asarray(block.Y - (hidden @ w2)[:, None], order="F")
        correlations = np.zeros((block.X.shape[1], 0))
        if block.words.shape[0]:
            correlations = core.masked_correlations(block.X, block.words, R, n_threads)
        rows = R * (np.hstack([block.X, np.ones((block.X.shape[0], 1))]) if bias else block.X)
        total, spread, length = sums_of_rows(rows)
        scalars = np.array([np.vdot(R, R), np.vdot(block.Y, R), np.vdot(block.Y, block.Y), length])
        return correlations, total, spread, scalars, R[:, 0] @ hidden


def _hidden(block: RowBlock, W1: FloatArray, bias: bool) -> FloatArray:
    weights, offset = (W1[:, :-1], W1[:, -1]) if bias else (W1, 0.0)
    return np.maximum(block.X @ weights.T + offset, 0)
