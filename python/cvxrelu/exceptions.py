"""Errors and warnings of the package."""

from __future__ import annotations


class ConvergenceWarning(UserWarning):
    """A solver stopped before its tolerance; the message says how far it came and what to change."""


class ArrangementTooLargeError(MemoryError, ValueError):
    """An enumeration would need more patterns or bytes than allowed.

    Raised before anything is allocated, where the message has the count (exact or a bound) and the bytes; and where a
    callback asks to stop.
    """
