"""The body of a large object that is read through a cache, some blocks at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from obspec_utils._io.backends import ASYNC, SYNC, RequestContext, run_sync
from obspec_utils._ranges import ByteRange
from obspec_utils.wrappers.caching._entries import concat

if TYPE_CHECKING:
    from obspec_utils._io.backends import Backend
    from obspec_utils._io.buffers import BufferList
    from obspec_utils._io.response import Response
    from obspec_utils.wrappers.caching._blocks import BlockLoader
    from obspec_utils.wrappers.caching._entry import Entry

__all__ = ["LazyBody"]


@dataclass(slots=True, eq=False)
class LazyBody:
    """Bytes of one version of an object that are fetched when they are read, and kept by the cache alone.

    Parameters
    ----------
    span
        Which bytes.
    first
        What has arrived of them.
    owner
        The event loop that `first` belongs to; None for a thread's.
    """

    blocks: BlockLoader
    path: str
    key: str
    entry: Entry
    span: ByteRange
    first: Response | None
    owner: object

    def load(self, stop: int, /, *, whole: bool = False) -> BufferList:  # noqa: ARG002 - the protocol's
        """Return parts that hold all bytes up to `stop`."""
        return run_sync(self._load(SYNC, stop))

    async def load_async(self, stop: int, /, *, whole: bool = False) -> BufferList:  # noqa: ARG002 - the protocol's
        """Return parts that hold all bytes up to `stop`."""
        return await self._load(ASYNC, stop)

    def window(self, position: int) -> BufferList:
        """Return parts that hold the byte at `position` and some that follow."""
        return run_sync(self._window(SYNC, position))

    async def window_async(self, position: int) -> BufferList:
        """Return parts that hold the byte at `position` and some that follow."""
        return await self._window(ASYNC, position)

    async def pass_through(self, backend: Backend) -> None:
        """Bring all bytes into the cache, holding no more than a window of them."""
        position = self.span.start
        while position < self.span.stop:
            position = (await self._window(backend, position)).stop

    async def _load(self, backend: Backend, stop: int) -> BufferList:
        found: list[BufferList] = []
        position = self.span.start
        while position < stop:
            found.append(await self._window(backend, position))
            position = found[-1].stop
        return concat(found)

    async def _window(self, backend: Backend, position: int) -> BufferList:
        block_size = self.entry.block_size
        stop = position + max(self.blocks.window, block_size)
        stop = min(max(stop - stop % block_size, position + 1), self.span.stop)
        first, self.first = self.first, None
        entry = self.entry.canonical or self.entry
        if first is not None:
            entry.offer_response(first, self.owner)
        try:
            blocks = await self.blocks.load(
                RequestContext(backend, self.path, self.key), entry, [ByteRange(position, stop)]
            )
        finally:
            if first is not None:
                entry.withdraw_response(first)
        return concat([blocks[number] for number in sorted(blocks)])
