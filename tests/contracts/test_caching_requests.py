"""What a cache asks its store for: each object once, and nothing it could know."""

from __future__ import annotations

import pytest

from obspec_utils.wrappers import CachingReadableStore, RequestTrace, TracingReadableStore
from tests.contracts._objects import CONTENTS, DATA, EMPTY, MANY_PARTS
from tests.contracts._stacks import CACHING_STACKS, build
from tests.contracts._stores import OnlyGet

pytestmark = pytest.mark.timeout(60)
_SMALL = 500  # less than MANY_PARTS has


def _traced(stack, library, **options):
    """Return a stack with a trace of what reaches the bare store."""
    trace = RequestTrace()
    return build(stack, TracingReadableStore(library.store, trace), **options), trace


def _hits(tag):
    """Return what a cached object answers, by calls with a store."""
    return {
        "get": lambda store: bytes(store.get(DATA).buffer()) == CONTENTS[DATA],
        "empty options": lambda store: bytes(store.get(DATA, options={}).buffer()) == CONTENTS[DATA],
        "range": lambda store: store.get(DATA, options={"range": (1, 9)}).range == (1, 9),
        "offset": lambda store: store.get(DATA, options={"range": {"offset": 9}}).range == (9, 300),
        "suffix": lambda store: store.get(DATA, options={"range": {"suffix": 9}}).range == (291, 300),
        "if_match": lambda store: store.get(DATA, options={"if_match": tag}).range == (0, 300),
        "if_none_match": lambda store: store.get(DATA, options={"if_none_match": '"x"'}).range == (0, 300),
        "get_range": lambda store: bytes(store.get_range(DATA, start=1, end=9)) == CONTENTS[DATA][1:9],
        "get_ranges": lambda store: (
            [len(bytes(b)) for b in store.get_ranges(DATA, starts=[1, 9], lengths=[5, 6])] == [5, 6]
        ),
        "coalesce": lambda store: len(store.get_ranges(DATA, starts=[1, 9], lengths=[5, 6], coalesce=0)) == 2,
        "head": lambda store: store.head(DATA)["size"] == 300,
        "another spelling": lambda store: bytes(store.get(f"/{DATA}/").buffer()) == CONTENTS[DATA],
    }


@pytest.mark.parametrize("stack", CACHING_STACKS)
def test_a_cached_object_needs_no_request(library, stack):
    store, trace = _traced(stack, library)
    store.get(DATA).buffer()
    asked = trace.total_requests
    for name, holds in _hits(library.meta["e_tag"]).items():
        assert holds(store), name
        assert trace.total_requests == asked, name


@pytest.mark.parametrize("stack", CACHING_STACKS)
async def test_a_cached_object_needs_no_async_request(library, stack):
    store, trace = _traced(stack, library)
    await (await store.get_async(DATA)).buffer_async()
    asked = trace.total_requests
    assert bytes(await (await store.get_async(DATA)).buffer_async()) == CONTENTS[DATA]
    assert bytes(await store.get_range_async(DATA, start=1, length=8)) == CONTENTS[DATA][1:9]
    assert len(await store.get_ranges_async(DATA, starts=[1, 9], lengths=[5, 6])) == 2
    assert (await store.head_async(DATA))["size"] == len(CONTENTS[DATA])
    assert trace.total_requests == asked


@pytest.mark.parametrize("stack", CACHING_STACKS)
def test_any_first_read_fills_the_cache(library, stack):
    for first in ("get_range", "get_ranges", "range", "offset"):
        store, trace = _traced(stack, library)
        assert _hits(None)[first](store), first
        asked = trace.total_requests
        assert bytes(store.get(DATA).buffer()) == CONTENTS[DATA], first
        assert trace.total_requests == asked > 0, first


@pytest.mark.parametrize("stack", CACHING_STACKS)
def test_a_cached_empty_object_needs_no_request(library, stack):
    store, trace = _traced(stack, library)
    assert bytes(store.get(EMPTY).buffer()) == b""
    asked = trace.total_requests
    assert bytes(store.get(EMPTY).buffer()) == b""
    assert store.head(EMPTY)["size"] == 0
    assert trace.total_requests == asked > 0


@pytest.mark.parametrize("kind", ["s3_store", "http_store"])
def test_the_server_sees_one_request_an_object(object_server, kind):
    object_server.put(f"counted/{DATA}", CONTENTS[DATA])
    store = CachingReadableStore(getattr(object_server, kind)("counted"))
    for holds in _hits(store.get(DATA).meta["e_tag"]).values():
        assert holds(store)
    assert [(request.method, request.start) for request in object_server.log()] == [("GET", None)]


