"""Certificates over all two-layer ReLU networks: lower bounds that hold for every width, and what a network reaches."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._validation import (
    FloatArray,
    as_count,
    as_design,
    as_real,
    as_scalar,
    as_targets,
    as_threads,
    checked_patterns,
)
from .dual_norm import Pricer, as_pricing
from .patterns import ActivationPatterns
from .row_blocks import is_rows, on_rows
from .units import ScaledProblem, binary_order, shifted

if TYPE_CHECKING:
    from .network import Network

_SUM_ROUNDING = 1e-14  # of pairwise sums, relative to the sum of their terms' sizes
_GAP_ROUNDING = 1e-12  # of a gap, relative to the objective


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Certificate:
    """What :func:`certify` proves about a network.

    Attributes
    ----------
    beta : float
        Penalty.
    upper_bound : float
        The objective of the network; infinite where it is above what float64 holds.
    lower_bound : float
        No network within `scope`, of any width, has an objective below it: the value of the dual point, or 0.
    gap : float
        ``upper_bound - lower_bound``, computed as a sum of non-negative terms; infinite where `upper_bound` is.
    relative_gap : float
        The gap relative to the objective of the zero network, ``||y||^2 / 2``.
    scope : {"all patterns", "given patterns"}
        Which networks the lower bound is about: all, or those whose neurons have one of the given patterns.
    dual : ndarray of the shape of y
        The dual point t that proves it: ``|t . (X u)_+| <= beta`` for every unit vector u within the scope, and with
        several outputs ``||t' (X u)_+|| <= beta``.
    dual_norm : float
        The upper bound on ``max_u |t . (X u)_+|`` that was found before the dual point was scaled.
    exact : bool
        Whether the bound on that maximum was brought down to what the tolerance asked for.
    n_nodes : int
        Nodes of the branch and bound; 0 where it did not run.
    priced_by : {"closed form", "enumeration", "branch and bound", "given patterns"}
        How the maximum was bounded: from the lengths of the samples alone, cell by cell, without enumerating cells,
        or over the patterns given.
    """

    beta: float
    upper_bound: float
    lower_bound: float
    gap: float
    relative_gap: float
    scope: str
    dual: FloatArray
    dual_norm: float
    exact: bool
    n_nodes: int
    priced_by: str

    def __repr__(self) -> str:
        return (
            f"Certificate({self.lower_bound:.8g} <= optimum <= {self.upper_bound:.8g}, "
            f"relative_gap={self.relative_gap:.1e}, {self.scope})"
        )


def certify(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    network: Network | tuple[npt.ArrayLike, npt.ArrayLike] | Any,
    beta: float,
    *,
    sample_weight: npt.ArrayLike | None = None,
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

    with no 1/n. By convex duality [1]_ every t with ``|t . (X u)_+| <= beta`` for all unit vectors u gives the lower
    bound ``y . t - ||t||^2 / 2`` for every network of every width. Here t is the scaled residual of the network, or
    the scaled y where that residual is above what float64 holds. The maximum over u is found cell by cell where
    enumerating them is cheap, and bounded by branch and bound without enumeration elsewhere; if that ends early, the
    bound is weaker, not wrong. With several outputs ``||a_j||^2`` is the decay of a neuron's second layer, and the
    constraint is ``||t' (X u)_+|| <= beta``; its maximum is bounded output by output in the principal axes of t, which
    is not exact in general: the gap of the best network need not then be zero.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        Samples; without the ones column where `network` is a :class:`Network` with a bias.
    y : array_like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    network : Network, (W1, w2), or torch.nn.Sequential(Linear, ReLU, Linear)
        A ReLU network, W1 of shape (n_neurons, n_features), w2 of shape (n_neurons,) or (n_neurons, n_outputs). Torch
        layers must not have biases: for a bias append a column of ones to `X`.
    beta : float
        Penalty, at least 0. With 0 nothing but 0 is known to be a lower bound, and that is what is returned.
    sample_weight : array_like of shape (n_samples,), optional
        Weights s_j >= 0 of the loss, ``1/2 sum_j s_j (f(x_j) - y_j)^2``.
    patterns : ActivationPatterns, optional
        Bound only networks whose neurons have these patterns: cheaper, and `scope` says so.
    dual : array_like of the shape of `y`, optional
        A dual point to use in place of the residual, such as that of a better solution.
    tol : float, default 1e-6
        The search stops when the bound costs no more than this in the relative gap.
    pricing : {"auto", "enumeration", "branch and bound"}
        How to bound the maximum over all u. "auto" enumerates the cells where that costs less than a small tree would,
        and where a tree has cost as much as an enumeration without an end.
    max_nodes : int, default 1000000
        Most nodes of the branch and bound; with "auto" also the cost of as many is the most that an enumeration may
        have.
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
    if is_rows(X):
        return on_rows(certify, locals())
    design = as_design(X)
    W1, W2, bias = as_relu_layers(network, design.shape[1], several=True)
    if bias:
        design = np.ascontiguousarray(np.hstack([design, np.ones((design.shape[0], 1))]))
    if W1.shape[1] != design.shape[1]:
        raise ValueError(f"the network takes {W1.shape[1] - bias} features, but X has {design.shape[1] - bias}")
    shape = np.shape(y)
    targets = as_columns(as_targets(y, design.shape[0]))
    if targets.shape[1] != W2.shape[1]:
        raise ValueError(f"the network has {_outputs(W2)}, but y has {_outputs(targets)}")
    beta = as_scalar(beta, "beta")
    tol = as_scalar(tol, "tol", strict=True)
    pricing = as_pricing(pricing)
    nodes = as_count(max_nodes, "max_nodes")
    seconds = np.inf if max_seconds is None else as_scalar(max_seconds, "max_seconds")
    threads = as_threads(n_threads)
    if patterns is not None:
        patterns = checked_patterns(patterns, design, threads)
    problem = ScaledProblem(design, targets, beta, sample_weight)
    design, targets, scaled_beta = problem.X, problem.y, problem.beta
    W1, W2 = problem.scaled_layer(W1), problem.scaled_layer(W2)
    with np.errstate(over="ignore", invalid="ignore"):
        residual = targets - np.maximum(design @ W1.T, 0) @ W2
        decay = 0.5 * (np.sum(W1**2, axis=1) + np.sum(W2**2, axis=1))
        upper = objective_of(residual, decay, scaled_beta)
    theta, order = (residual if np.isfinite(residual).all() else targets), problem.y_order
    if dual is not None:
        theta = as_columns(as_targets(dual, design.shape[0], "dual"))
        if theta.shape != targets.shape:
            raise ValueError(f"dual has {_outputs(theta)}, but y has {_outputs(targets)}")
        theta, order = problem.scaled_dual(theta)
    # Its length is of no account: powers of two are taken out where its square could leave the range of float64.
    order += binary_order(theta)
    theta = shifted(theta, -binary_order(theta))
    pricer = Pricer(design, threads, max_nodes=nodes, deadline=time.monotonic() + seconds, method=pricing)
    level = pricing_threshold(targets, theta, float(decay.sum()), scaled_beta, tol)
    norm = pricer.over_outputs(theta, shifted(level, problem.y_order - order), patterns)
    theta = feasible_dual(targets, theta, norm.bound, scaled_beta)
    gap = network_gap(design, residual, theta, W1, W2, decay, scaled_beta) if np.isfinite(upper) else np.inf
    lower, gap = proved(upper, dual_value(targets, theta), gap)
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
    )


def pricing_threshold(targets: FloatArray, theta: FloatArray, size: float, beta: float, tol: float) -> float:
    """Return how large max_u |t . (X u)_+| may be before it costs more than two thirds of `tol` in the relative gap.

    Scaling t by beta / nu costs about (nu / beta - 1) times beta times the size of the network in the gap, and at most
    (nu / beta - 1)^2 times the objective of the zero network.
    """
    if beta == 0:
        return 0.0
    at_zero = 0.5 * float(np.sum(targets**2))
    slack = 0.5 * tol * at_zero / max(beta * size, 1e-3 * at_zero, np.finfo(float).tiny)
    return beta * (1 + min(max(min(slack, 0.4 * float(np.sqrt(tol))), 1e-10), 0.1))


def feasible_dual(targets: FloatArray, theta: FloatArray, nu: float, beta: float) -> FloatArray:
    """Return the multiple s t with |s| nu <= beta that gives the best lower bound."""
    squared = float(np.sum(theta**2))
    if squared == 0:
        return np.zeros_like(theta)
    scale = float(np.sum(targets * theta)) / squared
    if nu > 0:
        scale = float(np.clip(scale, -beta / nu, beta / nu))
    return scale * theta


def objective_of(residual: FloatArray, decay: FloatArray, beta: float) -> float:
    """Return the objective of a network, infinite where it is above what float64 holds."""
    value = 0.5 * float(np.vdot(residual, residual)) + beta * float(decay.sum())
    return value if value < np.inf else np.inf  # infinite terms of both signs make a residual nan


def dual_value(targets: FloatArray, theta: FloatArray) -> float:
    """Return <y, t> - ||t||^2 / 2 less what rounding may have added to it."""
    terms = theta * (targets - 0.5 * theta)
    return float(terms.sum()) - _SUM_ROUNDING * float(np.abs(terms).sum())


def proved(upper: float, value: float, gap: float) -> tuple[float, float]:
    """Return the lower bound that a feasible dual point of this value proves, and the gap to an upper bound.

    The bound is the value itself: `upper` less the gap would have lost all its digits for a network much worse than
    the zero network. `gap` is that of :func:`network_gap`, exact where bound and objective agree in all but their last
    digits; where it is off by more than these digits, it is not what is reported.
    """
    lower = min(max(value, 0.0), upper)
    difference = upper - lower
    return lower, gap if difference <= gap + _GAP_ROUNDING * upper else difference


def network_gap(
    design: FloatArray,
    residual: FloatArray,
    theta: FloatArray,
    W1: FloatArray,
    W2: FloatArray,
    decay: FloatArray,
    beta: float,
) -> float:
    """Return the gap between a network and a feasible dual point, as a sum of non-negative terms."""
    earned = as_columns(W2 * (np.maximum(design @ W1.T, 0).T @ theta)).sum(axis=1)
    return 0.5 * float(np.sum((residual - theta) ** 2)) + float(np.maximum(beta * decay - earned, 0).sum())


def as_columns(array: FloatArray) -> FloatArray:
    """Return a vector as a matrix of one column, a matrix as it is."""
    return array[:, None] if array.ndim == 1 else array


def _outputs(columns: FloatArray) -> str:
    return "one output" if columns.shape[1] == 1 else f"{columns.shape[1]} outputs"


def as_target(y: Any, n_samples: int, name: str = "y") -> FloatArray:
    """Return `y` as a contiguous float64 vector; the ReLU programs have one output."""
    targets = as_targets(y, n_samples, name)
    if targets.ndim == 2:
        if targets.shape[1] != 1:
            # With several, pricing within a cone maximises a convex quadratic: as hard as testing copositivity.
            raise ValueError(
                f"{name} must have one output for a ReLU program, not {targets.shape[1]}: solve for each output by "
                "itself, as ReLURegressor does; certify bounds networks with several outputs"
            )
        targets = targets[:, 0]
    return np.ascontiguousarray(targets)


def as_relu_layers(
    network: Any, n_features: int, *, several: bool = False, name: str = "network"
) -> tuple[FloatArray, FloatArray, bool]:
    """Return (W1, w2, bias) of a Network, a pair of arrays, or torch's Linear-ReLU-Linear.

    With `several` w2 has a column for each output; without, it is a vector, and several outputs are refused. A first
    layer that is an empty list does not say how many features there are: it has `n_features`. Errors call the network
    `name`.
    """
    bias = False
    if isinstance(network, tuple | list) and len(network) == 2:
        W1, w2 = network
    elif hasattr(network, "W1") and hasattr(network, "w2"):
        if getattr(network, "gates", None) is not None:
            raise ValueError(f"{name} is gated, and not a ReLU network: see decompose for the way there")
        W1, w2, bias = network.W1, network.w2, bool(getattr(network, "bias", False))
    elif hasattr(network, "children") and hasattr(network, "state_dict"):
        W1, w2 = _torch_layers(network, name)
    else:
        raise TypeError(f"{name} must be a Network, (W1, w2) or torch.nn.Sequential, not {type(network).__name__}")
    first, second = as_real(W1, "W1"), as_real(w2, "w2")
    if first.shape == (0,):
        first = np.zeros((0, n_features))
    if first.ndim != 2 or first.size:
        first = as_design(first, "W1")
    if second.ndim not in (1, 2) or (second.ndim == 2 and second.shape[1] != 1 and not several):
        raise ValueError(f"w2 must have shape (n_neurons,): one output, not {second.shape}")
    if second.shape[0] != first.shape[0]:
        raise ValueError(f"W1 has {first.shape[0]} neurons, but w2 has {second.shape[0]}")
    if not np.isfinite(second).all():
        raise ValueError("w2 must be finite")
    columns = as_columns(second)
    return first, columns if several else np.ascontiguousarray(columns[:, 0]), bias


def _torch_layers(module: Any, name: str) -> tuple[Any, Any]:
    layers = list(module.children())
    names = [type(layer).__name__ for layer in layers]
    if names != ["Linear", "ReLU", "Linear"]:
        raise ValueError(f"{name} must consist of Linear, ReLU and Linear layers, not {', '.join(names) or 'none'}")
    if any(layer.bias is not None for layer in (layers[0], layers[2])):
        raise ValueError(f"the Linear layers of {name} have biases: use bias=False and a column of ones in X")
    first, second = (layer.weight.detach().cpu().numpy().astype(np.float64) for layer in (layers[0], layers[2]))
    return first, second.T
