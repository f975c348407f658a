"""Objects for the tests of `explain`, and its rows by reader."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obspec_utils import Explanation, Network
from tests.requests._hdf5_granules import scattered

if TYPE_CHECKING:
    from obstore.store import S3Store

MIB = 1 << 20
SLOW = Network(latency=0.1, bandwidth=10e6, connections=64)
WHOLE = ["open_reader", "EagerStoreReader"]
AGAIN = "open_reader, cached, again"


def filled_store(object_server, files) -> S3Store:
    """Return a store with the files, and with an HDF5 file whose metadata lies all over it."""
    for name, data in files.items():
        object_server.put(f"bucket/{name}", data)
    object_server.put("bucket/scattered.h5", scattered())
    object_server.clear()
    return object_server.s3_store("bucket")


def by_reader(explanation: Explanation):
    return {row.reader: row for row in explanation.rows}
