"""The private folder of the cache on disk: where it can be, whose it is, and what may lie in it."""

from __future__ import annotations

import ctypes
import errno
import os
import pickle
import re
import socket
import stat
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from obspec_utils.caches import DiskCache
from obspec_utils.caches.disk import _paths
from tests.unit._disk import FOLDER, counted, files, temporaries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1 << 20
USER, OTHER_USER = 1234, 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: only root can act as two users")


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path, MIB)


# Construction.


def unpickled(directory: Path) -> DiskCache:
    """Return a cache that was made where it could be made, and unpickled where it can't."""
    cache = DiskCache.__new__(DiskCache)
    cache.__setstate__((str(directory), MIB))
    return pickle.loads(pickle.dumps(cache))


def a_file(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def below_a_file(path: Path) -> Path:
    return a_file(path) / "below"


def a_link_to_nothing(path: Path) -> Path:
    path.symlink_to(path.parent / "missing")
    return path


def with_a_file_in_place_of_the_folder(path: Path) -> Path:
    path.mkdir()
    a_file(path / FOLDER)
    return path


def with_a_link_in_place_of_the_folder(path: Path) -> Path:
    DiskCache(path.with_name("theirs"), MIB).put("a", b"theirs")
    path.mkdir()
    (path / FOLDER).symlink_to(path.with_name("theirs") / FOLDER)
    return path


PLACES = {
    a_file: NotADirectoryError,
    below_a_file: NotADirectoryError,
    a_link_to_nothing: FileNotFoundError,
    with_a_file_in_place_of_the_folder: NotADirectoryError,
    with_a_link_in_place_of_the_folder: NotADirectoryError,
}


@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_cannot_be_used_is_an_error_at_construction(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    directory = place(tmp_path / "place")
    with pytest.raises(PLACES[place], match=rf"can't cache in {directory}: .*pass a directory") as caught:
        DiskCache(directory, MIB)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_cannot_be_used_is_only_warned_of_by_an_unpickled_cache(
    tmp_path: Path, place: Callable[[Path], Path]
) -> None:
    cache = unpickled(place(tmp_path / "place"))
    with pytest.warns(RuntimeWarning, match="can't be used, so nothing is kept there"):
        cache.put("a", b"value")
    assert (cache.get("a"), cache.size) == (None, 0)  # no further warning
    cache.lease("a").release()
    cache.delete("a")
    cache.clear()


def folder_of(user: int) -> str:
    return f"{FOLDER.rpartition('-')[0]}-{user}"


def run_as(user: int, work: Callable[[], None]) -> None:
    """Do something as another user."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            work()
            status = 0
        except BaseException:  # noqa: BLE001 - shown, and told by the status
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def place_of_root() -> Iterator[Path]:
    """A folder that every user can reach, and only root can write to."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others
        Path(folder).chmod(0o755)
        place = Path(folder) / "place"
        place.mkdir(0o755)
        yield place


@as_root
def test_a_place_that_this_user_cannot_write_to_is_an_error_at_construction(place_of_root: Path) -> None:
    def work() -> None:
        for directory in (place_of_root, place_of_root / "new"):
            with pytest.raises(
                PermissionError, match=r"Permission denied.*pass a directory that this user can write to"
            ):
                DiskCache(directory, MIB)

    run_as(OTHER_USER, work)


@as_root
def test_a_folder_of_another_user_is_an_error_at_construction(place_of_root: Path) -> None:
    DiskCache(place_of_root, MIB).put("a", b"root's")
    place_of_root.chmod(0o777)
    planted = place_of_root / folder_of(OTHER_USER)
    (place_of_root / FOLDER).rename(planted)
    planted.chmod(0o777)

    def work() -> None:
        with pytest.raises(PermissionError, match=f"{planted} belongs to user 0, not to {OTHER_USER}; pass"):
            DiskCache(place_of_root, MIB)
        with pytest.warns(RuntimeWarning, match="belongs to user 0"):
            assert unpickled(place_of_root).get("a") is None

    run_as(OTHER_USER, work)


@as_root
def test_users_can_share_a_directory(place_of_root: Path) -> None:
    place_of_root.chmod(0o1777)
    cache = DiskCache(place_of_root, MIB)
    cache.put("a", b"root's")

    def work() -> None:
        others = DiskCache(place_of_root, MIB)
        assert others.get("a") is None
        others.put("a", b"the other's")
        assert others.get("a") == b"the other's"

    run_as(OTHER_USER, work)
    assert cache.get("a") == b"root's"


def test_a_read_only_disk_is_an_error_at_construction(tmp_path: Path) -> None:
    command = ["mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    if not sys.platform.startswith("linux") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount file systems")
    try:
        DiskCache(tmp_path, MIB).put("a", b"value")
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)
        for directory in (tmp_path, tmp_path / "new"):
            with pytest.raises(OSError, match=r"Read-only file system.*; pass a directory") as caught:
                DiskCache(directory, MIB)
            assert caught.value.errno == errno.EROFS
        assert unpickled(tmp_path).get("a") == b"value"
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


@pytest.mark.parametrize("mode", [0o777, 0o755, 0o710, 0o500])
def test_a_folder_that_others_can_enter_is_closed_to_them(cache: DiskCache, tmp_path: Path, mode: int) -> None:
    cache.put("a", b"value")
    (tmp_path / FOLDER).chmod(mode)
    DiskCache(tmp_path, MIB)
    assert stat.S_IMODE((tmp_path / FOLDER).stat().st_mode) in (0o700, 0o700 | stat.S_ISGID)
    assert cache.get("a") == b"value"


# What has the place of a value.


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
        assert not cache._trouble.resting


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


# Two users: the one who owns `directory` against the one whose values are in it.

RENAME_EXCHANGE = 2
AT_FDCWD = -100


def exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step."""
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.renameat2(AT_FDCWD, bytes(one), AT_FDCWD, bytes(other), RENAME_EXCHANGE) == 0


@pytest.fixture
def swapping(place_of_root: Path) -> Iterator[Path]:
    """A directory whose owner keeps swapping the private folder and one with planted values, as fast as can be."""
    if not hasattr(ctypes.CDLL(None), "renameat2"):
        pytest.skip("this system can't swap names")
    planted = place_of_root.parent / "planting"
    maker = DiskCache(planted, MIB)
    maker.put("key", b"EVIL")
    for path in [planted / FOLDER, *(planted / FOLDER).iterdir()]:
        os.chown(path, OTHER_USER, OTHER_USER)
        path.chmod(0o755)
    (planted / FOLDER).rename(place_of_root / "planted")
    os.chown(place_of_root, OTHER_USER, OTHER_USER)
    place_of_root.chmod(0o777)
    attacker = os.fork()
    if attacker == 0:
        os.setuid(OTHER_USER)
        while not (place_of_root / "start").exists():
            time.sleep(0.001)
        while True:
            exchange(place_of_root / "planted", place_of_root / folder_of(USER))
    try:
        yield place_of_root
    finally:
        os.kill(attacker, 9)
        os.waitpid(attacker, 0)


@as_root
def test_who_owns_the_directory_can_swap_the_folder_for_nobody(swapping: Path) -> None:
    def work() -> None:
        cache = DiskCache(swapping, MIB)
        cache.put("key", b"good")
        (swapping / "start").touch()
        swaps, planted = 0, False
        for number in range(30_000):
            assert cache.get("key") == b"good"
            if number % 100 == 0:
                cache.put("key", b"good")
                cache.lease("key").release()
            try:
                here = (swapping / folder_of(USER)).stat().st_uid == OTHER_USER
            except FileNotFoundError:
                here = planted
            swaps += here != planted
            planted = here
        assert swaps > 10

    run_as(USER, work)


@as_root
def test_a_planted_folder_is_never_opened(swapping: Path) -> None:
    def work() -> None:
        (swapping / "start").touch()
        refused = served = 0
        for _ in range(20_000):
            try:
                cache = DiskCache(swapping, MIB)
            except OSError:
                refused += 1
            else:
                cache.put("key", b"good")
                assert cache.get("key") == b"good"
                served += 1
            if refused > 50 and served > 50:
                return
        raise AssertionError((refused, served))

    run_as(USER, work)


def test_a_folder_that_is_replaced_by_name_stays_in_use(cache: DiskCache, tmp_path: Path) -> None:
    other = DiskCache(tmp_path / "other", MIB)
    other.put("a", b"other")
    cache.put("a", b"value")
    (tmp_path / FOLDER).rename(tmp_path / "aside")
    (tmp_path / "other" / FOLDER).rename(tmp_path / FOLDER)
    assert (cache.get("a"), other.get("a")) == (b"value", b"other")
    assert DiskCache(tmp_path, MIB).get("a") == b"other"
    cache.put("b", b"value")
    assert len(list((tmp_path / "aside").iterdir())) == 3


def test_a_forked_child_uses_the_folder_of_its_parent(cache: DiskCache) -> None:
    cache.put("a", b"value")
    folder = cache._opened

    def work() -> None:
        assert cache.get("a") == b"value"
        cache.put("b", b"of the child")
        assert cache._opened is folder

    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert cache.get("b") == b"of the child"


def test_one_folder_is_opened_once_by_any_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    caches = [DiskCache(directory, MIB) for directory in (tmp_path, tmp_path / "link", tmp_path)]
    assert len({cache._opened for cache in caches}) == 1
    assert isinstance(caches[0]._opened, _paths.Folder)
