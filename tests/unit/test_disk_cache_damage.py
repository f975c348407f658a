"""The cache on disk tells what is not exactly what was written."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from obspec_utils.caches import DiskCache
from obspec_utils.caches.disk import _cache
from tests.unit._disk import files

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path, 16 * MIB)


def rewrite(path: Path, change) -> None:
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[:20],
        lambda data: data[:52],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: bytes(len(data)),
        lambda data: data[:52] + bytes(len(data) - 52),
    ],
)
def test_a_damaged_file_is_removed(cache: DiskCache, tmp_path: Path, change) -> None:
    cache.put("a", b"some value")
    (path,) = files(tmp_path)
    rewrite(path, change)
    assert cache.get("a") is None
    assert files(tmp_path) == []
    cache.put("a", b"some value")
    assert cache.get("a") == b"some value"


def test_a_flipped_bit_is_found_anywhere(cache: DiskCache, tmp_path: Path) -> None:
    cache.put("a", b"some value")
    (path,) = files(tmp_path)
    good = path.read_bytes()
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        assert cache.get("a") is None, bit
        assert not path.exists()


def test_a_file_under_another_s_name_is_found(cache: DiskCache, tmp_path: Path) -> None:
    cache.put("a", b"value of a")
    cache.put("b", b"value of b")
    one, other = files(tmp_path)
    data = one.read_bytes(), other.read_bytes()
    one.write_bytes(data[1])
    other.write_bytes(data[0])
    assert (cache.get("a"), cache.get("b")) == (None, None)


def test_a_file_that_pretends_to_be_huge_takes_no_memory(cache: DiskCache, tmp_path: Path) -> None:
    cache.put("a", b"value")
    (path,) = files(tmp_path)
    os.truncate(path, 1 << 40)
    assert cache.get("a") is None


def test_the_system_may_read_and_write_less_than_asked_for(cache: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    # As it does beyond 2 GiB.
    read, write, writev = os.read, os.write, os.writev
    monkeypatch.setattr(_cache.os, "read", lambda file, size: read(file, min(size, 60)))
    monkeypatch.setattr(_cache.os, "write", lambda file, data: write(file, data[:7]))
    monkeypatch.setattr(_cache.os, "writev", lambda file, data: writev(file, [data[0][:11]]))
    value = random.Random(1).randbytes(200)
    cache.put("a", value)
    assert cache.get("a") == value
