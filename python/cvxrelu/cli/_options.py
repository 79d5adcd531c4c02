"""Options that commands share, and the numbers they take."""

from __future__ import annotations

import argparse
import math
from typing import Any

from ._tables import Table, TableError

_LARGEST_COUNT = 10**12


def add_common(command: argparse.ArgumentParser) -> None:
    """Add the options of every command that computes."""
    command.add_argument("--threads", type=count, metavar="N", help="threads (default: what OpenMP would take)")
    command.add_argument("--json", action="store_true", help="print JSON, not a table")


def add_ignore(command: argparse.ArgumentParser) -> None:
    """Add the option that leaves columns out."""
    command.add_argument(
        "--ignore", action="append", default=[], metavar="COLUMN", help="columns to leave out; commas, or repeat it"
    )


def feature_names(table: Table, options: list[str], target: str | None = None, role: str = "target") -> tuple[str, ...]:
    """Return the columns that are neither ignored nor the target, or what else has a role of its own; at least one."""
    ignored = [table.column(name, "--ignore") for option in options for name in option.split(",")]
    if target is not None and target in ignored:
        raise TableError(f"--ignore: {target!r} is the {role}")
    names = tuple(name for name in table.names if name != target and name not in ignored)
    if not names:
        raise TableError(f"{table.path} has no columns" + (f" beside the {role}" if target is not None else ""))
    return names


def positive(text: str) -> float:
    """A finite number above 0."""
    value: float = _number(text, float)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"must be positive, not {text}")
    return value


def non_negative(text: str) -> float:
    """A finite number, at least 0."""
    value: float = _number(text, float)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, not {text}")
    return value


def fraction(text: str) -> float:
    """A number in [0, 1)."""
    value: float = _number(text, float)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 0 and below 1, not {text}")
    return value


def count(text: str) -> int:
    """An integer above 0, of which one may have an array."""
    value = _at_least(text, 1)
    if value > _LARGEST_COUNT:
        raise argparse.ArgumentTypeError(f"must be at most {_LARGEST_COUNT}, not {text}")
    return value


def natural(text: str) -> int:
    """An integer, at least 0."""
    return _at_least(text, 0)


def _at_least(text: str, least: int) -> int:
    value: int = _number(text, int)
    if value < least:
        raise argparse.ArgumentTypeError(f"must be at least {least}, not {text}")
    return value


def _number(text: str, kind: type[int] | type[float]) -> Any:
    try:
        value = kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {'an integer' if kind is int else 'a number'}") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be finite, not {text}")
    return value
