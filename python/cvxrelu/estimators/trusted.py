"""What skops has to trust in a file of a fitted estimator: types of this package, and no others."""

from __future__ import annotations

from . import __all__ as _ESTIMATORS

SKOPS_TRUSTED_TYPES: tuple[str, ...] = (
    *(f"cvxrelu.{name}" for name in _ESTIMATORS),
    "cvxrelu.ActivationPatterns",
    "cvxrelu.GatedPath",
    "cvxrelu.GatedSolution",
    "cvxrelu.MKLHistory",
    "cvxrelu.MKLSolution",
    "cvxrelu.Network",
    "cvxrelu.ReLUSolution",
    "cvxrelu.estimators.certificate.TrainingCertificate",
    "cvxrelu.estimators.training.GatedFit",
)
