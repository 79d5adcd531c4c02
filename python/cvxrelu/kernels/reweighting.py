"""Iterative reweighting of masking kernels, in the core."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray
from ..base.callbacks import Callback, shifted_callback
from ..base.native import core
from ..base.scaling import as_dtype, require_held
from ..gated.program import ExactProgram
from .closed_form import require_memory
from .mkl_solution import MKLHistory


@dataclasses.dataclass(frozen=True, eq=False)
class Reweighting:
    """How weights are changed: ``eta_i <- eta_i kappa_i^relaxation``, at most `max_iter` times, from `eta` on.

    Without `in_units` eta belongs to data of order one, so that a start that does not know the data suits any units.
    """

    eta: FloatArray
    in_units: bool
    max_iter: int
    relaxation: float


def reweight(
    program: ExactProgram, beta: float, form: str, how: Reweighting, tol: float, callback: Callback | None
) -> tuple[npt.NDArray[np.floating[Any]], MKLHistory, bool]:
    """Return the coefficients of the best weights, what the iterations did, and whether the callback asked to stop."""
    n = program.design.shape[0]
    require_memory(n, n, 2)
    # In the units of the program: with X = a X', y = b y' the kernels are a^2 K', and w = (b / a) w'.
    a, b = program.X_scale, program.y_scale
    require_held(1.0, b * b, "y and weights", "the objective at zero")
    require_held(1.0, a * (a if form == "simplex" else b), "X, y and weights", "the penalty of such data")
    simplex = form == "simplex"
    out = core.reweight_kernels(
        program.design,
        program.patterns.words,
        program.targets,
        program.span.basis,
        beta / (a * a) if simplex else beta / (a * b),
        how.eta / how.eta.sum() if simplex else how.eta * (a / b if how.in_units else 1.0),
        tol=tol,
        max_iter=how.max_iter,
        simplex=simplex,
        relaxation=how.relaxation,
        n_threads=program.threads,
        callback=shifted_callback(callback, 0, b * b),
    )
    if not out["solved"]:
        raise ValueError(
            f"beta = {beta:.3g} is too small: floating point cannot solve for K(eta) + beta I; "
            "raise beta, or give max_iter=0 to leave the kernels out"
        )
    require_held(float(out["history"].max(initial=0.0)), b * b, "y and weights", "an objective on the way")
    coef = np.ascontiguousarray(program.user_coef(out["coef"]))
    return as_dtype(coef, program.dtype), MKLHistory(*(b * b * out["history"])), bool(out["stopped"])
