"""A reader that holds the whole object in memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from obspec import Get

from obspec_utils._io.buffers import BufferList
from obspec_utils._io.interruptible import with_progress
from obspec_utils._io.multipart import MultipartBody, PartLimits
from obspec_utils._io.not_found import raise_not_found
from obspec_utils._io.request import request_first
from obspec_utils._progress import progress_setting
from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS, REQUEST_SIZE
from obspec_utils._validation import positive_int
from obspec_utils.readers._file import StoreReader
from obspec_utils.readers._stats import ReaderStats
from obspec_utils.readers._strategy import NO_PIECE, Strategy
from obspec_utils.readers._version_options import VersionOptions

if TYPE_CHECKING:
    from typing import Self

    from obspec_utils._io.response import Response
    from obspec_utils._progress import ProgressArgument, ProgressSetting
    from obspec_utils._version import CheckVersion
    from obspec_utils.readers._strategy import CachedPiece

__all__ = ["EagerStoreReader"]


class _WholeStrategy(Strategy):
    """Fetch the whole object in parallel parts and keep them."""

    __slots__ = ("_parts",)

    def __init__(
        self,
        store: object,
        path: str,
        versions: VersionOptions,
        limits: PartLimits,
        progress: ProgressSetting | None,
    ) -> None:
        super().__init__(store, path, versions)
        self._progress = progress
        self._limits = limits
        self._parts: BufferList | None = None
        self._requests = 0
        self._fetched = 0

    def find(self, position: int) -> CachedPiece:
        parts = self._parts
        return NO_PIECE if parts is None or position >= parts.stop else parts.window(position)

    def cached(self, start: int, stop: int) -> tuple[BufferList, CachedPiece] | None:
        if self.version is not None and start >= self.size:
            return BufferList([], start), NO_PIECE
        parts = self._parts
        if parts is None:
            return None
        return parts, parts.window(min(stop, parts.stop) - 1) if start < min(stop, parts.stop) else NO_PIECE

    def load_once(self, start: int, stop: int) -> tuple[BufferList, CachedPiece]:
        loaded = None
        while loaded is None:
            loaded = self._once(partial(self.load, start, stop)) or self.cached(start, stop)
        return loaded

    def load(self, start: int, stop: int) -> tuple[BufferList, CachedPiece]:
        # Not loaded yet: being constructed, or a copy.
        return self.cached(start, stop) or (self.load_from(self.request_first()), NO_PIECE)

    def request_first(self) -> Response:
        """Send the first request."""
        return request_first(self._store, self._path, self._limits.request_size, self._versions.options)

    def load_from(self, first: Response) -> BufferList:
        """Read the first response and fetch the rest."""
        progress = None if self._progress is None else self._progress.start(self._path)
        body = MultipartBody(self._store, first, self._limits, self._versions.version_of(first), progress)
        if self.version is not None:
            self.version.check(self._path, body.version)
        self._parts = parts = body.load(body.version.size)
        self._requests += body.requests
        self._fetched += body.version.size
        self.pin(body.version)
        return parts

    def stats(self) -> ReaderStats:
        kept = 0 if self._parts is None else self.size
        return ReaderStats(self._requests, self._fetched, self._fetched, kept)

    def clear(self) -> None:
        super().clear()
        self._parts = None


class EagerStoreReader(StoreReader):
    """Load an object into memory, in parallel parts, when the reader is made.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`.
    path
        The object's path in the store.
    request_size
        Target size of a part in bytes. Up to `max_concurrent_requests` parts it is the maximum; larger objects are
        split into full batches of requests.
    file_size
        The expected size in bytes. It has no effect, since the first response has the size; kept for compatibility.
    max_concurrent_requests
        The maximum number of requests in flight.
    check_version
        What is compared to notice that the object changed, beside its size: "auto" (the ETag, or else the date),
        "etag", "date", or "size" for nothing else; for servers that send different ETags or dates for the same bytes.
    version
        The id of the version to read, such as a version id of S3, instead of the current one.
    progress
        Show how many bytes have arrived: True for a bar by tqdm (extra `progress`) if standard error is a terminal or
        this is a notebook; an fsspec `Callback`; or a function of the number of bytes so far and in all. Called in the
        caller's thread, at most 10 times a second, and once all bytes have arrived. If it raises, so does the call.
        None (default) for nothing.

    Raises
    ------
    FileNotFoundError
        If there is no such object, or no such version of it.
    ObjectChangedError
        If a later part is of another version than the first: by ETag, else Last-Modified, else size alone.
    NotSupportedError
        If the store ignores `version`.
    ValueError
        If a number is not positive (`file_size`: negative), or `check_version` is none of these.

    Examples
    --------
    ```python
    from obspec_utils.readers import EagerStoreReader

    with EagerStoreReader(store, "large.bin") as file:
        content = file.read()
    ```
    """

    class Store(Get, Protocol):
        """The methods this reader needs of a store."""

    def __init__(
        self,
        store: Store,
        path: str,
        request_size: int = REQUEST_SIZE,
        file_size: int | None = None,
        max_concurrent_requests: int = MAX_CONCURRENT_REQUESTS,
        *,
        check_version: CheckVersion = "auto",
        version: str | None = None,
        progress: ProgressArgument = None,
    ) -> None:
        versions, setting = VersionOptions(check_version, version), progress_setting(progress)
        self._set_up(store, path, versions, request_size, file_size, max_concurrent_requests, setting)
        with raise_not_found(store, path, version):
            with_progress(setting, self._strategy.load, 0, 0)

    def _set_up(
        self,
        store: object,
        path: str,
        versions: VersionOptions,
        request_size: int,
        file_size: int | None = None,
        max_concurrent_requests: int = MAX_CONCURRENT_REQUESTS,
        progress: ProgressSetting | None = None,
    ) -> _WholeStrategy:
        limits = PartLimits(
            positive_int("request_size", request_size), positive_int("max_concurrent_requests", max_concurrent_requests)
        )
        strategy = _WholeStrategy(store, path, versions, limits, progress)
        super().__init__(
            store,
            path,
            strategy,
            request_size=limits.request_size,
            file_size=None if file_size is None else positive_int("file_size", file_size, least=0),
            max_concurrent_requests=limits.max_concurrent,
            progress=progress,
            **versions.arguments,
        )
        return strategy

    @classmethod
    def _unread(cls, store: Any, path: str, **options: Any) -> Self:  # noqa: ANN401 - the constructor's arguments
        reader = cls.__new__(cls)
        versions = VersionOptions(options.pop("check_version"), options.pop("version"))
        reader._set_up(store, path, versions, **options)  # noqa: SLF001 - of this class
        return reader

    @classmethod
    def _from_response(
        cls,
        store: Any,  # noqa: ANN401 - the constructor's
        versions: VersionOptions,
        first: Response,
        request_size: int,
        progress: ProgressSetting | None,
    ) -> Self:
        """Make a reader of an object whose first response has arrived."""
        reader = cls.__new__(cls)
        strategy = reader._set_up(store, first.path, versions, request_size, progress=progress)  # noqa: SLF001 - of this class
        strategy.load_from(first)
        return reader
