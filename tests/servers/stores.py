"""Every kind of store that the contract tests run over, and what each can do."""

from __future__ import annotations

import itertools
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self, TypeAlias, TypeVar, get_args

from obstore.store import (
    AzureStore,
    GCSStore,
    HTTPStore,
    LocalStore,
    MemoryStore,
    S3Store,
)

from tests.servers._process import RunningServer
from tests.servers.azurite import AzuriteServer
from tests.servers.gcs_shim import GcsServer
from tests.servers.moto_server import MotoServer
from tests.servers.object_server import ObjectServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from obspec_utils.stores import AiohttpStore  # not installed where only the object server is used

StoreKind = Literal["local", "memory", "s3-moto", "s3-own", "http-own", "aiohttp", "azure", "gcs"]
WritableStore = AzureStore | GCSStore | HTTPStore | LocalStore | MemoryStore | S3Store
Store: TypeAlias = "AiohttpStore | WritableStore"

_Server = TypeVar("_Server", bound=RunningServer)

STORE_KINDS: tuple[StoreKind, ...] = get_args(StoreKind)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a kind of store does when asked, beyond reading whole objects and ranges.

    Attributes
    ----------
    can_write
        Has put, delete, copy and rename; other kinds are filled by `OpenedStore.writer`.
    can_list
        Lists paths that `get` accepts (an HTTPStore whose URL has a path lists that path too).
    can_create
        Knows put with ``mode="create"``.
    can_copy_if_absent
        Copies with ``overwrite=False``, and refuses when the target exists.
    can_multipart
        Puts bodies above the multipart threshold without further options.
    keeps_metadata
        Returns user metadata; the standard attributes all kinds but `local` return.
    keeps_attributes
        Returns Content-Type and the like.
    honours_version, refuses_version
        Reads the `version` asked for; raises an error for any (the others ignore the option).
    honours_if_unmodified_since
        Accepts the object's own `last_modified` (Memory and Local compare it too finely).
    honours_head
        Returns no body for ``options={"head": True}``.
    suffix_ranges
        Serves ``{"suffix": n}``.
    delete_missing_raises
        Raises FileNotFoundError when asked to delete what is not there.
    picklable, forkable
        Can be sent to another process; works in a child forked after I/O in the parent.
    over_network
        Sends requests that a server could count.
    """

    can_write: bool = True
    can_list: bool = True
    can_create: bool = True
    can_copy_if_absent: bool = True
    can_multipart: bool = True
    keeps_metadata: bool = True
    keeps_attributes: bool = True
    honours_version: bool = False
    refuses_version: bool = False
    honours_if_unmodified_since: bool = True
    honours_head: bool = True
    suffix_ranges: bool = True
    delete_missing_raises: bool = False
    picklable: bool = True
    forkable: bool = False
    over_network: bool = True


_S3 = Capabilities(can_copy_if_absent=False, honours_version=True)

CAPABILITIES: dict[StoreKind, Capabilities] = {
    "local": Capabilities(
        keeps_metadata=False,
        keeps_attributes=False,
        honours_if_unmodified_since=False,
        honours_head=False,
        delete_missing_raises=True,
        over_network=False,
    ),
    "memory": Capabilities(
        honours_if_unmodified_since=False,
        honours_head=False,
        picklable=False,
        forkable=True,
        over_network=False,
    ),
    "s3-moto": _S3,
    "s3-own": _S3,
    "http-own": Capabilities(
        can_list=False,
        can_create=False,
        can_multipart=False,
        keeps_metadata=False,
        delete_missing_raises=True,
    ),
    "aiohttp": Capabilities(can_write=False, can_list=False, can_create=False, refuses_version=True, forkable=True),
    "azure": Capabilities(suffix_ranges=False, delete_missing_raises=True),
    "gcs": Capabilities(can_copy_if_absent=False),
}


def _started(start: Callable[[], _Server]) -> cached_property[_Server]:
    """Return an attribute of `Servers` that starts a server when it is first read."""
    return cached_property(lambda servers: servers._stack.enter_context(start()))


class Servers:
    """The servers of a test session, each started when first used and stopped with this object.

    Raises
    ------
    ServerUnavailable
        By an attribute whose server cannot run here.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._numbers = itertools.count(1)

    object_server = _started(ObjectServer.start)
    """Our own server: S3 and HTTP, with latency, faults and a log."""
    moto = _started(MotoServer.start)
    """The reference for S3."""
    gcs = _started(GcsServer.start)
    """The stand-in for Google Cloud Storage."""
    azurite = _started(AzuriteServer.start)
    """The emulator of Azure Blob Storage."""

    def fresh_name(self) -> str:
        """Name of a bucket that is not in use."""
        return f"bucket-{next(self._numbers)}"

    def stop(self) -> None:
        """End every server that was started."""
        self._stack.close()

    def __enter__(self) -> Self:
        """Return the collection; nothing runs yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the servers."""
        self.stop()


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """An empty store of some kind; `bucket` names it on its server ("" without one).

    `writer` stores objects where `store` reads them: the same store, if that can write.
    """

    kind: StoreKind
    store: Store
    bucket: str
    writer: WritableStore

    @property
    def capabilities(self) -> Capabilities:
        """What this kind can do."""
        return CAPABILITIES[self.kind]

    def seed(self, path: str, data: bytes) -> None:
        """Store an object in one plain PUT, which every kind can do."""
        self.writer.put(path, data, use_multipart=False)


@contextmanager
def open_store(kind: StoreKind, servers: Servers) -> Iterator[OpenedStore]:
    """Open an empty store of its own: a new bucket, container, directory or memory."""
    if kind == "local":
        with tempfile.TemporaryDirectory() as folder:
            local = LocalStore(folder)
            yield OpenedStore(kind, local, "", local)
    elif kind == "memory":
        memory = MemoryStore()
        yield OpenedStore(kind, memory, "", memory)
    elif kind == "aiohttp":
        bucket = servers.fresh_name()
        server = servers.object_server
        yield OpenedStore(kind, server.aiohttp_store(bucket), bucket, server.http_store(bucket))
    else:
        bucket = servers.fresh_name()
        store = _REMOTE[kind](servers, bucket)
        yield OpenedStore(kind, store, bucket, store)


def _moto(servers: Servers, bucket: str) -> S3Store:
    servers.moto.create_bucket(bucket, versioned=True)
    return servers.moto.s3_store(bucket)


def _azure(servers: Servers, container: str) -> AzureStore:
    servers.azurite.create_container(container)
    return servers.azurite.azure_store(container)


def _gcs(servers: Servers, bucket: str) -> GCSStore:
    servers.gcs.create_bucket(bucket)
    return servers.gcs.gcs_store(bucket)


_REMOTE: dict[StoreKind, Callable[[Servers, str], WritableStore]] = {
    "s3-moto": _moto,
    "s3-own": lambda servers, bucket: servers.object_server.s3_store(bucket),
    "http-own": lambda servers, bucket: servers.object_server.http_store(bucket),
    "azure": _azure,
    "gcs": _gcs,
}
