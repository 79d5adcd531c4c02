"""ReLU networks along the penalty: from the smallest one whose optimum is zero, each from the network before."""

from __future__ import annotations

import os
import time
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import as_count, as_design, as_generator, as_real, as_scalar, as_targets, as_threads, as_weights
from ..base.callbacks import Callback, as_callback, out_of_reach
from ..base.digests import digest_of
from ..base.scaling import shifted
from ..exceptions import ConvergenceWarning
from ..gated.grid import path_grid
from ..patterns.checks import checked_patterns
from ..patterns.patterns import ActivationPatterns
from .checkpoint import PathCheckpoint
from .layers import as_columns, has_several_outputs
from .pricer import Pricer, as_pricing
from .problem import pose_relu
from .program import ReLUProgram
from .solution import ReLUPath
from .solve import solve_relu
from .train import train_relu

_WALKS = 40  # that tell how large the maximum is
_ROUNDING = 1e-12  # of that, relative


def relu_beta_max(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    patterns: ActivationPatterns | None = None,
    *,
    sample_weight: npt.ArrayLike | None = None,
    unpenalised: npt.ArrayLike | str | None = None,
    loss: str = "squared",
    delta: float = 1.0,
    n_threads: int | None = None,
    group_weights: npt.ArrayLike | None = None,
    pricing: str = "auto",
    max_nodes: int = 1_000_000,
    max_seconds: float | None = None,
) -> float:
    """Return the smallest penalty whose optimal ReLU network is zero: max ``|r'(X u)_+|`` over unit vectors u.

    Here r is minus the gradient of the loss at the zero network, y for the squared loss; with unpenalised columns, at
    their best coefficients. Over given patterns it is ``max_i max_s ||P_i(s X' D_i r)|| / omega_i``, P_i the
    projection onto the cone of pattern i. With several outputs it is ``max ||R'(X u)_+||``.

    Parameters
    ----------
    X, y
        As in :func:`solve_relu`.
    patterns : ActivationPatterns, optional
        Patterns of the neurons; by default all.
    sample_weight, unpenalised, loss, delta, n_threads
        As in :func:`solve_relu`.
    group_weights : array_like of shape (n_patterns,), optional
        Weights omega of given patterns.
    pricing, max_nodes, max_seconds
        How all patterns are searched, as in :func:`certify`.

    Returns
    -------
    float
        The penalty; where a limit ended the search an upper bound on it.

    Raises
    ------
    ValueError, TypeError
        As :func:`solve_relu`.

    Warns
    -----
    ConvergenceWarning
        Where a limit ended the search, or with several outputs more than eight features allow no exact one.

    Examples
    --------
    >>> import numpy as np, cvxrelu
    >>> round(cvxrelu.relu_beta_max(np.eye(2), [3.0, -4.0]), 9)
    4.0
    """
    if patterns is None and group_weights is not None:
        raise ValueError("group_weights need patterns, whose weights they are")
    if patterns is not None and not has_several_outputs(y):
        program = ReLUProgram(
            X, y, 1.0, n_threads, sample_weight=sample_weight, loss=loss, delta=delta, unpenalised=unpenalised
        )
        program.append(checked_patterns(patterns, program.design, program.threads), group_weights)
        return program.beta_max()
    design, pricing, threads = as_design(X), as_pricing(pricing), as_threads(n_threads)
    nodes = as_count(max_nodes, "max_nodes")
    deadline = time.monotonic() + (np.inf if max_seconds is None else as_scalar(max_seconds, "max_seconds"))
    targets = as_targets(y, design.shape[0])
    problem = pose_relu(
        design, as_columns(targets), 0.0, sample_weight=sample_weight, unpenalised=unpenalised, loss=loss, delta=delta
    )
    pricer = Pricer(problem.X, threads, max_nodes=nodes, deadline=deadline, method=pricing)
    residual = problem.residual_at_zero()
    reached, weights = 0.0, None
    if patterns is not None:
        patterns = checked_patterns(patterns, design, threads)
        if group_weights is not None:
            weights = as_weights(group_weights, len(patterns), "group_weights", positive=True)
    elif residual.shape[1] == 1:
        _, reached = pricer.walk(np.ascontiguousarray(residual[:, 0]), pricer.design[:_WALKS], np.inf)
    else:
        reached = float(pricer.climbed(residual, problem.X[:_WALKS])[1].max())
    norm = pricer.over_outputs(residual, (1 + _ROUNDING) * reached, patterns, weights=weights)
    if not norm.exact:
        least = shifted(reached, problem.X_order + problem.dual_order)
        warnings.warn(
            f"the search for the smallest penalty with a zero optimum ended early: it is at least {least:.6g}, and an "
            "upper bound is returned",
            ConvergenceWarning,
            stacklevel=2,
        )
    return shifted(norm.bound, problem.X_order + problem.dual_order)


