"""How much memory reading a large object takes at most, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.servers import ObjectServer

SIZE = 256 << 20
# What is measured is the most that was resident; memory that is shared or a file counts once it was looked at.
PROGRAM = """
import asyncio, sys, zlib
from obstore.store import S3Store
from obspec_utils.readers import EagerStoreReader
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))

def ranges():
    cached = CachingReadableStore(SplittingReadableStore(store), 1 << 30)
    kept.append(cached)
    return sum(len(cached.get_range("object", start=start, length=1 << 20)) for start in range(0, size, 1 << 20))

def eager():
    kept.append(EagerStoreReader(store, "object"))
    return sum(len(piece) for piece in iter(lambda: kept[0].read(1 << 20), b""))

def chunks():
    kept.append(SplittingReadableStore(store).get("object"))
    return sum(len(chunk) for chunk in kept[0])

def look_at(buffer):
    kept.append(buffer)
    zlib.crc32(buffer)
    return len(buffer)

def buffer():
    return look_at(SplittingReadableStore(store).get("object").buffer())

def buffer_async():
    async def read():
        kept.append(await (await SplittingReadableStore(store).get_async("object")).buffer_async())
    asyncio.run(read())
    return look_at(kept[0])

def cached():
    kept.append(CachingReadableStore(SplittingReadableStore(store), 1 << 30))
    return look_at(kept[0].get("object").buffer())

def warm():
    ranges()
    return look_at(kept[0].get("object").buffer())

url, way, size, kept = sys.argv[1], sys.argv[2], int(sys.argv[3]), []
store = S3Store("bucket", endpoint=url, region="us-east-1", skip_signature=True, client_options={"allow_http": True})
asyncio.run(asyncio.sleep(0))
store.get_range("object", start=0, length=1)
before = peak()
assert globals()[way]() == size
print((peak() - before) / size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("way", "most"),
    [
        ("eager", 1.1),
        ("chunks", 1.1),
        ("ranges", 1.1),
        ("buffer", 1.4),
        ("buffer_async", 1.4),
        ("cached", 1.4),
        ("warm", 1.4),
    ],
)
def test_the_object_and_little_more(object_server: ObjectServer, way: str, most: float) -> None:
    object_server.put_random("bucket/object", SIZE)
    object_server.configure(latency=0.03, bandwidth=50e6)
    command = [sys.executable, "-c", PROGRAM, object_server.url, way, str(SIZE)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout) <= most


HDF5_PROGRAM = """
import sys
import h5py, numpy as np
from obstore.store import S3Store
from obspec_utils.readers import ParallelStoreReader

def status(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith(key))

url, name, mode, budget = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
store = S3Store("bucket", endpoint=url, region="us-east-1", skip_signature=True, client_options={"allow_http": True})
buffer = np.ones(262_144)

def read(file, count=None):
    with h5py.File(file) as opened:
        for key in list(opened)[:count]:
            opened[key].read_direct(buffer)

if mode == "file":
    read(name, 1)
else:
    read(ParallelStoreReader(store, "object", 65536, 4), 1)
before = status("VmRSS")
with open("/proc/self/clear_refs", "w") as clear:
    clear.write("5")  # reset VmHWM
if mode == "file":
    read(name)
else:
    read(ParallelStoreReader(store, "object", budget // 64, read_ahead=mode))
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("mode", "most"), [("auto", 1.25), ("pattern", 1.7)])
def test_a_reader_of_hdf5_takes_little_more_than_its_memory(
    object_server: ObjectServer, tmp_path, mode: str, most: float
) -> None:
    # "pattern" fills its memory with parts of 512 KiB, whose connections' buffers come on top (guide, "Memory").
    budget = 32 << 20
    name = tmp_path / "variables.h5"
    with h5py.File(name, "w") as file:
        for number in range(60):
            file.create_dataset(f"v{number}", data=np.full(262_144, number * 1.0), chunks=(8192,))
    object_server.put("bucket/object", name.read_bytes())
    object_server.configure(latency=0.03, bandwidth=50e6)
    # As dask sets it for its workers: otherwise glibc keeps what the threads that have ended had freed.
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}

    def growth(mode: str) -> int:
        command = [sys.executable, "-c", HDF5_PROGRAM, object_server.url, str(name), mode, str(budget)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
        assert ran.returncode == 0, ran.stderr
        return int(ran.stdout)

    the_read = 2 << 20
    assert growth(mode) - growth("file") <= most * budget + the_read
