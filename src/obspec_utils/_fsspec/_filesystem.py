"""A read-only fsspec filesystem over obspec stores."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import isfilelike

from obspec_utils._fsspec._async_file import AsyncFile, call_in_thread
from obspec_utils._fsspec._directories import Directories
from obspec_utils._fsspec._download import download
from obspec_utils._fsspec._instances import Instances, refer_to, restore
from obspec_utils._fsspec._read_only import read_only
from obspec_utils._fsspec._reads import read_slices, read_whole
from obspec_utils._io.backends import ASYNC
from obspec_utils._io.fork import check_fork
from obspec_utils._io.not_found import raise_not_found
from obspec_utils._redact import redacted, shown
from obspec_utils._validation import check_path, check_store
from obspec_utils.readers import open_reader
from obspec_utils.registry import ObjectStoreRegistry, get_url_key
from obspec_utils.wrappers._turns import MAX_IN_FLIGHT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from obspec import GetAsync

    from obspec_utils._fsspec._reads import Slice

__all__ = ["FSSPEC_OPTIONS", "ObspecFileSystem"]

FSSPEC_OPTIONS = {"asynchronous", "batch_size", "listings_expiry_time", "loop", "max_paths", "use_listings_cache"}
# Options of `open` for the buffers of fsspec, which the callers of fsspec pass to any filesystem.
_BUFFER_OPTIONS = {
    "autocommit",
    "block_size",
    "cache_options",
    "cache_type",
    "default_cache",
    "default_cache_type",
    "default_fill_cache",
    "fill_cache",
    "size",
}
_ENCODED_SCHEMES = {"http", "https", "file"}


class ObspecFileSystem(Directories, metaclass=Instances):
    """A read-only fsspec filesystem over any obspec store.

    `open` returns a reader of this library, which reads in the calling thread, by the store's sync methods. All other
    methods read by the store's async ones: a small object, or one range, by one request, larger ones in parallel parts;
    the ranges of a `cat_ranges` call by one plan for each object: adjacent and overlapping ones are joined, and all are
    of one version. Slices of objects mean what those of `bytes` mean. Only the store caches; nothing caches listings.

    Writing raises `OSError` with `errno.EROFS`. A pickled filesystem has its store. Its JSON has neither the store nor
    credentials: `from_json` and `from_dict` only work in the same process, while the filesystem exists. fsspec never
    shares such a filesystem, because two stores with different credentials may look the same to it.

    Parameters
    ----------
    store_or_registry
        A store, whose paths become those of the filesystem, or a registry, whose URLs become its paths.
    reader
        What `open` returns: a reader class, or any callable that takes a store and a path. It also gets the options of
        `open`, such as `memory=`, except those for fsspec's buffers, such as `block_size` and `cache_type`.
    **fsspec_options
        `asynchronous`, `loop` and `batch_size`, see fsspec.

    Raises
    ------
    TypeError
        If `store_or_registry` is neither, `reader` can't be called, or an option is unknown.
    """

    protocol = "obspec"
    cachable = False
    _own_token: str | None = None

    def __init__(
        self,
        store_or_registry: GetAsync | ObjectStoreRegistry[Any],
        *,
        reader: Callable[..., Any] = open_reader,
        **fsspec_options: Any,  # noqa: ANN401 - typed by fsspec
    ) -> None:
        unknown = sorted(fsspec_options.keys() - FSSPEC_OPTIONS)
        if unknown:
            msg = f"{unknown[0]!r} is no option of {type(self).__name__}: pass options of the store to the store"
            raise TypeError(msg)
        if not callable(reader):
            msg = f"reader must be a callable such as open_reader, got {shown(reader)}"
            raise TypeError(msg)
        if not isinstance(store_or_registry, ObjectStoreRegistry):
            check_store(store_or_registry)
        self._origin: Any = store_or_registry
        self._reader = reader
        super().__init__(**fsspec_options)

    def __repr__(self) -> str:
        return redacted(f"{type(self).__name__}({self._origin!r})")

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return restore, (type(self), self.storage_args, self.storage_options, self._own_token)

    def to_dict(self, *, include_password: bool = True) -> dict[str, Any]:  # noqa: ARG002 - there is none
        """Return what `from_dict` makes a copy of, in this process, while this filesystem exists; without secrets."""
        return {"cls": "obspec_utils.fsspec:ObspecFileSystem", "protocol": self.protocol, "args": [refer_to(self)]}

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:  # noqa: ANN401 - a path, or a list of paths
        path = super()._strip_protocol(path)
        return path if isinstance(path, list) else path.lstrip("/")

    def _url(self, path: str) -> str:
        """Return the URL that a registry gets for a path."""
        return path

    def _locate(self, path: str) -> tuple[Any, str]:
        path = self._strip_protocol(path)
        if isinstance(self._origin, ObjectStoreRegistry):
            store, key = self._origin.resolve(self._url(path))
        else:
            store, key = self._origin, check_path(path)
        check_fork(store)
        return store, key.strip("/")

    def _is_encoded(self, path: str) -> bool:
        return isinstance(self._origin, ObjectStoreRegistry) and get_url_key(self._url(path)).scheme in _ENCODED_SCHEMES

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:  # noqa: ANN401 - of the reader; the reader
        if mode != "rb":
            raise read_only(path)
        store, key = self._locate(path)
        return self._reader(store, key, **{name: options[name] for name in options.keys() - _BUFFER_OPTIONS})

    async def open_async(self, path: str, mode: str = "rb", **options: Any) -> AsyncFile:  # noqa: ANN401
        """Open an object as `open` does, but only in binary mode. `read` and `close` of the file are coroutines."""
        reader = await call_in_thread(partial(self._open, path, mode, **options))
        return AsyncFile(reader, self, path)

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        if start in {None, 0} and end is None:
            store, key = self._locate(path)
            with raise_not_found(store, path):
                return await read_whole(store, key)
        return (await self._read_slices(path, [(start, end)]))[0]

    async def _read_slices(self, path: str, slices: Sequence[Slice], **options: int) -> list[bytes]:
        store, key = self._locate(path)
        with raise_not_found(store, path):
            return await read_slices(store, key, slices, **options)

    async def _cat(
        self,
        path: str | list[str],
        recursive: bool = False,  # noqa: FBT001, FBT002 - fsspec's
        on_error: str = "raise",
        batch_size: int | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401 - bytes, or a dict of them
        if recursive:  # without the directories, which have no bytes
            path = sorted({file for found in await self._expand_path(path) for file in await self._find(found)})
        return await super()._cat(path, on_error=on_error, batch_size=self._batch(batch_size), **options)

    async def _cat_ranges(
        self,
        paths: list[str],
        starts: int | Sequence[int | None] | None,
        ends: int | Sequence[int | None] | None,
        max_gap: int | None = None,
        batch_size: int | None = None,
        on_error: str = "return",
    ) -> list[Any]:
        slices = _slices(paths, starts, ends)
        by_path: dict[str, list[int]] = {}
        for number, path in enumerate(paths):
            by_path.setdefault(self._strip_protocol(path), []).append(number)
        objects = list(by_path.items())
        at_once = self._batch(batch_size)
        max_in_flight = max(1, MAX_IN_FLIGHT // max(1, min(len(objects), at_once)))  # of each object

        async def read(index: int) -> Sequence[bytes | Exception]:
            path, numbers = objects[index]
            try:
                wanted = [slices[number] for number in numbers]
                return await self._read_slices(path, wanted, max_gap=max_gap or 0, max_in_flight=max_in_flight)
            except Exception as error:
                if on_error != "return":
                    raise
                return [error] * len(numbers)

        found = await ASYNC.gather(read, len(objects), at_once)
        by_number = {
            number: result
            for (_, numbers), results in zip(objects, found, strict=True)
            for number, result in zip(numbers, results, strict=True)
        }
        return [by_number[number] for number in range(len(paths))]

    async def _get_file(self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK) -> None:  # noqa: ANN401 - fsspec's
        # A directory has been created for the objects in it.
        if isfilelike(lpath) or not os.path.isdir(lpath):  # noqa: PTH112, ASYNC240 - a local one
            store, key = self._locate(rpath)
            with raise_not_found(store, rpath):
                await download(store, key, lpath, callback)


def _slices(paths: object, starts: object, ends: object) -> list[Slice]:
    """Return the arguments of `cat_ranges` as a slice for each path."""
    if not isinstance(paths, list):
        msg = f"paths must be a list, got {shown(paths)}"
        raise TypeError(msg)
    bounds: Any = (starts, ends)
    starts, ends = ([each] * len(paths) if each is None or isinstance(each, int) else list(each) for each in bounds)
    if not len(starts) == len(ends) == len(paths):
        msg = f"starts and ends must be as many as paths, {len(paths)}, got {len(starts)} and {len(ends)}"
        raise ValueError(msg)
    return list(zip(starts, ends, strict=True))
