"""What a cache can do for many keys at once is asked of it so, and what it can't, key by key."""

from __future__ import annotations

import time
from typing import Any

import pytest
from obstore.store import HTTPStore

from obspec_utils.caches import ManyCache, MemoryCache
from obspec_utils.wrappers.caching import _shared_tiers
from obspec_utils.wrappers.caching._shared_tiers import SharedTier
from tests.unit._tiers import CONTENT, DictCache, Over

RELEASED = memoryview(b"a")
RELEASED.release()


class Lease:
    def __init__(self, cache: Many, keys: list[str]) -> None:
        self.cache, self.keys = cache, keys

    def release(self) -> None:
        self.cache.log.append("release")
        self.cache.held.difference_update(self.keys)


class Many(DictCache):
    """A cache of a user's own that does everything at once."""

    def __init__(self, max_size: int | None = None) -> None:
        super().__init__(max_size)
        self.held: set[str] = set()

    def get_many(self, keys: Any) -> list[bytes | None]:
        self.log.append(f"get {len(keys)}")
        return [self.values.get(key) for key in keys]

    def put_many(self, values: Any) -> None:
        self.log.append(f"put {len(values)}")
        self.values.update({key: bytes(value) for key, value in values.items()})

    def lease(self, key: str) -> Lease | None:
        raise AssertionError(key)

    def lease_many(self, keys: Any) -> tuple[list[str], Lease]:
        self.log.append(f"lease {len(keys)}")
        taken = [key for key in keys if key not in self.held]
        self.held.update(taken)
        return taken, Lease(self, taken)


def test_everything_is_asked_for_at_once() -> None:
    cache, over = Many(), Over()
    assert isinstance(cache, ManyCache)
    assert not isinstance(DictCache(), ManyCache)
    assert bytes(over.store(cache).get_range("object", start=0, end=1000)) == CONTENT[:1000]
    version = ["get 1", "lease 1", "get 1"]
    blocks = ["get 4", "lease 4", "get 4", "put 4", "release"]
    assert cache.log == [*version, *blocks, "put 1", "release"]
    assert cache.held == set()
    assert len(cache.blocks()) == 4
    cache.log.clear()
    near = Many()
    assert bytes(over.store(near, cache).get_range("object", start=0, end=1000)) == CONTENT[:1000]
    assert cache.log == ["get 1", "get 4"]
    assert near.log == ["get 1", "put 1", "get 4", "put 4"]


def test_values_that_are_too_large_are_left_out() -> None:
    cache, over = Many(200), Over(block_size=300)
    assert bytes(over.store(MemoryCache(), cache).get_range("object", start=500, end=1024)) == CONTENT[500:]
    assert cache.blocks() == [CONTENT[900:]]
    assert "put 1" in cache.log


def test_a_cache_is_asked_for_so_many_bytes_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, over = Many(), Over()
    over.store(cache).get_range("object", start=0, end=1000)
    monkeypatch.setattr(_shared_tiers, "_BATCH_SIZE", 600)
    cache.log.clear()
    assert bytes(over.store(cache).get_range("object", start=0, end=1000)) == CONTENT[:1000]
    assert cache.log == ["get 1", "get 2", "get 2"]
    monkeypatch.setattr(_shared_tiers, "_BATCH_SIZE", 1)
    cache.log.clear()
    assert bytes(over.store(cache).get_range("object", start=0, end=1000)) == CONTENT[:1000]
    assert cache.log == ["get 1"] * 5


def test_blocks_that_others_fetch_are_waited_for_while_the_rest_is_fetched() -> None:
    class Slow(Many):
        """Somebody else has the lease of the first block, and has put it there when it is looked for again."""

        asked: list[str] | None = None

        def lease_many(self, keys: Any) -> tuple[list[str], Lease]:
            if len(keys) == 4 and self.asked is None:
                self.asked = keys
                self.held.add(keys[0])
            return super().lease_many(keys)

        def put_many(self, values: Any) -> None:
            super().put_many(values)
            if self.asked and self.asked[0] not in self.values:
                self.values[self.asked[0]] = CONTENT[:256]
                self.held.discard(self.asked[0])

    cache, over = Slow(), Over()
    assert bytes(over.store(cache).get_range("object", start=0, end=1000)) == CONTENT[:1000]
    assert cache.log[5:] == ["get 3", "put 3", "release", "lease 1", "get 1", "release", "put 1", "release"]


@pytest.mark.parametrize(
    ("method", "answer", "told"),
    [
        ("get_many", None, "TypeError"),
        ("get_many", [], "0 values for 1 keys"),
        ("get_many", ["text"], "TypeError"),
        ("get_many", [5], "TypeError"),
        ("get_many", [RELEASED], "ValueError"),
        ("get", "text", "TypeError"),
        ("get", object(), "TypeError"),
        ("lease_many", None, "TypeError"),
        ("lease_many", 5, "TypeError"),
        ("lease_many", ([["object"]], None), "TypeError"),
        ("lease", "text", "AttributeError"),
    ],
)
def test_answers_that_make_no_sense_are_warned_of(method: str, answer: Any, told: str) -> None:
    cache, over = DictCache() if method in {"get", "lease"} else Many(), Over()
    setattr(cache, method, lambda *_: answer)
    store = over.store(MemoryCache(), cache)
    with pytest.warns(RuntimeWarning, match=f"can't be used.*{told}") as warned:
        assert bytes(store.get_range("object", start=0, end=1000)) == CONTENT[:1000]
    assert len(warned) == 1


