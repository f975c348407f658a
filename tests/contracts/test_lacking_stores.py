"""Stores that have few methods, ignore options or send too little: right bytes or a clear error, never less."""

from __future__ import annotations

import pytest

from obspec_utils.exceptions import IncompleteReadError, ObjectChangedError
from obspec_utils.wrappers import RequestTrace, TracingReadableStore
from tests.contracts._readers import ASYNC_WAYS, READERS, WAYS, read_async
from tests.contracts._stacks import build
from tests.contracts._stores import HeadAndRange, HeadAndRanges, IgnoringOptions, Nothing, OnlyGet, OnlyRange, Versions

pytestmark = pytest.mark.timeout(20)

_CONTENT = bytes(range(100))
_OBJECTS = {"object": _CONTENT, "empty": b"", "one": b"1", "folder/inside": b"x"}
_ENOUGH = (OnlyGet, IgnoringOptions, HeadAndRange, HeadAndRanges)
_TOO_LITTLE = (OnlyRange, Nothing)
every_way = pytest.mark.parametrize("way", WAYS)
every_async_way = pytest.mark.parametrize("way", ASYNC_WAYS)
every_version = pytest.mark.parametrize(
    "versions",
    [Versions(), Versions(e_tag=False), Versions(last_modified=False), Versions(e_tag=False, last_modified=False)],
    ids=str,
)


def _names(kind):
    return kind.__name__


# A cache asks for whole objects, which takes a get; over a splitting store, that one's will do.
_ASKS_FOR_WHOLE = {"caching", "caching store", "splitting over caching", "splitting over caching store"}


def _pairs(ways, kinds):
    """Return the ways to read with the stores that have what they need."""
    pairs = [(way, kind) for way in ways for kind in kinds if hasattr(kind, "get") or way not in _ASKS_FOR_WHOLE]
    return pytest.mark.parametrize(("way", "kind"), pairs, ids=lambda value: getattr(value, "__name__", value))


@_pairs(WAYS, _ENOUGH)
@every_version
def test_a_store_with_enough_methods_gives_all_bytes(way, kind, versions):
    store = kind(_OBJECTS, versions)
    for path, content in _OBJECTS.items():
        assert WAYS[way](store, path) == content


@_pairs(ASYNC_WAYS, _ENOUGH)
async def test_a_store_with_enough_methods_gives_all_bytes_async(way, kind):
    store = kind(_OBJECTS)
    for path, content in _OBJECTS.items():
        assert await read_async(way, store, path) == content


@every_way
@pytest.mark.parametrize("kind", _TOO_LITTLE, ids=_names)
def test_a_store_with_too_few_methods_is_an_error_that_names_what_is_missing(way, kind):
    with pytest.raises((TypeError, AttributeError), match=r"get\b") as caught:
        WAYS[way](kind(_OBJECTS), "object")
    assert kind.__name__ in str(caught.value)


@every_async_way
@pytest.mark.parametrize("kind", _TOO_LITTLE, ids=_names)
async def test_a_store_with_too_few_async_methods_is_an_error_that_names_what_is_missing(way, kind):
    with pytest.raises((TypeError, AttributeError), match="get") as caught:
        await read_async(way, kind(_OBJECTS), "object")
    assert kind.__name__ in str(caught.value)


@pytest.mark.parametrize("way", sorted(way for way in WAYS if "caching" in way))
@pytest.mark.parametrize("kind", [HeadAndRange, HeadAndRanges], ids=_names)
def test_a_cache_over_a_store_without_get_says_so_or_reads(way, kind):
    try:
        assert WAYS[way](kind(_OBJECTS), "object") == _CONTENT
    except (TypeError, AttributeError) as error:
        assert "get" in str(error)  # noqa: PT017 - either outcome is right
        assert kind.__name__ in str(error)  # noqa: PT017


@_pairs(WAYS, _ENOUGH)
def test_a_missing_object_is_a_file_not_found(way, kind):
    for path in ("missing", "folder", "object/more"):
        with pytest.raises(FileNotFoundError, match=path):
            WAYS[way](kind(_OBJECTS), path)


@_pairs(WAYS, _ENOUGH)
@pytest.mark.parametrize("cut", [1, 16, -1])
def test_a_body_of_another_length_than_promised_is_an_error(way, kind, cut):
    # A bare range carries no promise of its own; measured by the size that head told, the object has changed.
    expected = IncompleteReadError if hasattr(kind, "get") else (IncompleteReadError, ObjectChangedError)
    with pytest.raises(expected, match="object"):
        WAYS[way](kind(_OBJECTS, cut=cut), "object")


@every_async_way
@pytest.mark.parametrize("kind", [OnlyGet, IgnoringOptions], ids=_names)
@pytest.mark.parametrize("cut", [1, 16, -1])
async def test_an_async_body_of_another_length_than_promised_is_an_error(way, kind, cut):
    with pytest.raises(IncompleteReadError, match="object"):
        await read_async(way, kind(_OBJECTS, cut=cut), "object")


@pytest.mark.parametrize("kind", [*_ENOUGH, OnlyRange], ids=_names)
def test_tracing_forwards_what_a_store_has_and_no_more(kind):
    trace = RequestTrace()
    store = TracingReadableStore(kind(_OBJECTS), trace)
    arguments = {"get": {}, "get_range": {"start": 1, "end": 9}, "get_ranges": {"starts": [1], "ends": [9]}, "head": {}}
    for method, given in arguments.items():
        if hasattr(kind, method):
            assert getattr(store, method)("object", **given) is not None
        else:
            with pytest.raises(AttributeError, match=method):
                getattr(store, method)("object", **given)


def test_a_cache_reads_ranges_of_a_store_with_nothing_but_get():
    store = build("caching", OnlyGet(_OBJECTS))
    assert bytes(store.get_range("object", start=3, end=9)) == _CONTENT[3:9]
    assert [bytes(b) for b in store.get_ranges("object", starts=[3, 90], lengths=[2, 4])] == [b"\x03\x04", b"Z[\\]"]
    assert store.head("object")["size"] == len(_CONTENT)
    with pytest.raises(AttributeError, match="head"):
        store.head("one")


class _SyncOnly:
    def __init__(self):
        self.get = OnlyGet(_OBJECTS).get


@every_async_way
async def test_a_store_without_async_methods_is_a_clear_error(way):
    with pytest.raises((TypeError, AttributeError), match="get") as caught:
        await read_async(way, _SyncOnly(), "object")
    assert "_SyncOnly" in str(caught.value)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", [HeadAndRange, HeadAndRanges, OnlyGet], ids=_names)
@pytest.mark.parametrize("wrap", ["tracing", "splitting"])
def test_a_reader_reads_through_a_wrapper_what_it_reads_without(reader, kind, wrap):
    with READERS[reader](build(wrap, kind(_OBJECTS)), "object") as file:
        assert file.read() == _CONTENT
