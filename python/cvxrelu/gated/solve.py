"""The gated-ReLU program: a group lasso over masked copies of the data, solved to a certified duality gap."""

from __future__ import annotations

import os
import warnings

import numpy as np
import numpy.typing as npt

from ..base.arrays import as_scalar
from ..base.callbacks import Callback, as_callback, out_of_reach
from ..exceptions import ConvergenceWarning
from ..patterns.patterns import ActivationPatterns
from ..rows.open import as_rows
from .checkpoint import PathCheckpoint
from .grid import path_grid
from .losses import as_loss
from .passes import PassesProgram
from .pose import pose
from .problem import GatedData, Penalty, Stopping
from .solution import GatedPath, GatedSolution


def beta_max(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    patterns: ActivationPatterns,
    *,
    sample_weight: npt.ArrayLike | None = None,
    group_weights: npt.ArrayLike | None = None,
    unpenalised: npt.ArrayLike | str | None = None,
    block_norm: str = "frobenius",
    loss: str = "squared",
    delta: float = 1.0,
    n_threads: int | None = None,
) -> float:
    """Return the smallest penalty whose solution is zero: max_i ||X' D_i r|| / group_weights[i], in the dual norm.

    Here r is minus the gradient of the loss at zero: y for "squared", y - 1/2 for "logistic" (y the probability of the
    positive class), y - 1/c for "softmax", y cut off at +-delta for "huber", y - 1 for "poisson"; times the weights.
    With unpenalised columns it is the gradient at the null model, which is fitted on them alone.

    Parameters
    ----------
    X, y, patterns, sample_weight, group_weights, unpenalised, block_norm, loss, delta, n_threads
        As in :func:`solve_gated`.

    Returns
    -------
    float
        The penalty.

    Raises
    ------
    ValueError, TypeError
        As :func:`solve_gated`.
    """
    penalty = Penalty(group_weights, block_norm=block_norm, unpenalised=unpenalised)
    data = GatedData.checked(X, y, patterns, sample_weight, n_threads)
    return pose(data, penalty, as_loss(loss, delta)).beta_max()


