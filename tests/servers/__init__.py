"""Servers that the tests, examples and benchmarks read from."""

from tests.servers._process import ServerUnavailable
from tests.servers.azurite import AzuriteServer
from tests.servers.gcs_shim import GcsServer
from tests.servers.moto_server import MotoServer
from tests.servers.object_server import (
    Fault,
    FaultAction,
    FaultOptions,
    LoggedRequest,
    ObjectServer,
    random_bytes,
)
from tests.servers.stores import (
    CAPABILITIES,
    STORE_KINDS,
    Capabilities,
    OpenedStore,
    Servers,
    Store,
    StoreKind,
    open_store,
)

__all__ = [
    "CAPABILITIES",
    "STORE_KINDS",
    "AzuriteServer",
    "Capabilities",
    "Fault",
    "FaultAction",
    "FaultOptions",
    "GcsServer",
    "LoggedRequest",
    "MotoServer",
    "ObjectServer",
    "OpenedStore",
    "ServerUnavailable",
    "Servers",
    "Store",
    "StoreKind",
    "open_store",
    "random_bytes",
]
