from __future__ import annotations

import pytest
from obstore.store import LocalStore, MemoryStore

import obspec_utils
from obspec_utils._io import fork
from obspec_utils.glob import glob, glob_async, glob_objects, glob_objects_async
from obspec_utils.wrappers import CachingReadableStore, RequestTrace, SplittingReadableStore, TracingReadableStore

PATHS = [
    ".hid/x", "a.txt", "a/!", "a/-", "a/.h", "a/A.txt", "a/[x", "a/]", "a/^", "a/b.txt", "a/b.txtx", "a/b/c.txt",
    "a/b/d/e.nc", "a/c.txt", "a/é.txt", "ab", "ax/yb", "axb", "c (1)/x+y.txt", "x/a/b/y.txt",
]  # fmt: skip

CASES = [
    ("*", ["a.txt", "ab", "axb"]),
    ("**", PATHS),
    ("**/**", PATHS),
    ("a/*", [path for path in PATHS if path.startswith("a/") and path.count("/") == 1]),
    ("/a/*", [path for path in PATHS if path.startswith("a/") and path.count("/") == 1]),
    ("a/***", [path for path in PATHS if path.startswith("a/") and path.count("/") == 1]),
    ("a/**", [path for path in PATHS if path.startswith("a/")]),
    ("**/*.txt", [path for path in PATHS if path.endswith(".txt")]),
    ("**.txt", ["a.txt"]),
    ("a**b", ["ab", "axb"]),
    ("a/**/c.txt", ["a/b/c.txt", "a/c.txt"]),
    ("a/**/**/c.txt", ["a/b/c.txt", "a/c.txt"]),
    ("**/b/**", ["a/b/c.txt", "a/b/d/e.nc", "x/a/b/y.txt"]),
    ("**/a/**/*.txt", [path for path in PATHS if "a" in path.split("/")[:-1] and path.endswith(".txt")]),
    ("ab/**", []),
    ("*/b.txt", ["a/b.txt"]),
    ("a/?.txt", ["a/A.txt", "a/b.txt", "a/c.txt", "a/é.txt"]),
    ("a/[a-z].txt", ["a/b.txt", "a/c.txt"]),
    ("a/[!a-z].txt", ["a/A.txt", "a/é.txt"]),
    ("a/[^a-z].txt", ["a/A.txt", "a/é.txt"]),
    ("a/[]]", ["a/]"]),
    ("a/[!]]", ["a/!", "a/-", "a/^"]),
    ("a/[a-]", ["a/-"]),
    ("a/[z-a]", []),
    ("a/[!z-a]", ["a/!", "a/-", "a/]", "a/^"]),
    ("a/[[]x", ["a/[x"]),
    ("a/[![]x", []),
    ("a/[!^]", ["a/!", "a/-", "a/]"]),
    ("a/[x", ["a/[x"]),
    ("a/[x*", ["a/[x"]),
    ("a/[a/b]", []),
    ("a/[!]", []),
    ("c (1)/x+?.txt", ["c (1)/x+y.txt"]),
    ("A/*", []),
    ("a/*/", []),
    ("a//*", []),
    ("a/{b,c}.txt", []),
    ("", []),
    ("/", []),
    # no wildcard
    ("a/b.txt", ["a/b.txt"]),
    ("/ab", ["ab"]),
    ("a/b", []),
    ("a/", []),
    ("a/b.txt/", []),
    ("nope", []),
    (".", []),
    ("a\nb", []),
]


class ListOnly:
    """The listing of another store, without any of its other methods."""

    def __init__(self, store: MemoryStore) -> None:
        self.inner = store
        self.calls: list[str | None] = []

    def list(self, prefix: str | None = None) -> object:
        self.calls.append(prefix)
        return self.inner.list(prefix, chunk_size=2)

    def list_async(self, prefix: str | None = None) -> object:
        self.calls.append(prefix)
        return self.inner.list_async(prefix, chunk_size=2)


