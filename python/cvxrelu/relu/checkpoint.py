"""Checkpoints of column generation and of paths."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..base.arrays import FloatArray
from ..base.checkpoint_file import CheckpointFile
from ..base.digests import digest_of
from ..patterns.patterns import ActivationPatterns
from .problem import SquaredProblem
from .solution import ReLUSolution

_ARRAYS = ("active", "signs", "blocks", "dual")
_OPTIONAL = ("unpenalised_coef", "unpenalised_map")


class GenerationCheckpoint:
    """The last network of a column generation with its list of patterns and the source of its starts, in a file.

    Parameters
    ----------
    path : str or path-like
        The file.
    problem : SquaredProblem
        The problem.
    beta : float
        The penalty in the user's units.
    """

    def __init__(self, path: str | os.PathLike[str], problem: SquaredProblem, beta: float) -> None:
        # What it is solved to, and by how much work, is left open: a file may be gone on with to a smaller gap.
        self._file = CheckpointFile(path, "generation", _digests(problem) | {"penalty": digest_of(beta)})

    def load(self) -> tuple[ReLUSolution, dict[str, Any]] | None:
        """Return the network and the state of the generator of its starts; None where there is no file."""
        arrays = self._file.load()
        if arrays is None:
            return None
        return _unpacked(arrays), json.loads(str(arrays["generator"]))

    def save(self, solution: ReLUSolution, generator: np.random.Generator) -> None:
        """Write a network, of all whose fields the file has a copy."""
        state = json.dumps(generator.bit_generator.state, default=_plain)
        self._file.save(_packed(solution) | {"generator": state})


class PathCheckpoint:
    """The finished networks of a path, in a file.

    Parameters
    ----------
    path : str or path-like
        The file.
    problem : SquaredProblem
        The problem.
    betas : ndarray
        The penalties of the path.
    settings : dict of str to str
        Digests of what else the networks depend on, under the names that an error gives them.
    """

    def __init__(
        self, path: str | os.PathLike[str], problem: SquaredProblem, betas: FloatArray, settings: dict[str, str]
    ) -> None:
        self._file = CheckpointFile(path, "relu-path", _digests(problem) | {"betas": digest_of(betas)} | settings)

    def load(self) -> list[ReLUSolution]:
        """Return the finished networks; none where there is no file."""
        arrays = self._file.load()
        return [] if arrays is None else [_unpacked(arrays, f"{k}_") for k in range(int(arrays["n_points"]))]

    def save(self, solutions: Sequence[ReLUSolution]) -> None:
        """Write the finished networks."""
        arrays: dict[str, Any] = {"n_points": len(solutions)}
        for k, solution in enumerate(solutions):
            arrays |= _packed(solution, f"{k}_")
        self._file.save(arrays)


def _digests(problem: SquaredProblem) -> dict[str, str]:
    """Return a digest of everything that a problem is made of, but for its penalty."""
    columns = np.zeros(0) if problem.unpenalised is None else problem.unpenalised
    return {
        "loss": digest_of(problem.loss.name, problem.loss.delta),
        "sample weights": digest_of(problem.root, problem.weights),
        "samples": digest_of(problem.X, problem.X_order),
        "targets": digest_of(problem.y, problem.y_order),
        "unpenalised columns": digest_of(columns),
    }


def _packed(solution: ReLUSolution, prefix: str = "") -> dict[str, Any]:
    fields = dict(vars(solution))
    patterns, arrays = fields.pop("patterns"), {name: fields.pop(name) for name in (*_ARRAYS, *_OPTIONAL)}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    arrays |= {"gates": patterns.gates, "words": patterns.words, "numbers": json.dumps(fields)}
    return {prefix + name: value for name, value in arrays.items()}


def _unpacked(arrays: dict[str, Any], prefix: str = "") -> ReLUSolution:
    stored = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
    patterns = ActivationPatterns(stored["gates"], stored["words"], n_samples=len(stored["dual"]))
    fields: dict[str, Any] = {name: stored[name] for name in (*_ARRAYS, *_OPTIONAL) if name in stored}
    return ReLUSolution(**fields, **json.loads(str(stored["numbers"])), patterns=patterns)


def _plain(value: Any) -> Any:
    return value.tolist()
