"""The budget of the cache on disk, and what makes room."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from obspec_utils.caches import _disk_budget, _value_codec
from obspec_utils.caches._disk import DiskCache
from tests.unit._disk import files, occupied

MIB = 1 << 20


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
        assert occupied(tmp_path, folders=max_size >= MIB) <= max_size
    assert hits > 5
    assert sum(cache.evictions for cache in caches) > 10
    # Nothing was counted too high, so room was used: the count is what a look at the files finds.
    counted = caches[0].size
    (tmp_path / "obspec-utils-1" / "budget").unlink()
    assert counted == caches[0].size


def test_folders_that_are_empty_make_room(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, MIB)
    for number in range(300):
        cache.put(str(number), bytes(4000))
    assert occupied(tmp_path, folders=True) <= MIB
    assert len(files(tmp_path)) > 80
    cache.put("large", bytes(900_000))
    assert len(cache.get("large")) == 900_000


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 50 * 4096)
    for number in range(40):
        cache.put(str(number), bytes(4000))
        cache.get("0")
    assert cache.evictions == 0
    for number in range(40, 80):
        cache.put(str(number), bytes(4000))
        assert cache.get("0") is not None
    kept = [number for number in range(1, 80) if cache.get(str(number)) is not None]
    assert kept == list(range(80 - len(kept), 80))
    assert cache.evictions == 80 - len(kept) - 1


def test_all_files_are_looked_at_once_for_many_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survey, looks = _disk_budget.survey, []
    monkeypatch.setattr(_disk_budget, "survey", lambda *what: looks.append(what) or survey(*what))
    cache = DiskCache(tmp_path, 100 * 4096)
    for number in range(300):
        cache.put(str(number), bytes(4000))
    assert cache.evictions > 200
    assert len(looks) < 1 + 200 / 8


def test_a_folder_that_grows_counts(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, MIB)
    keys = (str(number) for number in itertools.count())
    for key in itertools.islice((key for key in keys if _value_codec.digest(key)[0] == 0), 300):
        cache.put(key, b"")
        assert occupied(tmp_path, folders=True) <= MIB
    assert cache.evictions > 0


def test_a_folder_that_is_made_counts(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 4 * MIB)
    cache.put("a", bytes(MIB))
    brim = cache.size + cache._budget.prices.fixed + cache._budget.prices.of_file(5052)
    DiskCache(tmp_path, brim).put("b", bytes(5000))  # no room for its folder
    assert occupied(tmp_path, folders=True) <= brim


def test_a_value_that_is_too_large_is_not_kept_and_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = DiskCache(tmp_path, 100_000)
    cache.put("a", b"old")
    cache.put("b", b"stays")
    monkeypatch.delattr(_disk_budget, "survey")  # nor does anybody look through all files
    cache.put("a", bytes(100_001))
    assert (cache.get("a"), cache.get("b"), cache.evictions) == (None, b"stays", 0)


def test_values_that_others_are_writing_are_never_made_room_of(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 100_000)
    cache.put("a", b"stays")
    writing = cache._begin(cache._path(b"b"), 60_000)
    cache.put("c", bytes(50_000))  # no room, whatever is forgotten
    assert (cache.get("a"), cache.get("c"), cache.evictions) == (b"stays", None, 0)
    writing.close()  # as when its process is killed
    cache.put("c", bytes(50_000))
    assert cache.get("c") is not None
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("smaller", [64 * 1024, MIB + 4096])
def test_a_smaller_budget_trims_what_is_there_at_the_first_put(tmp_path: Path, smaller: int) -> None:
    large = DiskCache(tmp_path, 4 * MIB)
    for number in range(200):
        large.put(str(number), bytes(10_000))
    cache = DiskCache(tmp_path, smaller)
    cache.put("a", bytes(2 * smaller))
    assert occupied(tmp_path, folders=smaller >= MIB) <= smaller
    cache.put("a", b"value")
    assert occupied(tmp_path, folders=smaller >= MIB) <= smaller
    assert cache.get("a") == b"value"
    assert cache.get("199") is not None


def test_what_others_put_there_is_counted_and_left_alone(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 100_000)
    cache.put("a", b"value")
    (path,) = files(tmp_path)
    (path.parent / "notes").write_bytes(bytes(30_000))
    (tmp_path / "obspec-utils-1" / "notes").write_bytes(bytes(30_000))
    (tmp_path / "obspec-utils-1" / "budget").unlink()  # so that somebody looks
    for number in range(20):
        cache.put(str(number), bytes(10_000))
        assert occupied(tmp_path, folders=False) <= 100_000
    cache.clear()
    assert len(files(tmp_path)) == 1
    assert cache.size == 2 * 32_768


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff" * 80),
        lambda path: path.write_bytes(b"0 files-only another-boot"),
        lambda path: path.write_bytes(path.read_bytes().replace(b"0", b"9", 1)),
    ],
)
def test_a_count_that_is_lost_or_wrong_is_made_anew(tmp_path: Path, damage) -> None:
    cache = DiskCache(tmp_path, 100_000)
    cache.put("a", bytes(60_000))
    right = cache.size
    damage(tmp_path / "obspec-utils-1" / "budget")
    cache.put("b", bytes(10_000))
    assert cache.size == right + 12_288
    cache.put("c", bytes(60_000))
    assert occupied(tmp_path, folders=False) <= 100_000
    assert cache.get("a") is None


def test_a_count_that_was_lost_does_not_start_at_a_difference(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 100_000)
    cache.put("a", bytes(60_000))
    cache.put("b", bytes(10_000))
    (tmp_path / "obspec-utils-1" / "budget").unlink()
    cache.delete("b")
    assert cache.size == 61_440


def test_a_machine_that_does_not_tell_when_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_disk_budget, "Path", lambda path: Path("/missing"))
    _disk_budget._boot.cache_clear()
    assert _disk_budget._boot() == "unknown"
    _disk_budget._boot.cache_clear()
