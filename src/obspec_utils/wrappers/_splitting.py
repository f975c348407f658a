"""A store whose get() fetches large objects in parallel parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from obspec_utils._io.backends import ASYNC
from obspec_utils._io.get_result import Result
from obspec_utils._io.interruptible import interruptible
from obspec_utils._io.multipart import MultipartBody, PartLimits
from obspec_utils._io.request import request_first, send_first
from obspec_utils._progress import progress_setting
from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS, REQUEST_SIZE, ByteRange
from obspec_utils._validation import check_choice, positive_int
from obspec_utils._version import CHECK_VERSION, Version
from obspec_utils.wrappers._wrapper import StoreWrapper

if TYPE_CHECKING:
    from obspec import GetOptions, ObjectMeta

    from obspec_utils._io.response import Response
    from obspec_utils._progress import ProgressArgument
    from obspec_utils._version import CheckVersion
    from obspec_utils.protocols import ReadableStore

__all__ = ["SplittingReadableStore"]


class SplittingReadableStore(StoreWrapper):
    """Fetch whole objects in parallel parts; forward everything else unchanged.

    `get` and `get_async` request the first part, whose headers have the object's size and version. The other parts are
    requested when the result is read, one request each. Each response is checked to be of the same version: by its
    ETag, or else its Last-Modified date, or else only its size. `head()` is only called if the store has no `get`.

    Parameters
    ----------
    store
        The store to read from.
    request_size
        Bytes in a part, 12 MiB by default, which takes cloud stores the time of a few round trips. It is the maximum up
        to `max_concurrent_requests` parts; larger objects are split into full batches of about this size.
    max_concurrent_requests
        The maximum number of requests in flight for one object.
    check_version
        What is compared beside the size: "auto" (the ETag, or else the date), "etag", "date", or "size" for nothing
        else; for servers that send different ETags or dates for the same bytes.
    progress
        Show how many bytes of each result have arrived while it is read: True for a bar by tqdm (extra `progress`) if
        standard error is a terminal or this is a notebook; an fsspec `Callback`; or a function of the number of bytes
        so far and in all. Called in the caller's thread or task, at most 10 times a second, and once all bytes have
        arrived. If it raises, so does the call. Pickling drops what can't be pickled. None (default) for nothing.

    Raises
    ------
    ValueError
        If a number is not positive, or `check_version` is none of these.
    TypeError
        If `store` has no method of a store, or a number is not an integer.

    Examples
    --------
    ```python
    from obspec_utils.wrappers import SplittingReadableStore

    data = SplittingReadableStore(store).get("large.bin").buffer()
    ```
    """

    def __init__(
        self,
        store: ReadableStore,
        request_size: int = REQUEST_SIZE,
        max_concurrent_requests: int = MAX_CONCURRENT_REQUESTS,
        *,
        check_version: CheckVersion = "auto",
        progress: ProgressArgument = None,
    ) -> None:
        super().__init__(store)
        self._request_size = positive_int("request_size", request_size)
        self._max_concurrent_requests = positive_int("max_concurrent_requests", max_concurrent_requests)
        self._check_version: CheckVersion = check_choice("check_version", check_version, CHECK_VERSION)
        self._progress = progress_setting(progress)

    def _arguments(self) -> tuple[object, ...]:
        return self._request_size, self._max_concurrent_requests

    def _options(self) -> dict[str, Any]:
        options = {} if self._check_version == "auto" else {"check_version": self._check_version}
        return options if self._progress is None else {**options, "progress": self._progress}

    def _limits(self) -> PartLimits:
        return PartLimits(self._request_size, self._max_concurrent_requests)

    def _gets_whole(self, method: str) -> bool:
        # In parts, if the wrapped store only serves ranges.
        return super()._gets_whole(method) or self._supports(method.replace("get", "head"))

    def _splits(self, path: str, options: GetOptions | None) -> bool:
        """Return whether a get is for a whole object, and splitting it is faster with this store."""
        given: Any = {} if options is None else options
        if not isinstance(given, dict) or "range" in given or given.get("head", False) is not False:
            return False
        return type(self._store).__name__ != "MemoryStore" and not self._holds(path)

    def _result(self, first: Response, options: GetOptions | None) -> Result:
        # The first response has met the conditions; the other parts have to be of its version.
        meta = cast("ObjectMeta", first.meta)
        version = Version.of(meta, self._check_version, (options or {}).get("version"))
        progress = None if self._progress is None else self._progress.start(first.path)
        body = MultipartBody(self._store, first, self._limits(), version, progress)
        return Result(meta, (0, meta["size"]), first.attributes or {}, body)

    def get(self, path: str, *, options: GetOptions | None = None) -> Result:
        """Get an object; the parts after the first are fetched when the result is read.

        Raises
        ------
        ObjectChangedError
            When the result is read, if the object was replaced since the first request.
        """
        if not self._splits(path, options):
            return cast("Result", super().get(path, options=options))
        first = interruptible(request_first, self._store, path, self._request_size, options)
        return self._result(first, options)

    async def get_async(self, path: str, *, options: GetOptions | None = None) -> Result:
        """Get an object as `get` does, on the running event loop."""
        if not self._splits(path, options):
            return cast("Result", await super().get_async(path, options=options))
        span = ByteRange(0, self._request_size)
        return self._result(await send_first(ASYNC, self._store, path, span, options), options)
