"""Limits on the address space (``ulimit -v``), foreseen: BLAS and OpenMP end the process where they meet one."""

from __future__ import annotations

import os
import re

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

_UNLIMITED_STACK = 1 << 21  # what the C library gives a thread where the process has no limit
_BUFFERS = 1 << 26  # of BLAS, for products of the calling thread, and what one call here allocates beside arrays
_UNITS = {"": 1 << 10, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def require_address_space(n_threads: int) -> None:
    """Raise MemoryError where the stacks of threads and the buffers of BLAS do not fit beside what is in use."""
    if resource is None:
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return
    try:
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return
    stacks = (n_threads - 1) * _stack_bytes()
    if used + stacks + _BUFFERS > limit:
        needed, left, whole = (size / 2**20 for size in (stacks + _BUFFERS, max(0, limit - used), limit))
        raise MemoryError(
            f"n_threads={n_threads} needs {needed:.0f} MiB for stacks of threads and buffers, but {left:.0f} MiB of "
            f"the {whole:.0f} MiB that the process may map (ulimit -v) are left: take fewer threads, a smaller "
            "OMP_STACKSIZE, or raise the limit"
        )


def _stack_bytes() -> int:
    """Return the stack of a thread of OpenMP's."""
    asked = re.fullmatch(r"\s*(\d+)\s*([BKMG]?)\s*", os.environ.get("OMP_STACKSIZE", "").upper())
    if asked:
        return int(asked[1]) * _UNITS[asked[2]]
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    return _UNLIMITED_STACK if soft == resource.RLIM_INFINITY else soft
