"""The URL and the headers of a request: where a store's objects are, and which credentials may go there. No I/O."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import SplitResult, quote, unquote, urlsplit

from yarl import URL

from obspec_utils._redact import redacted, shown
from obspec_utils._validation import check_path, check_text
from obspec_utils.stores._aiohttp_errors import InvalidPathError

__all__ = ["Site"]

# Characters that stay as they are in the base URL, which may be percent-encoded already.
_URL_CHARACTERS = "/%:@!$&()*+,;=~?[]"
# Headers of the caller that another host may see: they have no secrets. Any other header may have one.
_HARMLESS = frozenset({"accept", "accept-language", "cache-control", "pragma", "user-agent"})
# Headers that belong to a single request. From the caller they would change what the bytes of a response are.
_OF_REQUESTS = frozenset(
    {
        "accept-encoding",
        "content-length",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "range",
        "transfer-encoding",
    }
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Site:
    """The base URL of a store, and the headers of its requests.

    Parameters
    ----------
    base_url
        An http(s) URL. A user name and password in it become basic authentication; its query is sent with each request.
    headers
        Headers to send with each request to the host of `base_url`.

    Raises
    ------
    ValueError
        If it is no http(s) URL, has a fragment, or has credentials that `headers` has too; or if a header belongs to a
        single request, such as `Range`.
    TypeError
        If `base_url` is not a str.
    """

    def __init__(self, base_url: str, headers: Mapping[str, str]) -> None:
        parts = _split(base_url)
        self.given_headers = _checked_headers(headers)
        for name in self.given_headers:
            is_set_anyway = (name.lower(), headers[name].lower()) == ("accept-encoding", "identity")
            if name.lower() in _OF_REQUESTS and not is_set_anyway:
                msg = f"headers must not contain {name!r}: it is set for each request"
                raise ValueError(msg)
        self.given = base_url
        self.headers = {**headers, "Accept-Encoding": "identity"}
        self._harmless = {name: value for name, value in self.headers.items() if name.lower() in _HARMLESS}
        self._harmless["Accept-Encoding"] = "identity"
        if (credentials := _basic(parts)) is not None:
            if any(name.lower() == "authorization" for name in headers):
                msg = "base_url and headers both have credentials: pass them in one of the two"
                raise ValueError(msg)
            self.headers["Authorization"] = credentials
        host = URL(f"{parts.scheme.lower()}://{parts.netloc.rpartition('@')[2]}")
        self._origin = host.origin()
        self._base = str(self._origin) + quote(parts.path.rstrip("/"), safe=_URL_CHARACTERS)
        self._own = str(self._origin) + quote(parts.path, safe=_URL_CHARACTERS)  # with a slash at the end, if given
        self._query = f"?{quote(parts.query, safe=_URL_CHARACTERS)}" if parts.query else ""
        self.shown_url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")

    def __repr__(self) -> str:
        return f"AiohttpStore({redacted(self.shown_url)!r}{', with a query' if self._query else ''})"

    @property
    def is_plain(self) -> bool:
        """Whether the URL of a path tells all about an object: no query and no headers select another one."""
        return not self._query and self.headers.keys() == {"Accept-Encoding"}

    def request(self, path: str) -> tuple[URL, dict[str, str]]:
        """Return the URL and the headers of a request for an object; the only place where they are made."""
        segments = check_path(path).removeprefix("/").removesuffix("/")
        if any(segment in {"", ".", ".."} for segment in segments.split("/")) and segments:
            msg = f"path must not contain an empty segment, '.' or '..', got {redacted(path)!r}"
            raise InvalidPathError(msg)
        try:
            encoded = quote(segments, safe="/")
        except UnicodeEncodeError:
            msg = f"path must be valid Unicode, got {path!r}"
            raise InvalidPathError(msg) from None
        url = f"{self._base}/{encoded}" if encoded else self._own
        return URL(url + self._query, encoded=True), self.headers

    def headers_for(self, url: URL) -> dict[str, str]:
        """Return the headers for the target of a redirect: the caller's only for the store's own host."""
        return self.headers if self.is_own(url) else self._harmless

    def is_own(self, url: URL) -> bool:
        """Return whether a URL is of the store's own host, and not less protected than the base URL."""
        if url.host != self._origin.host:
            return False
        if url.scheme == self._origin.scheme:
            return url.port == self._origin.port
        upgraded = (self._origin.scheme, url.scheme) == ("http", "https")
        return upgraded and all(each.port == _DEFAULT_PORTS[each.scheme] for each in (self._origin, url))


def _checked_headers(headers: object) -> dict[str, str]:
    if not isinstance(headers, Mapping) or not all(isinstance(text, str) for item in headers.items() for text in item):
        msg = f"headers must be a dict of str such as {{'Authorization': 'Bearer ...'}}, got a {type(headers).__name__}"
        raise TypeError(msg)
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not value.isprintable():
            msg = f"headers must have printable values, got one for {shown(name)} that no request can have"
            raise ValueError(msg)
    return dict(headers)


def _split(base_url: str) -> SplitResult:
    parts = _parsed(check_text("base_url", base_url, "https://example.com/data"))
    if parts is None:
        msg = f"base_url must be an http(s) URL such as 'https://example.com/data', got {shown(base_url)}"
        raise ValueError(msg)
    if parts.fragment:
        msg = f"base_url must not have a fragment, which is never sent, got {shown(base_url)}: encode '#' as %23"
        raise ValueError(msg)
    return parts


def _parsed(text: str) -> SplitResult | None:
    """Return the parts of an http(s) URL; None for any other text."""
    if text != text.strip() or not text.isprintable():
        return None
    try:
        parts = urlsplit(text)
        usable = parts.scheme.lower() in _DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if usable else None


def _basic(parts: SplitResult) -> str | None:
    """Return the Authorization header for the credentials of a URL."""
    user, at, _ = parts.netloc.rpartition("@")
    if not at:
        return None
    name, _, password = user.partition(":")
    return "Basic " + b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
