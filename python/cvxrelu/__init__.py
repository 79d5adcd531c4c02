"""Two-layer ReLU and gated-ReLU networks trained to a certified global optimum."""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

from . import _native  # noqa: F401  (first: says what to do when the build is missing)
from ._show_versions import show_versions
from .arrangement import ArrangementCertificate, count_patterns, enumerate_patterns, iter_patterns, pattern_bound
from .column_generation import train_relu
from .cone import decompose
from .cone_measure import ConeMeasure, cone_measure
from .cone_program import ReLUSolution, solve_relu
from .exceptions import ArrangementTooLargeError, ConvergenceWarning
from .gated_generation import train_gated
from .group_lasso import GatedPath, GatedSolution, beta_max, gated_path, solve_gated
from .kernels import masking_kernel, ntk, ntk_weights
from .mkl import solve_mkl
from .mkl_solution import MKLHistory, MKLSolution
from .network import Network
from .patterns import ActivationPatterns
from .pricing import Certificate, certify
from .row_blocks import RowChunks
from .sampling import sample_patterns

if TYPE_CHECKING:
    from .estimators import GatedReLUClassifier as GatedReLUClassifier
    from .estimators import GatedReLURegressor as GatedReLURegressor
    from .estimators_cv import GatedReLUClassifierCV as GatedReLUClassifierCV
    from .estimators_cv import GatedReLURegressorCV as GatedReLURegressorCV
    from .kernel_estimators import NTKClassifier as NTKClassifier
    from .kernel_estimators import NTKClassifierCV as NTKClassifierCV
    from .kernel_estimators import NTKRegressor as NTKRegressor
    from .kernel_estimators import NTKRegressorCV as NTKRegressorCV
    from .mkl_estimators import MKLClassifier as MKLClassifier
    from .mkl_estimators import MKLClassifierCV as MKLClassifierCV
    from .mkl_estimators import MKLRegressor as MKLRegressor
    from .mkl_estimators import MKLRegressorCV as MKLRegressorCV
    from .relu_estimators import ReLUClassifier as ReLUClassifier
    from .relu_estimators import ReLURegressor as ReLURegressor
    from .relu_estimators_cv import ReLUClassifierCV as ReLUClassifierCV
    from .relu_estimators_cv import ReLURegressorCV as ReLURegressorCV

__version__ = "0.1.0"

__all__ = [
    "ActivationPatterns",
    "ArrangementCertificate",
    "ArrangementTooLargeError",
    "Certificate",
    "ConeMeasure",
    "ConvergenceWarning",
    "GatedPath",
    "GatedSolution",
    "MKLHistory",
    "MKLSolution",
    "Network",
    "ReLUSolution",
    "RowChunks",
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
    "pattern_bound",
    "sample_patterns",
    "show_versions",
    "solve_gated",
    "solve_mkl",
    "solve_relu",
    "train_gated",
    "train_relu",
]

# Not in __all__: these need scikit-learn, which the rest of the package does without.
_ESTIMATORS = {
    "GatedReLUClassifier": "estimators",
    "GatedReLUClassifierCV": "estimators_cv",
    "GatedReLURegressor": "estimators",
    "GatedReLURegressorCV": "estimators_cv",
    "MKLClassifier": "mkl_estimators",
    "MKLClassifierCV": "mkl_estimators",
    "MKLRegressor": "mkl_estimators",
    "MKLRegressorCV": "mkl_estimators",
    "NTKClassifier": "kernel_estimators",
    "NTKClassifierCV": "kernel_estimators",
    "NTKRegressor": "kernel_estimators",
    "NTKRegressorCV": "kernel_estimators",
    "ReLUClassifier": "relu_estimators",
    "ReLUClassifierCV": "relu_estimators_cv",
    "ReLURegressor": "relu_estimators",
    "ReLURegressorCV": "relu_estimators_cv",
}

logging.getLogger("cvxrelu").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name not in _ESTIMATORS:
        raise AttributeError(f"module 'cvxrelu' has no attribute {name!r}")
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise ImportError(f"cvxrelu.{name} needs scikit-learn: pip install 'cvxrelu[sklearn]'") from error
    return getattr(importlib.import_module(f".{_ESTIMATORS[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_ESTIMATORS])
