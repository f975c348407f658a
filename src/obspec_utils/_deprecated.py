"""Old module names, kept so that code written for earlier releases runs unchanged."""

from __future__ import annotations

import warnings

__all__ = ["moved"]


def moved(old: str, *new: str) -> None:
    """Issue a DeprecationWarning in the module that imports `old`; its names are in `new` now."""
    msg = f"{old} is deprecated: import the same names from {' and '.join(new)}"
    warnings.warn(msg, DeprecationWarning, stacklevel=3)
