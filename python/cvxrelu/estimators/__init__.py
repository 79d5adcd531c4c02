"""scikit-learn estimators, each imported when it is first asked for: some need more of scikit-learn than others."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .exponential_weights import ExponentialWeightsClassifier, ExponentialWeightsRegressor
    from .gated import GatedReLUClassifier, GatedReLURegressor
    from .gated_cv import GatedReLUClassifierCV, GatedReLURegressorCV
    from .mkl import MKLClassifier, MKLRegressor
    from .mkl_cv import MKLClassifierCV, MKLRegressorCV
    from .normal_scores import NormalScores
    from .ntk import NTKClassifier, NTKClassifierCV, NTKRegressor, NTKRegressorCV
    from .relu import ReLUClassifier, ReLURegressor
    from .relu_cv import ReLUClassifierCV, ReLURegressorCV

__all__ = [
    "ExponentialWeightsClassifier",
    "ExponentialWeightsRegressor",
    "GatedReLUClassifier",
    "GatedReLUClassifierCV",
    "GatedReLURegressor",
    "GatedReLURegressorCV",
    "MKLClassifier",
    "MKLClassifierCV",
    "MKLRegressor",
    "MKLRegressorCV",
    "NTKClassifier",
    "NTKClassifierCV",
    "NTKRegressor",
    "NTKRegressorCV",
    "NormalScores",
    "ReLUClassifier",
    "ReLUClassifierCV",
    "ReLURegressor",
    "ReLURegressorCV",
]

#: Types to trust when skops loads a fitted estimator: ``skops.io.load(file, trusted=cvxrelu.SKOPS_TRUSTED)``. They hold
#: arrays and numbers.
SKOPS_TRUSTED = [
    *(f"cvxrelu.{name}" for name in __all__),
    "cvxrelu.ActivationPatterns",
    "cvxrelu.GatedPath",
    "cvxrelu.GatedSolution",
    "cvxrelu.MKLHistory",
    "cvxrelu.MKLSolution",
    "cvxrelu.Network",
    "cvxrelu.ReLUSolution",
    "cvxrelu.estimators.certificate.TrainingCertificate",
    "cvxrelu.estimators.training.GatedFit",
]

_MODULES = {
    "ExponentialWeights": "exponential_weights",
    "GatedReLU": "gated",
    "MKL": "mkl",
    "NTK": "ntk",
    "NormalScores": "normal_scores",
    "ReLU": "relu",
}


def are_available() -> bool:
    """Say whether scikit-learn is there, without importing it."""
    try:
        return importlib.util.find_spec("sklearn") is not None
    except ImportError:
        return False


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'cvxrelu.estimators' has no attribute {name!r}")
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise ImportError(f"cvxrelu.{name} needs scikit-learn: pip install 'cvxrelu[sklearn]'") from error
    family = name.removesuffix("CV").removesuffix("Regressor").removesuffix("Classifier")
    cv = "_cv" if name.endswith("CV") and family != "NTK" else ""
    return getattr(importlib.import_module(f".{_MODULES[family]}{cv}", __name__), name)
