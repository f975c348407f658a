"""The budget of the cache on disk, and what is evicted."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from obspec_utils.caches import DiskCache
from obspec_utils.caches.disk import _cache, _eviction
from tests.unit._disk import BLOCK, FOLDER, age, counted, files, occupied, on_disk, temporaries

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was scanned, by puts."""
    scan, scanned = _eviction.scan, []
    monkeypatch.setattr(_eviction, "scan", lambda *what: scanned.append(what) or scan(*what))
    return scanned


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    return tmp_path / FOLDER / "counter"


@pytest.mark.parametrize("max_size", [64 * 1024, MIB])
def test_the_budget_holds_after_each_step(tmp_path: Path, max_size: int) -> None:
    rng = random.Random(max_size)
    caches = [DiskCache(tmp_path, max_size) for _ in range(2)]
    model: dict[str, bytes] = {}
    hits, held = 0, []
    for _ in range(300):
        key, cache = str(rng.randrange(max_size // 4000)), rng.choice(caches)
        if rng.random() < 0.3:
            found = cache.get(key)
            assert found in (None, model.get(key))
            hits += found is not None
        elif rng.random() < 0.05:
            cache.delete(key)
            model.pop(key, None)
        else:
            model[key] = rng.randbytes(rng.choice([0, 100, 5000, 20_000, max_size]))
            cache.put(key, model[key])
        held.append(cache.lease(key))
        assert occupied(tmp_path) <= max_size
        assert sum(on_disk(path.stat().st_size) for path in files(tmp_path)) == caches[0].size <= counted(tmp_path)
    assert hits > 5
    assert sum(cache.evictions for cache in caches) > 10


def test_values_that_were_used_least_recently_are_evicted(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 51 * BLOCK)
    for number in range(50):
        cache.put(str(number), bytes(4000))
        cache.get("0")
    assert (cache.evictions, cache.size) == (0, 50 * BLOCK)
    cache.put("50", bytes(4000))
    assert (cache.evictions, cache.size) == (6, 45 * BLOCK)  # 90 %
    for number in range(51, 90):
        cache.put(str(number), bytes(4000))
        assert cache.get("0") is not None
    kept = [number for number in range(1, 90) if cache.get(str(number)) is not None]
    assert kept == list(range(90 - len(kept), 90))
    assert cache.evictions == 90 - len(kept) - 1


def test_a_value_of_the_whole_budget_replaces_all_others(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 51 * BLOCK)
    for number in range(20):
        cache.put(str(number), bytes(4000))
    cache.put("large", bytes(50 * BLOCK - 52))
    assert (cache.size, cache.evictions) == (50 * BLOCK, 20)
    assert cache.get("large") == bytes(50 * BLOCK - 52)


def test_all_files_are_scanned_once_for_many_values(tmp_path: Path, scans: list[object]) -> None:
    cache = DiskCache(tmp_path, 101 * BLOCK)
    for number in range(100):
        cache.put(str(number), bytes(4000))
    assert len(scans) == 1  # by the first one
    for number in range(100, 300):
        cache.put(str(number), bytes(4000))
    assert cache.evictions > 200
    assert len(scans) <= 1 + 200 / 10


def test_what_was_replaced_or_deleted_evicts_nothing_below_the_target(tmp_path: Path, scans: list[object]) -> None:
    """It counts until a scan, which is paid for by a tenth of the budget that was put since the one before."""
    cache = DiskCache(tmp_path, 101 * BLOCK)
    for number in range(80):
        cache.put(str(number), bytes(4000))
    for _ in range(400):
        cache.put("0", bytes(4000))
        cache.put("deleted", bytes(4000))
        cache.delete("deleted")
    assert (cache.evictions, cache.size) == (0, 80 * BLOCK)
    assert len(scans) <= 1 + 800 / 10


def test_a_value_that_is_too_large_is_not_kept_and_costs_no_other(tmp_path: Path, scans: list[object]) -> None:
    cache = DiskCache(tmp_path, 100_000)
    cache.put("a", b"old")
    cache.put("b", b"stays")
    scans.clear()
    cache.put("a", bytes(100_001 - BLOCK))
    assert (cache.get("a"), cache.get("b"), cache.evictions, scans) == (None, b"stays", 0, [])


def test_a_value_is_written_before_others_are_evicted_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = DiskCache(tmp_path, 100_000)
    for key in "abcd":
        cache.put(key, bytes(20_000))
    write, kept = _cache._write, []

    def look(*what: object) -> None:
        write(*what)
        kept.append([key for key in "abcd" if cache.get(key) is not None])

    monkeypatch.setattr(_cache, "_write", look)
    cache.put("e", bytes(50_000))
    assert kept == [list("abcd")]
    assert [key for key in "abcde" if cache.get(key) is not None] == ["d", "e"]


def test_a_smaller_budget_evicts_what_is_there_at_the_first_put(tmp_path: Path) -> None:
    large = DiskCache(tmp_path, 4 * MIB)
    for number in range(200):
        large.put(str(number), bytes(10_000))
    cache = DiskCache(tmp_path, 64 * 1024)
    cache.put("a", b"value")
    assert occupied(tmp_path) <= 64 * 1024
    assert cache.get("a") == b"value"
    assert cache.get("199") is not None


def test_what_others_put_there_is_left_alone(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 100_000)
    (tmp_path / FOLDER / "notes.txt").write_bytes(bytes(30_000))
    (tmp_path / FOLDER / "folder").mkdir()
    for number in range(20):
        cache.put(str(number), bytes(10_000))
    cache.clear()
    assert cache.size == 0
    assert {path.name for path in (tmp_path / FOLDER).iterdir()} == {"counter", "notes.txt", "folder"}


def test_what_killed_writers_left_is_removed_by_age(tmp_path: Path, counter: Path) -> None:
    cache = DiskCache(tmp_path, 100_000)
    cache.put("a", b"value")
    (value,) = files(tmp_path)
    left = [value.with_name(f"{value.name}.{number}") for number in range(3)]
    for path, seconds in zip(left, (900, 300, -900), strict=True):
        path.write_bytes(bytes(5000))
        age(path, seconds)
    cache.put("b", b"value")  # no scan is due
    assert temporaries(tmp_path) == left
    size, _, boot = counter.read_text().split()
    counter.write_text(f"{size} {int(counter.stat().st_mtime) - 4000:012} {boot}\n")  # the last scan is an hour ago
    cache.put("b", b"value")
    assert temporaries(tmp_path) == [left[1]]
    assert cache.get("a") == cache.get("b") == b"value"
    assert counted(tmp_path) == cache.size == 2 * BLOCK
    cache.clear()
    assert files(tmp_path) == [left[1]]  # it may still be written


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff" * 80),
        lambda path: path.write_bytes(b"0" * 20 + path.read_bytes()[20:34] + b"another-boot\n"),
        lambda path: path.write_bytes(path.read_bytes().replace(b"0", b"9", 1)),
        lambda path: path.write_bytes(b"0" * 20 + path.read_bytes()[20:].replace(b" 0", b" 9", 1)),
    ],
)
def test_a_counter_that_is_lost_or_wrong_is_corrected_by_the_next_put(
    tmp_path: Path, counter: Path, scans: list[object], damage
) -> None:
    cache = DiskCache(tmp_path, 100_000)
    cache.put("a", bytes(60_000))
    cache.put("a", bytes(60_000))
    scans.clear()
    damage(counter)
    cache.put("b", bytes(10_000))
    assert counted(tmp_path) == cache.size == on_disk(60_052) + on_disk(10_052)
    assert (cache.evictions, len(scans)) == (0, 1)
    cache.put("d", b"value")
    assert len(scans) == 1
    cache.put("c", bytes(60_000))
    assert occupied(tmp_path) <= 100_000
    assert cache.get("a") is None


