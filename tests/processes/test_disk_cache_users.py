"""The cache on disk between users: whose folder it is, and that nobody else can replace it."""

from __future__ import annotations

import ctypes
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from obspec_utils.caches import DiskCache
from tests.unit._disk import FOLDER, OTHER_USER, as_root, folder_of, run_as, unpickled

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20

USER = 1234


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
        for number in range(10_000):
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
