"""ObspecFileSystem over stores in memory and on disk: slices, directories, files, copies, and what it refuses."""

from __future__ import annotations

import asyncio
import errno
import gzip
import io
import itertools
import json
import os
import pickle
import subprocess
import sys
import threading

import fsspec
import pytest
from fsspec.callbacks import Callback
from obstore.store import LocalStore, MemoryStore

from obspec_utils import ObjectStoreRegistry
from obspec_utils.fsspec import ObspecFileSystem
from obspec_utils.readers import BufferedStoreReader, EagerStoreReader, ParallelStoreReader
from obspec_utils.wrappers import CachingReadableStore, CoalescingReadableStore, SplittingReadableStore

OBJECTS = {
    "a.txt": b"0123456789",
    "empty": b"",
    "dir/b.txt": b"line one\nline two\n",
    "dir/deep/c.bin": bytes(range(256)),
    "dir.txt": b"beside dir",
}
WRAPPINGS = {
    "bare": lambda store: store,
    "caching": CachingReadableStore,
    "splitting": lambda store: SplittingReadableStore(store, request_size=4),
    "coalescing": CoalescingReadableStore,
}


@pytest.fixture
def memory():
    store = MemoryStore()
    for path, content in OBJECTS.items():
        store.put(path, content)
    return store


@pytest.fixture
def local(tmp_path):
    store = LocalStore(tmp_path)
    for path, content in OBJECTS.items():
        store.put(path, content)
    return store


