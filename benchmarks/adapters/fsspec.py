"""fsspec's filesystems: s3fs, and its own one for HTTP."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from typing import Any

import s3fs
from fsspec.asyn import sync
from fsspec.implementations.cached import SimpleCacheFileSystem
from fsspec.implementations.http import HTTPFileSystem

from benchmarks.environments import SCRATCH

__all__ = ["LOAD", "OPEN", "STORE", "VIRTUAL", "close", "connect"]


class _Client:
    """Both filesystems, new ones, with a session but no connection and no listing."""

    def __init__(self, url: str, bucket: str) -> None:
        self.url = url
        self.bucket = bucket
        self.base = f"{url}/{bucket}"
        self.remains = ExitStack()
        options: dict[str, Any] = {"client_kwargs": {"region_name": "us-east-1"}, "skip_instance_cache": True}
        self.s3 = s3fs.S3FileSystem(
            anon=True, endpoint_url=url, config_kwargs={"s3": {"addressing_style": "path"}}, **options
        )
        self.http = HTTPFileSystem(skip_instance_cache=True)
        sync(self.s3.loop, self.s3.set_session)
        sync(self.http.loop, self.http.set_session)


def connect(url: str, bucket: str) -> _Client:
    """Return filesystems that are ready to send their first request."""
    return _Client(url, bucket)


def close(client: _Client) -> None:
    """Close the connections, and remove the cached files."""
    client.remains.close()
    sync(client.s3.loop, client.s3.s3.close)
    sync(client.http.loop, client.http._session.close)  # noqa: SLF001 - there is no public way


def _s3(client: _Client, path: str, **options: Any) -> Any:
    return client.s3.open(f"{client.bucket}/{path}", "rb", **options)


def _http(client: _Client, path: str, **options: Any) -> Any:
    return client.http.open(f"{client.base}/{path}", "rb", **options)


OPEN = {"s3": _s3, "http": _http}

LOAD = {
    "s3": lambda client, path: [client.s3.cat_file(f"{client.bucket}/{path}")],
    "http": lambda client, path: [client.http.cat_file(f"{client.base}/{path}")],
}


def _virtual(client: _Client, _path: str, **options: Any) -> tuple[Any, Any]:
    """Return a store for the registry, and a factory that opens paths by s3fs."""
    from benchmarks.adapters import obstore  # noqa: PLC0415 - only here

    return obstore.connect(client.url, client.bucket), lambda _store, path: _s3(client, path, **options)


VIRTUAL = {"virtual": _virtual}


class _Ranges:
    """A file with a cache, opened for each range."""

    def __init__(self, client: _Client, options: dict[str, Any]) -> None:
        self._client = client
        self._options = options

    def get_range(self, path: str, *, start: int, length: int) -> Any:
        """Return the bytes of a range."""
        with _s3(self._client, path, **self._options) as file:
            file.seek(start)
            return file.read(length)


class _Simple:
    """Whole objects in files of a folder, which processes can share."""

    def __init__(self, bucket: str, filesystem: SimpleCacheFileSystem) -> None:
        self._bucket = bucket
        self._filesystem = filesystem

    def get_range(self, path: str, *, start: int, length: int) -> Any:
        """Return the bytes of a range."""
        return self._filesystem.cat_file(f"{self._bucket}/{path}", start=start, end=start + length)


def _simple(client: _Client, _path: str) -> _Simple:
    SCRATCH.mkdir(parents=True, exist_ok=True)
    folder = client.remains.enter_context(tempfile.TemporaryDirectory(prefix="cache-", dir=SCRATCH))
    return _Simple(client.bucket, SimpleCacheFileSystem(fs=client.s3, cache_storage=folder))


STORE = {"ranges": lambda client, _path, **options: _Ranges(client, options), "simplecache": _simple}
