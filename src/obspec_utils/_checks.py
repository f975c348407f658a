"""Checks of what users give."""

from __future__ import annotations

__all__ = ["require_positive"]


def require_positive(**values: int) -> None:
    """Raise ValueError for the first of the named values that is not positive."""
    for name, value in values.items():
        if value <= 0:
            msg = f"{name} must be positive, got {value!r}"
            raise ValueError(msg)
