"""The compiled core for this processor: `core`."""

from __future__ import annotations

import importlib
import importlib.util
import os
from types import ModuleType
from typing import TYPE_CHECKING

__all__ = ["VARIANTS", "core", "load_core"]

VARIANTS = ((4, "_core_avx512"), (3, "_core_avx2"), (1, "_core_baseline"))


def load_core() -> ModuleType:
    """Import the best module that was built and that this processor can run.

    The environment variable ``CVXRELU_CPU_LEVEL`` (1, 3 or 4) lowers the level.
    """
    package = "cvxrelu"
    built = [(need, name) for need, name in VARIANTS if importlib.util.find_spec(f"{package}.{name}")]
    if not built or importlib.util.find_spec(f"{package}._cpu") is None:
        raise ImportError("cvxrelu's compiled core is missing: run `pip install .` in the source tree")
    from .. import _cpu

    wanted = os.environ.get("CVXRELU_CPU_LEVEL", "4")
    if wanted not in ("1", "3", "4"):
        raise ImportError(f"CVXRELU_CPU_LEVEL must be 1, 3 or 4, not {wanted!r}")
    level = min(_cpu.level(), int(wanted))
    for need, name in built:
        if level >= need:
            return importlib.import_module(f".{name}", package)
    raise ImportError(
        f"cvxrelu was built for x86-64 level {built[-1][0]}, and this processor is used at level {level}: "
        "install it again here, or build it for every processor with "
        "`pip install . -Ccmake.define.CVXRELU_ARCH=multi`"
    )


if TYPE_CHECKING:
    import cvxrelu._core as core
else:
    core = load_core()
