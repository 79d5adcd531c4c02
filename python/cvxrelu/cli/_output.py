"""What the commands print and write."""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from .. import __version__


def one_line(error: BaseException | str) -> str:
    """Return what an error says, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def as_json(report: dict[str, Any]) -> str:
    """Return a report as JSON, in which numbers that are not finite are null."""
    return json.dumps(_finite(report), indent=2, allow_nan=False)


def as_table(rows: Sequence[tuple[str, str]]) -> str:
    """Return a report as a table of two columns."""
    width = max(len(name) for name, _ in rows)
    return "\n".join([f"cvxrelu {__version__}", *(f"  {name:<{width}}  {value}" for name, value in rows)])


class Progress:
    """One line on stderr, if that is a terminal, while something takes more than a second.

    As a callback of a solver it shows the gap; as a context manager, what it was told and the seconds.
    """

    def __init__(self, doing: str = "", *, quiet: bool = False) -> None:
        self.doing = doing
        self.shown = sys.stderr.isatty() and not quiet
        self.start = self.last = time.perf_counter()
        self.width = 0
        self.far = ""
        self._done = threading.Event()

    def __call__(self, state: dict[str, Any]) -> bool:
        """Show the state of a solver."""
        now = time.perf_counter()
        if now - self.start > 1 and now - self.last > 0.1:
            self.last = now
            self._show(
                f"iteration {state['iteration']}, relative gap {state['relative_gap']:.1e}, {state['active']} active"
            )
        return False

    def searched(self, state: dict[str, Any]) -> None:
        """Take note of how far a search for cells is, which `doing` is said of."""
        self.far = f", {state['n_cells']} cells, {state['share']:.0%} searched"

    def __enter__(self) -> Self:
        if self.doing and self.shown:
            self._thread = threading.Thread(target=self._tick, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.doing and self.shown:
            self._done.set()
            self._thread.join()
        if self.width:
            print(f"\r{'':<{self.width}}\r", end="", file=sys.stderr, flush=True)

    def _tick(self) -> None:
        while not self._done.wait(1.0):
            self._show(f"{self.doing}{self.far}: {time.perf_counter() - self.start:.0f} s")

    def _show(self, line: str) -> None:
        if self.shown:
            print(f"\r{line:<{self.width}}", end="", file=sys.stderr, flush=True)
            self.width = len(line)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
