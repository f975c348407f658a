"""Arguments and paths that can't be served: an error at once that says which, and nothing that hangs."""

from __future__ import annotations

import pytest
from obspec.exceptions import PreconditionError
from obstore.store import LocalStore, MemoryStore

from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.readers import BlockStoreReader, BufferedStoreReader, EagerStoreReader, ParallelStoreReader
from obspec_utils.wrappers import (
    CachingReadableStore,
    CoalescingReadableStore,
    RequestTrace,
    SplittingReadableStore,
    TracingReadableStore,
)

pytestmark = pytest.mark.timeout(20)

_READER_NUMBERS = [
    (EagerStoreReader, "request_size"),
    (EagerStoreReader, "max_concurrent_requests"),
    (ParallelStoreReader, "chunk_size"),
    (ParallelStoreReader, "max_cached_chunks"),
    (BlockStoreReader, "block_size"),
    (BlockStoreReader, "max_cached_blocks"),
    (BufferedStoreReader, "buffer_size"),
]
_WRAPPER_NUMBERS = [
    (CachingReadableStore, "max_size"),
    (CoalescingReadableStore, "max_request_size"),
    (SplittingReadableStore, "request_size"),
    (SplittingReadableStore, "max_concurrent_requests"),
]
_READERS = [EagerStoreReader, ParallelStoreReader, BlockStoreReader, BufferedStoreReader]
_WRAPPERS = {
    "caching": CachingReadableStore,
    "coalescing": lambda store: CoalescingReadableStore(store, max_request_size=4),
    "splitting": lambda store: SplittingReadableStore(store, 4),
    "tracing": lambda store: TracingReadableStore(store, RequestTrace()),
}

every_reader = pytest.mark.parametrize("reader", _READERS)
every_wrapper = pytest.mark.parametrize("wrapper", _WRAPPERS)
not_positive = pytest.mark.parametrize("value", [0, -1, -(1 << 40)])


class Untouchable:
    """A store that must not be asked for anything."""

    def __getattr__(self, name):
        pytest.fail(f"asked for {name}")


@pytest.fixture(params=["memory", "local"])
def store(request, tmp_path):
    store = MemoryStore() if request.param == "memory" else LocalStore(tmp_path)
    store.put("folder/object", b"0123456789")
    store.put("folder/empty", b"")
    return store


@pytest.mark.parametrize(("reader", "name"), _READER_NUMBERS)
@not_positive
def test_a_reader_refuses_a_number_that_is_not_positive(reader, name, value):
    with pytest.raises(ValueError, match=rf"^{name} must be positive, got {value}$"):
        reader(Untouchable(), "object", **{name: value})


@pytest.mark.parametrize(("wrapper", "name"), _WRAPPER_NUMBERS)
@not_positive
def test_a_wrapper_refuses_a_number_that_is_not_positive(wrapper, name, value):
    with pytest.raises(ValueError, match=rf"^{name} must be positive, got {value}$"):
        wrapper(MemoryStore(), **{name: value})


def test_the_eager_reader_refuses_a_negative_file_size():
    with pytest.raises(ValueError, match=r"file_size must be at least 0, got -1"):
        EagerStoreReader(Untouchable(), "object", file_size=-1)


@pytest.mark.parametrize("file_size", [0, 1, 9, 10, 11, 1 << 40])
def test_a_wrong_file_size_changes_nothing(store, file_size):
    with EagerStoreReader(store, "folder/object", file_size=file_size) as reader:
        assert reader.read() == b"0123456789"
        assert reader.size == 10


@every_reader
@pytest.mark.parametrize("path", ["missing", "folder", "folder/missing"])
def test_a_missing_object_or_a_prefix_is_a_file_not_found(store, reader, path):
    with pytest.raises(FileNotFoundError, match=path):
        reader(store, path).read(1)
    with pytest.raises(FileNotFoundError, match=path):
        reader(store, path).seek(0, 2)


@every_reader
@every_wrapper
def test_a_missing_object_below_a_wrapper_is_a_file_not_found(store, reader, wrapper):
    with pytest.raises(FileNotFoundError, match="missing"):
        reader(_WRAPPERS[wrapper](store), "missing").read()


@every_wrapper
@pytest.mark.parametrize("path", ["missing", "folder"])
async def test_a_missing_object_or_a_prefix_is_a_file_not_found_by_every_method(store, wrapper, path):
    wrapped = _WRAPPERS[wrapper](store)
    calls = {"get": {}, "get_range": {"start": 0, "end": 1}, "get_ranges": {"starts": [0], "ends": [1]}, "head": {}}
    for method, arguments in calls.items():
        with pytest.raises(FileNotFoundError, match=path):
            getattr(wrapped, method)(path, **arguments)
        with pytest.raises(FileNotFoundError, match=path):
            await getattr(wrapped, f"{method}_async")(path, **arguments)


@every_wrapper
@pytest.mark.parametrize(
    "arguments",
    [{"start": 0}, {"start": 0, "end": 5, "length": 5}, {"start": 5, "end": 4}, {"start": 0, "length": 0}],
    ids=str,
)
def test_a_range_that_is_none_is_the_store_s_value_error(store, wrapper, arguments):
    with pytest.raises(ValueError, match=r".") as expected:
        store.get_range("folder/object", **arguments)
    for _ in range(2):
        with pytest.raises(ValueError, match=r".") as found:
            _WRAPPERS[wrapper](store).get_range("folder/object", **arguments)
        assert str(found.value) == str(expected.value)


@every_wrapper
def test_a_range_past_the_end_is_the_store_s_error(store, wrapper):
    wrapped = _WRAPPERS[wrapper](store)
    for _ in range(2):
        with pytest.raises(Exception, match=r"(?i)range") as found:
            wrapped.get_range("folder/object", start=10, end=12)
        assert type(found.value).__name__ == "GenericError"
        assert bytes(wrapped.get_range("folder/object", start=8, end=12)) == b"89"


@every_reader
def test_reads_past_the_end_are_empty(store, reader):
    with reader(store, "folder/object") as file:
        assert file.seek(10) == 10
        assert file.read(5) == b""
        assert file.seek(1 << 40) == 1 << 40
        assert file.read() == b""
        assert file.readinto(bytearray(4)) == 0
        assert file.seek(8) == 8
        assert file.read(5) == b"89"


@every_reader
def test_an_empty_object_is_read_as_empty(store, reader):
    with reader(store, "folder/empty") as file:
        assert file.read() == b""
        assert file.read(4) == b""
        assert file.seek(0, 2) == 0
        assert file.size == 0


@every_reader
def test_what_is_no_number_is_a_type_error(store, reader):
    with reader(store, "folder/object") as file:
        for call in (lambda: file.read("5"), lambda: file.read(1.0), lambda: file.seek("1"), lambda: file.seek(1.0)):
            with pytest.raises(TypeError):
                call()
        for call in (lambda: file.seek(-1), lambda: file.seek(0, 3)):
            with pytest.raises(ValueError, match=r"seek|whence"):
                call()
        with pytest.raises(TypeError):
            file.readinto(b"read-only")
        assert file.read() == b"0123456789"


@every_reader
def test_a_closed_reader_says_so(store, reader):
    file = reader(store, "folder/object")
    file.close()
    for call in (file.read, file.tell, file.readline, lambda: file.seek(0), lambda: file.readinto(bytearray(1))):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_the_error_for_a_changed_object_is_obspec_s_precondition_error():
    assert issubclass(ObjectChangedError, PreconditionError)
