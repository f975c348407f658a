"""The base of all wrappers: forward every call, copy and pickle."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from obspec_utils._about import VERSION
from obspec_utils._io.fork import check_fork
from obspec_utils._io.interruptible import interruptible
from obspec_utils._io.logs import async_method_of, method_of
from obspec_utils._io.multipart import PartLimits
from obspec_utils._io.response import has_method
from obspec_utils._redact import redact_error, redacted
from obspec_utils._validation import check_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import obspec
    from obspec import GetOptions, GetResult, GetResultAsync, ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils.protocols import ReadableStore

__all__ = ["StoreWrapper", "drop_none"]


def _unpickle(
    version: str, kind: Callable[..., StoreWrapper], arguments: tuple[object, ...], options: dict[str, Any]
) -> StoreWrapper:
    if version != VERSION:
        raise _other_version(kind, version)
    return kind(*arguments, **options)


def _other_version(kind: object, version: str) -> RuntimeError:
    name = getattr(kind, "__name__", kind)
    return RuntimeError(
        f"this {name} was pickled by obspec-utils {version}, but this process has {VERSION}: install the same version "
        "in all processes"
    )


def drop_none(**arguments: object) -> dict[str, Any]:
    """Return the arguments that are not None, so that the defaults and errors stay those of the store."""
    return {name: value for name, value in arguments.items() if value is not None}


class StoreWrapper:
    """A store that forwards everything to the store it wraps.

    Subclasses override what they change. `copy` and `pickle` call the constructor with `_arguments()` and `_options()`;
    a wrapper can be pickled if its store can.

    Parameters
    ----------
    store
        Any object with the obspec methods to be called.

    Raises
    ------
    TypeError
        If `store` has no method of a store.
    """

    _store: ReadableStore

    if TYPE_CHECKING:
        # Forwarded by `__getattr__`; these declare the types.
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
        """Return the positional arguments of the constructor after `store`."""
        return ()

    def _options(self) -> dict[str, Any]:
        """Return the keyword arguments of the constructor, without defaults."""
        return {}

    def _supports(self, method: str) -> bool:
        """Return whether the wrapped store has a method; this class has all of them."""
        return has_method(self._store, method)

    def _gets_whole(self, method: str) -> bool:
        """Return whether the wrapped store serves whole objects by `method`, `get` or `get_async`."""
        inner = getattr(self._store, "_gets_whole", None)
        return hasattr(self._store, method) if inner is None else bool(inner(method))

    def _limits(self) -> PartLimits:
        """Return the limits of parallel parts: those of a splitting store inside, or the defaults."""
        inner = getattr(self._store, "_limits", None)
        limits: PartLimits = PartLimits() if inner is None else inner()
        return limits

    def _holds(self, path: str) -> bool:
        """Return whether this store or one inside serves an object from memory."""
        holds = getattr(self._store, "_holds", None)
        return holds is not None and bool(holds(path))

    def _takes_leases(self) -> bool:
        """Return whether a caching store inside takes leases for its fetches."""
        takes_leases = getattr(self._store, "_takes_leases", None)
        return takes_leases is not None and bool(takes_leases())

    @property
    def _checked_store(self) -> Any:  # noqa: ANN401 - any store, with any methods
        """The wrapped store, checked to be usable in this process: it may have been forked."""
        check_fork(self._store)
        return self._store

    def _forward(self, method: str, *args: object, **options: object) -> Any:  # noqa: ANN401 - any store's result
        """Call a method of the wrapped store so that Ctrl-C ends the call at once."""
        call = method_of(self._checked_store, method)
        try:
            return interruptible(partial(call, *args, **options))
        except Exception as error:
            redact_error(error)
            raise

    async def _forward_async(self, method: str, *args: object, **options: object) -> Any:  # noqa: ANN401 - any result
        """Call an async method of the wrapped store."""
        call = async_method_of(self._checked_store, method)
        try:
            return await call(*args, **options)
        except Exception as error:
            redact_error(error)
            raise

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as typed as the store's own attribute
        """Forward any other public attribute to the wrapped store."""
        if name.startswith("_"):  # such as `_store` itself, which is missing while a copy is made
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg)
        attribute = getattr(self._store, name)
        if callable(attribute):
            check_fork(self._store, using=False)
        return attribute

    def __copy__(self) -> StoreWrapper:
        return type(self)(self._store, *self._arguments(), **self._options())

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (VERSION, type(self), (self._store, *self._arguments()), self._options())

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401 - what only pickles of 0.9 have
        raise _other_version(type(self), "0.9")

    def __repr__(self) -> str:
        arguments = "".join(f", {argument!r}" for argument in self._arguments())
        arguments += "".join(f", {name}={value!r}" for name, value in self._options().items())
        return redacted(f"{type(self).__name__}({self._store!r}{arguments})")

    def get(self, path: str, *, options: GetOptions | None = None) -> GetResult:
        """Get an object as `obspec.Get` does; the body is read when the result is consumed."""
        result: GetResult = self._forward("get", path, **drop_none(options=options))
        return result

    async def get_async(self, path: str, *, options: GetOptions | None = None) -> GetResultAsync:
        """Get an object as `obspec.GetAsync` does; the body is read when the result is consumed."""
        result: GetResultAsync = await self._forward_async("get_async", path, **drop_none(options=options))
        return result

    def get_range(self, path: str, *, start: int, end: int | None = None, length: int | None = None) -> Buffer:
        """Return the bytes from `start` up to `end`, or `length` bytes, as `obspec.GetRange` does."""
        buffer: Buffer = self._forward("get_range", path, start=start, **drop_none(end=end, length=length))
        return buffer

    async def get_range_async(
        self, path: str, *, start: int, end: int | None = None, length: int | None = None
    ) -> Buffer:
        """Return the bytes from `start` up to `end`, or `length` bytes, as `obspec.GetRangeAsync` does."""
        buffer: Buffer = await self._forward_async(
            "get_range_async", path, start=start, **drop_none(end=end, length=length)
        )
        return buffer

    def get_ranges(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
        **options: Any,  # noqa: ANN401 - options of the store, such as obstore's coalesce
    ) -> Sequence[Buffer]:
        """Return several ranges as `obspec.GetRanges` does; options such as `coalesce` are forwarded."""
        ranges = drop_none(ends=ends, lengths=lengths)
        buffers: Sequence[Buffer] = self._forward("get_ranges", path, starts=starts, **ranges, **options)
        return buffers

    async def get_ranges_async(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
        **options: Any,  # noqa: ANN401 - options of the store, such as obstore's coalesce
    ) -> Sequence[Buffer]:
        """Return several ranges as `obspec.GetRangesAsync` does; options such as `coalesce` are forwarded."""
        ranges = drop_none(ends=ends, lengths=lengths)
        buffers: Sequence[Buffer] = await self._forward_async(
            "get_ranges_async", path, starts=starts, **ranges, **options
        )
        return buffers

    def head(self, path: str) -> ObjectMeta:
        """Return an object's metadata, such as its size and ETag, as `obspec.Head` does."""
        meta: ObjectMeta = self._forward("head", path)
        return meta

    async def head_async(self, path: str) -> ObjectMeta:
        """Return an object's metadata, such as its size and ETag, as `obspec.HeadAsync` does."""
        meta: ObjectMeta = await self._forward_async("head_async", path)
        return meta
