"""Checkpoints of long fits: what is finished, in one file, which is whole or not there."""

from __future__ import annotations

import json
import os
import pathlib
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ._validation import FloatArray
from .cone_program import ReLUSolution
from .group_lasso import GatedSolution
from .patterns import ActivationPatterns
from .units import ScaledProblem, shifted

_VERSION = 1
_NUMBERS = ("objective", "gap", "relative_gap", "converged", "n_iter", "n_sweeps", "n_newton", "n_cg", "n_direct")

_ELSEWHERE = np.zeros(0)  # for a dual point that was in blocks


class CheckpointFile:
    """Named arrays in a file.

    A save writes a new file beside the old one and puts it in its place in one step (POSIX rename), with the one
    before kept as ``<path>.previous``: whatever is cut off, one of the two is whole.

    Parameters
    ----------
    path : str or path-like
        The file.
    kind : str
        What it is a checkpoint of.
    problem : dict of str to ndarray
        What tells the problem from others; equal to nine digits or refused.
    """

    def __init__(self, path: str | os.PathLike[str], kind: str, problem: dict[str, npt.NDArray[Any]]) -> None:
        self.path = pathlib.Path(path)
        self.previous = self.path.with_name(self.path.name + ".previous")
        self._kind = kind
        self._problem = problem

    def load(self) -> dict[str, npt.NDArray[Any]] | None:
        """Return the arrays, None where there is no file."""
        if not self.path.exists():
            return None
        try:
            with zipfile.ZipFile(self.path) as archive:
                if archive.testzip() is not None:
                    raise zipfile.BadZipFile
            with np.load(self.path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            if str(arrays["format"]) != f"cvxrelu.{self._kind}-checkpoint" or int(arrays["version"]) > _VERSION:
                raise KeyError
        except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, OSError):
            rest = f"; the one before is whole: {self.previous}" if self.previous.exists() else ""
            raise ValueError(
                f"checkpoint {self.path} is cut off, damaged or not a checkpoint of a {self._kind}{rest}"
            ) from None
        for name, array in self._problem.items():
            stored = arrays[name]
            if stored.shape != array.shape or not np.allclose(stored, array, rtol=1e-9, atol=0):
                raise ValueError(f"checkpoint {self.path} belongs to another problem: its {name} are different")
        return arrays

    def save(self, arrays: dict[str, Any]) -> None:
        """Write the arrays."""
        kept: dict[str, Any] = (
            self._problem | {"format": f"cvxrelu.{self._kind}-checkpoint", "version": _VERSION} | arrays
        )
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name + ".")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **kept)
                file.flush()
                os.fsync(file.fileno())
            if self.path.exists():
                self.previous.unlink(missing_ok=True)
                os.link(self.path, self.previous)
            os.replace(name, self.path)
        except BaseException:
            pathlib.Path(name).unlink(missing_ok=True)
            raise


class PathCheckpoint:
    """The finished points of a path over given patterns, kept in a file.

    Parameters
    ----------
    path : str or path-like
        The file.
    patterns : ActivationPatterns
        The patterns of the problem.
    signature : ndarray
        Numbers that tell the problem from others, such as beta_max and ||y||^2.
    betas : ndarray
        The penalties of the path.
    """

    def __init__(
        self, path: str | os.PathLike[str], patterns: ActivationPatterns, signature: FloatArray, betas: FloatArray
    ) -> None:
        self._patterns = patterns
        problem = {"signature": signature, "betas": betas, "gates": patterns.gates, "words": patterns.words}
        self._file = CheckpointFile(path, "path", problem)

    def load(self) -> tuple[list[GatedSolution], dict[str, Any]]:
        """Return the finished points and the state of the solver after them; nothing where there is no file.

        Dual points that were in blocks come back empty.
        """
        arrays = self._file.load()
        if arrays is None:
            return [], {}
        state = {name.removeprefix("state_"): value for name, value in arrays.items() if name.startswith("state_")}
        return [self._unpacked(arrays, k) for k in range(int(arrays["n_points"]))], state

    def save(self, solutions: Iterable[GatedSolution], state: dict[str, Any]) -> None:
        """Write the finished points and the state of the solver."""
        points = list(solutions)
        arrays: dict[str, Any] = {"n_points": len(points)}
        for k, solution in enumerate(points):
            arrays[f"{k}_active"], arrays[f"{k}_blocks"] = solution.active, solution.blocks
            arrays[f"{k}_numbers"] = np.array([getattr(solution, name) for name in _NUMBERS], dtype=np.float64)
            arrays[f"{k}_solver"] = solution.solver
            arrays[f"{k}_inner_solvers"] = np.array(solution.inner_solvers, dtype=np.str_)
            if isinstance(solution.dual, np.ndarray):  # one in blocks is made again from the coefficients
                arrays[f"{k}_dual"] = solution.dual
        self._file.save(arrays | {f"state_{name}": value for name, value in state.items()})

    def _unpacked(self, arrays: dict[str, Any], k: int) -> GatedSolution:
        numbers = dict(zip(_NUMBERS, arrays[f"{k}_numbers"].tolist(), strict=True))
        for name in _NUMBERS[4:]:
            numbers[name] = int(numbers[name])
        return GatedSolution(
            beta=float(arrays["betas"][k]),
            active=arrays[f"{k}_active"],
            blocks=arrays[f"{k}_blocks"],
            dual=arrays.get(f"{k}_dual", _ELSEWHERE),
            solver=str(arrays[f"{k}_solver"]),
            inner_solvers=tuple(arrays[f"{k}_inner_solvers"].tolist()),
            unpenalised_coef=None,
            patterns=self._patterns,
            **(numbers | {"converged": bool(numbers["converged"])}),
        )


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
        X, y = problem.X, problem.y
        products = [(np.vdot(X, X), 2 * problem.X_order), (np.vdot(y, y), 2 * problem.y_order)]
        products += [(product, problem.X_order + problem.y_order) for product in X.T @ y]
        signature = np.array([*X.shape, beta, *(shifted(float(product), order) for product, order in products)])
        self._file = CheckpointFile(path, "generation", {"signature": signature})

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
