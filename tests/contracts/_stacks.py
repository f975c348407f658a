"""Every stack of wrappers the contract is checked on, by name, the outermost wrapper first."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

from obspec_utils.wrappers import (
    CachingReadableStore,
    CoalescingReadableStore,
    RequestTrace,
    SplittingReadableStore,
    TracingReadableStore,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ANSWERING_STACKS",
    "BLOCK_SIZE",
    "BLOCK_STACKS",
    "CACHING_STACKS",
    "MAX_SIZE",
    "STACKS",
    "build",
    "layers",
    "stacks_on",
]

# Small enough for the objects of `_objects` to come in several parts and several batches.
REQUEST_SIZE = 128
MAX_CONCURRENT = 2
MAX_SIZE = 1 << 20

_NAMES = ("caching", "splitting", "tracing")
_ORDERS = [order for depth in (1, 2, 3) for order in permutations(_NAMES, depth)]
_REPEATS = [(name, name) for name in _NAMES] + [
    ("caching", "tracing", "caching"),
    ("splitting", "caching", "splitting"),
]
# Caches of blocks, smaller than what they are asked for, and of blocks where objects are large.
_BLOCKS = [
    ("blocks",),
    ("blocks", "splitting"),
    ("splitting", "blocks"),
    ("blocks", "tracing"),
    ("caching", "blocks"),
    ("blocks", "auto"),
    ("checked",),
]
# Joins the ranges of one get_ranges call, and cuts those of the larger objects.
_COALESCED = [
    ("coalescing",),
    ("coalescing", "coalescing"),
    ("coalescing", "caching"),
    ("blocks", "coalescing"),
    ("splitting", "coalescing", "tracing"),
]
BLOCK_SIZE = 50

# All stacks are read on a store in memory and over HTTP; on the other kinds of store, one stack of every sort.
_KINDS_OF_ALL_STACKS = ("memory", "s3-own", "aiohttp")
_STACKS_OF_OTHER_KINDS = (
    "caching",
    "splitting-caching",
    "caching-tracing-splitting",
    "blocks-splitting",
    "checked",
    "coalescing",
)

STACKS = ["-".join(order) for order in _ORDERS + _REPEATS + _BLOCKS + _COALESCED]
CACHING_STACKS = [stack for stack in STACKS if "caching" in stack]
BLOCK_STACKS = ["-".join(order) for order in _BLOCKS]
# Those whose whole objects are answered by a wrapper's result, and not by the store's own.
ANSWERING_STACKS = [stack for stack in STACKS if "caching" in stack or "splitting" in stack or stack in BLOCK_STACKS]
_CACHES: dict[str, dict[str, Any]] = {
    "caching": {},
    "blocks": {"block_size": BLOCK_SIZE},
    "auto": {"block_size": "auto"},
    "checked": {"block_size": BLOCK_SIZE, "max_age": 0},
}


def stacks_on(kind: str) -> Sequence[str]:
    """Return the stacks to check on a kind of store."""
    return STACKS if kind in _KINDS_OF_ALL_STACKS else _STACKS_OF_OTHER_KINDS


def build(stack: str, store: Any, *, max_size: int = MAX_SIZE, trace: RequestTrace | None = None) -> Any:
    """Stack wrappers over a store; tracing ones share `trace`."""
    for name in reversed(stack.split("-")):
        if name in _CACHES:
            store = CachingReadableStore(store, max_size=max_size, **_CACHES[name])
        elif name == "splitting":
            store = SplittingReadableStore(store, REQUEST_SIZE, MAX_CONCURRENT)
        elif name == "coalescing":
            store = CoalescingReadableStore(store, max_gap=1, max_request_size=REQUEST_SIZE)
        else:
            store = TracingReadableStore(store, RequestTrace() if trace is None else trace)
    return store


def layers(store: Any, bare: Any) -> list[Any]:
    """Return the wrappers around a bare store, the outermost first."""
    found = []
    while store is not bare:
        found.append(store)
        store = store._store
    return found