def solve_gated(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    patterns: ActivationPatterns,
    beta: float,
    *,
    sample_weight: npt.ArrayLike | None = None,
    group_weights: npt.ArrayLike | None = None,
    ridge: float = 0.0,
    unpenalised: npt.ArrayLike | str | None = None,
    block_norm: str = "frobenius",
    loss: str = "squared",
    delta: float = 1.0,
    warm_start: GatedSolution | npt.ArrayLike | None = None,
    tol: float = 1e-6,
    max_iter: int = 200,
    solver: str = "auto",
    n_threads: int | None = None,
    callback: Callback | None = None,
) -> GatedSolution:
    r"""Train a gated-ReLU network over given patterns to a certified global optimum.

    Solves the convex program

    .. math::
        \min_{w}\; \tfrac12 \sum_j s_j \left\| y_j - \sum_i D_{i,jj}\, x_j^\top w_i \right\|^2
        + \beta \sum_i \omega_i \|w_i\| + \tfrac{\text{ridge}}{2} \sum_i \|w_i\|^2,

    which, without `ridge` and with unit weights, has the same minimum as training
    ``f(x) = sum_j 1[x . g_j >= 0] (x . w1_j) w2_j`` with weight decay ``beta / 2`` on both layers [1]_ [2]_. Note the
    loss: one half, no mean; a penalty ``b`` for a mean loss ``1 / (2 n)`` is ``beta = n b``.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        Data matrix. For a bias append a column of ones (it is then inside the gates and the penalty).
    y : array_like of shape (n_samples,) or (n_samples, n_outputs)
        Targets. With several outputs a block is a matrix under the norm that `block_norm` says.
    patterns : ActivationPatterns
        Patterns of `X`. Those of other data of this shape are refused where some of their bits show it.
    beta : float
        Penalty, positive; from :func:`beta_max` on the solution is zero.
    sample_weight : array_like of shape (n_samples,), optional
        Weights s of the samples; k counts as k copies.
    group_weights : array_like of shape (n_patterns,), optional
        Positive weights omega of the blocks in the penalty; by default ones.
    ridge : float, default 0
        Factor of the additional squared penalty (elastic net).
    unpenalised : array_like of shape (n_samples, q) or "intercept", optional
        Columns Z fitted beside the network without penalty, such as X for a linear skip; "intercept" is a column of
        ones, and the only one for rows in chunks. The dual point t then has Z't = 0. Where the columns separate the
        targets, a loss that is never zero has no minimum, and ValueError says so.
    block_norm : {"frobenius", "nuclear"}
        Norm of a block with several outputs. Under "nuclear" the program has the minimum of the network above with
        vectors w2_j and as many neurons as help, its weight decay; under "frobenius" that of a network whose gates each
        carry a matrix times a number. The former is slower; it needs the squared loss, `ridge` 0 and `solver` "auto",
        whose Newton steps are then over the neurons behind the gates.
    loss : {"squared", "logistic", "softmax", "huber", "poisson"}
        The squared loss above, or in its place, each zero where the prediction f is perfect:

        - "logistic": KL(y || 1 / (1 + exp(-f))), which is log(1 + exp(-f)) for the positive class. Targets are labels
          -1 and +1, or probabilities of the positive class, such as 0 and 1. Several outputs are several labels.
        - "softmax": KL(y || softmax(f)), which is the cross-entropy for one-hot rows of `y`, of shape (n_samples,
          n_classes). Rows of probabilities are taken as well.
        - "huber": (y - f)^2 / 2 up to an error of `delta`, linear beyond.
        - "poisson": half the deviance, exp(f) - y f + y log y - y, for counts y (any number that is not negative) with
          mean exp(f).

        The relative gap is relative to this loss at f = 0: n log 2 for labels, n log c for one-hot rows. Where it is
        zero (all targets zero, all counts one, all probabilities equal), so are the solution, its gap and the relative
        gap.
    delta : float, default 1.0
        Error from which on the Huber loss is linear; positive.
    warm_start : GatedSolution or array_like, optional
        Coefficients to start from, of any earlier solution over the same patterns.
    tol : float, default 1e-6
        Duality gap to reach, relative to the objective of the zero solution.
    max_iter : int, default 200
        Most passes over all patterns, at `beta` and at each of the larger penalties that a start from zero goes through
        on the way there. ``n_iter`` of the solution counts them all, so it may be larger.
    solver : {"auto", "newton", "dual", "bcd"}
        Inside a working set: sweeps of block-coordinate descent with Newton steps on the non-zero blocks ("newton"), a
        semismooth Newton method in the dual ("dual"), block-coordinate descent with Anderson acceleration ("bcd"), or
        Newton steps until their flops exceed what the dual method is expected to take, and then that ("auto"; with at
        most 3000 samples and 30,000 targets, where the dual method factorises). From 50,000 samples on, and 8 for each
        coefficient, "auto" takes steps on a sample of them between certified passes over all, or on Gram statistics of
        all where that costs less.
    n_threads : int, optional
        Threads; by default what OpenMP would take. The same number gives the same bits.
    callback : callable, optional
        Called after every pass with a dict of beta, iteration, objective, gap, relative_gap, active, and the blocks at
        present that are not zero: ``support``, their indices, and ``blocks``; with unpenalised columns also
        ``unpenalised_coef``. Returning True stops with the best certified solution so far. The problem is the one that
        was posed, whatever the callback writes into: it hears copies, and arrays (not rows that are elsewhere) are
        copied first.

    Returns
    -------
    GatedSolution
        Coefficients (float32 when `X` and `y` are; the arithmetic and the certificate are float64), objective,
        duality gap and dual point.

    Raises
    ------
    ValueError
        For bad shapes, entries that are not finite, patterns of other data, or settings out of range.
    TypeError
        For arrays that are not of real numbers; sparse `X` too. For a `callback` that cannot be called.
    KeyboardInterrupt
        On Ctrl-C, within 0.2 s.

    Warns
    -----
    ConvergenceWarning
        When `tol` is not reached.

    References
    ----------
    .. [1] Pilanci, M., and Ergen, T. "Neural networks are convex regularizers: exact polynomial-time convex
       optimization formulations for two-layer networks." ICML 2020.
    .. [2] Mishkin, A., Sahiner, A., and Pilanci, M. "Fast convex optimization for two-layer ReLU networks: equivalent
       model classes and cone decompositions." ICML 2022.

    Examples
    --------
    >>> import numpy as np, cvxrelu
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 3))
    >>> y = np.abs(X[:, 0])
    >>> patterns = cvxrelu.sample_patterns(X, 50, random_state=0)
    >>> solution = cvxrelu.solve_gated(X, y, patterns, 0.1 * cvxrelu.beta_max(X, y, patterns))
    >>> solution.converged, solution.relative_gap < 1e-6
    (True, True)
    """
    callback = as_callback(callback)
    X, y, sample_weight, group_weights = out_of_reach(callback, X, y, sample_weight, group_weights)
    penalty = Penalty(group_weights, ridge, block_norm, unpenalised)
    data = GatedData.checked(X, y, patterns, sample_weight, n_threads)
    program = pose(data, penalty, as_loss(loss, delta))
    betas = np.array([as_scalar(beta, "beta", strict=True)])
    stopping = Stopping(tol, max_iter, solver, callback)
    solutions, _ = program.path(betas, warm_start, stopping)
    warn_of_gaps(solutions, stopping)
    return solutions[0]


