"""Checkpoints of gated paths."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..base.arrays import FloatArray
from ..base.checkpoint_file import CheckpointFile
from ..base.digests import digest_of
from ..patterns.patterns import ActivationPatterns
from .solution import GatedSolution

_NUMBERS = (
    *("objective", "gap", "relative_gap", "converged"),
    *("n_iter", "n_sweeps", "n_newton", "n_cg", "n_direct", "n_subsampled"),
)

_ELSEWHERE = np.zeros(0)  # stands for a dual point that lay in blocks of rows, and is not in the file


class PathCheckpoint:
    """The finished points of a path over given patterns, kept in a file.

    Parameters
    ----------
    path : str or path-like
        The file.
    patterns : ActivationPatterns
        The patterns of the problem.
    problem : dict of str to str
        A digest of everything else that the result depends on (:meth:`PassesProgram.digests`).
    betas : ndarray
        The penalties of the path.
    """

    def __init__(
        self, path: str | os.PathLike[str], patterns: ActivationPatterns, problem: dict[str, str], betas: FloatArray
    ) -> None:
        self._patterns = patterns
        self._betas = betas
        own = {"gates": digest_of(patterns.gates, patterns.words), "betas": digest_of(betas)}
        self._file = CheckpointFile(path, "path", own | problem)

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
            if solution.unpenalised_coef is not None:
                arrays[f"{k}_intercept"] = solution.unpenalised_coef
        self._file.save(arrays | {f"state_{name}": value for name, value in state.items()})

    def _unpacked(self, arrays: dict[str, Any], k: int) -> GatedSolution:
        numbers = dict(zip(_NUMBERS, arrays[f"{k}_numbers"].tolist(), strict=True))
        for name in _NUMBERS[4:]:
            numbers[name] = int(numbers[name])
        return GatedSolution(
            beta=float(self._betas[k]),
            active=arrays[f"{k}_active"],
            blocks=arrays[f"{k}_blocks"],
            dual=arrays.get(f"{k}_dual", _ELSEWHERE),
            solver=str(arrays[f"{k}_solver"]),
            inner_solvers=tuple(arrays[f"{k}_inner_solvers"].tolist()),
            unpenalised_coef=arrays.get(f"{k}_intercept"),
            patterns=self._patterns,
            **(numbers | {"converged": bool(numbers["converged"])}),
        )
