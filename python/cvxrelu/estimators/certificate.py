"""What is proved about a trained estimator."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ..base.bounds import bound_below


@dataclasses.dataclass(frozen=True, repr=False)
class TrainingCertificate:
    """What is proved about a trained estimator.

    Attributes
    ----------
    scope : {"all patterns", "given patterns"}
        Which networks the lower bound is about: of every width, or those whose neurons have the patterns that
        training drew or found. With several outputs "all patterns" where that holds for each.
    lower_bound : float
        No network within the scope has an objective below it; where each output has a network of its own, no such
        set of networks. At least 0.
    upper_bound : float
        The objective of the trained network.
    gap : float
        ``upper_bound - lower_bound``, computed as a sum of non-negative terms.
    relative_gap : float
        The gap relative to the objective of the zero network.
    converged : bool
        Whether every output reached the tolerance.
    """

    scope: str
    lower_bound: float
    upper_bound: float
    gap: float
    relative_gap: float
    converged: bool

    def __repr__(self) -> str:
        return (
            f"TrainingCertificate({self.lower_bound:.8g} <= optimum <= {self.upper_bound:.8g}, "
            f"relative_gap={self.relative_gap:.1e}, {self.scope})"
        )


class Certified(Protocol):
    """A solution of a convex program, with its duality gap."""

    @property
    def objective(self) -> float: ...
    @property
    def gap(self) -> float: ...
    @property
    def relative_gap(self) -> float: ...
    @property
    def converged(self) -> bool: ...


def mean_certificate(solutions: Sequence[Certified], unexplained: float) -> TrainingCertificate:
    """Return what solutions of programs that differ in their patterns prove about the mean of the objectives."""
    return certificate_of(
        float(np.mean([solution.objective for solution in solutions])) + unexplained,
        float(np.mean([solution.gap for solution in solutions])),
        float(np.mean([solution.relative_gap for solution in solutions])),
        all(solution.converged for solution in solutions),
    )


def certificate_of(objective: float, gap: float, relative_gap: float, converged: bool) -> TrainingCertificate:
    """Return the certificate of an optimum over given patterns."""
    return TrainingCertificate("given patterns", bound_below(objective, gap), objective, gap, relative_gap, converged)
