"""Event loops, each with a session, for sync calls: leased to one call at a time, and run in its thread.

A pair keeps its connections between calls. There is no thread of its own: a thread that outlives a call could be
collecting garbage while a read under h5py waits for it, see docs/design/002-locks-and-collection.md.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import selectors
import socket
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from obspec_utils._io.fork import this_process
from obspec_utils._io.gc_pause import reset_after_fork

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["PAIRS", "Lease", "PairPool"]

T = TypeVar("T")

# Pairs kept between calls, in the process: as many as readers send requests at a time. Each has four file descriptors.
_MAX_IDLE = 64
# After this many seconds aiohttp does not use a connection again, so that a pair has nothing worth keeping.
_MAX_IDLE_SECONDS = 15.0


class _Resolver(AbstractResolver):
    """Resolve names in the calling thread; aiohttp's resolver keeps threads, see the module's docstring."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        pass


class _Pair:
    """An event loop and a session."""

    def __init__(self) -> None:
        self.process = this_process()
        self.idle_since = 0.0
        self._selector = selectors.DefaultSelector()
        self.loop = asyncio.SelectorEventLoop(self._selector)
        self.session = self.loop.run_until_complete(_new_session())
        _open.add(self)
        reset_after_fork(self)

    def close(self) -> None:
        if self.loop.is_closed():
            return
        self.loop.run_until_complete(_close(self.session))
        self.loop.close()
        _open.discard(self)

    def _reset_after_fork(self) -> None:
        """Separate the selector from that of the parent: with epoll, they would share the registered sockets.

        The pair is never closed here, which would end TLS connections of the parent.
        """
        if hasattr(selectors, "EpollSelector") and isinstance(self._selector, selectors.EpollSelector):
            with suppress(OSError, ValueError), selectors.EpollSelector() as other:
                os.dup2(other.fileno(), self._selector.fileno(), inheritable=False)


async def _new_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, resolver=_Resolver()))


async def _close(session: aiohttp.ClientSession) -> None:
    await session.close()
    for _ in range(2):  # for the transports to close
        await asyncio.sleep(0)


class Lease:
    """A pair that one call uses, until its result has been read."""

    def __init__(self, pool: PairPool, pair: _Pair) -> None:
        self._pool = pool
        self._pairs = [pair]
        self.session = pair.session

    @property
    def is_usable(self) -> bool:
        """Whether the pair can be used: it was made in this process, and this is not the end of it."""
        if not self._pairs:
            return False
        return self._pairs[0].process is this_process() and not self._pairs[0].loop.is_closed()

    @property
    def is_running(self) -> bool:
        """Whether a thread runs a coroutine on the loop."""
        return any(pair.loop.is_running() for pair in self._pairs)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, in this thread."""
        pair = next(iter(self._pairs), None)
        if pair is None or pair.process is not this_process():
            coroutine.close()
            msg = "a result cannot be read on after it was closed, or in a forked process: get the object again"
            raise RuntimeError(msg)
        try:
            return pair.loop.run_until_complete(coroutine)
        except Exception:
            raise
        except BaseException:  # the loop was stopped somewhere
            self._pairs.clear()
            with suppress(Exception):
                pair.close()
            raise

    def release(self, *, close_surplus: bool = True) -> None:
        """Return the pair to the pool; a second call does nothing.

        Parameters
        ----------
        close_surplus
            Whether to close pairs that are not needed. False in a finalizer, which may run where a loop does.
        """
        with suppress(IndexError):
            self._pool.put(self._pairs.pop())
            if close_surplus:
                self._pool.close_surplus()

    def __del__(self) -> None:
        self.release(close_surplus=False)


class PairPool:
    """The idle pairs of this process. All operations on the deque are atomic, so no lock is needed."""

    def __init__(self) -> None:
        self._idle: deque[_Pair] = deque()
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        self._idle = deque()

    def lease(self) -> Lease:
        """Return the pair used last, whose connections are the freshest, or a new one."""
        self.close_surplus()
        try:
            pair = self._idle.pop()
        except IndexError:
            return Lease(self, _Pair())
        pair.session.cookie_jar.clear()  # those of another call, perhaps of another store
        return Lease(self, pair)

    def put(self, pair: _Pair) -> None:
        """Take back a pair. Called by finalizers, too."""
        if pair.process is this_process():
            pair.idle_since = monotonic()
            self._idle.append(pair)

    def close_surplus(self) -> None:
        """Close pairs that have been idle for long, or are too many."""
        with suppress(IndexError, OSError):
            while len(self._idle) > _MAX_IDLE or self._idle[0].idle_since < monotonic() - _MAX_IDLE_SECONDS:
                self._idle.popleft().close()


# All pairs that are not closed, also those of results not yet read, and after a fork those of the parent, which stay as
# they are. So a leased pair is never garbage, whose loop the collector could finalize before it finalizes the lease.
_open: set[_Pair] = set()
PAIRS = PairPool()


@atexit.register
def _close_all() -> None:
    """Close what this process has open; what is used from now on is closed after each call."""
    global _MAX_IDLE  # noqa: PLW0603 - process-wide by nature
    _MAX_IDLE = 0
    PAIRS.close_surplus()
    for pair in list(_open):
        if pair.process is this_process() and not pair.loop.is_running():
            with suppress(Exception):
                pair.close()