def gated_path(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    patterns: ActivationPatterns,
    *,
    betas: npt.ArrayLike | None = None,
    n_betas: int = 50,
    beta_min_ratio: float = 1e-2,
    sample_weight: npt.ArrayLike | None = None,
    group_weights: npt.ArrayLike | None = None,
    ridge: float = 0.0,
    unpenalised: npt.ArrayLike | str | None = None,
    block_norm: str = "frobenius",
    loss: str = "squared",
    delta: float = 1.0,
    warm_start: GatedSolution | npt.ArrayLike | None = None,
    tol: float = 1e-6,
    max_iter: int = 200,
    solver: str = "auto",
    n_threads: int | None = None,
    callback: Callback | None = None,
    on_interrupt: str = "raise",
    checkpoint: str | os.PathLike[str] | None = None,
) -> GatedPath:
    """Solve :func:`solve_gated`'s program for a sequence of penalties, each from the solution before.

    Parameters
    ----------
    X, y, patterns
        As in :func:`solve_gated`.
    betas : array_like of shape (n_betas,), optional
        Penalties, solved from the largest to the smallest. By default `n_betas` of them in geometric progression
        from :func:`beta_max` down to ``beta_min_ratio * beta_max``.
    n_betas : int, default 50
        Length of the default path.
    beta_min_ratio : float, default 1e-2
        End of the default path.
    sample_weight, group_weights, ridge, unpenalised, block_norm, loss, delta, warm_start
        As in :func:`solve_gated`.
    tol, max_iter, solver, n_threads, callback
        As in :func:`solve_gated`; `tol` and `max_iter` hold for every point. A callback that returns True ends the path
        with the point at hand.
    on_interrupt : {"raise", "return"}
        On Ctrl-C raise KeyboardInterrupt, or return the points that are finished.
    checkpoint : str or path-like, optional
        A file that is written after every point, whole or not at all, with the one before as ``<checkpoint>.previous``.
        Where it exists the path goes on from it, to the numbers that it would have had without the interruption. An
        array is then treated as rows in chunks (:class:`RowChunks`). The file has digests of the data and of all
        settings that the numbers depend on; one of another problem, or one that was edited, is refused.

    Returns
    -------
    GatedPath
        The solutions, in the order of decreasing penalties.

    Raises
    ------
    ValueError, TypeError
        As :func:`solve_gated`, and for `betas` that are no list of positive numbers.
    """
    callback = as_callback(callback)
    X, y, sample_weight, group_weights = out_of_reach(callback, X, y, sample_weight, group_weights)
    if on_interrupt not in ("raise", "return"):
        raise ValueError(f'on_interrupt must be "raise" or "return", not {on_interrupt!r}')
    penalty = Penalty(group_weights, ridge, block_norm, unpenalised)
    given_loss = as_loss(loss, delta)
    if checkpoint is not None:
        for name, fits in (
            (f"loss={loss!r}", given_loss.quadratic),
            (f"block_norm={block_norm!r}", block_norm == "frobenius"),
            ("unpenalised columns other than an intercept", unpenalised is None or penalty.has_intercept),
        ):
            if not fits:
                raise ValueError(f"checkpoint is not available with {name}")
    rows = X if checkpoint is None else as_rows(X, n_threads)
    data = GatedData.checked(rows, y, patterns, sample_weight, n_threads)
    program = pose(data, penalty, given_loss)
    grid = path_grid(betas, n_betas, beta_min_ratio, program.beta_max)
    stopping = Stopping(tol, max_iter, solver, callback, keep=on_interrupt == "return")
    if checkpoint is None:
        solutions, interrupted = program.path(grid, warm_start, stopping)
    else:
        assert isinstance(program, PassesProgram)
        file = PathCheckpoint(checkpoint, data.patterns, program.digests(warm_start, stopping), grid)
        solutions, interrupted = program.path(grid, warm_start, stopping, file)
    warn_of_gaps(solutions, stopping)
    return GatedPath(tuple(solutions), complete=not interrupted and len(solutions) == grid.size)


def warn_of_gaps(solutions: list[GatedSolution], stopping: Stopping) -> None:
    """Warn of solutions that did not reach the tolerance, with the caller's caller as the place."""
    # A callback may stop on purpose, and then it is the last point that is unfinished.
    for solution in solutions if stopping.callback is None else solutions[:-1]:
        if not solution.converged:
            warnings.warn(
                f"the duality gap at beta={solution.beta:.4g} is {solution.relative_gap:.1e} relative to the objective "
                f"at zero, above tol={stopping.tol:.1e}, after {solution.n_iter} passes over the rows: raise max_iter "
                "or tol",
                ConvergenceWarning,
                stacklevel=3,
            )
