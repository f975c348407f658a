"""The body of a large object that is read through a cache, some blocks at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from obspec_utils._plan import Span
from obspec_utils.wrappers._index import together
from obspec_utils.wrappers._ways import BLOCKING, LOOPING, Call, run_now

if TYPE_CHECKING:
    from obspec_utils._buffers import Parts
    from obspec_utils._response import Answer
    from obspec_utils.wrappers._engine import Engine
    from obspec_utils.wrappers._known import Known
    from obspec_utils.wrappers._ways import Way

__all__ = ["Windows"]


@dataclass(slots=True, eq=False)
class Windows:
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

    engine: Engine
    path: str
    key: str
    known: Known
    span: Span
    first: Answer | None
    owner: object

    def load(self, stop: int, /, *, whole: bool = False) -> Parts:  # noqa: ARG002 - the protocol's
        """Return parts that hold all bytes up to `stop`."""
        return run_now(self._load(BLOCKING, stop))

    async def load_async(self, stop: int, /, *, whole: bool = False) -> Parts:  # noqa: ARG002 - the protocol's
        """Return parts that hold all bytes up to `stop`."""
        return await self._load(LOOPING, stop)

    def window(self, position: int) -> Parts:
        """Return parts that hold the byte at `position` and some that follow."""
        return run_now(self._window(BLOCKING, position))

    async def window_async(self, position: int) -> Parts:
        """Return parts that hold the byte at `position` and some that follow."""
        return await self._window(LOOPING, position)

    async def pass_through(self, way: Way) -> None:
        """Bring all bytes into the cache, holding no more than a window of them."""
        position = self.span.start
        while position < self.span.stop:
            position = (await self._window(way, position)).stop

    async def _load(self, way: Way, stop: int) -> Parts:
        found: list[Parts] = []
        position = self.span.start
        while position < stop:
            found.append(await self._window(way, position))
            position = found[-1].stop
        return together(found)

    async def _window(self, way: Way, position: int) -> Parts:
        unit = self.known.unit
        stop = position + max(self.engine.window, unit)
        stop = min(max(stop - stop % unit, position + 1), self.span.stop)
        first, self.first = self.first, None
        known = self.known.twin or self.known
        if first is not None:
            known.offer(first, self.owner)
        try:
            blocks = await self.engine.load(Call(way, self.path, self.key), known, [Span(position, stop)])
        finally:
            if first is not None:
                known.withdraw(first)
        return together([blocks[number] for number in sorted(blocks)])
