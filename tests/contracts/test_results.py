"""What a get returns can be read in every way, again, and without any effect on what others get."""

from __future__ import annotations

import pytest

from tests.contracts._objects import CONTENTS, DATA, EMPTY, MANY_PARTS
from tests.contracts._outcomes import READS, read_result, read_result_async
from tests.contracts._stacks import ANSWERING_STACKS, CACHING_STACKS

pytestmark = pytest.mark.timeout(60)
_PATHS = (DATA, EMPTY, MANY_PARTS)


@pytest.fixture(params=ANSWERING_STACKS)
def stack(request, library):
    if library.kind == "memory" and request.param.endswith("splitting"):
        return f"{request.param}-tracing"  # splitting right above a MemoryStore hands on the store's own result
    return request.param


def test_a_result_can_be_read_twice_in_every_way(library, stack):
    for path in _PATHS:
        result = library.cold(stack).get(path)
        for how in READS * 2:
            assert read_result(result, how) == CONTENTS[path], (path, how)


async def test_a_result_of_get_async_can_be_read_twice_in_every_way(library, stack):
    for path in _PATHS:
        result = await library.cold(stack).get_async(path)
        for how in READS * 2:
            assert await read_result_async(result, how) == CONTENTS[path], (path, how)


async def test_a_sync_result_can_be_read_async_and_the_other_way_round(library, stack):
    store = library.warm(stack)
    from_sync, from_async = store.get(MANY_PARTS), await store.get_async(MANY_PARTS)
    for how in READS:
        for result in (from_sync, from_async):
            assert await read_result_async(result, how) == CONTENTS[MANY_PARTS], how
            assert read_result(result, how) == CONTENTS[MANY_PARTS], how


async def test_a_cold_sync_result_can_be_read_async(library, stack):
    for how in READS:
        result = library.cold(stack).get(MANY_PARTS)
        assert await read_result_async(result, how) == CONTENTS[MANY_PARTS], how


def test_a_buffer_is_contiguous_and_read_only(library, stack):
    view = memoryview(library.cold(stack).get(MANY_PARTS).buffer())
    assert view.contiguous
    assert view.readonly
    assert view.nbytes == len(CONTENTS[MANY_PARTS])


def test_chunks_of_a_stream_have_the_least_size(library, stack):
    result = library.cold(stack).get(MANY_PARTS)
    for size in (1, 50, 128, 300, 1 << 20):
        chunks = list(result.stream(min_chunk_size=size))
        assert b"".join(map(bytes, chunks)) == CONTENTS[MANY_PARTS], size
        assert all(memoryview(chunk).nbytes >= size for chunk in chunks[:-1]), size


async def test_chunks_of_an_async_stream_have_the_least_size(library, stack):
    result = await library.cold(stack).get_async(MANY_PARTS)
    chunks = [chunk async for chunk in result.stream(min_chunk_size=300)]
    assert b"".join(map(bytes, chunks)) == CONTENTS[MANY_PARTS]
    assert all(memoryview(chunk).nbytes >= 300 for chunk in chunks[:-1])


def test_a_result_read_half_can_be_read_from_the_start(library, stack):
    result = library.cold(stack).get(MANY_PARTS)
    next(iter(result))
    next(iter(result.stream(min_chunk_size=300)))
    assert read_result(result, "iteration") == CONTENTS[MANY_PARTS]
    assert read_result(result, "buffer") == CONTENTS[MANY_PARTS]


def test_a_result_of_a_range_holds_that_range_only(library, stack):
    result = library.warm(stack).get(MANY_PARTS, options={"range": (200, 700)})
    for how in READS:
        if how != READS[0] and "caching" not in stack:  # a range passes through to the store, whose result ends
            result = library.warm(stack).get(MANY_PARTS, options={"range": (200, 700)})
        assert read_result(result, how) == CONTENTS[MANY_PARTS][200:700], how


@pytest.mark.parametrize("stack", CACHING_STACKS)
def test_a_caller_that_changes_metadata_changes_only_its_own(library, stack):
    store = library.cold(stack)
    meta, attributes = dict(library.store.get(DATA).meta), dict(library.store.get(DATA).attributes)
    for _ in range(2):
        result = store.get(DATA)
        result.meta.clear()
        result.attributes.clear()
        store.head(DATA).clear()
    assert store.head(DATA) == meta
    assert store.get(DATA).meta == meta
    assert store.get(DATA).attributes == attributes
