"""ObspecFileSystem over stores in memory and on disk: slices of objects, and directories."""

from __future__ import annotations

import itertools

import pytest
from obstore.store import MemoryStore

from obspec_utils.exceptions import IncompleteReadError
from obspec_utils.fsspec import ObspecFileSystem
from obspec_utils.wrappers import CachingReadableStore, CoalescingReadableStore, SplittingReadableStore
from tests.unit._fsspec import OBJECTS, filled

WRAPPINGS = {
    "bare": lambda store: store,
    "caching": CachingReadableStore,
    "splitting": lambda store: SplittingReadableStore(store, request_size=4),
    "coalescing": CoalescingReadableStore,
}


BOUNDS = [None, 0, 3, 9, 10, 50, -1, -3, -10, -11, -50]


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
@pytest.mark.parametrize("path", ["a.txt", "empty"])
def test_slices_are_those_of_bytes(store, wrap, path):
    fs = ObspecFileSystem(wrap(store))
    for start, end in itertools.product(BOUNDS, [*BOUNDS, 2**62]):
        assert (start, end, fs.cat_file(path, start, end)) == (start, end, OBJECTS[path][start:end])


def test_slices_of_one_call_may_overlap_be_empty_and_end_past_the_object(fs):
    slices = list(itertools.product(BOUNDS, BOUNDS))
    starts, ends = map(list, zip(*slices, strict=True))
    assert fs.cat_ranges(["a.txt"] * len(slices), starts, ends) == [OBJECTS["a.txt"][a:b] for a, b in slices]
    known = [(a, b) for a, b in slices if a is not None and b is not None and min(a, b) >= 0 and a < 10]
    starts, ends = map(list, zip(*known, strict=True))
    assert fs.cat_ranges(["a.txt"] * len(known), starts, ends) == [OBJECTS["a.txt"][a:b] for a, b in known]


def test_ranges_of_several_objects_keep_their_order(fs):
    paths = ["a.txt", "dir/b.txt", "a.txt", "missing", "/a.txt"]
    *found, missing, last = fs.cat_ranges(paths, [0, 5, 8, 0, 1], [2, 8, 10, 1, 2])
    assert found == [b"01", b"one", b"89"]
    assert isinstance(missing, FileNotFoundError)
    assert last == b"1"
    assert fs.cat_ranges(["a.txt", "dir/b.txt"], 1, 3) == [b"12", b"in"]
    assert fs.cat_ranges(["a.txt", "dir/b.txt"], None, 3) == [b"012", b"lin"]
    assert fs.cat_ranges([], [], []) == []


@pytest.mark.parametrize("on_error", ["raise", "omit"])
def test_errors_of_ranges_are_raised_if_not_returned(fs, on_error):
    with pytest.raises(FileNotFoundError, match="missing"):
        fs.cat_ranges(["a.txt", "missing"], 0, 1, on_error=on_error)


def test_cat_returns_omits_or_raises_errors(fs):
    assert fs.cat("a.txt") == b"0123456789"
    assert fs.cat(["a.txt", "missing"], on_error="omit") == {"a.txt": b"0123456789"}
    assert isinstance(fs.cat(["a.txt", "missing"], on_error="return")["missing"], FileNotFoundError)
    with pytest.raises(FileNotFoundError, match="missing"):
        fs.cat(["a.txt", "missing"])
    assert fs.cat("dir", recursive=True) == {path: OBJECTS[path] for path in ("dir/b.txt", "dir/deep/c.bin")}
    assert fs.cat("dir/*.txt") == {"dir/b.txt": OBJECTS["dir/b.txt"]}


@pytest.mark.parametrize(
    ("paths", "starts", "ends", "error", "message"),
    [
        ("a.txt", 0, 1, TypeError, "paths must be a list, got 'a.txt'"),
        (["a.txt"], [0, 1], [1], ValueError, "starts and ends must be as many as paths, 1, got 2 and 1"),
    ],
)
def test_malformed_ranges_are_refused(fs, paths, starts, ends, error, message):
    with pytest.raises(error, match=message):
        fs.cat_ranges(paths, starts, ends)


def test_directories_are_what_paths_say(fs):
    assert fs.ls("", detail=False) == ["a.txt", "dir", "dir.txt", "empty"]
    assert fs.ls("dir/", detail=False) == ["dir/b.txt", "dir/deep"]
    assert [entry["type"] for entry in sorted(fs.ls("dir"), key=lambda entry: entry["name"])] == ["file", "directory"]
    assert fs.ls("a.txt", detail=False, refresh=True) == ["a.txt"]
    assert fs.info("dir", refresh=True) == {"name": "dir", "size": 0, "type": "directory"}
    assert fs.info("")["type"] == "directory"
    assert [fs.exists(path) for path in ("", "dir", "a.txt", "di", "a.txt/x", "dir/x")] == [True] * 3 + [False] * 3
    assert fs.isdir("dir")
    assert fs.isfile("dir.txt")
    assert not fs.isfile("dir")
    for call in (fs.ls, fs.info, fs.size, fs.cat_file, fs.open, fs.modified):
        with pytest.raises(FileNotFoundError, match=r"^\[Errno 2\] .*'dir/x'$"):
            call("dir/x")


