"""What a cache is to the library: bytes by key, in a place that may forget them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Buffer

__all__ = ["Cache", "Lease", "LeasingCache", "ManyCache"]


@runtime_checkable
class Cache(Protocol):
    """A place for bytes, shared by whoever is given it.

    Implement these four methods to keep what a `CachingReadableStore` fetches in a place of your own. They are called
    from several threads at once, never from an event loop's thread, and may block; reads wait for them without a limit,
    so what they call should have timeouts. A cache is free to forget anything at any time; it must never return bytes
    that were not put under that very key, nor some of them. An error it raises counts as "not there", and is warned of
    once.

    If it has an attribute `max_size`, values of more bytes than that are not offered to it.
    """

    def get(self, key: str) -> Buffer | None:
        """Return what was put under a key, all of it, or None."""
        ...

    def put(self, key: str, value: Buffer) -> None:
        """Keep a value, in place of what was there; `value` is only valid, and unchanged, during the call."""
        ...

    def delete(self, key: str) -> None:
        """Forget a key, if it is there."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


class Lease(Protocol):
    """The right to fetch what belongs under a key."""

    def release(self) -> None:
        """Give it back: the value is there now, or will not be."""
        ...


@runtime_checkable
class LeasingCache(Protocol):
    """A cache through which processes agree on who fetches a missing value. Optional."""

    def lease(self, key: str) -> Lease | None:
        """Take the right to fetch what belongs under a key, at once; None while somebody else has it.

        It ends by itself, soon after its holder died. Where the cache can't tell, everybody gets it.
        """
        ...


@runtime_checkable
class ManyCache(Protocol):
    """A cache that does for many keys in one go what else takes a round trip for each. Each method is optional."""

    def get_many(self, keys: Sequence[str]) -> list[Buffer | None]:
        """Return what `get` would return for each key."""
        ...

    def put_many(self, values: Mapping[str, Buffer]) -> None:
        """Keep each value by its key, as `put` does."""
        ...

    def lease_many(self, keys: Sequence[str]) -> tuple[list[str], Lease]:
        """Take the right to fetch what belongs under those of the keys that nobody else has it for.

        Returns these keys, and one lease for all of them. Only asked of a cache that has `lease`, too.
        """
        ...
