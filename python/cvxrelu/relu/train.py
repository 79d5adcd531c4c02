"""ReLU networks over all activation patterns: what is asked for, and the rounds or the search that find it."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import as_count, as_generator, as_scalar
from ..base.callbacks import Callback, as_callback, out_of_reach
from ..base.native import core
from ..exceptions import ConvergenceWarning
from ..networks.network import Network
from ..patterns.checks import checked_patterns
from ..patterns.patterns import ActivationPatterns
from .generation import Generation
from .joint import JointTraining
from .layers import has_several_outputs
from .pricer import as_pricing
from .program import ReLUProgram
from .solution import ReLUSolution


def train_relu(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    beta: float,
    *,
    sample_weight: npt.ArrayLike | None = None,
    unpenalised: npt.ArrayLike | str | None = None,
    loss: str = "squared",
    delta: float = 1.0,
    patterns: ActivationPatterns | None = None,
    warm_start: ReLUSolution | Network | tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    tol: float = 1e-6,
    certificate: str = "all patterns",
    n_starts: int = 50,
    max_rounds: int = 200,
    max_iter: int = 200,
    pricing: str = "auto",
    max_nodes: int = 1_000_000,
    max_seconds: float | None = None,
    random_state: Any = None,
    n_threads: int | None = None,
    callback: Callback | None = None,
    on_interrupt: str = "raise",
    checkpoint: str | os.PathLike[str] | None = None,
) -> ReLUSolution:
    r"""Train a two-layer ReLU network to the global optimum over all networks of all widths.

    The objective is :func:`solve_relu`'s, over all activation patterns of `X`. Its program is solved over a growing
    list of patterns: walks from cell to cell look for unit vectors u with ``|r . (X u)_+| > beta`` for the residual r
    (minus the gradient of the loss), whose patterns improve the objective; when they find none, all patterns are
    searched, by enumeration where there are few enough and by a tree elsewhere, as in :func:`certify`, which ends in
    violated patterns that they missed or in a certificate.

    With several outputs the neurons are trained together, directions of new ones are those with
    ``||R' (X u)_+|| > beta``, and for up to eight features the search subdivides them into simplices, which is exact;
    beyond, the bound is that of :func:`certify` and may leave a gap.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        Data matrix. For a bias append a column of ones.
    y : array_like of shape (n_samples,) or (n_samples, n_outputs)
        Targets. Neurons serve all outputs, as in :func:`solve_relu`.
    beta : float
        Penalty, positive. The limit of penalties towards 0, the network of least weight decay that fits best, has no
        certificate of this kind, since 0 is then, as a rule, the only dual point: a small penalty is near it.
    sample_weight : array_like of shape (n_samples,), optional
        Weights s_j >= 0 of the loss, ``sum_j s_j loss(y_j, f(x_j))``.
    unpenalised, loss, delta
        Columns outside the penalty, and the loss, as in :func:`solve_relu`.
    patterns : ActivationPatterns, optional
        Patterns to start from; by default a Gaussian sample.
    warm_start : ReLUSolution, Network or (W1, w2), optional
        A network to start from; its patterns join the list. The result is never worse.
    tol : float, default 1e-6
        Duality gap to reach, relative to the objective of the zero network.
    certificate : {"all patterns", "given patterns"}
        With "given patterns" there is no search over all patterns: the result is one that no walk improves, and its
        gap is only about the patterns in the list.
    n_starts : int, default 50
        Random starts of walks in a round, beside those from the neurons.
    max_rounds : int, default 200
        Most rounds of pricing.
    max_iter : int, default 200
        Most passes over the list in a round.
    pricing : {"auto", "enumeration", "branch and bound", "subdivision"}
        How all patterns are searched, as in :func:`certify`.
    max_nodes : int, default 1000000
        Most nodes of a branch and bound over samples, in all searches together; a subdivision may have ten times as
        many. When they are used up the certificate is valid for all patterns, with a larger gap. With "auto" also the
        cost of as many is the most that an enumeration may have.
    max_seconds : float, optional
        Most seconds for the call, but for the end of what is at work then: a pass over the list, and at least
        a second for the certificate.
    random_state : None, int, numpy.random.Generator or RandomState
        Source of the starts and of the default patterns.
    n_threads : int, optional
        Threads; by default what OpenMP would take.
    callback : callable, optional
        Called in every pass with a dict of iteration, objective, gap, relative_gap (these over the list), active, and
        ``finished``, the solution over the list of the last round that has ended, or None; with several outputs the
        gap is that to the best bound that a search has proved yet, over all patterns, and at first there is none.
        Returning True stops with the network so far. As in :func:`solve_gated`, nothing that it writes into changes the
        problem.
    on_interrupt : {"raise", "return"}
        On Ctrl-C raise KeyboardInterrupt, or return the last network that was finished, with its certificate over
        the list; with several outputs the network at hand, with the best bound that was proved yet.
    checkpoint : str or path-like, optional
        A file that is written after every round, whole or not at all, with the one before as
        ``<checkpoint>.previous``: the network, its dual point and the list of patterns. Where it exists the generation
        goes on from it, in the place of `patterns` and `warm_start`, to the same certified optimum.

    Returns
    -------
    ReLUSolution
        A network of at most n_samples neurons for one output, with `scope` "all patterns" unless it was stopped early
        or asked for less.

    Raises
    ------
    ValueError
        For bad shapes, entries that are not finite, targets that the loss does not take, patterns of other data,
        unpenalised columns that depend on each other or that fit the targets at infinity, or settings out of range.
    TypeError
        For arguments of other kinds, such as a `callback` that cannot be called.
    KeyboardInterrupt
        On Ctrl-C.

    Warns
    -----
    ConvergenceWarning
        When `tol` is not reached, or when with "given patterns" a limit came before walks found no more.

    References
    ----------
    .. [1] Pilanci, M., and Ergen, T. "Neural networks are convex regularizers: exact polynomial-time convex
       optimization formulations for two-layer networks." ICML 2020.

    Examples
    --------
    >>> import numpy as np, cvxrelu
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((20, 2))
    >>> y = np.abs(X[:, 0])
    >>> solution = cvxrelu.train_relu(X, y, beta=0.1, random_state=0)
    >>> solution.scope, solution.converged
    ('all patterns', True)
    """
    if certificate not in ("all patterns", "given patterns"):
        raise ValueError(f'certificate must be "all patterns" or "given patterns", not {certificate!r}')
    if on_interrupt not in ("raise", "return"):
        raise ValueError(f'on_interrupt must be "raise" or "return", not {on_interrupt!r}')
    callback = as_callback(callback)
    X, y, sample_weight, unpenalised = out_of_reach(callback, X, y, sample_weight, unpenalised)
    if has_several_outputs(y):
        training = JointTraining(
            X,
            y,
            beta,
            sample_weight=sample_weight,
            unpenalised=unpenalised,
            loss=loss,
            delta=delta,
            n_threads=n_threads,
            max_nodes=as_count(max_nodes, "max_nodes"),
            pricing=as_pricing(pricing),
            max_seconds=np.inf if max_seconds is None else as_scalar(max_seconds, "max_seconds"),
        )
        rng = as_generator(random_state)
        starts = rng.standard_normal((as_count(n_starts, "n_starts"), training.n_features))
        if patterns is not None:
            starts = np.vstack([starts, checked_patterns(patterns, training.design, training.threads).gates])
        if warm_start is not None:
            training.start(warm_start)
        if checkpoint is not None:
            training.keep_in(checkpoint, rng)
        tol, everywhere = as_scalar(tol, "tol", strict=True), certificate == "all patterns"
        try:
            training.run(tol, as_count(max_rounds, "max_rounds"), starts, callback, everywhere=everywhere)
        except KeyboardInterrupt:
            if on_interrupt == "raise":
                raise
            return training.so_far(tol)
        return training.solution(tol)
    generation = Generation(
        ReLUProgram(
            X,
            y,
            beta,
            n_threads,
            sample_weight=sample_weight,
            loss=loss,
            delta=delta,
            unpenalised=unpenalised,
        ),
        tol=as_scalar(tol, "tol", strict=True),
        n_starts=as_count(n_starts, "n_starts"),
        max_rounds=as_count(max_rounds, "max_rounds"),
        max_iter=as_count(max_iter, "max_iter"),
        max_nodes=as_count(max_nodes, "max_nodes"),
        pricing=as_pricing(pricing),
        max_seconds=np.inf if max_seconds is None else as_scalar(max_seconds, "max_seconds"),
        rng=as_generator(random_state),
        callback=callback,
    )
    if checkpoint is not None:
        generation.keep_in(checkpoint)
    if generation.finished is None:
        generation.begin(patterns, warm_start)
    try:
        solution = generation.run(exact=certificate == "all patterns")
    except KeyboardInterrupt:
        if on_interrupt == "raise" or generation.finished is None:
            raise
        return generation.finished
    if not solution.converged and not generation.stopped:
        outlook = f" ({generation.norm.outlook})" if generation.norm is not None and generation.norm.outlook else ""
        warnings.warn(
            f"the duality gap over {solution.scope} is {solution.relative_gap:.1e} relative to the objective at zero, "
            f"above tol={generation.tol:.1e}: {_advice(solution.scope, solution.patterns.n_features)}{outlook}",
            ConvergenceWarning,
            stacklevel=2,
        )
    elif generation.unfinished and not generation.stopped:
        warnings.warn(
            "max_seconds or max_rounds ended the generation while patterns were still being found: the certificate "
            "holds for the patterns in the list, and further rounds may lower the objective",
            ConvergenceWarning,
            stacklevel=2,
        )
    return solution


def _advice(scope: str, n_features: int) -> str:
    if scope == "all patterns" and n_features > core.MOST_DIRECTION_FEATURES:
        return (
            f"with {n_features} features a bound over all networks is mostly out of reach; gated networks "
            "(GatedReLURegressor, GatedReLUClassifier, solve_gated) are certified with any number, and "
            'certificate="given patterns" asks for a bound over the patterns found'
        )
    return "raise max_nodes, max_rounds or max_seconds, or tol"
