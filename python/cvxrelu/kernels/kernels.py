"""Neural tangent kernels, and the masking kernels whose mixtures contain them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_design, as_threads, as_weights, result_dtype
from ..base.native import core
from ..patterns.checks import checked_patterns
from ..patterns.patterns import ActivationPatterns
from ..rows.rows import is_dask
from .closed_form import closed_form, kernel_in, kind_and_depth, require_memory
from .gates import evaluation_gates, require_evaluation


def ntk(
    X: npt.ArrayLike,
    Z: npt.ArrayLike | None = None,
    *,
    kind: str = "gated",
    depth: int = 1,
    patterns: ActivationPatterns | None = None,
    n_threads: int | None = None,
) -> npt.NDArray[Any]:
    r"""Return the neural tangent kernel of a ReLU network.

    With t the angle between x and z, gates h ~ N(0, I), weights of variance 1 and no division by the fan-in:

    - ``"gated"``: :math:`x^T z (\pi - t) / (2\pi)`, gated ReLU, gradient in the first layer. This one lies in the
      span of the masking kernels: H = sum_i P[h in K_i] D_i X X' D_i.
    - ``"gated-both"``: gradient in both layers, which is twice that.
    - ``"relu"``: plain ReLU, gradient in all layers; `depth` hidden layers.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        Samples. For a bias append a column of ones.
    Z : array_like of shape (m, n_features), optional
        Other samples.
    kind : {"gated", "gated-both", "relu"}
        Which network, and which gradients.
    depth : int
        Hidden layers; more than 1 for "relu" only.
    patterns : ActivationPatterns, optional
        Sampled patterns of `X`: return the kernel of the finite network whose gates were drawn, which is the same
        mixture with the shares of the draws for probabilities. For gated kinds only.
    n_threads : int, optional
        Threads; by default what OpenMP would take.

    Returns
    -------
    ndarray of shape (n_samples, n_samples) or (m, n_samples)
        float32 when all inputs are float32 (computed in float64), else float64.

    Raises
    ------
    ValueError
        For bad shapes, entries that are not finite, an unknown kind, a depth that the kind does not have.
    MemoryError
        For a matrix larger than the memory of the machine, before it is begun.

    Notes
    -----
    Entries are accurate to a few units of rounding of ``||x|| ||z||`` at all angles, also near 0 and pi, where
    a formula with arccos loses half of the digits.

    References
    ----------
    .. [1] A. Jacot, F. Gabriel, C. Hongler, Neural tangent kernel, 2018.
    .. [2] Y. Cho, L. Saul, Kernel methods for deep learning, 2009.
    .. [3] R. V. Dwaraknath, T. Ergen, M. Pilanci, Fixing the NTK, 2023.
    """
    if is_dask(X) or is_dask(Z):
        from . import blockwise

        return blockwise.ntk(X, Z, kind=kind, depth=depth, patterns=patterns, n_threads=n_threads)
    if patterns is not None:
        kind_and_depth(kind, depth)
        if kind == "relu":
            raise ValueError('patterns are gates that are fixed: kind must be "gated" or "gated-both", not "relu"')
        if patterns.counts is None:
            raise ValueError("patterns were enumerated, not drawn: leave them out for the network of infinite width")
        scale = 2.0 if kind == "gated-both" else 1.0
        weights = scale * ntk_weights(X, patterns)
        return masking_kernel(X, patterns, weights, Z, at="cell-average", n_threads=n_threads)
    return closed_form(X, Z, kind, depth, n_threads)


def ntk_weights(
    X: npt.ArrayLike,
    patterns: ActivationPatterns,
    *,
    random_state: Any = None,
    n_threads: int | None = None,
) -> FloatArray:
    """Return the weights of the masking kernels in the gated neural tangent kernel: P[h in K_i], h ~ N(0, I).

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        The samples that `patterns` belong to.
    patterns : ActivationPatterns
        Enumerated patterns, whose cells are measured, or drawn ones, for which the shares of the draws estimate
        the probabilities (and are exact for the network of the gates drawn).
    random_state : None, int, numpy.random.Generator or RandomState
        Source of draws where cells cannot be measured exactly, see :func:`cone_measure`.
    n_threads : int, optional
        Threads; by default what OpenMP would take.

    Returns
    -------
    ndarray of shape (n_patterns,)
        Non-negative. They sum to 1 minus the probability of the pattern that is 0 everywhere, whose kernel is 0.

    Raises
    ------
    ValueError
        For bad shapes, entries that are not finite, or patterns of other data.
    """
    checked_patterns(patterns, as_design(X), as_threads(n_threads))
    if patterns.counts is not None:
        assert patterns.n_draws is not None
        return np.asarray(patterns.counts / patterns.n_draws, dtype=np.float64)
    return patterns.measure(X, random_state=random_state, n_threads=n_threads)


def masking_kernel(
    X: npt.ArrayLike,
    patterns: ActivationPatterns,
    eta: npt.ArrayLike,
    Z: npt.ArrayLike | None = None,
    *,
    at: str = "representative",
    block: str = "cross",
    n_threads: int | None = None,
) -> npt.NDArray[Any]:
    """Return K(eta) = sum_i eta_i D_i X X' D_i = (X X') o (M diag(eta) M'), or its values at other samples.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        The samples that `patterns` belong to.
    patterns : ActivationPatterns
        Patterns D_i; M holds their masks.
    eta : array_like of shape (n_patterns,)
        Weights, non-negative and not all zero.
    Z : array_like of shape (m, n_features), optional
        Other samples.
    at : {"representative", "cell-average", "refined"}
        What stands for the mask of pattern i at a sample that is not in `X` (a pattern does not determine it):

        - "representative": 1[z.g_i >= 0] with the one gate g_i of the pattern. The kernel then belongs to the gated
          network with these gates, whose predictions are those of the solvers' ``predict`` and ``to_network``. This
          is the default because it always exists and agrees with the network.
        - "cell-average": the share of the drawn gates of cell i that are active at z. With the weights of the neural
          tangent kernel this is that kernel for the network of all drawn gates, and tends to the one of infinite
          width, which "representative" does not. Training cannot tell the two apart: splitting a coefficient evenly
          over the gates of its cell changes neither fit nor penalty. Needs sampled patterns.
        - "refined": P[h.z >= 0 | h in K_i], its limit for many draws, from the cells of [X; Z]. With the measures of
          enumerated cells for eta this is the kernel of infinite width at all points. Enumerates those cells, so
          for few features only.
    block : {"cross", "self"}
        With `Z`: kernel of `Z` with `X`, or of `Z` with itself.
    n_threads : int, optional
        Threads; by default what OpenMP would take.

    Returns
    -------
    ndarray of shape (n_samples, n_samples), (m, n_samples) or (m, m)
        Positive semidefinite where it is square. float32 when `X` and `Z` are float32 (computed in float64).

    Raises
    ------
    ValueError
        For bad shapes, weights that are negative or all zero, entries that are not finite, patterns of other data, or a
        cell average of patterns that were not drawn.
    MemoryError
        For a matrix larger than the memory of the machine, before it is begun.
    """
    if is_dask(X) or is_dask(Z):
        from . import blockwise

        return blockwise.masking_kernel(X, patterns, eta, Z, at=at, block=block, n_threads=n_threads)
    dtype = result_dtype(X) if Z is None else result_dtype(X, Z)
    X = as_design(X)
    threads = as_threads(n_threads)
    checked_patterns(patterns, X, threads)
    eta = as_weights(eta, len(patterns), "eta")
    if block not in ("cross", "self"):
        raise ValueError(f'block must be "cross" or "self", not {block!r}')
    if Z is None:
        if block == "self":
            raise ValueError('block="self" needs Z')
        require_evaluation(at, patterns)
        require_memory(X.shape[0], X.shape[0])
        return kernel_in(core.masking_kernel(X, patterns.words, eta, threads), dtype, gram=True)
    Z = as_design(Z, "Z", X.shape[1])
    require_memory(Z.shape[0], Z.shape[0] if block == "self" else X.shape[0])
    gates, pattern, weights = evaluation_gates(patterns, eta, at, X, Z)
    z_words, _ = core.pack_patterns(Z, gates, threads)
    if block == "self":
        return kernel_in(core.masking_kernel(Z, z_words, weights, threads), dtype, gram=True)
    words = np.ascontiguousarray(patterns.words[pattern])
    return kernel_in(core.masking_kernel(X, words, Z, z_words, weights, threads), dtype, gram=False)
