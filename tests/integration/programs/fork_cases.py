"""What is tried in a forked child: calls that must be refused there, and calls that must go on working."""

from __future__ import annotations

import asyncio
import hashlib
import pickle
from functools import partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace

from obstore.store import HTTPStore, LocalStore, MemoryStore, S3Store
from zarr.abc.store import RangeByteRequest
from zarr.core.buffer import default_buffer_prototype

from obspec_utils import ObjectStoreRegistry, glob, glob_async, glob_objects
from obspec_utils.wrappers import (
    CachingReadableStore,
    CoalescingReadableStore,
    RequestTrace,
    SplittingReadableStore,
    TracingReadableStore,
)
from obspec_utils.zarr import ObspecStore
from tests.integration.readers import SMALL_READERS

PATH = "data.bin"
CONTENT = bytes(range(256)) * 256
BUCKET = "forked"

WRAPPERS = {
    "bare": lambda store: store,
    "caching": CachingReadableStore,
    "splitting": partial(SplittingReadableStore, request_size=16_384),
    "tracing": lambda store: TracingReadableStore(store, RequestTrace()),
    "coalescing": CoalescingReadableStore,
    "caching-splitting": lambda store: CachingReadableStore(SplittingReadableStore(store, request_size=16_384)),
    "splitting-caching": lambda store: SplittingReadableStore(CachingReadableStore(store), request_size=16_384),
}
CALLS = {
    "get": lambda store: store.get(PATH).buffer(),
    "get part": lambda store: store.get(PATH, options={"range": (5, 9)}).buffer(),
    "get_range": lambda store: store.get_range(PATH, start=5, end=9),
    "get_ranges": lambda store: store.get_ranges(PATH, starts=[5, 50], lengths=[4, 4])[0],
    "head": lambda store: str(store.head(PATH)["size"]).encode(),
}
ASYNC_CALLS = {
    "get_async": lambda store: store.get_async(PATH),
    "get_range_async": lambda store: store.get_range_async(PATH, start=5, end=9),
    "get_ranges_async": lambda store: store.get_ranges_async(PATH, starts=[5, 9], lengths=[4, 4]),
    "head_async": lambda store: store.head_async(PATH),
    "glob_async": lambda store: anext(glob_async(store, "*.bin")),
}
ZARR_CALLS = {
    "zarr get": lambda store: store.get(PATH, _PROTOTYPE),
    "zarr get part": lambda store: store.get(PATH, _PROTOTYPE, RangeByteRequest(5, 9)),
    "zarr get parts": lambda store: store.get_partial_values(
        _PROTOTYPE, [(PATH, RangeByteRequest(5, 9)), (PATH, RangeByteRequest(9, 12))]
    ),
    "zarr getsize": lambda store: store.getsize(PATH),
    "zarr list": lambda store: anext(store.list()),
    "zarr list_dir": lambda store: anext(store.list_dir("")),
}
_PROTOTYPE = default_buffer_prototype()


class PythonStore:
    """A store that has nothing to do with obstore."""

    def get(self, path, *, options=None):
        start, stop = (options or {}).get("range", (0, len(CONTENT)))
        meta = {"path": path, "size": len(CONTENT), "e_tag": "1", "last_modified": None, "version": None}
        body = CONTENT[start:stop]
        return SimpleNamespace(
            meta=meta, range=(start, start + len(body)), attributes={}, buffer=lambda: body, bytes=lambda: body
        )

    def get_range(self, path, *, start, end=None, length=None):
        return CONTENT[start : end if length is None else start + length]

    def get_ranges(self, path, *, starts, ends=None, lengths=None):
        ends = ends or [start + length for start, length in zip(starts, lengths, strict=True)]
        return [CONTENT[start:end] for start, end in zip(starts, ends, strict=True)]

    def head(self, path):
        return self.get(path).meta


def native_stores(url: str, folder: str) -> dict:
    Path(folder, PATH).write_bytes(CONTENT)
    options = {"client_options": {"allow_http": True}}
    memory = MemoryStore()
    memory.put(PATH, CONTENT)
    s3 = {"endpoint": url, "region": "us-east-1", "skip_signature": True, "virtual_hosted_style_request": False}
    return {
        "s3": S3Store(BUCKET, **s3, **options),
        "http": HTTPStore(f"{url}/{BUCKET}", **options),
        "local": LocalStore(folder),
        "memory": memory,
    }


