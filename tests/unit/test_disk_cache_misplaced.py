"""The cache on disk where something else has the place of a file: a miss, and no reason to rest."""

from __future__ import annotations

import os
import re
import socket
import stat
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from obspec_utils.caches import DiskCache
from tests.unit._disk import FOLDER, OTHER_USER, as_root, counted, files, temporaries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1 << 20


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path, MIB)


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    # Its address is too short for a path.
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(before)


def a_link_to_a_value(path: Path) -> None:
    path.symlink_to(path.parents[1] / "moved")


def a_link_to_a_fifo(path: Path) -> None:
    os.mkfifo(path.parents[1] / "fifo")
    path.symlink_to(path.parents[1] / "fifo")


def an_empty_folder(path: Path) -> None:
    path.mkdir()


def another_users_file(path: Path) -> None:
    path.write_bytes((path.parents[1] / "moved").read_bytes())
    os.chown(path, OTHER_USER, OTHER_USER)


def a_device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero


THINGS = [
    a_fifo,
    a_socket,
    a_link_to_a_value,
    a_link_to_a_fifo,
    an_empty_folder,
    pytest.param(another_users_file, marks=as_root),
    pytest.param(a_device, marks=as_root),
]


@pytest.fixture
def misplaced(cache: DiskCache, tmp_path: Path) -> Iterator[Callable[[Callable[[Path], None]], Path]]:
    """Puts something in the place of the value of "a"; nobody may warn, so the circuit breaker stays closed."""

    def place(thing: Callable[[Path], None]) -> Path:
        cache.put("a", b"value")
        (path,) = files(tmp_path)
        path.rename(tmp_path / "moved")
        thing(path)
        return path

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield place
        assert not cache._breaker.is_open


@pytest.mark.parametrize("thing", THINGS)
def test_what_is_no_file_of_ours_is_a_miss_and_removed(cache: DiskCache, misplaced, thing) -> None:
    path = misplaced(thing)
    assert cache.get("a") is None
    assert not os.path.lexists(path)
    cache.put("a", b"new value")
    assert cache.get("a") == b"new value"


@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("change", ["put", "delete", "clear", "evict"])
def test_what_is_no_file_of_ours_is_replaced_deleted_and_evicted(
    cache: DiskCache, misplaced, thing, change: str
) -> None:
    path = misplaced(thing)
    if change == "put":
        cache.put("a", b"new value")
        assert cache.get("a") == b"new value"
        return
    if change == "delete":
        cache.delete("a")
    elif change == "clear":
        cache.clear()
    else:
        os.utime(path, ns=(0, 0), follow_symlinks=False)
        for number in range(30):
            cache.put(str(number), bytes(100_000))
    assert not os.path.lexists(path)


def test_a_folder_that_is_not_empty_stays_and_costs_nothing_else(cache: DiskCache, misplaced, tmp_path: Path) -> None:
    path = misplaced(an_empty_folder)
    (path / "something").write_bytes(b"someone's")
    for _ in range(2):
        assert cache.get("a") is None
        cache.put("a", b"value")
        cache.delete("a")
        cache.clear()
    os.utime(path, ns=(0, 0))
    for number in range(30):
        cache.put(str(number), bytes(100_000))
        assert cache.get(str(number)) is not None
    assert cache.evictions > 10
    assert counted(tmp_path) >= cache.size
    assert (path / "something").read_bytes() == b"someone's"
    assert temporaries(tmp_path) == []


def test_a_value_that_cannot_get_its_name_evicts_nothing(cache: DiskCache, misplaced, tmp_path: Path) -> None:
    path = misplaced(an_empty_folder)
    (path / "something").write_bytes(b"someone's")
    for number in range(9):
        cache.put(str(number), bytes(100_000))
    cache.put("a", bytes(900_000))
    assert all(cache.get(str(number)) is not None for number in range(9))
    assert (cache.evictions, temporaries(tmp_path)) == (0, [])


@pytest.mark.parametrize("thing", THINGS[:5])
def test_what_has_the_place_of_the_counter_is_replaced(
    cache: DiskCache, misplaced, tmp_path: Path, thing: Callable[[Path], None]
) -> None:
    cache.put("b", b"value")
    (tmp_path / FOLDER / "counter").rename(tmp_path / "moved")
    thing(tmp_path / FOLDER / "counter")
    assert cache.get("b") == b"value"
    cache.put("c", b"value")
    assert cache.get("c") == b"value"
    assert re.match(rb"\d+ \d+ \S+\n$", (tmp_path / FOLDER / "counter").read_bytes())