@pytest.fixture(scope="module")
def memory() -> MemoryStore:
    store = MemoryStore()
    for path in PATHS:
        store.put(path, b"data")
    return store


@pytest.mark.parametrize("wrap", [
    lambda store: store, ListOnly, CachingReadableStore, SplittingReadableStore,
    lambda store: TracingReadableStore(store, RequestTrace()),
])  # fmt: skip
@pytest.mark.parametrize(("pattern", "expected"), CASES)
async def test_patterns(memory, wrap, pattern, expected):
    store = wrap(memory)
    assert list(glob(store, pattern)) == expected
    assert [path async for path in glob_async(store, pattern)] == expected
    assert [meta["path"] for meta in glob_objects(store, pattern)] == expected
    assert [meta["path"] async for meta in glob_objects_async(store, pattern)] == expected


async def test_objects_are_those_of_the_store(memory):
    for pattern in ("a/b.txt", "a/b.tx?"):
        assert list(glob_objects(memory, pattern)) == [memory.head("a/b.txt")]
        assert [meta async for meta in glob_objects_async(memory, pattern)] == [memory.head("a/b.txt")]


def test_local_store(tmp_path):
    for path in ("a/b.nc", "a/b c#é.nc", "a/d/e.nc", "ab/x.nc", "a/d/f"):
        (tmp_path / path).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / path).write_bytes(b"")
    store = LocalStore(tmp_path)
    assert sorted(glob(store, "a/*.nc")) == ["a/b c#é.nc", "a/b.nc"]
    assert sorted(glob(store, "a/**/*.nc")) == ["a/b c#é.nc", "a/b.nc", "a/d/e.nc"]
    assert list(glob(store, "a/d")) == []
    assert list(glob(store, "a/d/f")) == ["a/d/f"]
    assert list(glob(store, "no/*")) == []


@pytest.mark.parametrize("pattern", ["a.nc/b.nc", "a.nc/*.nc", "a.nc/**", "a.nc/b/*.nc", "a.nc/b/c/**", "d/a.nc/b/*"])
async def test_below_a_file_there_is_nothing(tmp_path, pattern):
    stores = [LocalStore(tmp_path), MemoryStore()]
    for store in [*stores, *map(CachingReadableStore, stores), *map(ListOnly, stores)]:
        for path in ("a.nc", "d/a.nc"):
            getattr(store, "inner", store).put(path, b"x")
        assert list(glob(store, pattern)) == list(glob_objects(store, pattern)) == []
        assert [path async for path in glob_async(store, pattern)] == []
        assert [meta async for meta in glob_objects_async(store, pattern)] == []


class FailingLate:
    """A listing that fails as one below a file does, after its first page."""

    def list(self, prefix: str | None = None) -> object:
        yield [{"path": "a/1.nc"}]
        raise GenericError

    async def list_async(self, prefix: str | None = None) -> object:
        for chunk in self.list(prefix):
            yield chunk


class GenericError(Exception):
    def __str__(self) -> str:
        return "Generic LocalFileSystem error: Unable to walk dir: Not a directory (os error 20)"


async def test_a_listing_that_fails_later_is_not_taken_for_a_complete_one():
    with pytest.raises(GenericError):
        list(glob(FailingLate(), "a/*.nc"))
    with pytest.raises(GenericError):
        [path async for path in glob_async(FailingLate(), "a/*.nc")]


async def test_a_folder_that_may_not_be_listed_is_an_error(tmp_path):
    class Forbidden(ListOnly):
        def list(self, prefix: str | None = None) -> object:
            raise PermissionError(prefix)
            yield

        async def list_async(self, prefix: str | None = None) -> object:
            raise PermissionError(prefix)
            yield

    with pytest.raises(PermissionError):
        list(glob(Forbidden(MemoryStore()), "a/*"))
    with pytest.raises(PermissionError):
        [path async for path in glob_async(Forbidden(MemoryStore()), "a/*")]


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [("a/b/*.txt", "a/b/"), ("a/b*/c/d", "a/"), ("a*/b", None), ("a/**", "a/"), ("a/b.txt", "a/"), ("ab", None),
     ("a/[x/*", "a/[x/"), ("/a/*", "a/"), ("a//b*", "a/"), ("a/b/", "a/b/")],
)  # fmt: skip
async def test_lists_from_the_literal_prefix(memory, pattern, prefix):
    store = ListOnly(memory)
    list(glob(store, pattern))
    assert {path async for path in glob_async(store, pattern)} == set(glob(memory, pattern))
    assert store.calls == [prefix, prefix]