@pytest.mark.parametrize("value", [b"", bytes(255), bytes(257), memoryview(bytes(256 * 8)).cast("d")], ids=len)
def test_values_of_another_length_are_not_there(value: Any) -> None:
    class Cache(DictCache):
        def get(self, key: str) -> Any:
            found = super().get(key)
            return found if found is None or found.startswith(b"{") else value

    cache, over = Cache(), Over()
    for _ in range(2):
        assert bytes(over.store(cache).get_range("object", start=0, end=256)) == CONTENT[:256]


def test_a_panic_of_a_cache_over_obstore_is_a_failure_as_any_other() -> None:
    class Cache(DictCache):
        def get(self, key: str) -> Any:
            super().get(key)
            return HTTPStore("http://127.0.0.1:9").get("key", options={"if_match": "\n"})

    cache, over = Cache(), Over()
    with pytest.warns(RuntimeWarning, match="can't be used.*PanicException"):
        assert bytes(over.store(MemoryCache(), cache).get_range("object", start=0, end=1000)) == CONTENT[:1000]
    assert cache.log == ["get"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_programs_is_no_failure_of_a_cache(error: type[BaseException]) -> None:
    class Cache(DictCache):
        def get(self, key: str) -> Any:
            raise error

    with pytest.raises(error):
        SharedTier(Cache()).get_many(["key"])


def test_a_lease_that_can_t_be_given_back_is_warned_of() -> None:
    def refuse(_: Lease) -> None:
        raise ConnectionError

    class Refusing(Lease):
        release = refuse

    class Cache(DictCache):
        def lease(self, key: str) -> Lease:
            return Refusing(Many(), [key])

    over = Over()
    store = over.store(MemoryCache(), Cache())
    with pytest.warns(RuntimeWarning, match="can't be used.*ConnectionError") as warned:
        assert bytes(store.get_range("object", start=0, end=1000)) == CONTENT[:1000]
    assert len(warned) == 1


def test_leases_taken_one_by_one_are_given_back_if_that_is_interrupted() -> None:
    given_back: list[str] = []

    class Cache(DictCache):
        def lease(self, key: str) -> Any:
            if key == "c":
                raise KeyboardInterrupt
            return Lease(Many(), [key]) if key != "b" else None

    class Lease:
        def __init__(self, _: Many, keys: list[str]) -> None:
            self.keys = keys

        def release(self) -> None:
            given_back.extend(self.keys)

    with pytest.raises(KeyboardInterrupt):
        SharedTier(Cache()).lease_many(["a", "b", "c"])
    assert given_back == ["a"]
    taken, lease = SharedTier(Cache()).lease_many(["x", "b", "y"])
    assert taken == ["x", "y"]
    lease.release()
    assert given_back == ["a", "x", "y"]


def test_a_cache_that_failed_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, over = Many(), Over()
    answers = cache.get_many
    cache.get_many = None  # type: ignore[assignment, method-assign] # which can't be called
    cache.get = cache.get_many  # type: ignore[assignment, method-assign]
    store = over.store(MemoryCache(), cache)
    with pytest.warns(RuntimeWarning, match="TypeError"):
        store.get_range("object", start=0, end=10)
    assert cache.log == []
    cache.get_many = answers  # type: ignore[method-assign]
    assert bytes(store.get_range("object", start=500, end=510)) == CONTENT[500:510]
    assert cache.log == []
    store._tiers.invalidate("object")
    assert cache.log == ["delete"]
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 11)
    assert bytes(store.get_range("object", start=1000, end=1010)) == CONTENT[1000:1010]
    assert cache.log == ["delete", "get 1", "lease 1", "get 1", "put 1", "release"]


def test_what_a_cache_may_change_is_copied() -> None:
    class Reused(DictCache):
        """It returns views of a memory that it uses again."""

        def __init__(self) -> None:
            super().__init__()
            self.memory = bytearray(256)

        def get(self, key: str) -> Any:
            found = super().get(key)
            if found is None or len(found) != 256:
                return found
            self.memory[:] = found
            return memoryview(self.memory)[::1]

    cache, over = Reused(), Over()
    over.store(cache).get_range("object", start=0, end=256)
    over.store(cache).get_range("other", start=0, end=256)
    store = over.store(MemoryCache(), cache)
    for _ in range(2):
        assert bytes(store.get_range("object", start=0, end=256)) == CONTENT[:256]
        assert bytes(store.get_range("other", start=0, end=256)) == CONTENT[::-1][:256]


def test_a_cache_says_its_sizes_in_numbers() -> None:
    class Cache(DictCache):
        def size(self) -> int:
            return 5

    store = Over().store(MemoryCache(), Cache())
    assert store.cache_info().tiers[1].size is None
    assert "-" in str(store.cache_info())
    with pytest.raises(TypeError, match="max_size of a cache must be a number of bytes or None, got"):
        Over().store(DictCache("1 MiB"))  # type: ignore[arg-type]
