"""Send requests: retries, redirects, timeouts. Runs on one event loop, that of the session."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from http import HTTPStatus
from logging import INFO
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from obspec_utils._io.gc_pause import raise_if_interrupted
from obspec_utils._io.logs import log
from obspec_utils._io.retry import Backoff
from obspec_utils._redact import redacted
from obspec_utils.stores._aiohttp_errors import (
    GenericError,
    ProtocolError,
    RequestTimeoutError,
    StatusError,
    status_error,
)
from obspec_utils.stores._aiohttp_reply import content_length, retry_after

if TYPE_CHECKING:
    from obspec_utils.stores._aiohttp_refresh import CurrentSite
    from obspec_utils.stores._aiohttp_site import Site

__all__ = ["Sender", "abort", "close", "discard", "new_session"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 10
_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_RETRIED = frozenset({408, 425, 429})
# 5xx that say what the server never does.
_FINAL = frozenset({501, 505, 511})
# Bodies of errors and redirects up to this many bytes are read, so that the connection can be used again.
_MAX_DISCARDED = 64 * 1024
# Bytes that aiohttp buffers before it stops reading from the socket: with its default, 64 KiB, a fast connection
# stops and starts for each chunk.
_READ_BUFFER = 1024 * 1024
# Characters of another library's error in ours: it may tell what a server sent.
_MAX_TOLD = 200
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)
_NOT_RETRIED = (
    aiohttp.InvalidURL,
    aiohttp.ClientHttpProxyError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ServerFingerprintMismatch,
    ValueError,
    ssl.SSLCertVerificationError,
)


# A response that breaks HTTP. It may be the rest of the one before it on the connection, so there is one retry.
_NO_HTTP = aiohttp.ClientResponseError


class Sender:
    """Sends the requests of a call.

    Parameters
    ----------
    current
        The URL and the headers of requests.
    timeout
        Seconds that a server may take for the headers of a response; None for no limit. Also for each further chunk of
        its body.
    session
        The session to use, on the running loop; None for one of its own for each request.
    is_callers
        Whether the session is the caller's, who closes it.
    """

    def __init__(
        self,
        current: CurrentSite,
        timeout: float | None,
        session: aiohttp.ClientSession | None = None,
        *,
        is_callers: bool = False,
    ) -> None:
        self._current = current
        self.timeout = timeout
        self._session = session
        self._is_callers = is_callers
        self._jars: dict[bool, aiohttp.CookieJar] = {}

    @property
    def site(self) -> Site:
        """The current URL and headers."""
        return self._current.site

    @property
    def keeps_connections(self) -> bool:
        """Whether requests share a session."""
        return self._session is not None

    async def send(self, method: str, path: str, headers: dict[str, str]) -> aiohttp.ClientResponse:
        """Send a request, follow redirects, and retry; return when the headers of a response have arrived.

        Raises
        ------
        GenericError
            If the last attempt gets no response. A response with any status is returned.
        """
        backoff = Backoff()
        may_renew = self._current.is_renewable
        while True:
            raise_if_interrupted()
            site, attempts = self.site, self._current.attempts
            request = site.request(path)
            try:
                async with asyncio.timeout(self.timeout):
                    response = await self._follow(method, path, site, request, headers)
            except (StatusError, GenericError):
                raise
            except (aiohttp.ClientError, OSError, ValueError) as error:
                is_final = isinstance(error, _NOT_RETRIED) or (isinstance(error, _NO_HTTP) and backoff.retries)
                delay = None if is_final else backoff.delay()
                failure = self._failure(method, path, error)
            else:
                # A server that refuses HEAD alone is asked by a GET.
                if may_renew and response.status in _REFUSED and method != "HEAD":
                    may_renew = False
                    await self._renew(site, attempts, path, response)
                    continue
                if not _is_retried(response.status):
                    return response
                delay = backoff.delay(retry_after(response.headers))
                if delay is None:
                    return response
                await discard(response, self.timeout)
                failure = GenericError(f"{method} of {path!r}: status {response.status}")
            if delay is None:
                raise failure  # outside of the `except`, where its context has the URL with its query, and the headers
            log(INFO, "Retry in %.1f s: %s", delay, failure)
            await asyncio.sleep(delay)

    async def _renew(self, site: Site, attempts: int, path: str, response: aiohttp.ClientResponse) -> None:
        """Have the refused URL or headers replaced."""
        await discard(response, self.timeout)
        try:
            self._current.renew(site, attempts)
        except Exception as error:
            told = f"{type(error).__name__}: {_short(error)}"
            raise self.error(response, path, advice=f"refresh failed with {told}") from error

    def _failure(self, method: str, path: str, error: Exception) -> GenericError | StatusError:
        if isinstance(error, aiohttp.ClientHttpProxyError):
            return status_error(error.status, self.site, path, method=method)
        start = f"{method} of {path!r} in {self.site!r} failed"
        if isinstance(error, TimeoutError):
            return RequestTimeoutError(f"{start}: no response within {self.timeout} s. Pass a longer timeout=.")
        if isinstance(error, _NO_HTTP):
            return ProtocolError(
                f"{start}: the response is not HTTP: {_short(error.message)}. Check the URL and the server."
            )
        return GenericError(f"{start}: {type(error).__name__}: {_short(error)}. Check the URL and the network.")

    async def _follow(
        self, method: str, path: str, site: Site, request: tuple[URL, dict[str, str]], headers: dict[str, str]
    ) -> aiohttp.ClientResponse:
        """Send a request and follow redirects; the caller's headers only go to the store's own host."""
        url, common = request
        redirects = 0
        while True:
            response = await self._request(method, url, {**common, **headers})
            if response.status not in _REDIRECTS:
                return response
            await discard(response, self.timeout)
            if redirects == _MAX_REDIRECTS:
                advice = f"more than {redirects} redirects: check the URL of the store; the server may expect a login"
                raise self.error(response, path, advice=advice)
            redirects += 1
            url = self._target(path, response)
            common = site.headers_for(url)

    def _target(self, path: str, response: aiohttp.ClientResponse) -> URL:
        location = response.headers.get("Location")
        if not location:
            raise self.error(response, path, advice="a redirect without a Location: check the URL of the store")
        try:
            # As it is, since a signature may depend on its percent-encoding.
            url = response.url.join(URL(location, encoded=location.isascii() and " " not in location))
            _ = url.port  # which may be none
        except ValueError:
            url = URL()
        if url.scheme not in {"http", "https"} or not url.host:
            raise self.error(response, path, advice="a redirect to something that is no http(s) URL")
        return url.with_fragment(None) if url.fragment else url

    async def _request(self, method: str, url: URL, headers: dict[str, str]) -> aiohttp.ClientResponse:
        session = self._session_for(url)
        try:
            return await session.request(
                method,
                url,
                proxy=getattr(self._session, "_default_proxy", None),
                headers=headers,
                allow_redirects=False,
                auto_decompress=False,
                raise_for_status=False,
                read_bufsize=_READ_BUFFER,
                timeout=_NO_TIMEOUT,
            )
        finally:
            if session is not self._session:
                session.detach()  # the response keeps its connection

    def _session_for(self, url: URL) -> aiohttp.ClientSession:
        """Return the shared session; for a request to another host one without its headers and cookies."""
        shared = self._session
        if shared is None or (shared.closed and not self._is_callers):  # an `async with` block ended before a body
            return new_session(force_close=True, cookie_jar=self._jar(url))
        if self.site.is_own(url):
            return shared
        return aiohttp.ClientSession(
            connector=shared.connector, connector_owner=False, cookie_jar=self._jar(url), trust_env=shared.trust_env
        )

    def _jar(self, url: URL) -> aiohttp.CookieJar:
        """Return the cookies of the call: a jar does not tell the ports of a host apart, so others have their own."""
        return self._jars.setdefault(self.site.is_own(url), aiohttp.CookieJar())

    def shown_url(self, response: aiohttp.ClientResponse) -> str:
        """Return the URL of a response without credentials and query."""
        return response.url.with_user(None).with_query(None).human_repr()

    def error(
        self,
        response: aiohttp.ClientResponse,
        path: str,
        *,
        conditional: bool = False,
        advice: str | None = None,
        kind: type[StatusError] | None = None,
    ) -> StatusError:
        """Return the error for a response."""
        return status_error(
            response.status,
            self.site,
            path,
            method=response.method,
            url=self.shown_url(response),
            headers=response.headers,
            conditional=conditional,
            advice=advice,
            kind=kind,
        )


def new_session(*, force_close: bool = False, cookie_jar: aiohttp.CookieJar | None = None) -> aiohttp.ClientSession:
    """Return a session without a limit of connections: results that are not read yet would hold up other requests."""
    connector = aiohttp.TCPConnector(limit=0, force_close=force_close)
    return aiohttp.ClientSession(connector=connector, cookie_jar=cookie_jar)


def _short(error: Exception | str) -> str:
    told = " ".join(redacted(str(error) or type(error).__name__).split())
    return told if len(told) <= _MAX_TOLD else f"{told[:_MAX_TOLD]}..."


def _is_retried(status: int) -> bool:
    return status in _RETRIED or (status >= HTTPStatus.INTERNAL_SERVER_ERROR and status not in _FINAL)


async def discard(response: aiohttp.ClientResponse, timeout: float | None) -> None:  # noqa: ASYNC109 - as asyncio.timeout
    """Read and drop a body that is not needed, if that is short; else close the connection."""
    try:
        length = 0 if response.method == "HEAD" else content_length(response.headers)
        if length is not None and length <= _MAX_DISCARDED:
            async with asyncio.timeout(timeout):
                await response.read()
    except (aiohttp.ClientError, OSError):
        pass
    await close(response)


async def close(response: aiohttp.ClientResponse) -> None:
    """Close the connection of a response, unless its body has been read."""
    abort(response)
    await asyncio.sleep(0)  # the loop of a sync call stops soon, and would leave the socket open


def abort(response: aiohttp.ClientResponse) -> None:
    """Have the event loop close the connection of a response, unless its body has been read."""
    connection = response.connection
    transport = connection.transport if connection is not None else None
    response.close()
    with suppress(RuntimeError):  # the loop is closed, so nothing can be sent
        if connection is not None:
            connection.close()  # `response.close` leaves it open if the loop is closed
        if transport is not None:
            transport.abort()  # without the farewell of TLS, which takes a round trip
