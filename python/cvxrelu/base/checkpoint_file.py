"""Named arrays in one file, which is whole or not there."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .digests import digest_of

_VERSION = 3


class CheckpointFile:
    """Named arrays in a file.

    A save writes a new file beside the old one and puts it in its place in one step (POSIX rename), with the one
    before kept as ``<path>.previous``: whatever is cut off, one of the two is whole. Threads and processes may use one
    file at the same time; what stays is what one of them has written. The file has a digest of every array in it, so
    that one that is edited is told from one that was written here.

    Parameters
    ----------
    path : str or path-like
        The file.
    kind : str
        What it is a checkpoint of.
    problem : dict of str to str
        A digest of everything that the result depends on, under the name that an error gives it.
    """

    def __init__(self, path: str | os.PathLike[str], kind: str, problem: dict[str, str]) -> None:
        self.path = pathlib.Path(path)
        self.previous = self.path.with_name(self.path.name + ".previous")
        self._kind = kind
        self._problem = problem

    def load(self) -> dict[str, npt.NDArray[Any]] | None:
        """Return the arrays, None where there is no file."""
        try:
            arrays, head = self._read()
        except FileNotFoundError:
            return None
        except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, OSError):
            rest = f"; the one before is whole: {self.previous}" if self.previous.exists() else ""
            raise ValueError(
                f"checkpoint {self.path} is cut off, damaged or not a checkpoint of a {self._kind}{rest}"
            ) from None
        if head["version"] != _VERSION:
            raise ValueError(
                f"checkpoint {self.path} has version {head['version']} of its format, and this cvxrelu reads {_VERSION}"
            )
        written = head["arrays"]
        for name in sorted(written.keys() | arrays.keys()):
            if name not in arrays or name not in written or digest_of(arrays[name]) != written[name]:
                what = "is missing" if name not in arrays else "is not what was written"
                raise ValueError(f"checkpoint {self.path} has been edited: its {name!r} {what}")
        for name, digest in self._problem.items():
            if head["problem"].get(name) != digest:
                raise ValueError(f"checkpoint {self.path} belongs to another problem: its {name} are different")
        return arrays

    def _read(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Return the arrays of the file and what its head says of them."""
        # Opened once: another process may put a new file in its place meanwhile.
        with open(self.path, "rb") as stream:
            with zipfile.ZipFile(stream) as archive:
                if archive.testzip() is not None:
                    raise zipfile.BadZipFile
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        head = json.loads(str(arrays.pop("head")))
        if head["format"] != f"cvxrelu.{self._kind}-checkpoint":
            raise KeyError
        return arrays, head

    def save(self, arrays: dict[str, Any]) -> None:
        """Write the arrays."""
        head = {
            "format": f"cvxrelu.{self._kind}-checkpoint",
            "version": _VERSION,
            "problem": self._problem,
            "arrays": {name: digest_of(array) for name, array in arrays.items()},
        }
        kept: dict[str, Any] = {**arrays, "head": json.dumps(head)}
        with self._beside() as written:
            with open(written, "wb") as file:
                np.savez(file, **kept)
                file.flush()
                os.fsync(file.fileno())
            with self._beside() as old:
                os.unlink(old)  # a link needs a name that is free, and this one nobody else has
                with contextlib.suppress(FileNotFoundError):
                    os.link(self.path, old)
                    os.replace(old, self.previous)
            os.replace(written, self.path)

    @contextlib.contextmanager
    def _beside(self) -> Iterator[str]:
        """Have a new file beside the checkpoint, which is gone at the end unless it was renamed."""
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name + ".")
        os.close(handle)
        try:
            yield name
        finally:
            pathlib.Path(name).unlink(missing_ok=True)
