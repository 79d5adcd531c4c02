"""What fits into this machine."""

from __future__ import annotations

import os

import numpy as np


def machine_memory() -> float:
    """Return the bytes of memory of this machine, infinite where the system does not tell."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return np.inf


def require_fit(rows: int, columns: int, what: str, advice: str, copies: int = 1) -> None:
    """Raise MemoryError for so many float64 arrays of this shape where they cannot fit into this machine's memory."""
    available = machine_memory()
    needed = 8 * rows * columns * copies
    if needed > available:
        raise MemoryError(
            f"{what} of shape ({rows}, {columns}) would take {needed / 2**30:.3g} GiB, but this machine has "
            f"{available / 2**30:.3g} GiB: {advice}"
        )


def available_memory() -> int:
    """Return the bytes that are free, as far as the system tells; all of them where it does not."""
    try:
        with open("/proc/meminfo") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
