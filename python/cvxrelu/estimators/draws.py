"""Several independent samples of gates: a parameter of every estimator that draws gates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy.typing as npt

from ..base.arrays import as_count, as_generator
from ..patterns.patterns import ActivationPatterns

DRAWS = """\
    n_draws : int, default {n_draws}
        Independent samples of `n_gates` gates each. All are trained, with one penalty, and the mean of them is what
        predicts, which depends less on which gates were drawn. The time is that of as many fits."""

Solution = TypeVar("Solution")


@dataclasses.dataclass(frozen=True, eq=False)
class GateDraw:
    """How gates are drawn.

    Attributes
    ----------
    n_gates : int or None
        Gates of a sample; None where `gates` is an array.
    gates : str or array_like
        Law of the gates, or the gates.
    random_state : Generator or int
        Source of the draws.
    bias : bool
        Whether a column of ones is appended to the samples.
    n_draws : int
        Independent samples of gates.
    """

    n_gates: int | None
    gates: str | npt.ArrayLike
    random_state: Any = None
    bias: bool = True
    n_draws: int = 1

    @classmethod
    def of(cls, estimator: Any, random_state: Any) -> GateDraw:
        """Return what the parameters of an estimator say, checked."""
        n_draws, bias = as_count(estimator.n_draws, "n_draws"), bool(estimator.fit_bias)
        if isinstance(estimator.gates, str):
            return cls(as_count(estimator.n_gates, "n_gates"), estimator.gates, random_state, bias, n_draws)
        if n_draws > 1:
            raise ValueError(f"n_draws is {n_draws}, but gates is an array: only from a law are there several draws")
        return cls(None, estimator.gates, random_state, bias)

    def patterns(self, sample: Callable[[Any], ActivationPatterns]) -> list[ActivationPatterns]:
        """Return the patterns of every draw, sampled by a function of a generator."""
        rng = as_generator(self.random_state)
        return [sample(rng) for _ in range(self.n_draws)]


def only(solutions: Sequence[Solution]) -> Solution:
    """Return the solution of the only draw, as an attribute of an estimator that has no meaning for several."""
    if len(solutions) > 1:
        raise AttributeError(f"there are {len(solutions)} draws of gates, each with a solution: see solutions_")
    return solutions[0]
