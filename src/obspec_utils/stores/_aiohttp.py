"""A store over plain HTTP(S), by aiohttp."""

from __future__ import annotations

from functools import partial
from math import inf
from numbers import Real
from typing import TYPE_CHECKING

import aiohttp

from obspec_utils._redact import shown
from obspec_utils._validation import check_choice, check_path
from obspec_utils._version import CHECK_VERSION
from obspec_utils.stores._aiohttp_client import Client
from obspec_utils.stores._aiohttp_head import fetch_head
from obspec_utils.stores._aiohttp_ranges import read_ranges
from obspec_utils.stores._aiohttp_refresh import CurrentSite
from obspec_utils.stores._aiohttp_result import AiohttpGetResult, AiohttpGetResultAsync
from obspec_utils.stores._aiohttp_site import Site
from obspec_utils.stores._aiohttp_wanted import Range, parse_options, parse_ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from obspec import GetOptions, ObjectMeta

    from obspec_utils._version import CheckVersion
    from obspec_utils.stores._aiohttp_refresh import Refresh

__all__ = ["AiohttpStore"]


class AiohttpStore:
    """Read objects from any HTTP(S) server.

    It reads from servers that obstore's HTTPStore can't read from: without `Content-Length`, without ranges, with
    signed URLs that refuse HEAD, or behind logins that need headers of your own. Requests that fail with 408, 425, 429
    or 5xx, whose connection breaks, or that get no response in time, are retried up to 7 times, with pauses of about
    10 s in all; a server may ask for up to 60 s (Retry-After). A body that breaks off is continued, if the object has
    an ETag or a date to compare.

    Parameters
    ----------
    base_url
        The URL that paths are relative to. A user name and password in it become basic authentication. Its query, such
        as `?token=...`, is sent with each request. Neither is shown in errors and reprs.
    headers
        Headers to send with each request, such as Authorization. They go to the host of `base_url` only, not to the
        target of a redirect to another one.
    timeout
        Seconds that a server may take until the headers of a response, and then for each further chunk of its body;
        30 by default. None for no limit.
    session
        A session of your own, with its authentication, cookies or proxies, for the async methods on its event loop. It
        is never closed here, and left out when the store is pickled or copied.
    refresh
        A function without arguments, called when a server responds with 401 or 403: once for all requests that wait for
        it, and at most once for each request. It returns a dict of headers to send from then on in place of `headers`,
        or a str, the URL to use in place of `base_url`, such as one with a new signature. It runs in the thread of a
        request, so on an event loop it blocks that. If it raises, that is the cause of the error of the requests.
    check_version
        What tells versions of an object apart where one call sends several requests: a broken body is continued,
        `get_ranges`, or a result is read again. "auto" (default): the ETag, else the date, else the size; or only
        "etag", "date" or "size", for servers whose ETag or date differs from response to response. Readers and
        wrappers have a `check_version` of their own.

    Attributes
    ----------
    timeout
        An `aiohttp.ClientTimeout`, whose `total` is the timeout.

    Raises
    ------
    ValueError, TypeError
        If an argument is not usable; the error says why.

    Examples
    --------
    In an `async with` block, all async calls on its event loop share one session and its connections:

    ```python
    from obspec_utils.stores import AiohttpStore


    async def size_of(path):
        async with AiohttpStore("https://example.com/data") as store:
            return sum([len(chunk) async for chunk in await store.get_async(path)])
    ```

    Outside of one, each async call opens a new connection. Sync calls need no block, and use connections again that
    were idle for less than 15 s.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = 30.0,
        session: aiohttp.ClientSession | None = None,
        refresh: Refresh | None = None,
        check_version: CheckVersion = "auto",
    ) -> None:
        self.timeout = aiohttp.ClientTimeout(total=_checked_timeout(timeout))
        if session is not None and not isinstance(session, aiohttp.ClientSession):
            msg = f"session must be an aiohttp.ClientSession, got {shown(session)}"
            raise TypeError(msg)
        check_choice("check_version", check_version, CHECK_VERSION)
        current = CurrentSite(Site(base_url, {} if headers is None else headers), refresh)
        self._client = Client(current, self.timeout.total, session, check_version)

    @property
    def base_url(self) -> str:
        """The URL without a slash at the end, credentials and query."""
        return self._client.site.shown_url

    @property
    def headers(self) -> dict[str, str]:
        """The headers sent with each request, as they were given or returned by `refresh`."""
        return dict(self._client.site.given_headers)

    def __repr__(self) -> str:
        return repr(self._client.site)

    def __setstate__(self, renewed: tuple[str, dict[str, str]]) -> None:
        self._client.current.site = Site(*renewed)

    def __reduce__(self) -> tuple[Callable[..., AiohttpStore], tuple[str], tuple[str, dict[str, str]] | None]:
        client = self._client
        make = partial(
            type(self),
            headers=client.given.given_headers,
            timeout=self.timeout.total,
            refresh=client.current.refresh,
            check_version=client.server.check_version,
        )
        return make, (client.given.given,), client.renewed

    def __eq__(self, other: object) -> bool:
        """Return whether both send the same requests, as obstore's stores compare."""
        return isinstance(other, AiohttpStore) and self._client.settings == other._client.settings

    def __hash__(self) -> int:
        return hash(self._client.given.given)

    @property
    def _plain_url(self) -> str | None:
        """The URL, if it locates the objects alone; None if headers, a query, credentials or a session select them."""
        return self.base_url if self._client.is_plain else None

    @property
    def _session(self) -> aiohttp.ClientSession | None:
        """The session of the `async with` block; None outside of one."""
        return self._client.session

    async def __aenter__(self) -> Self:
        """Keep one session for all async calls on this event loop."""
        self._client.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Close the session, unless it is the caller's."""
        await self._client.leave()

    def get(self, path: str, *, options: GetOptions | None = None) -> AiohttpGetResult:
        """Get an object; return when the headers have arrived.

        Parameters
        ----------
        path
            The path relative to `base_url`. An empty path is `base_url` itself.
        options
            `range`, `if_match`, `if_none_match`, `if_modified_since`, `if_unmodified_since` and `head`, as
            `obspec.GetOptions` describes them.

        Raises
        ------
        FileNotFoundError
            If there is no such object. The errors of a status are those of obspec, such as
            `obspec.exceptions.PermissionDeniedError`, and also `aiohttp.ClientResponseError` with `status`.
        aiohttp.ClientError
            If the server can't be reached.
        RuntimeError
            If the store has a `session`, which only the async methods can use.
        """
        opened, source = self._client.open(check_path(path), parse_options(options))
        return AiohttpGetResult(opened.meta, opened.attributes, source, ranges_ignored=opened.ranges_ignored)

    async def get_async(self, path: str, *, options: GetOptions | None = None) -> AiohttpGetResultAsync:
        """Get an object as `get` does, on the running event loop."""
        opened, source = await self._client.open_async(check_path(path), parse_options(options))
        return AiohttpGetResultAsync(opened.meta, opened.attributes, source, ranges_ignored=opened.ranges_ignored)

    def get_range(self, path: str, *, start: int, end: int | None = None, length: int | None = None) -> bytes:
        """Get the bytes from `start` to `end` (exclusive), or `length` bytes; fewer at the end of the object."""
        return self._client.run(read_ranges, check_path(path), _one_range(start, end, length))[0]

    async def get_range_async(
        self, path: str, *, start: int, end: int | None = None, length: int | None = None
    ) -> bytes:
        """Get a byte range as `get_range` does, on the running event loop."""
        spans = _one_range(start, end, length)
        return (await self._client.run_async(read_ranges, check_path(path), spans))[0]

    def get_ranges(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
    ) -> list[bytes]:
        """Get several byte ranges, each by a request of its own, at most 18 at a time."""
        return self._client.run(read_ranges, check_path(path), parse_ranges(starts, ends, lengths))

    async def get_ranges_async(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
    ) -> list[bytes]:
        """Get several byte ranges as `get_ranges` does, on the running event loop."""
        spans = parse_ranges(starts, ends, lengths)
        return await self._client.run_async(read_ranges, check_path(path), spans)

    def head(self, path: str) -> ObjectMeta:
        """Get an object's metadata; by a GET of its first byte if the server refuses HEAD, or tells no size."""
        return self._client.run(fetch_head, check_path(path), {})[0]

    async def head_async(self, path: str) -> ObjectMeta:
        """Get an object's metadata as `head` does, on the running event loop."""
        return (await self._client.run_async(fetch_head, check_path(path), {}))[0]


def _one_range(start: int, end: int | None, length: int | None) -> list[Range]:
    return parse_ranges([start], None if end is None else [end], None if length is None else [length])


def _checked_timeout(timeout: object) -> float | None:
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, Real):
        msg = f"timeout must be a number of seconds, or None for no limit, got {shown(timeout)}"
        raise TypeError(msg)
    seconds = float(timeout)
    if not 0 < seconds < inf:
        msg = f"timeout must be a positive number of seconds, or None for no limit, got {timeout!r}"
        raise ValueError(msg)
    return seconds