async def test_nothing_is_listed_for_an_empty_pattern(memory):
    store = ListOnly(memory)
    assert list(glob(store, "/")) == [path async for path in glob_async(store, "")] == []
    assert store.calls == []


async def test_a_pattern_without_wildcards_is_one_head_request():
    trace = RequestTrace()
    memory = MemoryStore()
    memory.put("a/b.txt", b"data")
    store = TracingReadableStore(memory, trace)
    assert list(glob(store, "a/b.txt")) == ["a/b.txt"]
    assert [path async for path in glob_async(store, "a/b.txt")] == ["a/b.txt"]
    assert [record.method for record in trace.requests] == ["head", "head"]


class Pages:
    """Lists for ever, so only a lazy consumer ever returns."""

    def __init__(self) -> None:
        self.pages = 0

    def list(self, prefix: str | None = None) -> object:
        while True:
            self.pages += 1
            yield [{"path": f"{prefix or ''}{self.pages}.nc"}]

    async def list_async(self, prefix: str | None = None) -> object:
        for chunk in self.list(prefix):
            yield chunk


async def test_lazy():
    store = Pages()
    found = glob(store, "a/*.nc")
    assert store.pages == 0
    assert [next(found), next(found)] == ["a/1.nc", "a/2.nc"]
    assert store.pages == 2
    found_async = glob_async(Pages(), "a/*.nc")
    assert [await anext(found_async), await anext(found_async)] == ["a/1.nc", "a/2.nc"]
    await found_async.aclose()
    assert next(glob(Pages(), "7.nc")) == "7.nc"
    assert list(glob(Pages(), "7.nc")) == ["7.nc"]  # there is no second object of that path
    assert [path async for path in glob_async(Pages(), "7.nc")] == ["7.nc"]


async def test_errors_of_the_store_are_its_own(memory):
    class Refusing(ListOnly):
        def head(self, path: str) -> object:
            raise PermissionError(path)

    with pytest.raises(PermissionError, match=r"a/b\.txt"):
        list(glob(Refusing(memory), "a/b.txt"))
    with pytest.raises(ValueError, match="illegal"):
        list(glob(memory, "../*"))


@pytest.mark.timeout(60)  # milliseconds, or years
@pytest.mark.parametrize("pattern", ["*a" * 30 + "b", "**/*/" * 12 + "b", "**/a/" * 12 + "b"])
def test_no_pattern_takes_for_ever(pattern):
    class Long:
        def list(self, prefix: str | None = None) -> object:
            yield [{"path": (prefix or "") + "a" * 1000}, {"path": "/".join("a" * 500)}]

    assert list(glob(Long(), pattern)) == []


async def test_a_native_store_is_refused_after_a_fork(tmp_path, monkeypatch):
    monkeypatch.setattr(fork, "_forked_after_io", True)
    for store in (LocalStore(tmp_path), CachingReadableStore(LocalStore(tmp_path))):
        with pytest.raises(RuntimeError, match="spawn"):
            list(glob(store, "*"))
        with pytest.raises(RuntimeError, match="spawn"):
            await anext(glob_async(store, "*"))


def test_exported_from_the_root():
    assert obspec_utils.glob is glob
    assert obspec_utils.glob_objects is glob_objects
    assert obspec_utils.glob_async is glob_async
    assert obspec_utils.glob_objects_async is glob_objects_async
