"""Two-layer ReLU and gated-ReLU networks trained to a certified global optimum."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from . import estimators
from .arrangement.affine import Regions
from .arrangement.cell import Cell
from .arrangement.cells import ArrangementCertificate, pattern_bound
from .arrangement.cone_measure import cone_measure
from .arrangement.enumerate import count_patterns, enumerate_patterns, iter_patterns
from .arrangement.hyperplanes import Arrangement
from .arrangement.symmetry import RegionOrbits
from .arrangement.tope_graph import TopeGraph
from .base import native  # noqa: F401  (first: says what to do when the build is missing)
from .base.versions import show_versions
from .estimators import SKOPS_TRUSTED
from .estimators import __all__ as _ESTIMATORS
from .estimators.onnx_registry import register_onnx_converters
from .estimators.tables import tabular_pipeline
from .exceptions import ArrangementTooLargeError, ConvergenceWarning
from .gated.search import train_gated
from .gated.solution import GatedPath, GatedSolution
from .gated.solve import beta_max, gated_path, solve_gated
from .kernels.kernels import masking_kernel, ntk, ntk_weights
from .kernels.mkl import solve_mkl
from .kernels.mkl_solution import MKLHistory, MKLSolution
from .networks.explanation import Explanation
from .networks.network import Network
from .networks.optima import OptimalSet, optimal_set
from .patterns.measure import ConeMeasure
from .patterns.patterns import ActivationPatterns
from .patterns.sampling import sample_patterns
from .relu.certify import certify
from .relu.decompose import decompose
from .relu.path import relu_beta_max, relu_path
from .relu.solution import Certificate, ReLUPath, ReLUSolution
from .relu.solve import solve_relu
from .relu.train import train_relu
from .rows.chunks import RowChunks

if TYPE_CHECKING:
    from .estimators import *  # noqa: F403

__version__ = "0.1.0"

__all__ = [
    "SKOPS_TRUSTED",
    "ActivationPatterns",
    "Arrangement",
    "ArrangementCertificate",
    "ArrangementTooLargeError",
    "Cell",
    "Certificate",
    "ConeMeasure",
    "ConvergenceWarning",
    "Explanation",
    "GatedPath",
    "GatedSolution",
    "MKLHistory",
    "MKLSolution",
    "Network",
    "OptimalSet",
    "ReLUPath",
    "ReLUSolution",
    "RegionOrbits",
    "Regions",
    "RowChunks",
    "TopeGraph",
    "beta_max",
    "certify",
    "cone_measure",
    "count_patterns",
    "decompose",
    "enumerate_patterns",
    "gated_path",
    "iter_patterns",
    "masking_kernel",
    "ntk",
    "ntk_weights",
    "optimal_set",
    "pattern_bound",
    "register_onnx_converters",
    "relu_beta_max",
    "relu_path",
    "sample_patterns",
    "show_versions",
    "solve_gated",
    "solve_mkl",
    "solve_relu",
    "tabular_pipeline",
    "train_gated",
    "train_relu",
]

if estimators.are_available():  # so that `from cvxrelu import *` brings them
    __all__ += estimators.__all__

logging.getLogger("cvxrelu").addHandler(logging.NullHandler())

# Pickles, tracebacks and the reference name the package, not the module in which a class happens to stand.
for _name in __all__:
    if isinstance(globals().get(_name), type):
        globals()[_name].__module__ = __name__


def __getattr__(name: str) -> Any:
    if name not in _ESTIMATORS:  # imported when asked for: they need scikit-learn, which the rest does without
        raise AttributeError(f"module 'cvxrelu' has no attribute {name!r}")
    return getattr(estimators, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_ESTIMATORS])
