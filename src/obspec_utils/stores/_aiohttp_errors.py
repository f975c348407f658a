"""Errors of AiohttpStore: obspec's, by the names that obspec defines; those of a status are aiohttp's, too.

They are one line, have no secrets, and can be pickled.
"""

from __future__ import annotations

import errno
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiohttp
import obspec.exceptions
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from obspec_utils._redact import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "GenericError",
    "GenericStatusError",
    "InvalidPathError",
    "NotFoundError",
    "NotModifiedError",
    "NotSupportedError",
    "PermissionDeniedError",
    "PreconditionError",
    "ProtocolError",
    "RequestTimeoutError",
    "StatusError",
    "UnauthenticatedError",
    "status_error",
]

# Response headers that may have secrets.
_SECRET_HEADERS = frozenset({"set-cookie", "location", "content-location", "link", "www-authenticate"})


class InvalidPathError(obspec.exceptions.InvalidPathError, ValueError):
    """A path that no object can have."""


class NotSupportedError(obspec.exceptions.NotSupportedError):
    """An option that this store does not have, or a response that it can't use."""

    def __init__(self, message: str) -> None:
        super().__init__(redacted(message))


class GenericError(obspec.exceptions.BaseError, aiohttp.ClientError):
    """A request without a usable response: the server can't be reached, or breaks the protocol."""

    def __init__(self, message: str) -> None:
        super().__init__(redacted(message))


class ProtocolError(GenericError):
    """A response that breaks HTTP."""


class RequestTimeoutError(GenericError, TimeoutError):
    """No response within the timeout."""


class StatusError(aiohttp.ClientResponseError):
    """The base of errors of an HTTP status."""

    def __init__(self, text: str, path: str, method: str, url: str, status: int, headers: Mapping[str, str]) -> None:
        # Without the headers and the query of the request, which may have credentials.
        kept = {name: value for name, value in headers.items() if name.lower() not in _SECRET_HEADERS}
        proxy = CIMultiDictProxy(CIMultiDict[str]())
        path, url = redacted(path), redacted(url)
        request = aiohttp.RequestInfo(_url(url), method, proxy, _url(url))
        super().__init__(request, (), status=status, message=text, headers=CIMultiDict(kept))
        self.args = (self.message,)
        self._made_of = (text, path, method, url, status, kept)

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r}, status={self.status})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._made_of


def _url(text: str) -> URL:
    """Return a URL; an empty one if what was hidden leaves none."""
    try:
        return URL(text)
    except ValueError:
        return URL()


class NotFoundError(StatusError, obspec.exceptions.NotFoundError):
    """No such object. Also a FileNotFoundError, with errno and filename."""

    def __init__(self, text: str, path: str, method: str, url: str, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(text, path, method, url, status, headers)
        self.errno, self.strerror, self.filename = errno.ENOENT, text, redacted(path)

    def __str__(self) -> str:
        return f"[Errno {self.errno}] {self.strerror}: {self.filename!r}"


class PreconditionError(StatusError, obspec.exceptions.PreconditionError):
    """A condition of the request failed."""


class NotModifiedError(StatusError, obspec.exceptions.NotModifiedError):
    """The object is the one that the caller has."""


class PermissionDeniedError(StatusError, obspec.exceptions.PermissionDeniedError):
    """The credentials do not allow the request."""


class UnauthenticatedError(StatusError, obspec.exceptions.UnauthenticatedError):
    """The server requires credentials, or has sent a login page instead of the object."""


class GenericStatusError(StatusError, GenericError):
    """Any other status."""


_CLASSES: dict[int, type[StatusError]] = {
    401: UnauthenticatedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    407: UnauthenticatedError,
    410: NotFoundError,
    412: PreconditionError,
}
_ADVICE = {
    204: "the server sends no object",
    304: "sent without a condition, so there is no object: clear the caches of proxies, or ask the server's operator",
    401: "pass headers= with credentials that the server accepts",
    403: "the credentials or the signed URL do not allow this, or have expired",
    407: "pass a session= with the credentials of the proxy",
    412: "the object is another version than the condition requires",
    416: "the range is not within the object",
    429: "the server limits requests: send fewer at a time, or try later",
}


def status_error(
    status: int,
    store: object,
    path: str,
    *,
    method: str = "GET",
    url: str = "",
    headers: Mapping[str, str] | None = None,
    conditional: bool = False,
    advice: str | None = None,
    kind: type[StatusError] | None = None,
) -> StatusError:
    """Return the error of a response.

    Parameters
    ----------
    conditional
        Whether the request had a condition, so that the status 304 answers it.
    advice
        What was wrong and what to do, instead of the text for the status.
    kind
        The class, instead of that of the status.
    """
    if kind is None:
        kind = NotModifiedError if status == HTTPStatus.NOT_MODIFIED and conditional else _CLASSES.get(status)
    if kind is NotFoundError:
        return NotFoundError(f"No such object in {store!r}", path, method, url, status, headers or {})
    try:
        reason = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        reason = str(status)
    if kind is NotModifiedError:
        advice = "the object has not changed"
    if advice is None:
        later = "try later" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "check the URL of the store and the path"
        advice = _ADVICE.get(status, later)
    # In pieces: in one text, all between a port and an "@" could be a password.
    text = f"{method} of {redacted(path)!r} in {store!r}: {reason}; {redacted(advice)}"
    return (kind or GenericStatusError)(" ".join(text.split()), path, method, url, status, headers or {})
