"""Slices through ObspecFileSystem are slices of the object's bytes, whatever the store can do."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.exceptions import NotSupportedError
from obstore.store import MemoryStore

from obspec_utils.fsspec import ObspecFileSystem
from obspec_utils.wrappers import CachingReadableStore, CoalescingReadableStore, SplittingReadableStore

BOUND = st.none() | st.integers(-40, 40) | st.sampled_from([-(2**70), 2**40, 2**70])


class IgnoresOptions(MemoryStore):
    """Returns the whole object for any range, as minimal stores do."""

    async def get_async(self, path, *, options=None):
        del options
        return await super().get_async(path)


class WithoutSuffixes(MemoryStore):
    """Refuses suffix ranges, as Azure does."""

    async def get_async(self, path, *, options=None):
        wanted = (options or {}).get("range")
        if isinstance(wanted, dict) and "suffix" in wanted:
            msg = "Operation not supported"
            raise NotSupportedError(msg)
        return await super().get_async(path, options=options)


STORES = {
    "memory": MemoryStore,
    "ignores options": IgnoresOptions,
    "without suffixes": WithoutSuffixes,
    "caching": lambda: CachingReadableStore(MemoryStore()),
    "blocks": lambda: CachingReadableStore(MemoryStore(), block_size=7),
    "splitting": lambda: SplittingReadableStore(MemoryStore(), request_size=5),
    "coalescing": lambda: CoalescingReadableStore(MemoryStore(), max_request_size=3),
}


@pytest.mark.parametrize("make", STORES.values(), ids=STORES)
@given(
    size=st.integers(0, 30),
    slices=st.lists(st.tuples(BOUND, BOUND), max_size=8),
    max_gap=st.sampled_from([None, 0, 3, 100]),
)
def test_slices_are_those_of_bytes(make, size, slices, max_gap):
    store, content = make(), bytes(range(size))
    store.put("a", content)

    async def run():
        fs = ObspecFileSystem(store, asynchronous=True)
        starts, ends = [start for start, _ in slices], [end for _, end in slices]
        together = await fs._cat_ranges(["a"] * len(slices), starts, ends, max_gap=max_gap, on_error="raise")
        alone = [await fs._cat_file("a", start, end) for start, end in slices]
        return together, alone

    expected = [content[start:end] for start, end in slices]
    assert asyncio.run(run()) == (expected, expected)
