"""Read Zarr arrays and groups through any obspec store, wrapped ones too."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Protocol

from obspec import GetAsync, GetRangeAsync, HeadAsync

try:
    from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
    from zarr.abc.store import Store as ZarrStore
except ImportError as error:
    _message = "ObspecStore requires zarr 3.1.3 or newer: install it with `pip install 'obspec-utils[zarr]'`"
    raise ImportError(_message) from error

from obspec_utils._io.backends import ASYNC
from obspec_utils._io.clamped import read_clamped
from obspec_utils._io.fork import check_fork
from obspec_utils._io.listing import checked_listing
from obspec_utils._io.not_found import is_below_a_file, raise_not_found
from obspec_utils._io.response import has_method, unwrap
from obspec_utils._ranges import ByteRange
from obspec_utils._redact import redacted, shown
from obspec_utils._validation import check_store
from obspec_utils.wrappers._turns import MAX_IN_FLIGHT, Limits, read_ranges

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncIterator, Iterable, Sequence

    from obspec import ObjectMeta
    from typing_extensions import Buffer as Body
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

    from obspec_utils._io.clamped import Wanted

__all__ = ["ObspecStore"]

# zarr's defaults for the requests that ranges are joined to, in bytes.
_MAX_GAP = 1 << 20
_MAX_REQUEST_SIZE = 16 << 20


class ObspecStore(ZarrStore):
    """A read-only store for zarr over any obspec store, such as a wrapper of this library.

    Keys are paths in the store. A byte range of a key is what a slice of its bytes is. Two of these stores are equal if
    the stores they read from are, however those are wrapped. It can be pickled if the store can.

    Parameters
    ----------
    store
        Any store with `get_async`, `get_range_async` and `head_async`. Without `list_async`, the members of a group are
        known only from consolidated metadata.

    Raises
    ------
    TypeError
        If `store` is not a store, or lacks one of these methods.

    Examples
    --------
    ```python
    import xarray as xr
    from obspec_utils.zarr import ObspecStore

    dataset = xr.open_zarr(ObspecStore(store))
    ```
    """

    class Store(GetAsync, GetRangeAsync, HeadAsync, Protocol):
        """The methods that a store must have."""

    def __init__(self, store: Store) -> None:
        check_store(store)
        for method in ("get_async", "get_range_async", "head_async"):
            if not has_method(store, method):
                msg = f"store must have {method}(), got {shown(store)}: pass a store such as one of obstore.store"
                raise TypeError(msg)
        super().__init__(read_only=True)
        self.store = store

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObspecStore) and unwrap(self.store) == unwrap(other.store)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return redacted(f"{type(self).__name__}({self.store!r})")

    @property
    def supports_writes(self) -> bool:
        """False."""
        return False

    @property
    def supports_deletes(self) -> bool:
        """False."""
        return False

    @property
    def supports_listing(self) -> bool:
        """Whether the store can list."""
        return has_method(self.store, "list_async")

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return the bytes of a key, or a range of them; None if the key is missing."""
        wanted = _parse(byte_range)
        try:
            body = await read_clamped(ASYNC, self.store, key, wanted)
        except Exception as error:
            if _is_missing(error):
                return None
            raise
        return prototype.buffer.from_bytes(memoryview(body))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> builtins.list[Buffer | None]:
        """Return byte ranges of several keys, those of one key by few requests; None where the key is missing."""
        requests = list(key_ranges)
        found: builtins.list[Buffer | None] = [None] * len(requests)
        numbers: dict[str, builtins.list[int]] = {}
        for number, (key, _) in enumerate(requests):
            numbers.setdefault(key, []).append(number)
        keys = list(numbers)
        limits, in_flight = Limits(0, _MAX_REQUEST_SIZE), max(1, MAX_IN_FLIGHT // max(1, len(keys)))

        async def read(key: str) -> None:
            try:
                bodies = await self._read_many(key, [requests[number][1] for number in numbers[key]], limits, in_flight)
            except Exception as error:
                if _is_missing(error):
                    return
                raise
            for number, body in zip(numbers[key], bodies, strict=True):
                found[number] = prototype.buffer.from_bytes(memoryview(body))

        await ASYNC.gather(lambda number: read(keys[number]), len(keys), MAX_IN_FLIGHT)
        return found

    async def get_ranges(
        self,
        key: str,
        byte_ranges: Sequence[ByteRequest | None],
        *,
        prototype: BufferPrototype,
        max_concurrency: int = MAX_IN_FLIGHT,
        max_gap_bytes: int = _MAX_GAP,
        max_coalesced_bytes: int = _MAX_REQUEST_SIZE,
    ) -> AsyncIterator[Sequence[tuple[int, Buffer | None]]]:
        """Return byte ranges of one key by few requests, as zarr reads parts of shards from 3.4 on.

        At most `max_concurrency` requests are in flight. Ranges with up to `max_gap_bytes` between them are joined to
        requests of up to `max_coalesced_bytes`; the bytes between are fetched, too. All ranges are yielded at once.

        Raises
        ------
        ExceptionGroup
            Of the first error, which is FileNotFoundError if the key is missing.
        """
        limits = Limits(max_gap_bytes, max_coalesced_bytes)
        try:
            with raise_not_found(self.store, key):
                bodies = await self._read_many(key, byte_ranges, limits, max_concurrency)
        except Exception as error:  # noqa: BLE001 - zarr's interface
            msg = f"can't read byte ranges of {key!r}"
            raise ExceptionGroup(msg, [error]) from None
        if bodies:
            yield [(number, prototype.buffer.from_bytes(memoryview(body))) for number, body in enumerate(bodies)]

    async def _read_many(
        self, key: str, byte_ranges: Sequence[ByteRequest | None], limits: Limits, in_flight: int
    ) -> builtins.list[Body]:
        """Return several ranges: those with a start and an end by one plan, the others by a request each."""
        wanted = [_parse(byte_range) for byte_range in byte_ranges]
        spans = {n: ByteRange(*one) for n, one in enumerate(wanted) if isinstance(one, tuple) and one[0] < one[1]}
        found: dict[int, Body] = {}
        if spans:
            # A range that is longer than the limit is one request, as zarr expects.
            limits = limits._replace(max_size=max(limits.max_size, *(span.length for span in spans.values())))
            planned = await read_ranges(ASYNC, self.store, key, [*spans.values()], limits, in_flight)
            found.update(zip(spans, planned or (), strict=False))
        alone = [number for number in range(len(wanted)) if number not in found]
        bodies = await ASYNC.gather(
            lambda number: read_clamped(ASYNC, self.store, key, wanted[alone[number]]), len(alone), in_flight
        )
        found.update(zip(alone, bodies, strict=True))
        return [found[number] for number in range(len(wanted))]

    async def exists(self, key: str) -> bool:
        """Return whether a key exists."""
        try:
            await self.getsize(key)
        except FileNotFoundError:
            return False
        return True

    async def getsize(self, key: str) -> int:
        """Return the number of bytes of a key; raise FileNotFoundError if it is missing."""
        check_fork(self.store)
        with raise_not_found(self.store, key):
            meta: ObjectMeta = await ASYNC.invoke(self.store, "head", key)
        return meta["size"]

    async def getsize_prefix(self, prefix: str) -> int:
        """Return the number of bytes of all keys below a prefix, as listed."""
        return sum([meta["size"] async for meta in self._list(prefix)])

    def list(self) -> AsyncIterator[str]:
        """List all keys."""
        return self.list_prefix("")

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """List all keys below a prefix, which is one of whole segments, as in all obspec stores."""
        async for meta in self._list(prefix):
            yield meta["path"]

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List the names right below a prefix."""
        self._check_listing("list_with_delimiter_async")
        prefix = prefix.strip("/")
        with checked_listing(self.store) as store:
            found = await store.list_with_delimiter_async(prefix or None)
        paths = [*found["common_prefixes"], *(meta["path"] for meta in found["objects"])]
        for name in dict.fromkeys(path.removeprefix(prefix).strip("/") for path in paths):
            if name:
                yield name

    async def _list(self, prefix: str) -> AsyncIterator[ObjectMeta]:
        self._check_listing("list_async")
        with checked_listing(self.store) as store:
            async for page in store.list_async(prefix or None):
                for meta in page:
                    yield meta

    def _check_listing(self, method: str) -> None:
        if not has_method(self.store, method):
            msg = (
                f"{self!r} can't list, because its store has no {method}(): "
                "open groups with consolidated metadata, and arrays by their path"
            )
            raise NotImplementedError(msg)

    def _check_writable(self) -> NoReturn:
        msg = (
            "store was opened in read-only mode and does not support writing: "  # zarr's words
            "ObspecStore is read-only, write with zarr.storage.ObjectStore"
        )
        raise ValueError(msg)

    async def set(self, key: str, value: Buffer) -> None:  # noqa: ARG002
        """Raise ValueError, as all methods that write."""
        self._check_writable()

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Raise ValueError."""
        await self.set(key, value)

    async def delete(self, key: str) -> None:  # noqa: ARG002
        """Raise ValueError."""
        self._check_writable()

    async def delete_dir(self, prefix: str) -> None:  # noqa: ARG002
        """Raise ValueError."""
        self._check_writable()

    async def clear(self) -> None:
        """Raise ValueError."""
        self._check_writable()

    def with_read_only(self, read_only: bool = False) -> ZarrStore:  # noqa: FBT001, FBT002 - zarr's interface
        """Return a new store over the same one; raise NotImplementedError if it is to be writable."""
        return type(self)(self.store) if read_only else super().with_read_only(read_only)


def _parse(byte_range: ByteRequest | None) -> Wanted:
    """Return a byte range as obspec expects it."""
    match byte_range:
        case None:
            return None
        case RangeByteRequest(start, end) if 0 <= start <= end:
            return (start, end)
        case OffsetByteRequest(offset) if offset >= 0:
            return {"offset": offset}
        case SuffixByteRequest(suffix) if suffix >= 0:
            return {"suffix": suffix}
    msg = (
        f"Unexpected byte_range, got {shown(byte_range)}: pass zarr's RangeByteRequest(start, end) "
        "with 0 <= start <= end, OffsetByteRequest(offset) or SuffixByteRequest(suffix)"
    )
    raise ValueError(msg)


def _is_missing(error: Exception) -> bool:
    return isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError) or is_below_a_file(error)
