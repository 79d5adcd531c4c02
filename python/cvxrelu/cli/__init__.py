"""The command line, `python -m cvxrelu`: one module for each command."""

from ._main import main, parser

__all__ = ["main", "parser"]
