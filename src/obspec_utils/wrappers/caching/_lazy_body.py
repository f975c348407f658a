"""The body of a large cached object, loaded a window of blocks at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from obspec_utils._io.backends import ASYNC, SYNC, run_sync
from obspec_utils._io.buffers import concat
from obspec_utils._ranges import ByteRange
from obspec_utils.wrappers.caching._context import RequestContext

if TYPE_CHECKING:
    from obspec_utils._io.backends import Backend
    from obspec_utils._io.buffers import BufferList
    from obspec_utils._io.progress import Counter
    from obspec_utils._io.response import Response
    from obspec_utils.wrappers.caching._blocks import BlockLoader
    from obspec_utils.wrappers.caching._entries import Entry

__all__ = ["LazyBody"]


@dataclass(slots=True, eq=False)
class LazyBody:
    """Bytes of one version of an object, loaded on demand. Only the cache keeps them.

    Parameters
    ----------
    span
        The byte range.
    response
        A response that holds the first bytes, not read yet.
    owner
        The event loop that `response` belongs to; None if a thread requested it.
    """

    blocks: BlockLoader
    path: str
    entry: Entry
    span: ByteRange
    response: Response | None
    owner: object

    def load(self, stop: int, /, *, whole: bool = False) -> BufferList:  # noqa: ARG002 - the protocol's
        """Return buffers that hold all bytes up to `stop`."""
        return run_sync(self._load, SYNC, stop)

    async def load_async(self, stop: int, /, *, whole: bool = False) -> BufferList:  # noqa: ARG002 - the protocol's
        """Return buffers that hold all bytes up to `stop`."""
        return await self._load(ASYNC, stop)

    def window(self, position: int) -> BufferList:
        """Return buffers that hold the byte at `position` and some that follow."""
        return run_sync(self._window, SYNC, position)

    async def window_async(self, position: int) -> BufferList:
        """Return buffers that hold the byte at `position` and some that follow."""
        return await self._window(ASYNC, position)

    async def prefetch(self, backend: Backend, max_requests: int | None, counter: Counter | None) -> None:
        """Load all bytes into the cache, at most a window of them at a time."""
        position = self.span.start
        while position < self.span.stop:
            position = (await self._window(backend, position, max_requests, counter)).stop

    async def _load(self, backend: Backend, stop: int) -> BufferList:
        found: list[BufferList] = []
        position = self.span.start
        while position < stop:
            found.append(await self._window(backend, position))
            position = found[-1].stop
        return concat(found)

    async def _window(
        self,
        backend: Backend,
        position: int,
        max_requests: int | None = None,
        counter: Counter | None = None,
    ) -> BufferList:
        block_size = self.entry.block_size
        stop = position + max(self.blocks.window, block_size)
        stop = min(max(stop - stop % block_size, position + 1), self.span.stop)
        response, self.response = self.response, None
        if self.owner is not backend.owner():  # only its own event loop can read its body
            response = None
        call = RequestContext(backend, self.path, max_requests, counter)
        blocks = await self.blocks.load(call, self.entry, [ByteRange(position, stop)], response=response)
        return concat([blocks[number] for number in sorted(blocks)])
