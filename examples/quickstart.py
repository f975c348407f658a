"""Read a NetCDF4 file from an object store with xarray, through each reader, with and without a cache.

Run it with `python -m examples.quickstart`. It starts a small S3 server with 30 ms latency and 50 MB/s a connection,
about as cloud storage has. With your own data, all you need is

    store = obstore.store.S3Store("my-bucket", region="us-east-1")
    with open_reader(store, "path/to/file.nc") as file, xarray.open_dataset(file) as dataset:
        ...
"""

from __future__ import annotations

import tempfile
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from obspec_utils.readers import BufferedStoreReader, EagerStoreReader, ParallelStoreReader, open_reader
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore
from tests.servers import ObjectServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from obspec_utils.protocols import ReadableStore

BUCKET = "demo"
PATH = "model/2026-01-01.nc"
GROUPS = ("atmosphere", "ice", "land", "ocean")
VARIABLES_PER_GROUP = 26
SHAPE = (512, 512)
BARE, CACHED, AGAIN = "store", "Caching(Splitting(store))", "same store, warm cache"
WANTED = ("atmosphere/field_03", "land/field_11", "ocean/field_20")

READERS = (open_reader, EagerStoreReader, ParallelStoreReader, BufferedStoreReader)


class Row(NamedTuple):
    """Cost of one read: a reader over a store."""

    reader: str
    store: str
    requests: int
    megabytes: float
    seconds: float
    in_flight: int
    means: tuple[float, ...]


def make_file() -> bytes:
    """Return a NetCDF4 file of about 110 MB: four groups of 26 variables, as xarray and h5netcdf lay them out."""
    random = np.random.default_rng(seed=0)

    def variable(name: str) -> xr.DataArray:
        values = random.random(SHAPE, dtype=np.float32)  # noise, so that no compression could help
        return xr.DataArray(values, dims=("y", "x"), attrs={"units": "K", "long_name": name.replace("_", " ")})

    groups = {
        group: xr.Dataset({name: variable(name) for name in (f"field_{i:02}" for i in range(VARIABLES_PER_GROUP))})
        for group in GROUPS
    }
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs={"title": "A model run"}), **groups})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "file.nc")
        tree.to_netcdf(file, engine="h5netcdf")
        return file.read_bytes()


def read(reader: Callable[..., Any], store: ReadableStore) -> tuple[float, ...]:
    """Open the file, which reads the metadata of all its variables, and take the means of three of them."""
    with reader(store, PATH) as file, xr.open_datatree(file) as tree:
        return tuple(float(tree[name].mean()) for name in WANTED)


def measure(server: ObjectServer, reader: Callable[..., Any], store: ReadableStore, label: str) -> Row:
    """Read once, and return the requests and bytes that the server counted."""
    server.clear()
    begin = time.perf_counter()
    means = read(reader, store)
    seconds = time.perf_counter() - begin
    log = server.log()
    megabytes = sum(request.sent for request in log) / 1e6
    return Row(reader.__name__, label, len(log), megabytes, seconds, server.most_in_flight(), means)


def show(row: Row) -> None:
    """Print one line of the table."""
    print(
        f"{row.reader:<19}  {row.store:<25}  {row.requests:>8}  {row.megabytes:>5.0f}"
        f"  {row.seconds:>7.2f}  {row.in_flight:>13}"
    )


def interpret(rows: list[Row]) -> str:
    """Summarise the table in a sentence."""
    bare = [row for row in rows if row.store == BARE]
    again = [row for row in rows if row.store == AGAIN]
    fast, slow = min(bare, key=lambda row: row.seconds), max(bare, key=lambda row: row.seconds)
    return (
        f"Every row computed {'the same' if len({row.means for row in rows}) == 1 else 'DIFFERENT'} means; without a "
        f"cache {fast.reader} ({fast.requests} requests, up to {fast.in_flight} at once) was "
        f"{slow.seconds / fast.seconds:.0f} times as fast as {slow.reader} ({slow.requests} requests, up to "
        f"{slow.in_flight} at once), and from a warm cache the readers together "
        f"sent {sum(row.requests for row in again)} requests and none took longer than "
        f"{max(row.seconds for row in again):.1f} s."
    )


def main() -> None:
    """Print a table of the cost of each reader, over the store alone and through a cache."""
    with ObjectServer.start(latency=0.030, bandwidth=50e6) as server:
        content = make_file()
        server.put(f"{BUCKET}/{PATH}", content)
        store = server.s3_store(BUCKET)
        print(f"A NetCDF4 file of {len(content) / 1e6:.0f} MB, {len(GROUPS) * VARIABLES_PER_GROUP} variables in it;")
        print("each row opens it with xarray and reads three of them. 30 ms latency, 50 MB/s a connection.\n")
        print("reader               store                      requests     MB  seconds  max in flight")
        rows = []
        for reader in READERS:
            cached = CachingReadableStore(SplittingReadableStore(store))
            for label, source in ((BARE, store), (CACHED, cached), (AGAIN, cached)):
                rows.append(measure(server, reader, source, label))
                show(rows[-1])
        print("\n" + textwrap.fill(interpret(rows), 100))


if __name__ == "__main__":
    main()
