"""What the parser of a file format has to offer, for readers to fetch ahead what a file leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Buffer

    from obspec_utils._formats.chunks import Chunks
    from obspec_utils._ranges import ByteRange

__all__ = ["FileStructure"]


class FileStructure(Protocol):
    """Parses a file without reading it: bytes in, the byte ranges that will be needed out.

    Branches that are damaged or not understood end quietly: this decides what is fetched ahead, not what is read.
    """

    def parse(self, read: Callable[[int, int], Buffer | None], /) -> None:
        """Parse the pending structures that are in memory, and those that they lead to.

        Parameters
        ----------
        read
            Return the bytes from `start` up to `stop`, or None where they are not in memory.
        """
        ...

    def wanted(self, limit: int, *, near: int | None = None, only: bool = False) -> list[ByteRange]:
        """Return byte ranges of pending structures, in the order of their discovery.

        Parameters
        ----------
        limit
            Maximum number of ranges.
        near
            Offset in the file: ranges of the structure that is there, and of those reached from it, come first.
        only
            Leave out the ranges that are not reached from the structure at `near`.
        """
        ...

    @property
    def chunks(self) -> Sequence[Chunks]:
        """The tables of chunks found so far."""
        ...

    def find_chunk(self, offset: int, /) -> tuple[Chunks, int] | None:
        """Return the table of the chunk that has the byte at an offset, and the chunk's position in the table."""
        ...
