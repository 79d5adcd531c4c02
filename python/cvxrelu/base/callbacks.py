"""Callables that hear of progress and may stop it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .arrays import (
    describe,
)

Callback = Callable[[dict[str, Any]], bool | None]


def as_callback(callback: Any) -> None:
    """Check that a callback can be called, before what it is to hear of begins."""
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, not {describe(callback)}")


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
