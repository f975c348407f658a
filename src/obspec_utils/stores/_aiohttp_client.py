"""Run a store's calls: which session and event loop they use, in threads and in tasks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from obspec_utils.exceptions import IncompleteReadError
from obspec_utils.stores._aiohttp_exchange import open_object
from obspec_utils.stores._aiohttp_head import open_head
from obspec_utils.stores._aiohttp_pairs import PAIRS
from obspec_utils.stores._aiohttp_sender import Sender, new_session
from obspec_utils.stores._aiohttp_server import Server
from obspec_utils.stores._aiohttp_source import AsyncBody, Source, SyncBody, run_blocking
from obspec_utils.stores._aiohttp_wanted import Range, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import aiohttp

    from obspec_utils._ranges import ByteRange
    from obspec_utils._version import CheckVersion
    from obspec_utils.stores._aiohttp_exchange import Opened
    from obspec_utils.stores._aiohttp_refresh import CurrentSite
    from obspec_utils.stores._aiohttp_site import Site

__all__ = ["Client"]

T = TypeVar("T")
A = TypeVar("A")


class Client:
    """The sessions of a store.

    Sync calls lease an idle event loop with a session (`_aiohttp_pairs.py`). Async calls use the caller's session; else
    that of an `async with` block on their loop; else one of their own.

    Parameters
    ----------
    current
        The URL and the headers of requests.
    timeout
        See `Sender`.
    callers_session
        A session of the caller's; None for sessions made here.
    check_version
        See `Server`.
    """

    def __init__(
        self,
        current: CurrentSite,
        timeout: float | None,
        callers_session: aiohttp.ClientSession | None,
        check_version: CheckVersion,
    ) -> None:
        self.current = current
        self._timeout = timeout
        self._callers_session = callers_session
        self.server = Server(check_version)
        self.given = current.site
        # The session of each event loop with `async with` blocks, and how many of them.
        self._entered: dict[asyncio.AbstractEventLoop, tuple[aiohttp.ClientSession, int]] = {}

    @property
    def renewed(self) -> tuple[str, dict[str, str]] | None:
        """The URL and the headers that `refresh` has returned; None if it has not."""
        site = self.current.site
        return None if site is self.given else (site.given, site.given_headers)

    @property
    def site(self) -> Site:
        """The current URL and headers."""
        return self.current.site

    @property
    def session(self) -> aiohttp.ClientSession | None:
        """The session of the innermost `async with` block; None outside of one."""
        return next((session for session, _ in reversed(self._entered.values())), None)

    @property
    def settings(self) -> tuple[object, ...]:
        """What decides what is sent."""
        url, headers, check_version = self.given.given, self.given.headers, self.server.check_version
        return url, headers, self._timeout, self._callers_session, self.current.refresh, check_version

    @property
    def is_plain(self) -> bool:
        """Whether the URL alone locates the objects."""
        return self.given.is_plain and self._callers_session is None and self.current.refresh is None

    def enter(self) -> None:
        """Begin an `async with` block."""
        loop = asyncio.get_running_loop()
        session, count = self._entered.get(loop) or (self._callers_session or new_session(), 0)
        self._entered[loop] = session, count + 1

    async def leave(self) -> None:
        """End an `async with` block."""
        loop = asyncio.get_running_loop()
        session, count = self._entered.pop(loop)
        if count > 1:
            self._entered[loop] = session, count - 1
        elif session is not self._callers_session:
            await session.close()

    def _async_sender(self) -> Sender:
        """Return a sender for the running event loop."""
        if self._callers_session is not None:
            return Sender(self.current, self._timeout, self._callers_session, is_callers=True)
        loop = asyncio.get_running_loop()
        session, _ = self._entered.get(loop, (None, 0))
        return Sender(self.current, self._timeout, session)

    def run(self, job: Callable[[Sender, Server, str, A], Coroutine[Any, Any, T]], path: str, argument: A) -> T:
        """Run a sync call to its end."""
        self._check_no_session()
        result: T = run_blocking(self._run_leased, job, path, argument)
        return result

    def _run_leased(self, job: Callable[[Sender, Server, str, A], Coroutine[Any, Any, T]], path: str, argument: A) -> T:
        lease = PAIRS.lease()
        try:
            return lease.run(job(Sender(self.current, self._timeout, lease.session), self.server, path, argument))
        finally:
            lease.release()

    async def run_async(
        self, job: Callable[[Sender, Server, str, A], Coroutine[Any, Any, T]], path: str, argument: A
    ) -> T:
        """Run an async call, all requests in one session."""
        sender = self._async_sender()
        if sender.keeps_connections:
            return await job(sender, self.server, path, argument)
        async with new_session() as session:
            return await job(Sender(self.current, self._timeout, session), self.server, path, argument)

    def _check_no_session(self) -> None:
        if self._callers_session is not None:
            msg = (
                f"{self.site!r} has a session= that belongs to an event loop, so sync calls and readers can't use it: "
                "call the async methods, or make an AiohttpStore without session="
            )
            raise RuntimeError(msg)

    def open(self, path: str, wanted: Wanted) -> tuple[Opened, Source]:
        """Request an object; return when the headers have arrived."""
        self._check_no_session()
        opened, body = run_blocking(self._open_leased, path, wanted)
        return opened, Source(opened.span, body, _Again(self, path, opened), opened.whole)

    def _open_leased(self, path: str, wanted: Wanted) -> tuple[Opened, SyncBody | bytes]:
        lease = PAIRS.lease()
        try:
            sender = Sender(self.current, self._timeout, lease.session)
            opened = lease.run(_open(sender, self.server, path, wanted))
        except BaseException:
            lease.release()
            raise
        if opened.stream is None:
            lease.release()
            return opened, opened.data
        return opened, SyncBody(lease, opened.stream)

    async def open_async(self, path: str, wanted: Wanted) -> tuple[Opened, Source]:
        """Request an object as `open` does, on the running event loop."""
        opened = await _open(self._async_sender(), self.server, path, wanted)
        body = opened.data if opened.stream is None else AsyncBody(opened.stream)
        return opened, Source(opened.span, body, _Again(self, path, opened), opened.whole)


def _open(sender: Sender, server: Server, path: str, wanted: Wanted) -> Coroutine[Any, Any, Opened]:
    return open_head(sender, server, path, wanted) if wanted.head else open_object(sender, server, path, wanted)


class _Again:
    """Requests a byte range of an object again, of the version that was opened."""

    def __init__(self, client: Client, path: str, opened: Opened) -> None:
        self._client = client
        self._path = path
        self._version = client.server.version_of(opened.meta)

    def _wanted(self, span: ByteRange) -> Wanted:
        return Wanted() if span == (0, self._version.size) else Wanted(range=Range(*span))

    def open(self, span: ByteRange) -> SyncBody | bytes:
        """Request it for reads in a thread."""
        if not span.length:
            return b""
        opened, source = self._client.open(self._path, self._wanted(span))
        self._check(opened, span)
        return source.take()

    async def open_async(self, span: ByteRange) -> AsyncBody | bytes:
        """Request it for reads on the running event loop."""
        if not span.length:
            return b""
        opened, source = await self._client.open_async(self._path, self._wanted(span))
        self._check(opened, span)
        return await source.take_async()

    def _check(self, opened: Opened, span: ByteRange) -> None:
        self._client.server.check_version_of(self._path, opened.meta, self._version)
        if opened.span != span:
            msg = f"Expected {span} of {self._path!r}, got {opened.span}. Retry the read."
            raise IncompleteReadError(msg)
