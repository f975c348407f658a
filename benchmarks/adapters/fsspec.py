"""fsspec's filesystems: s3fs, and its own one for HTTP."""

from __future__ import annotations

from typing import Any

import s3fs
from fsspec.asyn import sync
from fsspec.implementations.http import HTTPFileSystem

__all__ = ["LOAD", "OPEN", "VIRTUAL", "close", "connect"]


class _Client:
    """Both filesystems, new ones, with a session but no connection and no listing."""

    def __init__(self, url: str, bucket: str) -> None:
        self.url = url
        self.bucket = bucket
        self.base = f"{url}/{bucket}"
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
    """Close the connections."""
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
    """Return a store for the registry, and a factory that opens paths of the bucket by s3fs instead."""
    from benchmarks.adapters import obstore  # noqa: PLC0415 - only here

    return obstore.connect(client.url, client.bucket), lambda _store, path: _s3(client, path, **options)


VIRTUAL = {"virtual": _virtual}
