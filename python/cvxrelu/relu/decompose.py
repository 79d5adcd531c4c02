"""Cone decomposition: gated networks turned into ReLU networks with the same outputs on the training data."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, IntArray, as_design, as_threads
from ..base.native import core
from ..base.scaling import as_dtype, rescaled, row_lengths
from ..gated.solution import GatedSolution
from ..patterns.checks import checked_patterns
from .solution import ReLUSolution

_METHODS = ("margin", "qp", "socp")


def decompose(X: npt.ArrayLike, gated_solution: GatedSolution, *, method: str = "qp") -> ReLUSolution:
    r"""Turn a gated-ReLU solution into a ReLU network with the same values on the training data.

    Every block u of the gated network is written as v - w with v and w in the cone of its pattern [1]_, so that
    ``D X u = (X v)_+ - (X w)_+``. With ``v = z + u / 2`` and ``w = z - u / 2`` that asks for ``B z >= |X u| / 2``,
    B = (2 D - I) X, of one vector z. The network is a start or a baseline, not an optimum: its penalty is larger.

    With several outputs each singular triple of a block is decomposed by itself, into neurons with its outputs: the fit
    is kept, and the objective is that of the network. So are the fit and the objective of another loss. Unpenalised
    columns stay as they are, beside either network.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        The data matrix of the solution.
    gated_solution : GatedSolution
        A solution without sample weights, group weights or ridge.
    method : {"qp", "socp", "margin"}
        "margin": z along the gate, a closed form. "qp": the smallest ``||v||^2 + ||w||^2``, a least-distance problem.
        "socp": the smallest ``||v|| + ||w||``, which is the penalty that is added; needs clarabel and scipy.

    Returns
    -------
    ReLUSolution
        Over the same patterns; its gap counts from the gated optimum, a lower bound over them.

    Raises
    ------
    ValueError
        When a block cannot be decomposed, since its cone has no interior: the message names the patterns. Also for
        other data than the solution's, and for solutions of other programs.
    ImportError
        When "socp" is asked for without clarabel or scipy.

    References
    ----------
    .. [1] Mishkin, A., Sahiner, A., and Pilanci, M. "Fast convex optimization for two-layer ReLU networks: equivalent
       model classes and cone decompositions." ICML 2022.

    Examples
    --------
    >>> import numpy as np, cvxrelu
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((50, 3))
    >>> y = np.abs(X[:, 0])
    >>> patterns = cvxrelu.sample_patterns(X, 50, random_state=0)
    >>> gated = cvxrelu.solve_gated(X, y, patterns, beta=0.5)
    >>> relu = cvxrelu.decompose(X, gated)
    >>> bool(np.allclose(relu.predict(X), gated.predict(X)))
    True
    """
    if method not in _METHODS:
        raise ValueError(f'method must be "margin", "qp" or "socp", not {method!r}')
    if not isinstance(gated_solution, GatedSolution):
        raise TypeError(f"gated_solution must be a GatedSolution, not {type(gated_solution).__name__}")
    design = as_design(X)
    patterns = gated_solution.patterns
    if (patterns.n_samples, patterns.n_features) != design.shape:
        raise ValueError(
            f"gated_solution belongs to data of shape {(patterns.n_samples, patterns.n_features)}, but X has shape "
            f"{design.shape}"
        )
    checked_patterns(patterns, design, as_threads(None), "the patterns of gated_solution")

    # Cones do not change with the units of X, and blocks are decomposed in any.
    design, _ = rescaled(design)
    blocks, unit = rescaled(gated_solution.blocks.astype(np.float64))
    blocks, active, directions, penalty = _input_blocks(gated_solution, blocks)
    words = np.ascontiguousarray(patterns.words[active])
    signs = np.where(patterns[active].to_dense().T, 1.0, -1.0) if active.size else np.zeros((0, len(design)))
    needs = 0.5 * np.abs(blocks @ design.T)
    centres, fits = _margin_centres(design, words, signs, needs, patterns.gates[active])
    if method != "margin" and active.size:
        centres = _improved(design, words, signs, needs, centres, blocks=blocks, method=method)
    # Blocks that lie in the cone, or whose negatives do, need no second part.
    products = signs * (blocks @ design.T)
    inside, outside = (products >= 0).all(axis=1), (products <= 0).all(axis=1)
    bad = ~fits & ~inside & ~outside
    if bad.any():
        raise ValueError(
            f"blocks cannot be decomposed, since the cones of these patterns have no interior: {active[bad].tolist()}"
        )
    positive, negative = centres + blocks / 2, centres - blocks / 2
    positive[inside], negative[inside] = blocks[inside], 0
    positive[outside & ~inside], negative[outside & ~inside] = 0, -blocks[outside & ~inside]

    values = np.vstack([positive, negative])
    second = np.concatenate([directions, -directions])
    owner = np.tile(active, 2)
    keep = values.any(axis=1)
    values, second, owner = values[keep], second[keep], owner[keep]
    added = row_lengths(values).sum() - penalty
    increase = gated_solution.beta * (unit * max(float(added), 0.0))
    at_zero = gated_solution.gap / gated_solution.relative_gap if gated_solution.relative_gap > 0 else None
    gap = gated_solution.gap + increase
    return ReLUSolution(
        beta=gated_solution.beta,
        active=owner,
        signs=second,
        blocks=as_dtype(unit * values, gated_solution.blocks.dtype.type),
        objective=gated_solution.objective + increase,
        gap=gap,
        relative_gap=gap / at_zero if at_zero else gap / max(gated_solution.objective, np.finfo(float).tiny),
        dual=gated_solution.dual,
        scope="given patterns",
        converged=False,
        n_iter=0,
        n_newton=0,
        n_rounds=0,
        n_nodes=0,
        patterns=patterns,
        loss=gated_solution.loss,
        unpenalised_coef=gated_solution.unpenalised_coef,
        unpenalised_map=gated_solution.unpenalised_map,
    )


def _input_blocks(solution: GatedSolution, blocks: FloatArray) -> tuple[FloatArray, IntArray, npt.NDArray[Any], float]:
    """Return blocks of one output, their patterns, the outputs that they serve, and the penalty of those of a solution.

    A block of several outputs is the sum of its singular triples, each a block of one output in a direction.
    """
    if blocks.ndim == 2:
        ones = np.ones(len(blocks), dtype=np.int64)
        return blocks, solution.active, ones, float(row_lengths(blocks).sum())
    left, values, right = np.linalg.svd(blocks, full_matrices=False)
    norm = values.sum() if solution.block_norm == "nuclear" else np.linalg.norm(values, axis=1).sum()
    of, triple = np.nonzero(values > 0)
    return left[of, :, triple] * values[of, triple, None], solution.active[of], right[of, triple], float(norm)


def _margin_centres(
    X: FloatArray, words: npt.NDArray[np.uint64], signs: FloatArray, needs: FloatArray, gates: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return z = t h along the widest direction h of each cone, and where there is one."""
    margins = np.tile(np.linalg.norm(X, axis=1), (len(words), 1))
    widest = core.least_distance(X, words, margins) if len(words) else gates
    centres, fits = np.zeros_like(gates), np.zeros(len(gates), dtype=bool)
    for i in range(len(gates)):
        for h in (widest[i], gates[i]):
            room = signs[i] * (X @ h)
            asked = needs[i] > 0
            if (room[asked] > 0).all() and (room >= 0).all():
                centres[i] = h * (needs[i][asked] / room[asked]).max(initial=0.0)
                fits[i] = True
                break
    return centres, fits


