"""ReLU networks over given activation patterns: a convex program with a cone for each, solved to a certified gap."""

from __future__ import annotations

import warnings

import numpy.typing as npt

from ..base.arrays import as_count, as_scalar
from ..base.callbacks import Callback, as_callback, out_of_reach
from ..exceptions import ConvergenceWarning
from ..networks.network import Network
from ..patterns.checks import checked_patterns
from ..patterns.patterns import ActivationPatterns
from .joint import JointTraining
from .layers import has_several_outputs
from .program import ReLUProgram
from .solution import ReLUSolution


def solve_relu(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    patterns: ActivationPatterns,
    beta: float,
    *,
    sample_weight: npt.ArrayLike | None = None,
    group_weights: npt.ArrayLike | None = None,
    ridge: float = 0.0,
    loss: str = "squared",
    delta: float = 1.0,
    unpenalised: npt.ArrayLike | str | None = None,
    warm_start: ReLUSolution | Network | tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    tol: float = 1e-6,
    max_iter: int = 200,
    n_threads: int | None = None,
    callback: Callback | None = None,
) -> ReLUSolution:
    r"""Train a two-layer ReLU network over given patterns to a certified global optimum.

    Solves the convex program [1]_

    .. math::
        \min_{v, w}\; \tfrac12 \left\| \sum_i D_i X (v_i - w_i) - y \right\|^2 + \beta \sum_i (\|v_i\| + \|w_i\|),
        \qquad (2 D_i - I) X v_i \ge 0,\; (2 D_i - I) X w_i \ge 0,

    which is the training of ReLU networks whose neurons have these patterns, with weight decay ``beta / 2`` on both
    layers and the loss ``1/2 ||f(X) - y||^2`` without 1/n; other losses, weights of the patterns, a ridge and an
    unpenalised linear part as the parameters say. Patterns are priced by projections onto their cones, and
    a working set of them is solved by a semismooth Newton augmented Lagrangian method [2]_. The gap is that of the
    actual network, so an inexact constraint cannot flatter it.

    With several outputs the penalty of a cone is the least ``sum_k ||v_k|| ||g_k||`` over ``U = sum_k v_k g_k'`` with
    all v_k in the cone: weight decay of neurons that serve all outputs. It is not known in closed form. Neurons
    ``(v_k, g_k)`` are trained together by Newton steps, and new ones are looked for where
    ``||R' (X u)_+|| > beta`` for the residual R and a unit vector u in one of the cones, which are subdivided into
    simplices until none is left [3]_; so the gap is certified as for one output.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        Data matrix. For a bias append a column of ones.
    y : array_like of shape (n_samples,) or (n_samples, n_outputs)
        Targets; several outputs for up to eight features.
    patterns : ActivationPatterns
        Patterns of `X`.
    beta : float
        Penalty, positive. The limit of penalties towards 0, the network of least weight decay that fits best, has no
        certificate of this kind, since 0 is then, as a rule, the only dual point: a small penalty is near it.
    sample_weight : array_like of shape (n_samples,), optional
        Weights s_j >= 0 of the loss, ``sum_j s_j loss(y_j, f(x_j))``.
    group_weights : array_like of shape (n_patterns,), optional
        Positive weights omega of the patterns: the penalty is ``beta sum_i omega_i (||v_i|| + ||w_i||)``, with several
        outputs ``beta sum_k omega_k ||v_k|| ||g_k||``, omega_k that of the cone of v_k.
    ridge : float, default 0.0
        Coefficient of a further penalty ``ridge/2 sum_i (||v_i||^2 + ||w_i||^2)``. It counts a pattern's neurons of one
        sign as one: of networks with any number of neurons, which may share it out, it asks for nothing. So it is for
        one output, where a cone needs no more than a neuron of each sign.
    loss : {"squared", "logistic", "softmax", "huber", "poisson"}
        Loss of a sample with the value f of the network: "squared" ``1/2 (f - y)^2``; "logistic"
        ``log(1 + exp(-y f))`` for labels y of -1 and +1, or the divergence from a probability y between 0 and 1;
        "softmax" the divergence of softmax(f) from one-hot rows y, of shape (n_samples, n_classes);
        "huber" the squared loss up to ``|f - y| = delta`` and linear beyond; "poisson" half the deviance,
        ``exp(f) - y f + y log y - y``, for counts.
    delta : float, default 1.0
        Where the Huber loss becomes linear.
    unpenalised : array_like of shape (n_samples, q) or "intercept", optional
        Columns Z that are added to the network as ``Z c`` without a penalty on c, such as a column of ones for an
        intercept or `X` for a linear skip connection. They must be linearly independent.
    warm_start : ReLUSolution, Network or (W1, w2), optional
        A network to start from; neurons in the cone of none of `patterns` are left out.
    tol : float, default 1e-6
        Duality gap to reach, relative to the objective of the zero network.
    max_iter : int, default 200
        Most passes over all patterns.
    n_threads : int, optional
        Threads; by default what OpenMP would take.
    callback : callable, optional
        Called after every pass with a dict of iteration, objective, gap, relative_gap and active; returning True
        stops with the best certified network so far. As in
        :func:`solve_gated`, nothing that it writes into changes the problem.

    Returns
    -------
    ReLUSolution
        Its `scope` is "given patterns": for all networks see :func:`train_relu` and :func:`certify`.

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
        When `tol` is not reached: within `max_iter`, or at all, where passes make no more progress. That happens with
        penalties near a millionth of the largest that matters, and more often with the Huber loss, under a small
        `delta` and with too few patterns for a good fit: most samples then have residuals of `delta`, with no
        curvature.

    References
    ----------
    .. [1] Pilanci, M., and Ergen, T. "Neural networks are convex regularizers: exact polynomial-time convex
       optimization formulations for two-layer networks." ICML 2020.
    .. [2] Li, X., Sun, D., and Toh, K.-C. "A highly efficient semismooth Newton augmented Lagrangian method for
       solving lasso problems." SIAM Journal on Optimization 28, 2018.
    .. [3] Bundfuss, S., and Duer, M. "Algorithmic copositivity detection by simplicial partition." Linear Algebra and
       its Applications 428, 2008.

    Examples
    --------
    >>> import numpy as np, cvxrelu
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((50, 3))
    >>> y = np.abs(X[:, 0])
    >>> patterns = cvxrelu.sample_patterns(X, 50, random_state=0)
    >>> cvxrelu.solve_relu(X, y, patterns, beta=0.5).converged
    True
    """
    callback = as_callback(callback)
    X, y, sample_weight, unpenalised = out_of_reach(callback, X, y, sample_weight, unpenalised)
    if has_several_outputs(y):
        if as_scalar(ridge, "ridge") > 0:
            raise ValueError("ridge is for one output: with several, neurons of a cone would share it out, and it is 0")
        training = JointTraining(
            X,
            y,
            beta,
            patterns,
            sample_weight=sample_weight,
            group_weights=group_weights,
            loss=loss,
            delta=delta,
            unpenalised=unpenalised,
            n_threads=n_threads,
        )
        if warm_start is not None:
            training.start(warm_start)
        tol = as_scalar(tol, "tol", strict=True)
        training.run(tol, as_count(max_iter, "max_iter"), training.design[:0], callback)
        return training.solution(tol)
    program = ReLUProgram(
        X,
        y,
        beta,
        n_threads,
        sample_weight=sample_weight,
        loss=loss,
        delta=delta,
        unpenalised=unpenalised,
        ridge=ridge,
    )
    program.append(checked_patterns(patterns, program.design, program.threads), group_weights)
    if warm_start is not None:
        program.start(warm_start)
    tol = as_scalar(tol, "tol", strict=True)
    max_iter = as_count(max_iter, "max_iter")
    stopped = program.solve(tol, max_iter, callback)
    solution = program.solution(tol, scope="given patterns")
    if not solution.converged and not stopped:
        advice = "raise max_iter or tol"
        if solution.n_iter < max_iter:
            advice = (
                "the last of which made no more progress: raise tol, or come from larger penalties, as relu_path does"
            )
        warnings.warn(
            f"the duality gap at beta={solution.beta:.4g} is {solution.relative_gap:.1e} relative to the objective at "
            f"zero, above tol={tol:.1e}, after {solution.n_iter} passes: {advice}",
            ConvergenceWarning,
            stacklevel=2,
        )
    return solution
