"""Callables that hear of progress and may stop it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .arrays import describe

Callback = Callable[[dict[str, Any]], bool | None]


def as_callback(callback: Any) -> Callback | None:
    """Return a callback that is told copies of arrays, after a check that it can be called.

    What it writes into is then no solver's state. The problem itself is the business of :func:`out_of_reach`.
    """
    if callback is None:
        return None
    if not callable(callback):
        raise TypeError(f"callback must be callable, not {describe(callback)}")

    def told(progress: dict[str, Any]) -> Any:
        return callback({key: np.array(v) if isinstance(v, np.ndarray) else v for key, v in progress.items()})

    return told


def out_of_reach(callback: Callback | None, *data: Any) -> Any:
    """Return data that a user gave, as copies where a callback will run, which could write into the originals.

    Validation does not copy arrays that are in order already, and the certificate must belong to the problem that was
    posed. Lists are copied there anyway; rows that are elsewhere stay where they are, and out of the question.
    """
    return data if callback is None else tuple(map(_copied, data))


def _copied(value: Any) -> Any:
    if not hasattr(value, "__array__") or isinstance(value, np.memmap):
        return value
    return value.copy() if hasattr(value, "copy") else np.array(value)


class Stop:
    """A callback that remembers whether it has stopped the solver."""

    def __init__(self, callback: Callback | None) -> None:
        self.callback = callback
        self.stopped = False

    def __call__(self, progress: dict[str, Any]) -> bool:
        self.stopped = self.callback is not None and bool(self.callback(progress))
        return self.stopped


def shifted_callback(callback: Callback | None, iterations: int, factor: float = 1.0) -> Callback | None:
    """Count iterations on from those before, and bring objectives to the user's units."""
    if callback is None:
        return None

    def shifted(progress: dict[str, Any]) -> bool | None:
        scaled = {key: factor * progress[key] for key in ("objective", "gap")}
        return callback(progress | scaled | {"iteration": progress["iteration"] + iterations})

    return shifted
