"""Bytes kept in the memory of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obstore import Bytes

from obspec_utils._validation import positive_int
from obspec_utils.caches._lru import LruCache
from obspec_utils.caches._protocol import Cache

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

__all__ = ["MemoryCache"]


class MemoryCache(Cache):
    """Values in memory, those not used for longest forgotten first: what a `CachingReadableStore` makes by default.

    Given to several stores, they share its budget, not its contents. It is pickled and copied empty.

    Parameters
    ----------
    max_size
        The most bytes kept, and 65,536 values at most.

    Raises
    ------
    ValueError
        If `max_size` is not positive.
    """

    def __init__(self, max_size: int = 256 * 1024 * 1024) -> None:
        self.max_size = positive_int("max_size", max_size)
        # Beside what users put there by text keys, stores keep blocks, by keys that are told when they have left.
        self.values: LruCache[Any, Any] = LruCache(self.max_size, _notify)

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return self.values.size

    @property
    def evictions(self) -> int:
        """How many values have made room for others."""
        return self.values.evictions

    def get(self, key: str) -> Buffer | None:
        """Return what was put under a key, or None."""
        value: Buffer | None = self.values.get(key)
        return value

    def put(self, key: str, value: Buffer) -> None:
        """Keep a value, of any kind of buffer; what could change is copied."""
        kept = value if isinstance(value, bytes | Bytes) else memoryview(value).tobytes()
        self.values.put(key, kept, len(kept))

    def delete(self, key: str) -> None:
        """Forget a key, if it is there."""
        self.values.delete(key)

    def clear(self) -> None:
        """Forget everything."""
        self.values.clear()

    def __reduce__(self) -> tuple[Callable[..., MemoryCache], tuple[int]]:
        return type(self), (self.max_size,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.max_size})"


def _notify(key: Any) -> None:  # noqa: ANN401 - a user's text, or a store's own key
    on_evict = getattr(key, "on_evict", None)
    if on_evict is not None:
        on_evict()
