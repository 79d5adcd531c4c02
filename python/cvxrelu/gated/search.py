"""Gated networks whose gates are learned as well: patterns that improve the optimum are searched for and added."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_count, as_design, as_generator, as_scalar, as_targets, as_threads
from ..base.bounds import pricing_threshold
from ..base.native import core
from ..patterns.checks import as_patterns
from ..patterns.patterns import ActivationPatterns
from ..patterns.sampling import sample_patterns
from .solution import GatedSolution
from .solve import solve_gated


def train_gated(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    beta: float,
    *,
    patterns: ActivationPatterns | None = None,
    n_starts: int = 20,
    n_directions: int | None = None,
    max_rounds: int = 20,
    tol: float = 1e-6,
    random_state: Any = None,
    n_threads: int | None = None,
) -> GatedSolution:
    r"""Train a gated-ReLU network and look for gates that improve it.

    The objective is :func:`solve_gated`'s. Its optimum over a list of patterns is improved by every pattern D with
    ``||X' D t|| > beta`` for the dual point t. Such patterns are searched for along great circles through gates: one
    circle meets up to 2 n cells, all of which are evaluated by adding one sample at a time. Gates move to the best cell
    of one circle after another, patterns that improve join the list, and the program is solved again, until the search
    finds no more or `max_rounds` is reached.

    The search is local: unlike :func:`train_relu` this gives no certificate over all patterns. The solution's gap is
    that over the patterns that it lists.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        Data matrix. For a bias append a column of ones.
    y : array_like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    beta : float
        Penalty, positive.
    patterns : ActivationPatterns, optional
        Patterns to start from; by default those of 100 Gaussian gates.
    n_starts : int, default 20
        Random gates that the search of a round starts from, beside as many active ones at most.
    n_directions : int, optional
        Circles for each start, every second one towards a single feature; by default
        20 + 2 n_features, and 100 at most.
    max_rounds : int, default 20
        Most rounds of searching.
    tol : float, default 1e-6
        Relative duality gap, over the patterns listed, to solve to; what would improve it by less is not added.
    random_state : None, int, numpy.random.Generator or RandomState
        Source of starts, directions and of the default patterns.
    n_threads : int, optional
        Threads; by default what OpenMP would take.

    Returns
    -------
    GatedSolution
        Its `patterns` are those given and those found, whose gates count as drawn.

    Raises
    ------
    ValueError
        For bad shapes, entries that are not finite, patterns of other data, or settings out of range.
    KeyboardInterrupt
        On Ctrl-C.

    Examples
    --------
    >>> import numpy as np, cvxrelu
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((60, 4))
    >>> y = np.abs(X[:, 0])
    >>> start = cvxrelu.sample_patterns(X, 10, random_state=0)
    >>> fixed = cvxrelu.solve_gated(X, y, start, 0.5)
    >>> found = cvxrelu.train_gated(X, y, 0.5, patterns=start, random_state=0)
    >>> found.objective < 0.8 * fixed.objective
    True
    """
    design = as_design(X)
    targets = as_targets(y, design.shape[0])
    beta = as_scalar(beta, "beta", strict=True)
    tol = as_scalar(tol, "tol", strict=True)
    n_starts = as_count(n_starts, "n_starts")
    n_directions = 20 + 2 * min(design.shape[1], 40) if n_directions is None else as_count(n_directions, "n_directions")
    max_rounds = as_count(max_rounds, "max_rounds", minimum=0)
    rng, threads = as_generator(random_state), as_threads(n_threads)
    if patterns is None:
        patterns = sample_patterns(design, 100, random_state=rng, n_threads=threads)
    else:
        as_patterns(patterns, design)
        gates = patterns.gates if patterns.draws is None else patterns.draws
        patterns = sample_patterns(design, gates=gates, n_threads=threads)

    accuracy = max(tol, 1e-4)
    solution = solve_gated(X, y, patterns, beta, tol=accuracy, n_threads=threads)
    for _ in range(max_rounds):
        size = float(np.sqrt(np.sum(solution.blocks**2, axis=tuple(range(1, solution.blocks.ndim)))).sum())
        threshold = pricing_threshold(0.5 * float(np.sum(targets**2)), size, beta, accuracy)
        active = rng.permutation(solution.active)[:n_starts]
        starts = np.vstack([rng.standard_normal((n_starts, design.shape[1])), patterns.gates[active]])
        found, norms = core.search_gates(
            design,
            np.ascontiguousarray(solution.dual.reshape(design.shape[0], -1)),
            starts,
            _directions(n_directions, design.shape[1], rng),
            threads,
        )
        known = len(patterns)
        found = found[norms > threshold]
        if found.size:
            assert patterns.draws is not None
            patterns = sample_patterns(design, gates=np.vstack([patterns.draws, found]), n_threads=threads)
        if len(patterns) == known:
            if accuracy == tol:
                break
            accuracy = tol
        # Patterns are listed in the order of their first gate, so those from before keep their places.
        start = np.zeros((len(patterns), *solution.blocks.shape[1:]))
        start[solution.active] = solution.blocks
        solution = solve_gated(X, y, patterns, beta, tol=accuracy, warm_start=start, n_threads=threads)
    if accuracy > tol:
        solution = solve_gated(X, y, patterns, beta, tol=tol, warm_start=solution, n_threads=threads)
    return solution


def _directions(size: int, n_features: int, rng: np.random.Generator) -> FloatArray:
    """Gaussian directions, every second one replaced by a random axis: thresholds of a feature, where X has ones."""
    directions = rng.standard_normal((size, n_features))
    axes = rng.integers(n_features, size=size // 2)
    directions[1::2] = np.eye(n_features)[axes]
    return directions