@pytest.fixture(params=["memory", "local"])
def store(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def fs(store):
    return ObspecFileSystem(store)


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


def test_open_returns_the_reader(fs, store):
    with fs.open("a.txt") as file:
        assert type(file) is EagerStoreReader
        assert file.path == "a.txt"
        assert file.read() == b"0123456789"
    other = ObspecFileSystem(store, reader=ParallelStoreReader)
    file = other.open("a.txt", block_size=5, cache_type="readahead", cache_options={}, fill_cache=False, size=10)
    assert type(file) is ParallelStoreReader
    assert fs.open("a.txt", memory=2, read_ahead=None).read() == b"0123456789"
    with pytest.raises(TypeError, match="nothing"):
        fs.open("a.txt", nothing=1)


def test_text_and_compression_are_those_of_fsspec(fs, store):
    with fs.open("dir/b.txt", "r") as file:
        assert isinstance(file, io.TextIOWrapper)
        assert file.readlines() == ["line one\n", "line two\n"]
    store.put("c.txt.gz", gzip.compress("grün\n".encode("latin-1")))
    with fs.open("c.txt.gz", "rt", compression="infer", encoding="latin-1") as file:
        assert file.read() == "grün\n"
    assert fs.read_text("dir/b.txt") == "line one\nline two\n"
    assert fs.head("a.txt", 3) == b"012"
    assert fs.tail("a.txt", 3) == b"789"
    assert fs.read_block("dir/b.txt", 3, 9, delimiter=b"\n") == b"line two\n"


def _write_in_transaction(fs):
    with fs.transaction:
        fs.open("a.txt", "wb")


WRITES = {
    "open": lambda fs: fs.open("a.txt", "wb"),
    "open text": lambda fs: fs.open("a.txt", "a"),
    "open both": lambda fs: fs.open("a.txt", "r+b"),
    "pipe": lambda fs: fs.pipe("a.txt", b""),
    "pipe many": lambda fs: fs.pipe({"a.txt": b""}),
    "pipe_file": lambda fs: fs.pipe_file("a.txt", b""),
    "write_text": lambda fs: fs.write_text("a.txt", ""),
    "write_bytes": lambda fs: fs.write_bytes("a.txt", b""),
    "touch": lambda fs: fs.touch("a.txt"),
    "touch only": lambda fs: fs.touch("a.txt", truncate=False),
    "rm": lambda fs: fs.rm("a.txt"),
    "rm_file": lambda fs: fs.rm_file("a.txt"),
    "delete": lambda fs: fs.delete("a.txt", recursive=True),
    "rmdir": lambda fs: fs.rmdir("a.txt"),
    "mkdir": lambda fs: fs.mkdir("a.txt"),
    "makedirs": lambda fs: fs.makedirs("a.txt", exist_ok=True),
    "mkdirs": lambda fs: fs.mkdirs("a.txt", exist_ok=True),
    "cp": lambda fs: fs.cp("a.txt", "b"),
    "cp_file": lambda fs: fs.cp_file("a.txt", "b"),
    "copy": lambda fs: fs.copy("a.txt", "b", recursive=True),
    "mv": lambda fs: fs.mv("a.txt", "b"),
    "mv itself": lambda fs: fs.mv("a.txt", "a.txt"),
    "rename": lambda fs: fs.rename("a.txt", "b"),
    "put": lambda fs: fs.put("a.txt", "b"),
    "put_file": lambda fs: fs.put_file("a.txt", "b"),
    "upload": lambda fs: fs.upload("a.txt", "b"),
    "mapper": lambda fs: fs.get_mapper("").__setitem__("a.txt", b""),
    "transaction": _write_in_transaction,
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_writing_is_one_clear_error(memory, write):
    with pytest.raises(OSError, match=r"^\[Errno \d+\] Read-only: an ObspecFileSystem does not write") as caught:
        write(ObspecFileSystem(memory))
    assert caught.value.errno == errno.EROFS
    assert caught.value.filename in {"a.txt", "", None}
    assert {meta["path"] for page in memory.list() for meta in page} == set(OBJECTS)


def test_no_method_of_fsspec_that_writes_is_left():
    """A release of fsspec may add some: look at what it adds, and refuse it if it writes."""
    known = {"cp_file", "copy", "mv_file", "pipe_file", "pipe", "put_file", "put", "rm_file", "rm", "mkdir", "makedirs"}
    reads = {"cat_file", "cat", "cat_ranges", "get_file", "get", "info", "ls", "find", "glob", "walk", "du", "exists"}
    reads |= {"isfile", "isdir", "size", "sizes", "expand_path", "process_limits"}
    base = fsspec.asyn.AsyncFileSystem
    coroutines = {
        name[1:]
        for name in vars(base)
        if name.startswith("_") and (asyncio.iscoroutinefunction(getattr(base, name)) or name in {"_walk", "_glob"})
    }
    assert coroutines - reads == known


def test_files_are_copied_to_disk(fs, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    done = Callback()
    fs.get_file("dir/deep/c.bin", str(target / "new" / "c.bin"), callback=done)
    (target / "new" / "c.bin").replace(target / "c.bin")
    (target / "new").rmdir()
    assert (target / "c.bin").read_bytes() == OBJECTS["dir/deep/c.bin"]
    assert (done.size, done.value) == (256, 256)
    fs.get_file("empty", target / "none")
    assert (target / "none").read_bytes() == b""
    buffer = io.BytesIO()
    fs.get_file("a.txt", buffer)
    assert buffer.getvalue() == b"0123456789"
    fs.get("dir", str(target / "tree"), recursive=True)
    assert sorted(path.relative_to(target).as_posix() for path in target.rglob("*")) == [
        "c.bin",
        "none",
        "tree",
        "tree/b.txt",
        "tree/deep",
        "tree/deep/c.bin",
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_what_is_no_regular_file_is_written_to_and_links_are_followed(fs, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    pipe = os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK)
    try:
        fs.get_file("a.txt", str(tmp_path / "pipe"))
        assert os.read(pipe, 100) == b"0123456789"
    finally:
        os.close(pipe)
    (tmp_path / "file").write_bytes(b"former")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    fs.get_file("a.txt", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_a_copy_that_fails_leaves_the_former_file(fs, tmp_path):
    (tmp_path / "copy").write_bytes(b"former")
    with pytest.raises(FileNotFoundError, match="missing"):
        fs.get_file("missing", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == b"former"
    assert not list(tmp_path.glob("*.partial"))


def test_a_callers_event_loop(store):
    async def run():
        fs = ObspecFileSystem(store, asynchronous=True)
        assert await fs._cat_file("a.txt", -3) == b"789"
        assert await fs._cat_ranges(["a.txt"], [1], [2]) == [b"1"]
        assert await fs._exists("dir")
        assert await fs._find("dir") == ["dir/b.txt", "dir/deep/c.bin"]
        assert fs.open("a.txt").read() == b"0123456789"
        async with await fs.open_async("a.txt") as file:
            assert (file.size, file.mode, file.path, file.fs) == (10, "rb", "a.txt", fs)
            assert await file.read(3) == b"012"
            assert (file.tell(), file.loc, file.seek(-2, 2)) == (3, 3, 8)
            assert await file.read() == b"89"
            assert await file.read(1) == b""
            assert not file.closed
        assert file.closed
        with pytest.raises(FileNotFoundError, match="missing"):
            await fs.open_async("missing")
        for mode in ("wb", "r"):
            with pytest.raises(OSError, match="Read-only"):
                await fs.open_async("a.txt", mode)
        with pytest.raises(RuntimeError, match="Loop is not running"):
            fs.cat_file("a.txt")

    asyncio.run(run())


def test_open_and_read_do_not_wait_for_the_loop_of_fsspec(fs):
    """h5py reads with its lock held, and a task of that loop may wait for this lock."""
    busy, release = threading.Event(), threading.Event()

    def block():
        busy.set()
        release.wait(60)

    fs.loop.call_soon_threadsafe(block)
    try:
        assert busy.wait(60)
        assert fs.open("a.txt").read() == b"0123456789"
        assert fs.open("dir/b.txt", "r").readline() == "line one\n"
        assert not release.is_set()
    finally:
        release.set()


def test_copies_are_equal_and_others_are_not(memory, local):
    fs, other = ObspecFileSystem(memory), ObspecFileSystem(memory)
    assert fs is not other
    assert fs == fs  # noqa: PLR0124
    assert fs != other
    assert hash(fs) != hash(other)
    assert fs._fs_token != other._fs_token
    of_disk = ObspecFileSystem(local, reader=BufferedStoreReader)
    copy = pickle.loads(pickle.dumps(of_disk))
    assert copy == of_disk
    assert hash(copy) == hash(of_disk)
    assert pickle.loads(pickle.dumps(copy)) == of_disk
    assert type(copy.open("a.txt")) is BufferedStoreReader
    with pytest.raises(TypeError, match="MemoryStore"):
        pickle.dumps(fs)


def test_open_files_of_fsspec_pickle(local):
    opened = fsspec.core.OpenFile(ObspecFileSystem(local), "dir/b.txt", "rt")
    with pickle.loads(pickle.dumps(opened)) as file:
        assert file.read() == "line one\nline two\n"
    file = ObspecFileSystem(local).open("a.txt")
    file.seek(4)
    assert pickle.loads(pickle.dumps(file)).read() == b"456789"


def test_json_has_no_store_and_works_while_the_filesystem_exists(memory):
    fs = ObspecFileSystem(memory, reader=BufferedStoreReader)
    text = fs.to_json()
    assert sorted(json.loads(text)) == ["args", "cls", "protocol"]
    copy = fsspec.AbstractFileSystem.from_json(text)
    assert type(copy.open("a.txt")) is BufferedStoreReader
    assert fsspec.AbstractFileSystem.from_dict({**fs.to_dict(), "asynchronous": True}).asynchronous
    text = text.replace(json.loads(text)["args"][0][-4:], "none")
    with pytest.raises(ValueError, match=r"There is no filesystem 'obspec-utils:.*Pickle it, or make a new one"):
        fsspec.AbstractFileSystem.from_json(text)


def test_a_filesystem_around_it_is_written_as_json(memory):
    around = fsspec.filesystem("dir", path="dir", fs=ObspecFileSystem(memory))
    assert fsspec.AbstractFileSystem.from_json(around.to_json()).cat_file("b.txt") == OBJECTS["dir/b.txt"]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("s3://bucket",), {}, "store must be a store, got 's3://bucket'"),
        ((MemoryStore,), {}, "store must be a store, got the class MemoryStore"),
        ((fsspec.filesystem("memory"),), {}, "got an fsspec filesystem"),
        ((MemoryStore(),), {"caching": True}, "'caching' is no option of ObspecFileSystem"),
        ((MemoryStore(),), {"reader": "open_reader"}, "reader must be a callable such as open_reader"),
    ],
)
def test_wrong_arguments_are_refused(arguments, options, message):
    with pytest.raises(TypeError, match=message):
        ObspecFileSystem(*arguments, **options)


def test_a_url_is_no_path_of_a_store(fs):
    with pytest.raises(ValueError, match=r"path must be relative to the store.*got the URL 's3://bucket/a'"):
        fs.cat_file("s3://bucket/a")


def test_paths_of_a_registry_are_urls(memory, local, tmp_path):
    below = LocalStore(tmp_path / "files", mkdir=True)
    for path, content in OBJECTS.items():
        below.put(path, content)
    fs = ObspecFileSystem(ObjectStoreRegistry({"s3://bucket": memory, "s3://other": local}))
    assert fs.ls("s3://bucket/", detail=False) == [
        f"s3://bucket/{path}" for path in ("a.txt", "dir", "dir.txt", "empty")
    ]
    assert fs.find("s3://other/files/dir") == ["s3://other/files/dir/b.txt", "s3://other/files/dir/deep/c.bin"]
    assert fs.glob("s3://bucket/dir/*.txt") == ["s3://bucket/dir/b.txt"]
    assert fs.info("s3://other/files/a.txt")["name"] == "s3://other/files/a.txt"
    paths = ["s3://bucket/a.txt", "s3://other/files/a.txt", "s3://none/a.txt", "s3://bucket/missing"]
    *found, no_bucket, missing = fs.cat_ranges(paths, [0, 1, 0, 0], [2, 3, 1, 1])
    assert found == [b"01", b"12"]
    assert "Could not find an ObjectStore matching the url `s3://none/a.txt`" in str(no_bucket)
    assert isinstance(missing, FileNotFoundError)
    assert fs.open("s3://other/files/a.txt").read() == b"0123456789"
    for call in (fs.open, fs.cat_file, fs.info, fs.ls, fs.exists):
        with pytest.raises(ValueError, match="Could not find an ObjectStore matching the url `s3://none/a`"):
            call("s3://none/a")
    with pytest.raises(ValueError, match="Urls are expected to contain a scheme"):
        fs.cat_file("bucket/a.txt")


def test_names_of_web_servers_are_percent_encoded():
    store = MemoryStore()
    store.put("data/dir/a b#%41?.txt", b"odd")
    fs = ObspecFileSystem(ObjectStoreRegistry({"https://host": store, "s3://bucket": store}))
    (url,) = fs.find("https://host/data/dir")
    assert url == "https://host/data/dir/a%20b%23%2541%3F.txt"
    assert fs.cat_file(url) == fs.open(url).read() == b"odd"
    assert fs.ls("https://host/data/dir", detail=False) == [url]
    (key,) = fs.find("s3://bucket/data/dir")
    assert fs.cat_file(key) == b"odd"


def test_its_repr_has_its_store(memory):
    assert repr(ObspecFileSystem(memory)) == f"ObspecFileSystem({memory!r})"


def test_a_missing_extra_is_named():
    program = "import sys; sys.modules['fsspec'] = None; import obspec_utils.fsspec"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "pip install 'obspec-utils[fsspec]'" in result.stderr.splitlines()[-1]
