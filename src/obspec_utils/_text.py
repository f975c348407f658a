"""Numbers as text, for tables and messages."""

from __future__ import annotations

__all__ = ["count", "seconds", "size"]

_UNITS = ("B", "KiB", "MiB", "GiB")
_FACTOR = 1024


def count(number: int | None) -> str:
    """Return a number with separators, or "-" for None."""
    return "-" if number is None else f"{number:,}"


def size(number: float | None) -> str:
    """Return a number of bytes in the largest unit that leaves at least 1, or "-" for None."""
    if number is None:
        return "-"
    for unit in _UNITS:
        if number < _FACTOR:
            return f"{number:.4g} {unit}"
        number /= _FACTOR
    return f"{number:.4g} TiB"


def seconds(number: float | None) -> str:
    """Return a duration in ms below a second and in s above, or "-" for None."""
    if number is None:
        return "-"
    return f"{number * 1000:.3g} ms" if number < 1 else f"{number:.3g} s"
