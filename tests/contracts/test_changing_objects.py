"""An object that changes while it is read: an error that names it, never bytes of two versions."""

from __future__ import annotations

import os
import pickle

import pytest
from obstore.store import LocalStore

from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore
from tests.contracts._readers import ASYNC_WAYS, PIECE, READERS, WAYS, read_async
from tests.contracts._stores import HeadAndRange, HeadAndRanges, IgnoringOptions, OnlyGet, Versions

pytestmark = pytest.mark.timeout(30)

# More than any of these readers keeps.
_OLD = b"a" * 2000
CHANGED = {"shrunk": b"b" * 900, "grown": b"b" * 3000, "replaced": b"b" * 2000, "emptied": b""}
LAZY = [name for name in READERS if name != "eager"]

# These ask for all of so small an object at once, so that there is nothing to mix.
_ONE_REQUEST = {"caching store", "splitting over caching store"} | {
    f"{name} reader, in one read" for name in LAZY if name != "opened"
}

every_change = pytest.mark.parametrize("change", CHANGED)
every_lazy_reader = pytest.mark.parametrize("reader", LAZY)


class _Turning:
    """Mixed into a store: the object is replaced before the second request for it."""

    def turn(self, content, after=1):
        self.next = content
        self.left = after

    def _meta(self, path):
        if self.left == 0:
            self.replace(path, self.next)
        self.left -= 1
        return super()._meta(path)


class _TurningGet(_Turning, OnlyGet):
    def _body(self, path, start, stop):
        return self.objects[path][start:stop]


@every_lazy_reader
@every_change
@pytest.mark.parametrize("kind", [OnlyGet, IgnoringOptions], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("versions", [Versions(), Versions(e_tag=False), Versions(last_modified=False)], ids=str)
def test_a_change_between_two_reads_is_an_error(reader, change, kind, versions):
    store = kind({"object": _OLD}, versions)
    with READERS[reader](store, "object") as file:
        assert file.read(5) == _OLD[:5]
        store.replace("object", CHANGED[change])
        file.seek(1500)
        with pytest.raises(ObjectChangedError, match="'object' changed"):
            file.read(40)
        # The error is no accident of one read: the reader stays with its version.
        with pytest.raises(ObjectChangedError, match="'object' changed"):
            file.readinto(bytearray(30))


@every_lazy_reader
@pytest.mark.parametrize("kind", [HeadAndRange, HeadAndRanges], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("change", ["shrunk", "emptied"])
def test_a_range_that_ends_early_is_an_error(reader, kind, change):
    # Only the size can be checked here, and only where it shows: ranges alone tell no version.
    store = kind({"object": _OLD})
    with READERS[reader](store, "object") as file:
        assert file.read(5) == _OLD[:5]
        store.replace("object", CHANGED[change])
        file.seek(880)
        with pytest.raises(ObjectChangedError, match="'object' changed"):
            file.read(40)


@every_lazy_reader
@every_change
def test_a_local_file_rewritten_between_two_reads_is_an_error(tmp_path, reader, change):
    file_path = tmp_path / "object"
    file_path.write_bytes(_OLD)
    with READERS[reader](LocalStore(tmp_path), "object") as file:
        assert file.read(5) == _OLD[:5]
        file_path.write_bytes(CHANGED[change])
        # A file system's clock may be too coarse to tell two writes of one test apart.
        os.utime(file_path, (2_000_000_000, 2_000_000_000))
        file.seek(1000)
        with pytest.raises(ObjectChangedError, match="'object' changed"):
            file.read(90)


@pytest.mark.parametrize("way", WAYS)
@every_change
def test_a_change_between_the_requests_of_one_read_gives_no_mix(way, change):
    store = _TurningGet({"object": _OLD})
    store.turn(CHANGED[change])
    if way in _ONE_REQUEST:
        assert WAYS[way](store, "object") == _OLD
        return
    with pytest.raises(ObjectChangedError, match="'object' changed"):
        WAYS[way](store, "object")


@pytest.mark.parametrize("way", ["splitting", "caching over splitting"])
@every_change
async def test_a_change_between_the_requests_of_one_async_read_gives_no_mix(way, change):
    store = _TurningGet({"object": _OLD})
    store.turn(CHANGED[change])
    assert way in ASYNC_WAYS
    with pytest.raises(ObjectChangedError, match="'object' changed"):
        await read_async(way, store, "object")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("change", ["shrunk", "grown", "replaced"])
@pytest.mark.parametrize("kind", ["s3_store", "http_store"])
def test_a_change_at_a_server_between_the_requests_of_one_read_gives_no_mix(object_server, way, change, kind):
    object_server.put("changing/object", _OLD)
    object_server.add_fault("replace", "changing/object", method="GET", skip=1, data=CHANGED[change])
    store = getattr(object_server, kind)("changing")
    if way in _ONE_REQUEST:
        assert WAYS[way](store, "object") == _OLD
        return
    with pytest.raises(ObjectChangedError, match="'object' changed"):
        WAYS[way](store, "object")


@pytest.mark.parametrize("fault", ["no_etag", "weak_etag"])
@every_lazy_reader
def test_a_server_without_strong_tags_is_read_and_its_changes_seen(object_server, fault, reader):
    object_server.put("changing/object", _OLD)
    object_server.add_fault(fault, "changing/object", times=None)
    store = object_server.http_store("changing")
    with READERS[reader](store, "object") as file:
        assert file.read() == _OLD
        file.seek(0)
        assert file.read(5) == _OLD[:5]
        object_server.put("changing/object", CHANGED["shrunk"])
        file.seek(1500)
        with pytest.raises(ObjectChangedError, match="'object' changed"):
            file.read(5)


@pytest.mark.parametrize("reader", READERS)
@every_change
def test_an_unpickled_reader_reads_its_version_or_raises(tmp_path, reader, change):
    store = LocalStore(tmp_path)
    store.put("object", _OLD)
    with READERS[reader](store, "object") as file:
        file.read(3)
        pickled = pickle.dumps(file)
    assert pickle.loads(pickled).read(7) == _OLD[3:10]
    store.put("object", CHANGED[change])
    with pytest.raises(ObjectChangedError, match="'object' changed"), pickle.loads(pickled) as file:
        file.read(50)


@every_change
def test_a_split_result_consumed_after_a_change_raises(change):
    store = OnlyGet({"object": _OLD})
    result = SplittingReadableStore(store, PIECE, 2).get("object")
    store.replace("object", CHANGED[change])
    for consume in (result.buffer, lambda: list(result), result.bytes):
        with pytest.raises(ObjectChangedError, match="'object' changed"):
            consume()


def test_a_split_result_of_a_deleted_object_raises_what_the_store_raises():
    store = OnlyGet({"object": _OLD})
    result = SplittingReadableStore(store, PIECE, 2).get("object")
    del store.objects["object"]
    with pytest.raises(FileNotFoundError):
        result.buffer()


def test_a_changed_object_is_not_cached():
    store = _TurningGet({"object": _OLD})
    store.turn(CHANGED["replaced"])
    cache = CachingReadableStore(SplittingReadableStore(store, PIECE, 2))
    with pytest.raises(ObjectChangedError):
        cache.get("object")
    assert cache.cached_paths == []
    assert bytes(cache.get("object").buffer()) == CHANGED["replaced"]
