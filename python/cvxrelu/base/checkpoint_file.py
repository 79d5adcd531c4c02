"""Named arrays in one file, which is whole or not there."""

from __future__ import annotations

import os
import pathlib
import tempfile
import zipfile
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

_VERSION = 1


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
