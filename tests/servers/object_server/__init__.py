"""An in-memory object server for tests and benchmarks, run as a process of its own.

One port speaks plain HTTP, enough WebDAV and S3 for obstore, and a JSON control plane that sets
latency and bandwidth, reads the request log and plans faults.
"""

from tests.servers.object_server._faults import Fault, FaultAction, FaultOptions
from tests.servers.object_server._objects import random_bytes
from tests.servers.object_server._records import LoggedRequest
from tests.servers.object_server.client import ObjectServer

__all__ = [
    "Fault",
    "FaultAction",
    "FaultOptions",
    "LoggedRequest",
    "ObjectServer",
    "random_bytes",
]
