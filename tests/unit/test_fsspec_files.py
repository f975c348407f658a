"""ObspecFileSystem over stores in memory and on disk: open files, copies on disk, event loops, and what it refuses."""

from __future__ import annotations

import asyncio
import errno
import gzip
import io
import os
import threading

import fsspec
import pytest
from fsspec.callbacks import Callback

from obspec_utils.fsspec import ObspecFileSystem
from obspec_utils.readers import EagerStoreReader, ParallelStoreReader
from tests.unit._fsspec import OBJECTS


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