def _improved(
    X: FloatArray,
    words: npt.NDArray[np.uint64],
    signs: FloatArray,
    needs: FloatArray,
    centres: FloatArray,
    *,
    blocks: FloatArray,
    method: str,
) -> FloatArray:
    """Return shorter z, moved towards the widest direction as far as rounding has left them short."""
    if method == "qp":
        shorter = core.least_distance(X, words, np.ascontiguousarray(needs))
    else:
        shorter = np.array([_least_penalty(s[:, None] * X, b, u) for s, b, u in zip(signs, needs, blocks, strict=True)])
    improved = centres.copy()
    for i, z in enumerate(shorter):
        room = signs[i] * (X @ centres[i])
        short = needs[i] - signs[i] * (X @ z)
        asked = (short > 0) & (needs[i] > 0)
        if (room[asked] <= 0).any():
            continue
        step = (short[asked] / room[asked]).max(initial=0.0)
        candidate = z + step * centres[i]
        if _penalty(candidate, blocks[i]) <= _penalty(centres[i], blocks[i]):
            improved[i] = candidate
    return improved


def _penalty(z: FloatArray, u: FloatArray) -> float:
    return float(np.linalg.norm(z + u / 2) + np.linalg.norm(z - u / 2))


def _least_penalty(B: FloatArray, needs: FloatArray, u: FloatArray) -> FloatArray:
    """Minimise ||z + u/2|| + ||z - u/2|| over B z >= needs by an interior-point method for conic programs."""
    try:
        import clarabel
        from scipy import sparse
    except ImportError as error:
        raise ImportError('method="socp" needs clarabel and scipy: pip install clarabel scipy') from error
    d = B.shape[1]
    scale = max(float(np.linalg.norm(u)), np.finfo(float).tiny)
    norms = np.linalg.norm(B, axis=1)
    rows = norms > 0
    # Variables (z, t1, t2): B z >= needs, ||z + u/2|| <= t1, ||z - u/2|| <= t2.
    A = np.zeros((int(rows.sum()) + 2 * (d + 1), d + 2))
    b = np.zeros(len(A))
    m = int(rows.sum())
    A[:m, :d] = -B[rows] / norms[rows, None]
    b[:m] = -needs[rows] / norms[rows] / scale
    for k, sign in enumerate((1.0, -1.0)):
        first = m + k * (d + 1)
        A[first, d + k] = -1
        A[first + 1 : first + 1 + d, :d] = -np.eye(d)
        b[first + 1 : first + 1 + d] = sign * u / 2 / scale
    cones: list[Any] = [
        clarabel.NonnegativeConeT(m),
        clarabel.SecondOrderConeT(d + 1),
        clarabel.SecondOrderConeT(d + 1),
    ]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    cost = np.concatenate([np.zeros(d), np.ones(2)])
    empty = sparse.csc_matrix((d + 2, d + 2))
    result = clarabel.DefaultSolver(empty, cost, sparse.csc_matrix(A), b, cones, settings).solve()
    return np.array(result.x[:d]) * scale
