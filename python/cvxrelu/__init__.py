"""Two-layer ReLU and gated-ReLU networks trained to a certified global optimum."""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

from . import _native  # noqa: F401  (first: says what to do when the build is missing)
from ._show_versions import show_versions
from .exceptions import ArrangementTooLargeError, ConvergenceWarning
from .group_lasso import GatedPath, GatedSolution, beta_max, gated_path, solve_gated
from .network import Network
from .patterns import ActivationPatterns
from .sampling import sample_patterns

if TYPE_CHECKING:
    from .estimators import GatedReLUClassifier as GatedReLUClassifier
    from .estimators import GatedReLURegressor as GatedReLURegressor
    from .estimators_cv import GatedReLUClassifierCV as GatedReLUClassifierCV
    from .estimators_cv import GatedReLURegressorCV as GatedReLURegressorCV

__version__ = "0.1.0"

__all__ = [
    "ActivationPatterns",
    "ArrangementTooLargeError",
    "ConvergenceWarning",
    "GatedPath",
    "GatedSolution",
    "Network",
    "beta_max",
    "gated_path",
    "sample_patterns",
    "show_versions",
    "solve_gated",
]

# Not in __all__: these need scikit-learn, which the rest of the package does without.
_ESTIMATORS = {
    "GatedReLUClassifier": ".estimators",
    "GatedReLURegressor": ".estimators",
    "GatedReLUClassifierCV": ".estimators_cv",
    "GatedReLURegressorCV": ".estimators_cv",
}

logging.getLogger("cvxrelu").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name not in _ESTIMATORS:
        raise AttributeError(f"module 'cvxrelu' has no attribute {name!r}")
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise ImportError(f"cvxrelu.{name} needs scikit-learn: pip install 'cvxrelu[sklearn]'") from error
    return getattr(importlib.import_module(_ESTIMATORS[name], __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_ESTIMATORS])
