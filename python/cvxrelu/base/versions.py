"""What a bug report needs to say."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

from .native import core


def show_versions() -> None:
    """Print the versions of cvxrelu, its dependencies, the compiler and the processor level in use."""
    names = ("cvxrelu", "numpy", "scikit-learn", "scipy", "matplotlib", "dask")
    rows = {"python": sys.version.split()[0], "platform": platform.platform()}
    for name in names:
        try:
            rows[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            rows[name] = "not installed"
    rows |= {f"core {key}": str(value) for key, value in core.build_info().items()}
    rows["core threads"] = str(core.default_threads())
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:<{width}}  {value}")
