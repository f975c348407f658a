"""The piece of an object that reads are served from without looking anything up."""

from __future__ import annotations

from typing import Final, TypeAlias

__all__ = ["NO_PIECE", "CachedPiece"]

# Where it starts and stops in the object, and its bytes. A slice of bytes takes less time than one of a memoryview.
CachedPiece: TypeAlias = tuple[int, int, bytes | memoryview]

NO_PIECE: Final[CachedPiece] = (0, 0, b"")