def relu_path(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    patterns: ActivationPatterns | None = None,
    *,
    betas: npt.ArrayLike | None = None,
    n_betas: int = 20,
    beta_min_ratio: float = 1e-2,
    sample_weight: npt.ArrayLike | None = None,
    unpenalised: npt.ArrayLike | str | None = None,
    loss: str = "squared",
    delta: float = 1.0,
    group_weights: npt.ArrayLike | None = None,
    ridge: float = 0.0,
    tol: float = 1e-6,
    max_iter: int = 200,
    n_threads: int | None = None,
    callback: Callback | None = None,
    random_state: Any = None,
    on_interrupt: str = "raise",
    checkpoint: str | os.PathLike[str] | None = None,
    **search: Any,
) -> ReLUPath:
    """Train ReLU networks for a sequence of penalties, each from the network before.

    Parameters
    ----------
    X, y
        As in :func:`solve_relu`, with one output or several.
    patterns : ActivationPatterns, optional
        Patterns of the neurons, as in :func:`solve_relu`; by default all of them, as in :func:`train_relu`, which
        begins each penalty with the patterns of the one before.
    betas : array_like of shape (n_betas,), optional
        Positive penalties, solved from the largest to the smallest. By default `n_betas` of them in geometric
        progression from :func:`relu_beta_max` down to ``beta_min_ratio * relu_beta_max``. A penalty of 0 is refused, as
        by :func:`solve_relu`.
    n_betas : int, default 20
        Length of the default path.
    beta_min_ratio : float, default 1e-2
        End of the default path.
    sample_weight, unpenalised, loss, delta
        As in :func:`solve_relu`.
    group_weights, ridge
        As in :func:`solve_relu`, for given patterns.
    tol, max_iter, n_threads, callback
        As in :func:`solve_relu`; `tol` and `max_iter` hold for every penalty. A callback that returns True ends the
        path with the penalty at hand.
    random_state : None, int, numpy.random.Generator or RandomState
        As in :func:`train_relu`.
    on_interrupt : {"raise", "return"}
        On Ctrl-C raise KeyboardInterrupt, or return the networks that are finished.
    checkpoint : str or path-like, optional
        A file that is written after every penalty, whole or not at all, with the one before as
        ``<checkpoint>.previous``. Where it exists the path goes on from it.
    **search
        For all patterns: `n_starts`, `max_rounds`, `pricing`, `max_nodes` and `max_seconds` of :func:`train_relu`, for
        each penalty.

    Returns
    -------
    ReLUPath
        The solutions, in the order of decreasing penalties.

    Raises
    ------
    ValueError, TypeError
        As :func:`solve_relu` and :func:`train_relu`, and for `betas` that are no list of positive numbers.

    Warns
    -----
    ConvergenceWarning
        When `tol` is not reached at a penalty.

    Examples
    --------
    >>> import numpy as np, cvxrelu
    >>> X = np.random.default_rng(0).standard_normal((20, 2))
    >>> path = cvxrelu.relu_path(X, np.abs(X[:, 0]), n_betas=5, random_state=0)
    >>> int(path.n_neurons[0]), path[-1].scope
    (0, 'all patterns')
    """
    callback = as_callback(callback)
    X, y, sample_weight, unpenalised, group_weights = out_of_reach(
        callback, X, y, sample_weight, unpenalised, group_weights
    )
    if on_interrupt not in ("raise", "return"):
        raise ValueError(f'on_interrupt must be "raise" or "return", not {on_interrupt!r}')
    common: dict[str, Any] = {
        "sample_weight": sample_weight,
        "unpenalised": unpenalised,
        "loss": loss,
        "delta": delta,
        "n_threads": n_threads,
    }
    if patterns is None and (group_weights is not None or as_scalar(ridge, "ridge") > 0):
        raise ValueError("group_weights and ridge need given patterns: networks of every width have no use for them")
    if patterns is not None and search:
        raise ValueError(f"{min(search)} is for the search over all patterns, but patterns are given")

    def largest() -> float:
        limits = {name: search[name] for name in ("pricing", "max_nodes", "max_seconds") if name in search}
        return relu_beta_max(X, y, patterns, group_weights=group_weights, **common, **limits)

    grid = path_grid(betas, n_betas, beta_min_ratio, largest)
    file, solutions = None, []
    if checkpoint is not None:
        design = as_design(X)
        data = {name: common[name] for name in ("sample_weight", "unpenalised", "loss", "delta")}
        problem = pose_relu(design, as_targets(y, design.shape[0]), 0.0, **data)
        omega = np.ones(0) if group_weights is None else as_real(group_weights, "group_weights")
        told = {
            "patterns": "all" if patterns is None else digest_of(patterns.gates, patterns.words),
            "group weights": digest_of(omega),
            "ridge": digest_of(ridge),
            "tol and max_iter": digest_of(tol, max_iter),
        }
        file = PathCheckpoint(checkpoint, problem, grid, told)
        solutions = file.load()
    stopped = False

    def watched(progress: dict[str, Any]) -> bool:
        nonlocal stopped
        stopped = bool(callback is not None and callback(progress | {"beta": beta}))
        return stopped

    settings = common | {"tol": tol, "max_iter": max_iter, "callback": None if callback is None else watched}
    rng = as_generator(random_state)
    try:
        for beta in grid[len(solutions) :]:
            before = solutions[-1] if solutions else None
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # the one below says at which penalty
                if patterns is None:
                    known = before.patterns if before is not None and len(before.patterns) else None
                    solution = train_relu(
                        X, y, beta, patterns=known, warm_start=before, random_state=rng, **settings, **search
                    )
                else:
                    solution = solve_relu(
                        X, y, patterns, beta, warm_start=before, group_weights=group_weights, ridge=ridge, **settings
                    )
            if not solution.converged and not stopped:
                warnings.warn(
                    f"the duality gap at beta={beta:.4g} is {solution.relative_gap:.1e} relative to the objective at "
                    f"zero, above tol={tol:.1e}",
                    ConvergenceWarning,
                    stacklevel=2,
                )
            solutions.append(solution)
            if file is not None:
                file.save(solutions)
            if stopped:
                break
    except KeyboardInterrupt:
        if on_interrupt == "raise":
            raise
    return ReLUPath(tuple(solutions), complete=not stopped and len(solutions) == grid.size)