def test_info_tells_size_version_and_date(fs, store):
    meta = store.head("a.txt")
    assert fs.info("/a.txt") == {
        "name": "a.txt",
        "type": "file",
        **{key: meta[key] for key in ("size", "e_tag", "last_modified", "version")},
    }
    assert fs.size("a.txt") == 10
    assert fs.modified("a.txt") == meta["last_modified"]
    before = fs.ukey("a.txt"), fs.checksum("a.txt")
    store.put("a.txt", b"0123456780")
    assert (fs.ukey("a.txt"), fs.checksum("a.txt")) != before


def test_find_walk_glob_and_du_agree(fs):
    assert fs.find("") == sorted(OBJECTS)
    assert fs.find("dir", withdirs=True) == ["dir", "dir/b.txt", "dir/deep", "dir/deep/c.bin"]
    assert fs.find("dir", maxdepth=1, withdirs=True) == ["dir", "dir/b.txt", "dir/deep"]
    assert fs.find("", maxdepth=2) == ["a.txt", "dir.txt", "dir/b.txt", "empty"]
    assert fs.find("a.txt", detail=True) == {"a.txt": fs.info("a.txt")}
    assert fs.find("dir/b.txt", maxdepth=1) == ["dir/b.txt"]
    assert fs.find("missing") == []
    assert fs.find("dir", detail=True) == {path: fs.info(path) for path in ("dir/b.txt", "dir/deep/c.bin")}
    assert [(path, sorted(dirs), sorted(files)) for path, dirs, files in fs.walk("dir")] == [
        ("dir", ["deep"], ["b.txt"]),
        ("dir/deep", [], ["c.bin"]),
    ]
    assert fs.glob("**/*.txt") == ["a.txt", "dir.txt", "dir/b.txt"]
    assert fs.glob("*.txt") == ["a.txt", "dir.txt"]
    assert fs.glob("dir/[a-b].txt") == ["dir/b.txt"]
    assert fs.glob("dir/*/") == ["dir/deep/"] or fs.glob("dir/*/") == ["dir/deep"]
    assert fs.du("dir") == 18 + 256
    assert fs.du("dir", total=False) == {"dir/b.txt": 18, "dir/deep/c.bin": 256}
    with pytest.raises(ValueError, match="maxdepth must be at least 1"):
        fs.find("dir", maxdepth=0)


def test_an_object_beside_a_directory_of_its_name_is_found():
    store = MemoryStore()
    store.put("dir", b"object")
    store.put("dir/x", b"other")
    fs = ObspecFileSystem(store)
    assert fs.find("") == ["dir", "dir/x"]
    assert fs.du("") == 11


@pytest.mark.parametrize("marker", ["dir", "dir/"])
def test_an_object_that_marks_a_directory_is_not_in_it(marker):
    class Marked(MemoryStore):
        """Lists as S3 does with an object `dir/`, whose trailing slash obstore drops."""

        async def list_with_delimiter_async(self, prefix=None):
            found = await super().list_with_delimiter_async(prefix)
            markers = [{**super().head("m"), "path": marker}] if prefix == "dir/" else []
            return {**found, "objects": [*found["objects"], *markers]}

        async def list_async(self, prefix=None):
            async for page in super().list_async(prefix):
                yield [*page, {**super().head("m"), "path": marker}]

    store = Marked()
    store.put("m", b"")
    store.put("dir/x", b"")
    fs = ObspecFileSystem(store)
    assert fs.ls("dir", detail=False) == ["dir/x"]
    assert fs.find("dir") == ["dir/x"]
    assert fs.find("") == ["dir/x", "m"]
    store.delete("dir/x")
    assert fs.ls("dir") == []


def test_listings_are_not_cached(fs, store):
    assert fs.ls("dir", detail=False) == ["dir/b.txt", "dir/deep"]
    store.put("dir/new", b"")
    assert fs.exists("dir/new")
    assert "dir/new" in fs.ls("dir", detail=False)


def test_a_store_that_cannot_list_still_reads():
    class Plain:
        def __init__(self, store):
            self._inner = store
            self.get, self.get_async = store.get, store.get_async
            self.head_async = store.head_async

    inner = MemoryStore()
    inner.put("a/b", b"0123")
    fs = ObspecFileSystem(Plain(inner))
    assert fs.cat_file("a/b", 1, 3) == b"12"
    assert fs.cat_ranges(["a/b", "a/b"], [0, 3], [1, 4]) == [b"0", b"3"]
    assert fs.exists("a/b")
    assert fs.isdir("")
    assert not fs.exists("a")
    for call in (fs.ls, fs.find):
        with pytest.raises(NotImplementedError, match=r"Plain can't list 'a': it has no list\w*_async\(\)"):
            call("a")


class Compressing(MemoryStore):
    """A store whose ranges come back longer, as from a proxy that compresses."""

    async def get_range_async(self, path, **options):
        return bytes(await super().get_range_async(path, **options)) + b"more"


def test_a_range_with_more_bytes_is_an_error():
    fs = ObspecFileSystem(filled(Compressing()))
    with pytest.raises(IncompleteReadError, match="Expected 3 bytes of 'a"):
        fs.cat_file("a.txt", 1, 4)