def read_all(reader, store) -> bytes:
    with reader(store, PATH) as file:
        return file.read()


def refused(natives: dict) -> dict:
    """Return what would hang in a child that was forked after I/O, by name."""
    cases = {}
    for (kind, native), (wrapping, wrap) in product(natives.items(), WRAPPERS.items()):
        store = wrap(native)
        name = f"{kind} {wrapping}"
        cases |= {f"{name} {reader}": partial(read_all, SMALL_READERS[reader], store) for reader in SMALL_READERS}
        cases[f"{name} glob"] = lambda store=store: next(glob(store, "*.bin"))
        cases[f"{name} glob_objects"] = lambda store=store: next(glob_objects(store, PATH))
        cases |= {
            f"{name} {call}": lambda store=store, call=call: asyncio.run(_awaited(ZARR_CALLS[call], ObspecStore(store)))
            for call in ZARR_CALLS
        }
        if wrapping == "bare":  # a native store's own methods are not ours to refuse
            continue
        calls = {**CALLS, "put": lambda store: store.put("other.bin", b"new")}
        cases |= {f"{name} {call}": partial(calls[call], store) for call in calls}
        cases |= {
            f"{name} {call}": lambda store=store, call=call: asyncio.run(_awaited(ASYNC_CALLS[call], store))
            for call in ASYNC_CALLS
        }
        if kind != "memory":  # which can't be pickled
            cases[f"{name} unpickled"] = lambda store=store: CALLS["get"](pickle.loads(pickle.dumps(store)))
    registry = ObjectStoreRegistry({f"s3://{BUCKET}": CachingReadableStore(natives["s3"])})
    cases["registry"] = lambda: CALLS["get"](registry.resolve(f"s3://{BUCKET}/{PATH}")[0])
    return cases


async def _awaited(call, store):
    return await call(store)


def begun(kind: str, native) -> dict:
    """Return what the parent began and the child goes on with."""
    # Of a MemoryStore it is obstore's own result, which has its bytes.
    cases = {"result": WRAPPERS["splitting"](native).get(PATH).buffer} if kind != "memory" else {}
    for name, reader in SMALL_READERS.items():
        if not name.startswith("eager"):  # that one has it all
            file = reader(native, PATH)
            file.read(10)
            cases[name] = file.read
    return {f"{kind} begun {name}": case for name, case in cases.items()}


def allowed(natives: dict) -> dict:
    """Return what works in any child: what is in memory already, and stores that are not native."""
    cases = {}
    for kind in ("s3", "memory"):
        native = natives[kind]
        cache = CachingReadableStore(native)
        cache.get(PATH)
        eager = SMALL_READERS["eager-small"](native, PATH)
        cases |= {f"{kind} warm cache {call}": partial(CALLS[call], cache) for call in CALLS}
        cases |= {f"{kind} warm cache {name}": partial(read_all, SMALL_READERS[name], cache) for name in SMALL_READERS}
        cases[f"{kind} warm cache get_async"] = lambda cache=cache: asyncio.run(
            _awaited(ASYNC_CALLS["get_async"], cache)
        ).buffer()
        for call in ("zarr get", "zarr get part"):
            cases[f"{kind} warm cache {call}"] = lambda cache=cache, call=call: bytes(
                asyncio.run(_awaited(ZARR_CALLS[call], ObspecStore(cache))).to_bytes()
            )
        cases[f"{kind} warm eager reader"] = eager.read
    for wrapping, wrap in WRAPPERS.items():
        wrapped = wrap(PythonStore())
        name = f"python {wrapping}"
        cases |= {f"{name} {call}": partial(CALLS[call], wrapped) for call in CALLS}
        cases |= {f"{name} {reader}": partial(read_all, SMALL_READERS[reader], wrapped) for reader in SMALL_READERS}
    return cases


def digest(data) -> str:
    return hashlib.sha256(memoryview(data)).hexdigest()
