"""Checkpoints of column generation."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from ..base.checkpoint_file import CheckpointFile
from ..base.digests import digest_of
from ..base.scaling import ScaledProblem
from ..patterns.patterns import ActivationPatterns
from .solution import ReLUSolution


class GenerationCheckpoint:
    """The last network of a column generation with its list of patterns and the source of its starts, in a file.

    Parameters
    ----------
    path : str or path-like
        The file.
    problem : ScaledProblem
        The problem.
    beta : float
        The penalty in the user's units.
    """

    def __init__(self, path: str | os.PathLike[str], problem: ScaledProblem, beta: float) -> None:
        # What it is solved to, and by how much work, is left open: a file may be gone on with to a smaller gap.
        digests = {
            "sample weights": digest_of(problem.root),
            "samples": digest_of(problem.X, problem.X_order),
            "targets": digest_of(problem.y, problem.y_order),
            "penalty": digest_of(beta),
        }
        self._file = CheckpointFile(path, "generation", digests)

    def load(self) -> tuple[ReLUSolution, dict[str, Any]] | None:
        """Return the network and the state of the generator of its starts; None where there is no file."""
        arrays = self._file.load()
        if arrays is None:
            return None
        numbers = json.loads(str(arrays["numbers"]))
        patterns = ActivationPatterns(arrays["gates"], arrays["words"], n_samples=arrays["dual"].size)
        network: dict[str, Any] = {name: arrays[name] for name in ("active", "signs", "blocks", "dual")}
        return ReLUSolution(**network, **numbers, patterns=patterns), json.loads(str(arrays["generator"]))

    def save(self, solution: ReLUSolution, generator: np.random.Generator) -> None:
        """Write a network, of all whose fields the file has a copy."""
        fields = dict(vars(solution))
        patterns = fields.pop("patterns")
        arrays = {name: fields.pop(name) for name in ("active", "signs", "blocks", "dual")}
        arrays |= {"gates": patterns.gates, "words": patterns.words, "numbers": json.dumps(fields)}
        self._file.save(arrays | {"generator": json.dumps(generator.bit_generator.state, default=_plain)})


def _plain(value: Any) -> Any:
    return value.tolist()
