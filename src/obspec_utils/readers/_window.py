"""The piece of an object that reads are served from without looking anything up."""

from __future__ import annotations

from typing import Final, TypeAlias

__all__ = ["NOTHING", "Window"]

# Where it starts and stops in the object, and its bytes. A slice of bytes takes less time than one of a memoryview.
Window: TypeAlias = tuple[int, int, bytes | memoryview]

NOTHING: Final[Window] = (0, 0, b"")