def test_a_scan_that_corrects_the_counter_evicts_only_over_the_budget(tmp_path: Path, counter: Path) -> None:
    cache = DiskCache(tmp_path, 51 * BLOCK)
    for number in range(49):
        cache.put(str(number), bytes(4000))
    counter.unlink()
    cache.put("49", bytes(4000))
    assert (cache.evictions, cache.size) == (0, 50 * BLOCK)
    counter.unlink()
    cache.put("50", bytes(4000))
    assert (cache.evictions, cache.size) == (6, 45 * BLOCK)


def test_a_counter_that_was_removed_while_its_lock_was_waited_for(
    tmp_path: Path, counter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock excludes nobody who comes later: they lock the next one."""
    cache = DiskCache(tmp_path, MIB)
    cache.put("a", b"value")
    flock, tries = _eviction.fcntl.flock, []

    def late(file: int, what: int) -> None:
        if not tries:
            counter.unlink()
        tries.append(os.fstat(file).st_nlink)
        flock(file, what)

    monkeypatch.setattr(_eviction.fcntl, "flock", late)
    cache.put("b", b"value")
    assert tries == [0, 1, 1]
    assert counted(tmp_path) == cache.size == 2 * BLOCK


def test_a_machine_that_does_not_tell_when_it_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_eviction, "Path", lambda path: tmp_path / "missing")
    _eviction._boot.cache_clear()
    assert _eviction._boot() == "unknown"
    _eviction._boot.cache_clear()