@pytest.mark.parametrize(
    "options",
    [
        {"if_match": "this"},
        {"if_none_match": '"other"'},
        {"if_match": "this", "range": (1, 9)},
        {"head": True},
        {"range": {"suffix": 0}},
        {"range": (5, 5)},
        {"range": (9, 5)},
        {"range": (5,)},
        {"unknown": 1},
    ],
    ids=str,
)
def test_what_only_the_store_answers_is_one_request_and_fills_nothing(library, options):
    options = {name: library.meta["e_tag"] if value == "this" else value for name, value in options.items()}
    trace = RequestTrace()
    store = CachingReadableStore(TracingReadableStore(library.store, trace))
    for count in (1, 2):
        try:
            store.get(DATA, options=options)
        except Exception as error:  # noqa: BLE001 - which one it is, is asserted elsewhere
            assert type(error).__name__ in {"GenericError", "NotSupportedError", "ValueError"}  # noqa: PT017
        assert trace.total_requests == count
    assert store.cached_paths == []


def test_head_of_a_cold_object_fills_nothing(library):
    trace = RequestTrace()
    store = CachingReadableStore(TracingReadableStore(library.store, trace))
    assert store.head(DATA) == library.store.head(DATA)
    assert [record.method for record in trace.requests] == ["head"]
    assert store.cached_paths == []


def test_an_object_too_large_is_served_and_remembered(library):
    trace = RequestTrace()
    store = CachingReadableStore(TracingReadableStore(library.store, trace), max_size=_SMALL)
    for _ in range(2):
        assert bytes(store.get(MANY_PARTS).buffer()) == CONTENTS[MANY_PARTS]
    assert bytes(store.get_range(MANY_PARTS, start=5, end=10)) == CONTENTS[MANY_PARTS][5:10]
    assert store.get(MANY_PARTS, options={"range": (5, 10)}).range == (5, 10)
    assert [len(bytes(b)) for b in store.get_ranges(MANY_PARTS, starts=[1, 600], lengths=[5, 6])] == [5, 6]
    assert [record.method for record in trace.requests] == [
        "get",
        "get",
        "get_range",
        "get",
        "get_ranges",
        "get_ranges",
    ]
    assert store.cached_paths == []
    assert store.cache_size == 0


async def test_an_object_too_large_is_served_and_remembered_async(library):
    trace = RequestTrace()
    store = CachingReadableStore(TracingReadableStore(library.store, trace), max_size=_SMALL)
    content = CONTENTS[MANY_PARTS]
    for _ in range(2):
        assert bytes(await store.get_range_async(MANY_PARTS, start=5, end=10)) == content[5:10]
    assert bytes(await (await store.get_async(MANY_PARTS)).buffer_async()) == content
    # The first read learns from the headers of one whole get that the object is too large, then passes through.
    assert [record.method for record in trace.requests] == ["get", "get_range", "get_range", "get"]
    assert store.cached_paths == []


def test_the_body_of_an_object_too_large_is_not_moved(object_server):
    object_server.put_random("counted/large", 64 << 20)
    store = CachingReadableStore(object_server.s3_store("counted"), max_size=_SMALL)
    for start in (0, 5):
        assert len(bytes(store.get_range("large", start=start, length=10))) == 10
    probe, *ranges = object_server.log()
    assert probe.sent < 32 << 20  # it ends when the connection is let go of, some buffers later
    assert [(request.start, request.sent) for request in ranges] == [(0, 10), (5, 10)]


@pytest.mark.parametrize("forget", ["put", "clear_cache"])
def test_an_object_that_is_no_longer_too_large_is_kept(forget):
    from obstore.store import MemoryStore

    store = CachingReadableStore(MemoryStore(), max_size=_SMALL)
    store.put("a", bytes(_SMALL + 1))
    store.get("a").buffer()
    assert store.cached_paths == []
    if forget == "put":
        store.put("a", bytes(_SMALL))
    else:
        store.clear_cache()
        store._store.put("a", bytes(_SMALL))
    store.get("a").buffer()
    assert store.cached_paths == ["a"]
    assert store.cache_size == _SMALL


def test_a_failed_fetch_is_not_remembered():
    bare = OnlyGet({})
    store = CachingReadableStore(bare)
    with pytest.raises(FileNotFoundError):
        store.get("a")
    bare.replace("a", b"now")
    assert bytes(store.get("a").buffer()) == b"now"
