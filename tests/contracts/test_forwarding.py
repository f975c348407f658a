"""What a wrapper does not add is the store's own: attributes, lists, copies, pickles, protocols."""

from __future__ import annotations

import copy
import pickle
from functools import cache

import pytest

from obspec_utils.protocols import ReadableStore
from obspec_utils.wrappers import CachingReadableStore, RequestTrace, SplittingReadableStore
from tests.contracts._objects import CONTENTS, DATA
from tests.contracts._stacks import MAX_CONCURRENT, MAX_SIZE, REQUEST_SIZE, STACKS, build, layers

pytestmark = [pytest.mark.timeout(60), pytest.mark.parametrize("stack", STACKS)]
_SECRET = "c0nfidential"


def _listed(store, method, *arguments, **options):
    try:
        listed = getattr(store, method)(*arguments, **options)
    except Exception as error:  # noqa: BLE001 - whichever error it is, a stack's must be the same
        return type(error)
    if method == "list":
        return sorted((dict(meta) for batch in listed for meta in batch), key=lambda meta: meta["path"])
    return dict(listed)


@cache
def _listed_by_the_store(library, method, *arguments):
    return _listed(library.store, method, *arguments)


def test_lists_are_those_of_the_store(library, stack):
    store = library.cold(stack)
    for method in ("list", "list_with_delimiter"):
        for arguments in ((), ("folder",), ("none",)):
            assert _listed(store, method, *arguments) == _listed_by_the_store(library, method, *arguments)
    assert _listed(store, "list", prefix="folder") == _listed_by_the_store(library, "list", "folder")


async def test_async_lists_are_those_of_the_store(library, stack):
    if not hasattr(library.store, "list"):
        pytest.skip("a store that does not list")
    paths = [[], []]
    for store, found in zip((library.store, library.cold(stack)), paths, strict=True):
        async for batch in store.list():
            found.extend(sorted(meta["path"] for meta in batch))
    assert paths[0] == paths[1]
    found = await library.cold(stack).list_with_delimiter_async("folder")
    assert found == await library.store.list_with_delimiter_async("folder")


def test_public_attributes_are_those_of_the_store(library, stack):
    store = library.cold(stack)
    names = [name for name in dir(library.store) if not name.startswith("_")]
    assert [name for name in names if not hasattr(store, name)] == []
    for name in ("prefix", "config", "client_options", "retry_config", "credential_provider"):
        assert hasattr(store, name) == hasattr(library.store, name)
        assert getattr(store, name, None) == getattr(library.store, name, None)


def test_an_unknown_attribute_is_an_attribute_error(library, stack):
    for name in ("no_such_thing", "_no_such_thing", "__no_such_thing__"):
        with pytest.raises(AttributeError, match=name):
            getattr(library.cold(stack), name)


def test_a_stack_is_a_readable_store(library, stack):
    assert isinstance(library.cold(stack), ReadableStore)


def test_a_copy_shares_the_store_and_keeps_the_settings(library, stack):
    original = library.cold(stack)
    original.get(DATA).buffer()
    copied = copy.copy(original)
    assert type(copied) is type(original)
    assert copied._store is original._store
    assert bytes(copied.get(DATA).buffer()) == CONTENTS[DATA]
    _check_settings(copied, library.store)


def test_a_copy_of_a_cache_is_empty(library, stack):
    for layer in layers(library.warm(stack), library.store):
        copied = copy.copy(layer)
        if isinstance(layer, CachingReadableStore):
            assert copied.cached_paths == []
            assert copied.cache_size == 0
            copied.get(DATA).buffer()
            copied.clear_cache()
            assert DATA in layer.cached_paths
        else:
            assert copied._arguments() == layer._arguments()


def test_a_stack_pickles_as_its_store_does(library, stack):
    store = library.cold(stack)
    store.get(DATA).buffer()
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):  # obstore's stores need the second
        if not library.opened.capabilities.picklable:
            with pytest.raises(TypeError, match=type(library.store).__name__):
                pickle.dumps(store, protocol)
            continue
        restored = pickle.loads(pickle.dumps(store, protocol))
        found = layers(restored, _innermost(restored))
        assert [type(layer) for layer in found] == [type(layer) for layer in layers(store, library.store)]
        assert all(layer.cached_paths == [] for layer in found if isinstance(layer, CachingReadableStore))
        assert _innermost(restored) == library.store
        _check_settings(restored, _innermost(restored))
    if library.opened.capabilities.picklable:
        assert bytes(restored.get(DATA).buffer()) == CONTENTS[DATA]


def test_a_repr_names_the_layers_and_no_secret(servers, stack):
    bare = servers.object_server.s3_store("bucket-of-repr", access_key_id=_SECRET, secret_access_key=_SECRET)
    store = layers(build(stack, bare, trace=RequestTrace()), bare)[0]
    assert _SECRET not in repr(store)
    assert repr(store).count("ReadableStore(") == len(stack.split("-"))
    assert "bucket-of-repr" in repr(store)


def _innermost(store):
    while hasattr(store, "_store"):
        store = store._store
    return store


def _check_settings(store, bare):
    for layer in layers(store, bare):
        if isinstance(layer, CachingReadableStore):
            assert layer._max_size == MAX_SIZE
        elif isinstance(layer, SplittingReadableStore):
            assert layer._arguments() == (REQUEST_SIZE, MAX_CONCURRENT)
