"""Map URLs to stores and to paths in those stores.

A store may already point at a part of the URL, so `resolve` removes whole segments from the start of the path, in this
order:

1. For http(s) URLs, the path to the store's bucket. If the URL has the endpoint that the store was given, that is the
   path of the endpoint and the bucket (no bucket for virtual-hosted requests). Otherwise it is the bucket, or the Azure
   account and container, except what the host starts with: `https://bucket.s3.amazonaws.com/bucket/a` keeps `bucket/a`.
2. The store's `prefix`, or the path of its `url` or `base_url`.

Only segments that the path has are removed, so a store can be registered under another URL than its own.

Paths of http, https and file URLs are percent-decoded, because HTTPStore encodes paths itself and LocalStore takes them
as they are. Queries and fragments of http(s) URLs are dropped, because no store can send them. In other schemes every
character stands for itself: `s3://bucket/a%20b#1.nc` is the key `a%20b#1.nc`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from urllib.parse import unquote

from obspec_utils._redact import redacted, redacted_netloc, shown
from obspec_utils._validation import check_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from obspec_utils.typing import Path, Url

__all__ = ["ObjectStoreRegistry", "PathEntry", "UrlKey", "get_url_key", "path_segments"]

StoreT = TypeVar("StoreT")

# urllib.parse is not used because it drops line breaks and cuts keys at `?` and `#`, whatever the scheme.
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*):(?://(?P<netloc>[^/?#]*))?(?P<path>.*)", re.DOTALL | re.IGNORECASE)
_WEB_SCHEMES = frozenset({"http", "https"})
_ENCODED_SCHEMES = _WEB_SCHEMES | {"file"}


class UrlKey(NamedTuple):
    """The scheme of a URL, and its host or bucket."""

    scheme: str
    netloc: str

    def __repr__(self) -> str:
        return f"UrlKey(scheme={self.scheme!r}, netloc={redacted_netloc(*self)!r})"


class PathEntry(Generic[StoreT]):
    """A node in the tree of registered paths: the `store` registered there, or None, and the `children` by segment."""

    __slots__ = ("children", "store")

    def __init__(self) -> None:
        self.store: StoreT | None = None
        self.children: dict[str, PathEntry[StoreT]] = {}

    def lookup(self, path: Path) -> tuple[StoreT, int] | None:
        """Return the store registered at the longest prefix of a path, and the number of segments in that prefix.

        The path is relative to this entry, and empty segments are skipped. Return None if no prefix has a store.
        """
        entry = self
        found = None if entry.store is None else (entry.store, 0)
        for depth, segment in enumerate(path_segments(path), start=1):
            child = entry.children.get(segment)
            if child is None:
                break
            entry = child
            if entry.store is not None:
                found = (entry.store, depth)
        return found

    def iter_stores(self) -> Iterator[StoreT]:
        """Iterate over the stores at and below this entry, once for each registered path."""
        return (store for _, store in self._walk(()))

    def _walk(self, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], StoreT]]:
        if self.store is not None:
            yield path, self.store
        for segment, child in self.children.items():
            yield from child._walk((*path, segment))  # noqa: SLF001 - the same class


class ObjectStoreRegistry(Generic[StoreT]):
    """Map URLs to the stores that serve them.

    As an async context manager, it enters and exits the stores that are async context managers.

    Parameters
    ----------
    stores
        The stores by URL: a bucket, a host, or any path below one. The longest match wins. A URL without a scheme
        raises ValueError.

    Attributes
    ----------
    map
        The tree of registered paths for each scheme and host.
    """

    def __init__(self, stores: Mapping[Url, StoreT] | None = None) -> None:
        self.map: dict[UrlKey, PathEntry[StoreT]] = {}
        self._exits: list[AsyncExitStack] = []
        if not isinstance(stores, Mapping | None):
            msg = f"stores must be a dict such as {{'s3://bucket': store}}, got {shown(stores)}"
            raise TypeError(msg)
        for url, store in (stores or {}).items():
            self.register(url, store)

    def __repr__(self) -> str:
        """Show each URL, without credentials, with the type of its store."""
        stores = ", ".join(f"{url!r}: {type(store).__name__}" for url, store in self._items())
        return f"ObjectStoreRegistry({{{stores}}})"

    def __getstate__(self) -> dict[str, Any]:
        """Leave out entered stores, because only the process that entered them can exit them."""
        return {**self.__dict__, "_exits": []}

    def register(self, url: Url, store: StoreT) -> None:
        """Register a store for a URL and everything below it, and replace a former one.

        Parameters
        ----------
        url
            A URL with a scheme, such as `s3://bucket`, `https://host/path` or `file:///tmp`.
        store
            Any object; the registry calls none of its methods.

        Raises
        ------
        ValueError, TypeError
            If the URL has no scheme; if it is not a str, or the store is a str or a path.
        """
        key, path = _split(url)
        if isinstance(store, str | os.PathLike):
            msg = f"store must be a store such as one of obstore.store, got {shown(store)}"
            raise TypeError(msg)
        entry = self.map.setdefault(key, PathEntry())
        for segment in path_segments(path):
            entry = entry.children.setdefault(segment, PathEntry())
        entry.store = store

    def resolve(self, url: Url) -> tuple[StoreT, Path]:
        """Return the store that serves a URL, and the path in that store.

        Parameters
        ----------
        url
            The URL of an object, or of a folder.

        Returns
        -------
        tuple
            The store registered for the longest prefix of the URL, and the path relative to that store.

        Raises
        ------
        ValueError
            If the URL has no scheme, or no store is registered for any prefix of it.
        """
        key, path = _split(url)
        found = entry.lookup(path) if (entry := self.map.get(key)) else None
        if found is None:
            url = redacted(url)
            msg = f"Could not find an ObjectStore matching the url `{url}`: register() one for a prefix of the url."
            raise ValueError(msg)
        return found[0], _path_in(found[0], key, path)

    async def __aenter__(self) -> Self:
        """Enter each store that is an async context manager once; if one fails, exit those already entered."""
        stack = AsyncExitStack()
        managers = {id(manager): manager for _, store in self._items() if (manager := _manager(store)) is not None}
        try:
            for manager in managers.values():
                await stack.enter_async_context(manager)
        except BaseException as error:
            await stack.__aexit__(type(error), error, error.__traceback__)
            raise
        self._exits.append(stack)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> bool | None:
        """Exit the entered stores in reverse order."""
        return await self._exits.pop().__aexit__(kind, error, traceback)

    def _items(self) -> Iterator[tuple[Url, StoreT]]:
        for key, entry in self.map.items():
            for path, store in entry._walk(()):  # noqa: SLF001 - the same module
                yield redacted("/".join((f"{key.scheme}://{key.netloc}", *path))), store


def get_url_key(url: Url) -> UrlKey:
    """Return the scheme of a URL, in lower case, and its host or bucket; raise ValueError if there is no scheme."""
    return _split(url)[0]


def path_segments(path: Path) -> Iterator[str]:
    """Iterate over the segments of a path, without the empty ones."""
    return (segment for segment in path.split("/") if segment)


def _split(url: Url) -> tuple[UrlKey, Path]:
    match = _URL.fullmatch(check_text("url", url, "s3://bucket/key"))
    if match is None:
        url = redacted(url)
        msg = f"Urls are expected to contain a scheme (e.g. `file://` or `s3://`), but `{url}` has none: add it."
        raise ValueError(msg)
    scheme, path = match["scheme"].lower(), match["path"]
    if scheme in _WEB_SCHEMES:
        path = re.split("[?#]", path, maxsplit=1)[0]
    if scheme in _ENCODED_SCHEMES:
        path = _decode(path)
    return UrlKey(scheme, match["netloc"] or ""), path.lstrip("/")


def _decode(path: Path) -> Path:
    try:
        return unquote(path, errors="strict")
    except UnicodeDecodeError:  # no store can have a path that is not text
        return path


def _path_in(store: object, key: UrlKey, path: Path) -> Path:
    for root in _container_roots(store, key):
        rest = _strip_segments(path, root)
        if rest is not None:
            path = rest
            break
    rest = _strip_segments(path, _root(store))
    return path if rest is None else rest


def _strip_segments(path: Path, segments: Sequence[str]) -> Path | None:
    """Return a path without its first segments, unchanged otherwise; None if it starts with others."""
    for expected in segments:
        segment, _, rest = path.partition("/")
        if segment != expected:
            return None
        path = rest.lstrip("/")
    return path


def _root(store: object) -> list[str]:
    """Return the segments that the store prepends to every path."""
    prefix = getattr(store, "prefix", None)
    if isinstance(prefix, PurePath):  # of a LocalStore; pathlib would keep `..` or follow links
        prefix = os.path.abspath(prefix)  # noqa: PTH100
    if isinstance(prefix, str):
        return list(path_segments(prefix))
    url = getattr(store, "url", None) or getattr(store, "base_url", None)
    if isinstance(url, str) and _URL.fullmatch(url):
        return list(path_segments(_split(url)[1]))
    return []


def _container_roots(store: object, key: UrlKey) -> list[list[str]]:
    """Return the possible paths of the store's bucket at the host of an http(s) URL, the most likely first."""
    config = getattr(store, "config", None)  # it may have secrets, so only names are read from it
    if key.scheme not in _WEB_SCHEMES or not isinstance(config, Mapping):
        return []
    container = _setting(config, "bucket", "container_name")
    if not container:
        return []
    endpoint = _URL.fullmatch(_setting(config, "endpoint", "base_url"))
    if endpoint is not None and endpoint["netloc"] == key.netloc:
        virtual_hosted = config.get("virtual_hosted_style_request") == "true"
        return [[*path_segments(endpoint["path"]), *([] if virtual_hosted else [container])]]
    host = key.netloc.rpartition("@")[2].lower()
    if "bucket" in config:
        return [] if _starts_with(host, container) else [[container]]
    account = _setting(config, "account_name")
    return [[container]] if not account or _starts_with(host, account) else [[account, container], [container]]


def _setting(config: Mapping[str, object], *names: str) -> str:
    return next((value for name in names if isinstance(value := config.get(name), str)), "")


def _starts_with(host: str, name: str) -> bool:
    return re.match(re.escape(name.lower()) + r"(\.|:|$)", host) is not None


def _manager(store: object) -> AbstractAsyncContextManager[object] | None:
    """Return the outermost async context manager among a store and the stores it wraps, if there is one."""
    while store is not None and not isinstance(store, AbstractAsyncContextManager):
        store = getattr(store, "__dict__", {}).get("_store")
    return store
