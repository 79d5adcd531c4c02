"""Certificates over all two-layer ReLU networks: lower bounds that hold for every width, and what a network reaches."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._native import core
from ._validation import FloatArray, as_count, as_design, as_patterns, as_scalar, as_targets, as_threads
from .patterns import ActivationPatterns
from .row_blocks import is_rows, on_rows

if TYPE_CHECKING:
    from .network import Network


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Certificate:
    """What :func:`certify` proves about a network.

    Attributes
    ----------
    beta : float
        Penalty.
    upper_bound : float
        The objective of the network.
    lower_bound : float
        No network within `scope`, of any width, has an objective below it.
    gap : float
        ``upper_bound - lower_bound``, computed as a sum of non-negative terms.
    relative_gap : float
        The gap relative to the objective of the zero network, ``||y||^2 / 2``.
    scope : {"all patterns", "given patterns"}
        Which networks the lower bound is about: all, or those whose neurons have one of the given patterns.
    dual : ndarray of shape (n_samples,)
        The dual point t that proves it: ``|t . (X u)_+| <= beta`` for every unit vector u within the scope.
    dual_norm : float
        The upper bound on ``max_u |t . (X u)_+|`` that was found before the dual point was scaled.
    exact : bool
        Whether the bound on that maximum was brought down to what the tolerance asked for.
    n_nodes : int
        Nodes of the branch and bound; 0 where it did not run.
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
    patterns: ActivationPatterns | None = None,
    dual: npt.ArrayLike | None = None,
    tol: float = 1e-6,
    max_nodes: int = 1_000_000,
    max_seconds: float | None = None,
    n_threads: int | None = None,
) -> Certificate:
    r"""Bound how far a two-layer ReLU network, trained by whatever means, is from the global optimum.

    The objective is that of training with weight decay on both layers,

    .. math::
        \tfrac12 \| \textstyle\sum_j (X w_j)_+ a_j - y \|^2 + \tfrac{\beta}{2} \sum_j (\|w_j\|^2 + a_j^2),

    with no 1/n. By convex duality [1]_ every t with ``|t . (X u)_+| <= beta`` for all unit vectors u gives the lower
    bound ``y . t - ||t||^2 / 2`` for every network of every width. Here t is the scaled residual of the network, and
    the maximum over u is bounded by branch and bound without enumerating patterns; if that ends early, the bound
    is weaker, not wrong.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        Samples; without the ones column where `network` is a :class:`Network` with a bias.
    y : array_like of shape (n_samples,)
        Targets.
    network : Network, (W1, w2), or torch.nn.Sequential(Linear, ReLU, Linear)
        A ReLU network with one output, W1 of shape (n_neurons, n_features). Torch layers must not have biases: for a
        bias append a column of ones to `X`.
    beta : float
        Penalty, at least 0. With 0 nothing but 0 is known to be a lower bound, and that is what is returned.
    patterns : ActivationPatterns, optional
        Bound only networks whose neurons have these patterns: cheaper, and `scope` says so.
    dual : array_like of shape (n_samples,), optional
        A dual point to use in place of the residual, such as that of a better solution.
    tol : float, default 1e-6
        The branch and bound stops when the bound costs no more than this in the relative gap.
    max_nodes : int, default 1000000
        Most nodes of the branch and bound.
    max_seconds : float, optional
        Most seconds for it.
    n_threads : int, optional
        Threads; by default what OpenMP would take.

    Returns
    -------
    Certificate

    Raises
    ------
    TypeError
        For networks of other kinds.
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
    W1, w2, bias = as_relu_layers(network)
    if bias:
        design = np.ascontiguousarray(np.hstack([design, np.ones((design.shape[0], 1))]))
    if W1.shape[1] != design.shape[1]:
        raise ValueError(f"the network takes {W1.shape[1] - bias} features, but X has {design.shape[1] - bias}")
    targets = as_target(y, design.shape[0])
    beta = as_scalar(beta, "beta")
    tol = as_scalar(tol, "tol", strict=True)
    nodes = as_count(max_nodes, "max_nodes")
    seconds = np.inf if max_seconds is None else as_scalar(max_seconds, "max_seconds")
    threads = as_threads(n_threads)
    if patterns is not None:
        patterns = as_patterns(patterns, design)
    residual = targets - np.maximum(design @ W1.T, 0) @ w2
    theta = residual if dual is None else as_target(dual, design.shape[0], "dual")
    decay = 0.5 * (np.sum(W1**2, axis=1) + w2**2)
    tasks = _Pricer(design, threads, nodes, seconds)
    nu, exact, n_nodes = tasks.bound(targets, residual, theta, float(decay.sum()), beta, tol, patterns)
    theta = feasible_dual(targets, theta, nu, beta)
    gap = network_gap(design, residual, theta, W1, w2, decay, beta)
    upper = 0.5 * float(residual @ residual) + beta * float(decay.sum())
    at_zero = 0.5 * float(targets @ targets)
    return Certificate(
        beta=beta,
        upper_bound=upper,
        lower_bound=upper - gap,
        gap=gap,
        relative_gap=gap / at_zero if at_zero > 0 else gap,
        scope="all patterns" if patterns is None else "given patterns",
        dual=theta,
        dual_norm=nu,
        exact=exact,
        n_nodes=n_nodes,
    )


class _Pricer:
    """Upper bounds on max_u |t . (X u)_+|."""

    def __init__(self, design: FloatArray, threads: int, max_nodes: int, max_seconds: float) -> None:
        self.design = design
        self.threads = threads
        self.max_nodes = max_nodes
        self.max_seconds = max_seconds

    def bound(
        self,
        targets: FloatArray,
        residual: FloatArray,
        theta: FloatArray,
        size: float,
        beta: float,
        tol: float,
        patterns: ActivationPatterns | None,
    ) -> tuple[float, bool, int]:
        if not theta.any() or not self.design.any():
            return 0.0, True, 0
        threshold = pricing_threshold(targets, theta, size, beta, tol)
        if patterns is not None:
            bound, _, _ = core.price_patterns(self.design, patterns.words, theta, threshold, self.threads)
            return bound, True, 0
        cheap = masked_norm_bound(self.design, theta)
        if cheap <= threshold:
            return cheap, True, 0
        bound, value, nodes, exact = 0.0, 0.0, 0, True
        for sign in (1.0, -1.0):
            level = max(threshold, value)
            tree = core.price_by_tree(self.design, sign * theta, level, np.inf, self.max_nodes, self.max_seconds)
            bound = max(bound, tree["bound"])
            value = max(value, tree["value"])
            nodes += tree["n_nodes"]
            exact = exact and tree["complete"]
        return min(bound, cheap), exact, nodes


def pricing_threshold(targets: FloatArray, theta: FloatArray, size: float, beta: float, tol: float) -> float:
    """Return how large max_u |t . (X u)_+| may be before it costs more than two thirds of `tol` in the relative gap.

    Scaling t by beta / nu costs about (nu / beta - 1) times beta times the size of the network in the gap, and at most
    (nu / beta - 1)^2 times the objective of the zero network.
    """
    if beta == 0:
        return 0.0
    at_zero = 0.5 * float(targets @ targets)
    slack = 0.5 * tol * at_zero / max(beta * size, 1e-3 * at_zero, np.finfo(float).tiny)
    return beta * (1 + min(max(min(slack, 0.4 * float(np.sqrt(tol))), 1e-10), 0.1))


def feasible_dual(targets: FloatArray, theta: FloatArray, nu: float, beta: float) -> FloatArray:
    """Return the multiple s t with |s| nu <= beta that gives the best lower bound."""
    squared = float(theta @ theta)
    if squared == 0:
        return np.zeros_like(theta)
    scale = float(targets @ theta) / squared
    if nu > 0:
        scale = float(np.clip(scale, -beta / nu, beta / nu))
    return scale * theta


def network_gap(
    design: FloatArray,
    residual: FloatArray,
    theta: FloatArray,
    W1: FloatArray,
    w2: FloatArray,
    decay: FloatArray,
    beta: float,
) -> float:
    """Return the gap between a network and a feasible dual point, as a sum of non-negative terms."""
    earned = w2 * (theta @ np.maximum(design @ W1.T, 0))
    return 0.5 * float(np.sum((residual - theta) ** 2)) + float(np.maximum(beta * decay - earned, 0).sum())


def masked_norm_bound(X: FloatArray, theta: FloatArray) -> float:
    """Return an upper bound on max over 0/1 masks D of ||X' D t||, so on max_u |t . (X u)_+|, in O(n d^2).

    With D = (I + S) / 2 and S a diagonal of signs, ||X' D t|| <= ||X't|| / 2 + max_S ||sum_j S_j a_j|| / 2 for
    a_j = t_j x_j, and by the Cauchy-Schwarz inequality with weights ||a_j|| the maximum is at most
    sqrt(sum_j ||a_j|| * sigma_max(sum_j a_j a_j' / ||a_j||)).
    """
    rows = theta[:, None] * X
    lengths = np.linalg.norm(rows, axis=1)
    keep = lengths > 0
    if not keep.any():
        return 0.0
    scaled = rows[keep] / np.sqrt(lengths[keep])[:, None]
    spread = np.sqrt(lengths[keep].sum()) * np.linalg.norm(scaled, 2)
    return float(0.5 * (np.linalg.norm(rows.sum(axis=0)) + spread)) * (1 + 1e-12)


def as_target(y: Any, n_samples: int, name: str = "y") -> FloatArray:
    """Return `y` as a contiguous float64 vector; the ReLU programs have one output."""
    targets = as_targets(y, n_samples, name)
    if targets.ndim == 2:
        if targets.shape[1] != 1:
            raise ValueError(f"{name} must have one output for a ReLU program, not {targets.shape[1]}")
        targets = targets[:, 0]
    return np.ascontiguousarray(targets)


def as_relu_layers(network: Any) -> tuple[FloatArray, FloatArray, bool]:
    """Return (W1, w2, bias) of a Network, a pair of arrays, or torch's Linear-ReLU-Linear."""
    bias = False
    if isinstance(network, tuple | list) and len(network) == 2:
        W1, w2 = network
    elif hasattr(network, "W1") and hasattr(network, "w2"):
        if getattr(network, "gates", None) is not None:
            raise ValueError("network is gated: certify is about ReLU networks, see decompose for the way there")
        W1, w2, bias = network.W1, network.w2, bool(getattr(network, "bias", False))
    elif hasattr(network, "children") and hasattr(network, "state_dict"):
        W1, w2 = _torch_layers(network)
    else:
        raise TypeError(f"network must be a Network, (W1, w2) or torch.nn.Sequential, not {type(network).__name__}")
    first = as_design(W1, "W1") if np.size(W1) else np.zeros(np.shape(W1) if np.ndim(W1) == 2 else (0, 1))
    second = np.asarray(w2, dtype=np.float64)
    if second.ndim == 2 and second.shape[1] == 1:
        second = second[:, 0]
    if second.ndim != 1:
        raise ValueError(f"w2 must have shape (n_neurons,): one output, not {np.shape(w2)}")
    if second.shape[0] != first.shape[0]:
        raise ValueError(f"W1 has {first.shape[0]} neurons, but w2 has {second.shape[0]}")
    if not np.isfinite(second).all():
        raise ValueError("w2 must be finite")
    return first, second, bias


def _torch_layers(module: Any) -> tuple[Any, Any]:
    layers = list(module.children())
    names = [type(layer).__name__ for layer in layers]
    if names != ["Linear", "ReLU", "Linear"]:
        raise ValueError(f"network must consist of Linear, ReLU and Linear layers, not {', '.join(names) or 'none'}")
    if any(layer.bias is not None for layer in (layers[0], layers[2])):
        raise ValueError("the network's Linear layers have biases: use bias=False and a column of ones in X")
    first, second = (layer.weight.detach().cpu().numpy().astype(np.float64) for layer in (layers[0], layers[2]))
    if second.shape[0] != 1:
        raise ValueError(f"network must have one output, not {second.shape[0]}")
    return first, second[0]
