"""Gates whose indicators sum to the masks of patterns at new samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..arrangement.enumerate import enumerate_patterns
from ..base.arrays import FloatArray
from ..base.bits import merge_patterns
from ..patterns.patterns import ActivationPatterns

EVALUATIONS = ("representative", "cell-average", "refined")


def require_evaluation(at: str, patterns: ActivationPatterns) -> None:
    """Check a way to evaluate masks at new samples, and that the patterns have what it needs."""
    if at not in EVALUATIONS:
        raise ValueError(f"at must be one of {', '.join(map(repr, EVALUATIONS))}, not {at!r}")
    if at == "cell-average" and patterns.draws is None:
        raise ValueError(
            'at="cell-average" needs patterns from sample_patterns, which keeps every gate drawn; '
            'for enumerated ones at="refined" is the same with all gates there are'
        )


def evaluation_gates(
    patterns: ActivationPatterns, eta: FloatArray, at: str, X: FloatArray, Z: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.intp], FloatArray]:
    """Return gates, the pattern of each, and weights, whose indicators sum to the masks of patterns of weight eta > 0.

    A cell average over the draws is a sum over gates like any other: draw h of cell i has the weight
    eta_i / (draws of cell i). So is the refined arrangement, with a gate in each of the parts of cell i, and the weight
    eta_i times its share.
    """
    require_evaluation(at, patterns)
    if at == "representative":
        pattern = np.flatnonzero(eta)
        return np.ascontiguousarray(patterns.gates[pattern]), pattern, eta[pattern]
    if at == "refined":
        gates, parent, mass = _parts_of_cells(patterns, X, Z)
    else:
        assert patterns.draws is not None and patterns.draw_pattern is not None
        gates, parent, mass = patterns.draws, patterns.draw_pattern, np.ones(patterns.draw_pattern.size)
    whole = np.bincount(parent, weights=mass, minlength=len(patterns))
    chosen = np.flatnonzero((eta[parent] > 0) & (mass > 0))
    pattern = parent[chosen].astype(np.intp)
    return np.ascontiguousarray(gates[chosen]), pattern, eta[pattern] * mass[chosen] / whole[pattern]


def _parts_of_cells(
    patterns: ActivationPatterns, X: FloatArray, Z: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.int64], FloatArray]:
    """Return a gate in each cell of [X; Z] inside a cell of `patterns`, the index of the latter, and its measure."""
    both = np.vstack([X, Z])
    refined = enumerate_patterns(both)
    measure = refined.measure(both, random_state=0)
    words = refined.words[:, : patterns.words.shape[1]].copy()
    words[:, -1] &= np.uint64(2 ** ((X.shape[0] - 1) % 64 + 1) - 1)
    _, index, _ = merge_patterns(np.vstack([patterns.words, words]))
    parent = index[len(patterns) :]
    inside = parent < len(patterns)
    return refined.gates[inside], parent[inside], measure[inside]
