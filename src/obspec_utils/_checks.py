"""Checks of what users give."""

from __future__ import annotations

from operator import index
from typing import SupportsIndex

__all__ = ["positive"]


def positive(name: str, value: float | SupportsIndex, *, least: int = 1) -> int:
    """Return a size or count as a plain int.

    Parameters
    ----------
    name
        What it is called, for the error.
    value
        An integer of any type, or a float that is a whole number, such as `1e6`.
    least
        The smallest value allowed.

    Raises
    ------
    ValueError
        If it is too small, or no whole number.
    TypeError
        If it is no number.
    """
    if isinstance(value, float) and not value.is_integer():
        msg = f"{name} must be a whole number, got {value!r}"
        raise ValueError(msg)
    number = int(value) if isinstance(value, float) else index(value)
    if number < least:
        msg = f"{name} must {'be positive' if least == 1 else f'be at least {least}'}, got {value!r}"
        raise ValueError(msg)
    return number
