"""Checkpoints of long fits: solutions of a path in one file, which is whole or not there."""

from __future__ import annotations

import os
import pathlib
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from ._validation import FloatArray
from .group_lasso import GatedSolution
from .patterns import ActivationPatterns

_FORMAT = "cvxrelu.path-checkpoint"
_VERSION = 1
_NUMBERS = ("objective", "gap", "relative_gap", "converged", "n_iter", "n_sweeps", "n_newton", "n_cg", "n_direct")

_ELSEWHERE = np.zeros(0)  # for a dual point that was in blocks


class PathCheckpoint:
    """The finished points of a path over given patterns, kept in a file.

    A save writes a new file beside the old one and puts it in its place in one step (POSIX rename), with the one
    before kept as ``<path>.previous``: whatever is cut off, one of the two is whole.

    Parameters
    ----------
    path : str or path-like
        The file.
    patterns : ActivationPatterns
        The patterns of the problem.
    signature : ndarray
        Numbers that tell the problem from others, such as beta_max and ||y||^2; equal to nine digits or refused.
    betas : ndarray
        The penalties of the path.
    """

    def __init__(
        self, path: str | os.PathLike[str], patterns: ActivationPatterns, signature: FloatArray, betas: FloatArray
    ) -> None:
        self.path = pathlib.Path(path)
        self.previous = self.path.with_name(self.path.name + ".previous")
        self._patterns = patterns
        self._head = {"signature": signature, "betas": betas, "gates": patterns.gates, "words": patterns.words}

    def load(self) -> tuple[list[GatedSolution], dict[str, Any]]:
        """Return the finished points and the state of the solver after them; nothing where there is no file.

        Dual points that were in blocks come back empty.
        """
        if not self.path.exists():
            return [], {}
        try:
            with zipfile.ZipFile(self.path) as archive:
                if archive.testzip() is not None:
                    raise zipfile.BadZipFile
            with np.load(self.path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            if str(arrays["format"]) != _FORMAT or int(arrays["version"]) > _VERSION:
                raise KeyError
        except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, OSError):
            rest = f"; the one before is whole: {self.previous}" if self.previous.exists() else ""
            raise ValueError(
                f"checkpoint {self.path} is cut off, damaged or not a checkpoint of a path{rest}"
            ) from None
        for name, array in self._head.items():
            stored = arrays[name]
            if stored.shape != array.shape or not np.allclose(stored, array, rtol=1e-9, atol=0):
                raise ValueError(f"checkpoint {self.path} belongs to another problem: its {name} are different")
        state = {name.removeprefix("state_"): value for name, value in arrays.items() if name.startswith("state_")}
        return [self._unpacked(arrays, k) for k in range(int(arrays["n_points"]))], state

    def save(self, solutions: Iterable[GatedSolution], state: dict[str, Any]) -> None:
        """Write the finished points and the state of the solver."""
        arrays: dict[str, Any] = dict(self._head, format=_FORMAT, version=_VERSION)
        points = list(solutions)
        arrays["n_points"] = len(points)
        for k, solution in enumerate(points):
            arrays[f"{k}_active"], arrays[f"{k}_blocks"] = solution.active, solution.blocks
            arrays[f"{k}_numbers"] = np.array([getattr(solution, name) for name in _NUMBERS], dtype=np.float64)
            arrays[f"{k}_solver"] = solution.solver
            if isinstance(solution.dual, np.ndarray):  # one in blocks is made again from the coefficients
                arrays[f"{k}_dual"] = solution.dual
        arrays |= {f"state_{name}": value for name, value in state.items()}
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name + ".")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **arrays)
                file.flush()
                os.fsync(file.fileno())
            if self.path.exists():
                self.previous.unlink(missing_ok=True)
                os.link(self.path, self.previous)
            os.replace(name, self.path)
        except BaseException:
            pathlib.Path(name).unlink(missing_ok=True)
            raise

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
            unpenalised_coef=None,
            patterns=self._patterns,
            **(numbers | {"converged": bool(numbers["converged"])}),
        )
