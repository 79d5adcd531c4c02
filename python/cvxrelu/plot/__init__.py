"""Pictures, in the manner of scikit-learn's displays: computed once, plotted on any axes. Need matplotlib."""

from ._arrangement import ArrangementDisplay
from ._convergence import ConvergenceDisplay
from ._kernel_matrix import KernelMatrixDisplay
from ._kernel_weights import KernelWeightsDisplay
from ._partial_dependence import PartialDependenceDisplay
from ._regularization_path import RegularizationPathDisplay
from ._zonotope import ZonotopeDisplay

__all__ = [
    "ArrangementDisplay",
    "ConvergenceDisplay",
    "KernelMatrixDisplay",
    "KernelWeightsDisplay",
    "PartialDependenceDisplay",
    "RegularizationPathDisplay",
    "ZonotopeDisplay",
]
