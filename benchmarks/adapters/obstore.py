"""Bare obstore, on which every reader of this library builds: the practical limit."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import obstore
from obstore.store import S3Store

__all__ = ["LOAD", "OPEN", "OVER", "STORE", "connect"]


def connect(url: str, bucket: str) -> S3Store:
    """Return a store of the bucket; it has no connection yet."""
    return S3Store(
        bucket,
        endpoint=url,
        region="us-east-1",
        skip_signature=True,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


def _get(store: S3Store, path: str) -> list[Any]:
    return [store.get(path).buffer()]


def _dropped(store: S3Store, path: str) -> list[Any]:
    """Keep nothing: allocating memory for the bytes would take longer than receiving them."""
    length = sum(len(chunk) for chunk in store.get(path).stream(min_chunk_size=1 << 20))
    return [str(length).encode()]


def _threads(store: S3Store, path: str, size: int, count: int = 18) -> list[Any]:
    """Fetch as many ranges as there are threads, of a known size."""
    step = -(-size // count)

    def fetch(start: int) -> Any:
        return store.get_range(path, start=start, end=min(size, start + step))

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(fetch, range(0, size, step)))


LOAD = {"get": _get, "dropped": _dropped, "threads": _threads}


class _StreamedGet(io.RawIOBase):
    """The body of one get() as a raw file."""

    def __init__(self, store: S3Store, path: str) -> None:
        self._chunks = iter(store.get(path).stream(min_chunk_size=1 << 20))
        self._chunk = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer from one chunk."""
        self._chunk = self._chunk or memoryview(next(self._chunks, b""))
        length = min(len(buffer), len(self._chunk))
        buffer[:length] = self._chunk[:length]
        self._chunk = self._chunk[length:]
        return length


class _ReadableFile:
    """obstore's file with `bytes` from its reads, as h5py requires."""

    def __init__(self, store: S3Store, path: str) -> None:
        self._file = obstore.open_reader(store, path)
        self.seek = self._file.seek
        self.tell = self._file.tell
        self.close = self._file.close

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        return bytes(self._file.read(None if size < 0 else size))


OPEN = {
    "streamed": lambda store, path: io.BufferedReader(_StreamedGet(store, path)),
    "open_reader": _ReadableFile,
}


class _Blockwise:
    """Fetch a whole block for a range in it, and keep nothing."""

    def __init__(self, store: S3Store, block_size: int) -> None:
        self._store = store
        self._block_size = block_size

    def get_range(self, path: str, *, start: int, length: int) -> memoryview:
        """Return a range that lies in one block."""
        first = start - start % self._block_size
        block = self._store.get_range(path, start=first, length=self._block_size)
        return memoryview(block)[start - first : start - first + length]


STORE = {
    "bare": lambda store, _path: store,
    "blockwise": lambda store, _path, block_size: _Blockwise(store, block_size),
}
OVER = {"bare": lambda store: store}
