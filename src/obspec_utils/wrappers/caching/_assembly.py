"""Assemble blocks from the pieces they arrived in."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from obspec_utils._io.buffers import BufferList
from obspec_utils._io.get_result import YIELD_AFTER
from obspec_utils.exceptions import IncompleteReadError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from obspec_utils._ranges import ByteRange
    from obspec_utils.wrappers.caching._context import RequestContext
    from obspec_utils.wrappers.caching._entries import Entry

__all__ = ["assemble", "compact"]

# Assembling one block takes about as long as copying this many bytes.
_COST_OF_BLOCK = 16 * 1024

# Copying this much takes less than a hundredth of the time of any request.
_SMALL = 256 * 1024


def compact(buffer: Buffer) -> Buffer:
    """Return a copy of a small buffer: obstore's buffers have 4 KiB of overhead each."""
    return bytes(buffer) if memoryview(buffer).nbytes <= _SMALL else buffer


async def assemble(
    call: RequestContext, entry: Entry, numbers: list[int], pieces: list[tuple[ByteRange, Buffer]]
) -> dict[int, BufferList]:
    """Assemble blocks from the pieces they arrived in, yielding to the event loop in between."""
    pieces.sort(key=lambda piece: piece[0])
    starts = [piece.start for piece, _ in pieces]
    blocks, done = {}, 0
    for number in numbers:
        span = entry.block_range(number)
        first = bisect_right(starts, span.start) - 1
        blocks[number] = _block(call.path, span, pieces[max(first, 0) : bisect_left(starts, span.stop)])
        done += span.length + _COST_OF_BLOCK
        if done >= YIELD_AFTER:
            done = 0
            await call.backend.sleep(0)
    return blocks


def _block(path: str, span: ByteRange, pieces: Sequence[tuple[ByteRange, Buffer]]) -> BufferList:
    """Return a block in a separate buffer, so that it keeps no other bytes in memory."""
    views = []
    for piece, buffer in pieces:
        if piece == span:
            return BufferList([compact(buffer)], span.start)
        start, stop = max(piece.start, span.start), min(piece.stop, span.stop)
        if start < stop:
            views.append(memoryview(buffer).cast("B")[start - piece.start : stop - piece.start])
    block = b"".join(views)
    if len(block) != span.length:
        msg = (
            f"Expected {span.length} bytes ({span.start} to {span.stop}) of {path!r}, got {len(block)}. Retry the read."
        )
        raise IncompleteReadError(msg)
    return BufferList([block], span.start)
