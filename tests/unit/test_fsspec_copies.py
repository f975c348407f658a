"""ObspecFileSystem: equality, pickles and JSON, wrong arguments, and the URLs of a registry."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import fsspec
import pytest
from obstore.store import LocalStore, MemoryStore

from obspec_utils import ObjectStoreRegistry
from obspec_utils.fsspec import ObspecFileSystem
from obspec_utils.readers import BufferedStoreReader
from tests.unit._fsspec import OBJECTS, filled


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
    filled(LocalStore(tmp_path / "files", mkdir=True))
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
