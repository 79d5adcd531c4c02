"""Certificates over all two-layer ReLU networks: lower bounds that hold for every width, and what a network reaches."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import append_ones, as_count, as_design, as_scalar, as_targets, as_threads
from ..base.scaling import binary_order, shifted
from ..gated.losses import as_loss
from ..networks.network import Network
from ..patterns.checks import checked_patterns
from ..patterns.patterns import ActivationPatterns
from ..rows.open import as_rows
from ..rows.rows import is_rows
from .certify_rows import certify_by_sums, gathered, has_one_output, may_be_gathered
from .layers import as_columns, as_relu_layers, as_relu_network, has_linear_part, outputs_of, with_linear_part
from .pricer import Pricer, as_pricing
from .problem import pose_relu
from .program import evaluate
from .solution import Certificate


def certify(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    network: Network | tuple[npt.ArrayLike, npt.ArrayLike] | Any,
    beta: float,
    *,
    sample_weight: npt.ArrayLike | None = None,
    unpenalised: npt.ArrayLike | str | None = None,
    unpenalised_coef: npt.ArrayLike | None = None,
    loss: str = "squared",
    delta: float = 1.0,
    patterns: ActivationPatterns | None = None,
    dual: npt.ArrayLike | None = None,
    tol: float = 1e-6,
    pricing: str = "auto",
    max_nodes: int = 1_000_000,
    max_seconds: float | None = None,
    n_threads: int | None = None,
) -> Certificate:
    r"""Bound how far a two-layer ReLU network, trained by whatever means, is from the global optimum.

    The objective is that of training with weight decay on both layers,

    .. math::
        \tfrac12 \| \textstyle\sum_j (X w_j)_+ a_j - y \|^2 + \tfrac{\beta}{2} \sum_j (\|w_j\|^2 + a_j^2),

    with no 1/n, or another loss. By convex duality [1]_ every t with ``|t . (X u)_+| <= beta`` for all unit vectors u
    gives the lower bound ``y . t - ||t||^2 / 2`` for every network of every width; for another loss the bound is
    ``-sum_j s_j loss*(-t_j / s_j)``, and with unpenalised columns Z it asks for ``Z't = 0``, too. Here t is the scaled
    residual of the network, minus the gradient of the loss, or that at zero where that residual is above what float64
    holds. The maximum over u is found cell by cell where enumerating them is cheap, and bounded by a tree elsewhere,
    over directions for up to twelve features and over samples beyond; if that ends early, the bound is weaker, not
    wrong, and `outlook` says what more would cost. With several outputs ``||a_j||^2`` is the decay of a neuron's
    second layer, and the
    constraint is ``||t' (X u)_+|| <= beta``. For up to eight features its maximum is found by a subdivision of the
    directions into simplices; beyond, or where that ends early, it is bounded output by output in the principal axes of
    t, which is not exact in general: the gap of the best network need not then be zero.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        Samples; without the ones column where `network` is a :class:`Network` with a bias.
    y : array_like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    network : Network, (W1, w2), torch.nn.Sequential(Linear, ReLU, Linear), MLPRegressor or MLPClassifier
        A ReLU network, W1 of shape (n_neurons, n_features), w2 of shape (n_neurons,) or (n_neurons, n_outputs). Biases
        of a hidden layer are weights of a column of ones, and in the penalty as other weights are. Output bias and skip
        are outside: the bound is then over all networks that have them, too. Of a classifier the outputs are what
        comes before its sigmoid or softmax: pass ``loss="logistic"`` or ``"softmax"``.
    beta : float
        Penalty, at least 0. With 0 nothing but 0 is known to be a lower bound, and that is what is returned.
    sample_weight : array_like of shape (n_samples,), optional
        Weights s_j >= 0 of the loss, ``sum_j s_j loss(y_j, f(x_j))``.
    unpenalised : array_like of shape (n_samples, q) or "intercept", optional
        Columns Z that are added to the outputs of all networks as ``Z c``, without a penalty on c.
    unpenalised_coef : array_like of shape (q,), optional
        Those of the network; by default the best ones for it. Of output bias and skip they are its own.
    loss : {"squared", "logistic", "softmax", "huber", "poisson"}
        As in :func:`solve_relu`; "softmax" for one-hot rows y of (n_samples, n_classes).
    delta : float, default 1.0
        Where the Huber loss becomes linear.
    patterns : ActivationPatterns, optional
        Bound only networks whose neurons have these patterns: cheaper, and `scope` says so.
    dual : array_like of the shape of `y`, optional
        A dual point to use in place of the residual, such as that of a better solution.
    tol : float, default 1e-6
        The search stops when the bound costs no more than this in the relative gap.
    pricing : {"auto", "enumeration", "branch and bound", "subdivision"}
        How to bound the maximum over all u: cell by cell, by a tree that fixes the signs of samples, or by one that
        halves cells of the sphere, whose nodes grow about fivefold with each feature and hardly with the number of
        samples. "auto" takes what is expected to cost least, and enumerates the cells after all when a tree
        has cost as much without an end. More than twelve features cannot be subdivided; there that is branch and
        bound, too.
    max_nodes : int, default 1000000
        Most nodes of the branch and bound over samples; a subdivision may have ten times as many, which cost no more.
        With "auto" also the cost of as many is the most that an enumeration may have.
    max_seconds : float, optional
        Most seconds for the search.
    n_threads : int, optional
        Threads; by default what OpenMP would take.

    Returns
    -------
    Certificate

    Raises
    ------
    TypeError
        For networks of other kinds, and layers that are not of real numbers.
    ValueError
        For gated networks, other activations or shapes, entries that are not finite.
    KeyboardInterrupt
        On Ctrl-C.

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
    >>> cvxrelu.certify(X, y, (np.eye(2), np.ones(2)), beta=0.1).scope
    'all patterns'
    """
    network = as_relu_network(network)
    if is_rows(X):
        rows = as_rows(X, n_threads)
        # Bounds that are sums over rows first; where they leave a gap and the rows fit, these are priced like others.
        penalised = unpenalised is None and not has_linear_part(network)
        plain = dual is None and sample_weight is None and penalised and as_loss(loss, delta).quadratic
        by_sums = plain and pricing == "auto" and has_one_output(y)
        summed = certify_by_sums(rows, y, network, beta, patterns, tol) if by_sums else None
        if summed is not None and (summed.relative_gap <= tol or not may_be_gathered(rows)):
            return summed
        X, y, dual, sample_weight, patterns = gathered(rows, y, dual, sample_weight, patterns, by_sums)
    design = as_design(X)
    W1, W2, bias = as_relu_layers(network, design.shape[1], several=True, linear=True)
    if W1.shape[1] != design.shape[1] + bias:
        raise ValueError(f"the network takes {W1.shape[1] - bias} features, but X has {design.shape[1]}")
    unpenalised, unpenalised_coef = with_linear_part(network, design, unpenalised, unpenalised_coef)
    if bias:
        design = append_ones(design)
    shape = np.shape(y)
    targets = as_columns(as_targets(y, design.shape[0]))
    if targets.shape[1] != W2.shape[1]:
        raise ValueError(f"the network has {outputs_of(W2)}, but y has {outputs_of(targets)}")
    beta = as_scalar(beta, "beta")
    tol = as_scalar(tol, "tol", strict=True)
    pricing = as_pricing(pricing)
    nodes = as_count(max_nodes, "max_nodes")
    seconds = np.inf if max_seconds is None else as_scalar(max_seconds, "max_seconds")
    threads = as_threads(n_threads)
    if patterns is not None:
        patterns = checked_patterns(patterns, design, threads)
    problem = pose_relu(
        design, targets, beta, sample_weight=sample_weight, unpenalised=unpenalised, loss=loss, delta=delta
    )
    design = problem.X
    W1, W2 = problem.scaled_layer(W1), problem.scaled_layer(W2)
    with np.errstate(over="ignore", invalid="ignore"):
        outputs = np.maximum(design @ W1.T, 0) @ W2
        decay = 0.5 * (np.sum(W1**2, axis=1) + np.sum(W2**2, axis=1))
    best = problem.best_offset(outputs)
    offset = best if unpenalised_coef is None else problem.offset_of(unpenalised_coef)
    with np.errstate(over="ignore", invalid="ignore"):
        residual = problem.residual(outputs + best)
    theta, order = residual, problem.dual_order
    if not np.isfinite(residual).all():
        theta = problem.residual_at_zero()
    if dual is not None:
        theta = as_columns(as_targets(dual, design.shape[0], "dual"))
        if theta.shape != targets.shape:
            raise ValueError(f"dual has {outputs_of(theta)}, but y has {outputs_of(targets)}")
        theta, order = problem.scaled_dual(theta)
        theta = problem.in_domain(theta)
    if problem.loss.quadratic:
        # Its length is of no account: powers of two are taken out where its square could leave the range of float64.
        order += binary_order(theta)
        theta = shifted(theta, -binary_order(theta))
    pricer = Pricer(design, threads, max_nodes=nodes, deadline=time.monotonic() + seconds, method=pricing)
    level = problem.pricing_threshold(outputs + best, float(decay.sum()), tol)
    # Where the network is not optimal the maximum is above the level, and needs to be known no better than this.
    accuracy = max(level / problem.beta - 1, 1e-10) if problem.beta > 0 else tol
    norm = pricer.over_outputs(theta, shifted(level, problem.dual_order - order), patterns, accuracy=accuracy)
    theta = problem.feasible(theta, norm.bound)
    upper, lower, gap = evaluate(problem, (W1, W2), offset, theta, decay)
    return Certificate(
        beta=beta,
        upper_bound=problem.objective(upper),
        lower_bound=problem.objective(lower),
        gap=problem.objective(gap),
        relative_gap=gap / problem.at_zero if problem.at_zero > 0 else problem.objective(gap),
        scope="all patterns" if patterns is None else "given patterns",
        dual=problem.dual(theta).reshape(shape),
        dual_norm=shifted(norm.bound, problem.X_order + order),
        exact=norm.exact,
        n_nodes=norm.n_nodes,
        priced_by=norm.priced_by,
        outlook=norm.outlook,
    )
