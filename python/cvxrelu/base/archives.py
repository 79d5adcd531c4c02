"""Files of plain arrays, .npy and .npz: nothing is unpickled, and a bad file is refused in one sentence."""

from __future__ import annotations

import os
import tokenize
import zipfile
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, tokenize.TokenError, NotImplementedError, RuntimeError)


def load_arrays(path: str | os.PathLike[str], what: str) -> Array | dict[str, Array]:
    """Read an .npy or .npz file, to an array or a dict of them; `what` it should have been goes into a ValueError."""
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            return loaded if isinstance(loaded, np.ndarray) else {key: loaded[key] for key in loaded.files}
    except _DAMAGED:
        raise ValueError(f"{os.fspath(path)} is not {what}: it is empty or damaged") from None
    except ValueError:
        raise ValueError(f"{os.fspath(path)} is not {what}: it holds no plain arrays") from None


def write_archive(path: str | os.PathLike[str], name: str, version: int, arrays: dict[str, Array]) -> None:
    """Write arrays to an .npz archive that says what it is."""
    with open(path, "wb") as file:
        np.savez(file, format=np.array(name), version=np.array(version), **arrays)  # type: ignore[arg-type]


def read_archive(path: str | os.PathLike[str], name: str, version: int, required: tuple[str, ...]) -> dict[str, Array]:
    """Read what `write_archive` wrote, and complain in one sentence about anything else."""
    arrays = load_arrays(path, f"a {name} file")
    return checked_archive(arrays, path, name, version, required)


def checked_archive(
    arrays: Array | dict[str, Array], path: str | os.PathLike[str], name: str, version: int, required: tuple[str, ...]
) -> dict[str, Array]:
    """Return the arrays of an archive of this name and of a version that is understood."""
    what = f"{os.fspath(path)} is not a {name} file"
    if not isinstance(arrays, dict) or "format" not in arrays or "version" not in arrays:
        raise ValueError(f"{what}: it holds something else")
    if str(arrays["format"]) != name:
        raise ValueError(f"{what}: it says that it is a {arrays['format']} file")
    try:
        written = int(arrays["version"])
    except (TypeError, ValueError):
        raise ValueError(f"{what}: its version is {arrays['version']}") from None
    if written > version:
        raise ValueError(f"{os.fspath(path)} has version {written} of its format, and this cvxrelu reads {version}")
    missing = [key for key in required if key not in arrays]
    if missing:
        raise ValueError(f"{what}: {', '.join(missing)} missing")
    return arrays
