"""Two-layer ReLU and gated-ReLU networks trained to a certified global optimum."""

from ._native import core as _core  # noqa: F401  (first: says what to do when the build is missing)
from ._show_versions import show_versions
from .exceptions import ArrangementTooLargeError, ConvergenceWarning
from .group_lasso import GatedPath, GatedSolution, beta_max, gated_path, solve_gated
from .kernels import masking_kernel, ntk, ntk_weights
from .mkl import MKLHistory, MKLSolution, solve_mkl
from .patterns import ActivationPatterns
from .sampling import sample_patterns

__version__ = "0.1.0"

__all__ = [
    "ActivationPatterns",
    "ArrangementTooLargeError",
    "ConvergenceWarning",
    "GatedPath",
    "GatedSolution",
    "MKLHistory",
    "MKLSolution",
    "beta_max",
    "gated_path",
    "masking_kernel",
    "ntk",
    "ntk_weights",
    "sample_patterns",
    "show_versions",
    "solve_gated",
    "solve_mkl",
]
