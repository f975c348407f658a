"""A caching store against the bare one: whatever happens, its answers are those of a version that may be answered."""

from __future__ import annotations

import asyncio
import copy
import itertools
import pickle
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from obstore.store import LocalStore, MemoryStore

from obspec_utils.caches import DiskCache, MemoryCache, RedisCache
from obspec_utils.exceptions import ObjectChangedError
from obspec_utils.wrappers import CachingReadableStore
from obspec_utils.wrappers.caching import _config, _entries, _origin
from tests.contracts._outcomes import Call, perform, perform_async
from tests.property._calls import BLOCK, BUDGET, PATHS, WHOLE, calls, contents, paths
from tests.property._history import Clock, History
from tests.unit._disk import occupied

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers import ObjectServer

DISK_BUDGET = 64 * 1024
# For how long shared caches are trusted if nobody says anything else.
SHARED_MAX_AGE = 3600


@dataclass
class Subject:
    """A caching store, and the oldest versions that it may still know of."""

    store: CachingReadableStore
    least: dict[str, int] = field(default_factory=dict)


@dataclass
class WriteTarget:
    """Where stores and caches can be made."""

    folder: Path
    server: ObjectServer
    redis: Any
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def stores(self, kind: str) -> tuple[Any, Any]:
        """Make an empty store, and another one of its kind."""
        if kind == "memory":
            return MemoryStore(), MemoryStore()
        names = [str(next(self.numbers)) for _ in range(2)]
        if kind == "local":
            first, second = (LocalStore(self.folder / name, mkdir=True) for name in names)
        else:
            first, second = (self.server.s3_store(f"bucket-{name}") for name in names)
        return first, second

    def cache(self, tiers: str) -> list[Any]:
        """Make the caches of a machine."""
        memory = [MemoryCache(BUDGET)] if "memory" in tiers else []
        if "disk" in tiers:
            return [*memory, DiskCache(self.folder / f"cache-{next(self.numbers)}", DISK_BUDGET)]
        if "redis" in tiers:
            # Larger values are not kept there.
            return [*memory, RedisCache(self.redis.url, prefix=f"{next(self.numbers)}:", max_value_size=BUDGET // 2)]
        return memory


class CachedObjects(RuleBasedStateMachine):
    """Drives caching stores over one bare store; subclasses say which caches and which blocks, and how old they get."""

    tiers: str
    block_size: Any
    given_age: float | None
    place: WriteTarget
    clock: Clock

    @initialize(
        kind=st.sampled_from(["memory", "local", "server"]),
        sizes=st.tuples(*[contents] * len(PATHS)),
    )
    def open(self, kind: str, sizes: tuple[int, ...]) -> None:
        self.bare, archive = self.place.stores(kind)
        self.picklable = kind != "memory"
        self.history = History(self.bare, archive, self.clock)
        caches = self.place.cache(self.tiers)
        self.disk = next((cache for cache in caches if isinstance(cache, DiskCache)), None)
        self.shared = not isinstance(caches[-1], MemoryCache)
        store = CachingReadableStore(
            self.bare, block_size=self.block_size, max_age=self.given_age, cache=caches, namespace="objects"
        )
        self.max_age = SHARED_MAX_AGE if self.given_age is None and self.shared else self.given_age
        self.subjects = [Subject(store)]
        # What shared caches may still know of: what was changed through any store is not there any more.
        self.least: dict[str, int] = {}
        self.held: list[tuple[Any, str, int]] = []
        self.runner = asyncio.Runner()
        for path, size in zip(PATHS, sizes, strict=True):
            self.replace_behind_its_back(path, size)

    # Reading.

    def allowed(self, subject: Subject, path: str) -> list[int]:
        since = -inf if self.max_age is None else self.clock.time() - self.max_age
        return self.history.allowed(path, subject.least.get(path, 0), since)

    @rule(which=st.integers(0, 2), call=calls, looping=st.booleans())
    def read(self, which: int, call: Call, *, looping: bool) -> None:
        subject = self.subjects[which % len(self.subjects)]
        allowed = self.allowed(subject, call.path)
        found = self.runner.run(perform_async(subject.store, call)) if looping else perform(subject.store, call)
        expected = list(self.history.outcomes(call, allowed))
        assert found in expected

    @rule(which=st.integers(0, 2), path=paths, looping=st.booleans())
    def read_often(self, which: int, path: str, *, looping: bool) -> None:
        """Evict others; the small ones among the blocks of one object stay."""
        for start in range(0, BUDGET, BLOCK):
            self.read(which, Call("get_range", path, {"start": start, "length": 1}), looping=looping)

    @rule(which=st.integers(0, 2), path=paths)
    def begin_to_read(self, which: int, path: str) -> None:
        subject = self.subjects[which % len(self.subjects)]
        allowed = self.allowed(subject, path)
        try:
            result = subject.store.get(path)
        except FileNotFoundError:
            return
        metas = [self.history.version(path, number).meta for number in allowed]
        assert dict(result.meta) in metas
        self.held.append((result, path, allowed[metas.index(dict(result.meta))]))

    @rule()
    def read_on(self) -> None:
        for result, path, number in self.held:
            gone = number != self.history.latest(path)
            try:
                found = bytes(result.buffer())
            except (ObjectChangedError, FileNotFoundError):
                assert gone
            else:
                assert found == self.history.version(path, number).content
        self.held = []

    # Changing.

    def change(self, which: int, changed: list[str], looping: bool, method: str, *arguments: Any) -> None:  # noqa: FBT001 - passed on
        subject = self.subjects[which % len(self.subjects)]
        absent = self.history.version(str(arguments[0])).content is None

        async def run() -> None:
            await getattr(subject.store, f"{method}_async")(*arguments)

        def call() -> None:
            if looping:
                self.runner.run(run())
            else:
                getattr(subject.store, method)(*arguments)

        if absent and method != "put":
            assert _error(call) == _error(lambda: getattr(self.history.archive, method)("missing", *arguments[1:]))
        else:
            call()
        for path in changed:
            self.history.note(path)
            subject.least[path] = self.least[path] = self.history.latest(path)

    @rule(which=st.integers(0, 2), path=paths, size=contents, looping=st.booleans())
    def put(self, which: int, path: str, size: int, *, looping: bool) -> None:
        self.change(which, [path], looping, "put", path, self.history.content(size))

    @rule(which=st.integers(0, 2), path=paths, looping=st.booleans())
    def delete(self, which: int, path: str, *, looping: bool) -> None:
        self.change(which, [path], looping, "delete", path)

    @rule(which=st.integers(0, 2), pair=st.permutations(PATHS), rename=st.booleans(), looping=st.booleans())
    def copy_or_rename(self, which: int, pair: list[str], *, rename: bool, looping: bool) -> None:
        source, target, _ = pair
        method, changed = ("rename", [source, target]) if rename else ("copy", [target])
        self.change(which, changed, looping, method, source, target)

    @rule(path=paths, size=contents)
    def replace_behind_its_back(self, path: str, size: int) -> None:
        self.bare.put(path, self.history.content(size))
        self.history.note(path)

    @rule(which=st.integers(0, 2), path=paths, number=st.integers(0, 8), looping=st.booleans())
    def read_before_and_after(self, which: int, path: str, number: int, *, looping: bool) -> None:
        """Read a block, and then it and more than it of another version of the same size."""
        start = number * BLOCK
        block = Call("get_range", path, {"start": start, "length": BLOCK})
        self.read(which, block, looping=looping)
        self.replace_behind_its_back(path, len(self.history.version(path).content or b""))
        self.read(which, block, looping=not looping)
        self.read(
            which, Call("get_range", path, {"start": max(0, start - BLOCK), "length": 3 * BLOCK}), looping=looping
        )

    @rule(path=paths)
    def delete_behind_its_back(self, path: str) -> None:
        if self.history.version(path).content is not None:
            self.bare.delete(path)
            self.history.note(path)

    # The caches themselves.

    @rule(which=st.integers(0, 2))
    def clear(self, which: int) -> None:
        subject = self.subjects[which % len(self.subjects)]
        subject.store.clear_cache()
        assert subject.store.cached_paths == []
        subject.least = {path: self.history.latest(path) for path in PATHS}

    @rule(seconds=st.sampled_from([1, 9, 11, SHARED_MAX_AGE + 1]))
    def wait(self, seconds: int) -> None:
        self.clock.ahead += seconds

    @rule(which=st.integers(0, 2), pickled=st.booleans())
    def copy(self, which: int, *, pickled: bool) -> None:
        store = self.subjects[which % len(self.subjects)].store
        if pickled and not self.picklable:
            with pytest.raises(TypeError):
                pickle.dumps(store)
            return
        copied = pickle.loads(pickle.dumps(store)) if pickled else copy.copy(store)
        assert copied.cache_size == 0
        latest = {path: self.history.latest(path) for path in PATHS}
        self.subjects = [*self.subjects[-2:], Subject(copied, dict(self.least) if self.shared else latest)]

    @invariant()
    def budgets_hold(self) -> None:
        for subject in getattr(self, "subjects", []):
            index = subject.store._entries
            assert subject.store.cache_size <= BUDGET
            if index.memory is not None:
                blocks = {key.entry for key in index.memory.values.keys()}  # noqa: SIM118 - no dict
                assert blocks <= {index.find(path) for path in PATHS}
        if getattr(self, "disk", None) is not None:
            assert occupied(self.place.folder / self.disk.directory) <= DISK_BUDGET

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.close()


def _error(call: Callable[[], object]) -> str | None:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever the store raises
        return type(error).__name__
    return None


@pytest.mark.parametrize("max_age", [None, 0, 10])
@pytest.mark.parametrize("block_size", [None, BLOCK, "auto"])
@pytest.mark.parametrize("tiers", ["memory", "memory, disk", "disk", "memory, redis"])
def test_answers_are_those_of_the_store(
    tiers: str,
    block_size: Any,
    max_age: float | None,
    request: pytest.FixtureRequest,
    object_server: ObjectServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    for module in (_entries, _origin):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(_origin, "AUTO_BLOCK_SIZE", BLOCK)
    monkeypatch.setattr(_origin, "AUTO_WHOLE_SIZE", WHOLE)
    monkeypatch.setattr(_config, "_PART_AHEAD", 2)  # read ahead by up to eight blocks
    place = WriteTarget(tmp_path, object_server, request.getfixturevalue("redis_server") if "redis" in tiers else None)
    own = {"tiers": tiers, "block_size": block_size, "given_age": max_age, "place": place, "clock": clock}
    run_state_machine_as_test(
        type("Machine", (CachedObjects,), own),
        settings=settings(
            max_examples=6,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
