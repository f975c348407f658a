"""What every wrapper does: pass on what it does not change, copy and pickle."""

from __future__ import annotations

from functools import partial
from operator import index
from typing import TYPE_CHECKING, Any, SupportsIndex

from obspec_utils._io.fork import check_fork
from obspec_utils._io.multipart import PartLimits
from obspec_utils._io.request import has_method
from obspec_utils._pickling import pickled
from obspec_utils._redact import redacted
from obspec_utils._validation import check_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import obspec
    from obspec import GetOptions, GetResult, GetResultAsync, ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils.protocols import ReadableStore

__all__ = ["StoreWrapper", "drop_none"]


def drop_none(**arguments: object) -> dict[str, Any]:
    """Return the arguments that were given, so that a store's own defaults and errors stay its own."""
    return {name: value for name, value in arguments.items() if value is not None}


class StoreWrapper:
    """A store that passes everything on to the store it wraps.

    Subclasses override what they change. Their `_arguments` are what `copy` and `pickle` make another one from; a
    wrapper can be pickled if its store can.

    Parameters
    ----------
    store
        Any object with the obspec methods that are called.

    Raises
    ------
    TypeError
        If `store` has no method of a store.
    """

    _store: ReadableStore

    if TYPE_CHECKING:
        # What `__getattr__` forwards, as obspec types it; an AttributeError where the wrapped store lacks it.
        list = obspec.List.list
        list_async = obspec.ListAsync.list_async
        list_with_delimiter = obspec.ListWithDelimiter.list_with_delimiter
        list_with_delimiter_async = obspec.ListWithDelimiterAsync.list_with_delimiter_async
        put = obspec.Put.put
        put_async = obspec.PutAsync.put_async
        delete = obspec.Delete.delete
        delete_async = obspec.DeleteAsync.delete_async
        copy = obspec.Copy.copy
        copy_async = obspec.CopyAsync.copy_async
        rename = obspec.Rename.rename
        rename_async = obspec.RenameAsync.rename_async

    def __init__(self, store: ReadableStore) -> None:
        check_store(store)
        self._store = store

    def _arguments(self) -> tuple[object, ...]:
        """Return what follows `store` in the constructor's arguments."""
        return ()

    def _options(self) -> dict[str, Any]:
        """Return the further arguments that the constructor takes by name, without those of no effect."""
        return {}

    def _supports(self, method: str) -> bool:
        """Tell whether the store below has a method, which this class itself always has."""
        return has_method(self._store, method)

    def _gets_whole(self, method: str) -> bool:
        """Tell whether the store below answers a get of a whole object by `method`, `get` or `get_async`."""
        below = getattr(self._store, "_gets_whole", None)
        return hasattr(self._store, method) if below is None else bool(below(method))

    def _limits(self) -> PartLimits:
        """Return how long ranges are fetched in parallel: as a splitting store below is told to."""
        below = getattr(self._store, "_limits", None)
        limits: PartLimits = PartLimits() if below is None else below()
        return limits

    def _holds(self, path: str) -> bool:
        """Tell whether this store or one below answers a get of an object from memory."""
        holds = getattr(self._store, "_holds", None)
        return holds is not None and bool(holds(path))

    def _takes_leases(self) -> bool:
        """Tell whether a caching store among the wrapped ones takes leases for what it fetches."""
        takes_leases = getattr(self._store, "_takes_leases", None)
        return takes_leases is not None and bool(takes_leases())

    @property
    def _below(self) -> Any:  # noqa: ANN401 - whatever the caller wrapped, with whatever methods it has
        """The wrapped store, about to be called."""
        check_fork(self._store)
        return self._store

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as typed as the store's own attribute
        """Forward any other public attribute to the wrapped store."""
        if name.startswith("_"):  # above all `_store` itself, which is missing while a copy is being made
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg)
        attribute = getattr(self._store, name)
        if callable(attribute):
            check_fork(self._store, using=False)
        return attribute

    def __copy__(self) -> StoreWrapper:
        return type(self)(self._store, *self._arguments(), **self._options())

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Callable[..., StoreWrapper], tuple[object, ...]]:
        make = partial(type(self), **self._options()) if self._options() else type(self)
        return make, (pickled(self._store, index(protocol)), *self._arguments())

    def __repr__(self) -> str:
        arguments = "".join(f", {argument!r}" for argument in self._arguments())
        arguments += "".join(f", {name}={value!r}" for name, value in self._options().items())
        return redacted(f"{type(self).__name__}({self._store!r}{arguments})")

    def get(self, path: str, *, options: GetOptions | None = None) -> GetResult:
        """Get an object, see [obspec.Get][]."""
        result: GetResult = self._below.get(path, **drop_none(options=options))
        return result

    async def get_async(self, path: str, *, options: GetOptions | None = None) -> GetResultAsync:
        """Get an object, see [obspec.GetAsync][]."""
        result: GetResultAsync = await self._below.get_async(path, **drop_none(options=options))
        return result

    def get_range(self, path: str, *, start: int, end: int | None = None, length: int | None = None) -> Buffer:
        """Get one range of an object, see [obspec.GetRange][]."""
        buffer: Buffer = self._below.get_range(path, start=start, **drop_none(end=end, length=length))
        return buffer

    async def get_range_async(
        self, path: str, *, start: int, end: int | None = None, length: int | None = None
    ) -> Buffer:
        """Get one range of an object, see [obspec.GetRangeAsync][]."""
        buffer: Buffer = await self._below.get_range_async(path, start=start, **drop_none(end=end, length=length))
        return buffer

    def get_ranges(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
        **options: Any,  # noqa: ANN401 - the store's own, such as obstore's coalesce
    ) -> Sequence[Buffer]:
        """Get several ranges of an object, see [obspec.GetRanges][]; `coalesce` and the like are handed on."""
        ranges = drop_none(ends=ends, lengths=lengths)
        buffers: Sequence[Buffer] = self._below.get_ranges(path, starts=starts, **ranges, **options)
        return buffers

    async def get_ranges_async(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
        **options: Any,  # noqa: ANN401 - the store's own, such as obstore's coalesce
    ) -> Sequence[Buffer]:
        """Get several ranges of an object, see [obspec.GetRangesAsync][]."""
        ranges = drop_none(ends=ends, lengths=lengths)
        buffers: Sequence[Buffer] = await self._below.get_ranges_async(path, starts=starts, **ranges, **options)
        return buffers

    def head(self, path: str) -> ObjectMeta:
        """Get an object's metadata, see [obspec.Head][]."""
        meta: ObjectMeta = self._below.head(path)
        return meta

    async def head_async(self, path: str) -> ObjectMeta:
        """Get an object's metadata, see [obspec.HeadAsync][]."""
        meta: ObjectMeta = await self._below.head_async(path)
        return meta
