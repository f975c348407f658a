"""References made by kerchunk beforehand, opened by zarr: the structure of the file is in memory."""

from __future__ import annotations

import io
import urllib.request
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import fsspec
import zarr
from kerchunk.hdf import SingleHdf5ToZarr
from zarr.core.sync import sync
from zarr.storage import FsspecStore

from benchmarks.adapters.memory import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.adapters.memory import Client

__all__ = ["HDF5", "connect"]


@cache
def _references(url: str, target: str) -> dict[str, Any]:
    # Made by the warm-up run.
    with urllib.request.urlopen(url) as response:
        content = io.BytesIO(response.read())
    references: dict[str, Any] = SingleHdf5ToZarr(content, target, inline_threshold=0).translate()
    return references


@contextmanager
def _group(client: Client, path: str) -> Iterator[zarr.Group]:
    references = _references(f"{client.url}/{client.bucket}/{path}", f"s3://{client.bucket}/{path}")
    options = {
        "anon": True,
        "endpoint_url": client.url,
        "config_kwargs": {"s3": {"addressing_style": "path"}},
        "client_kwargs": {"region_name": "us-east-1"},
        "asynchronous": True,
        "skip_instance_cache": True,
    }
    filesystem = fsspec.filesystem(
        "reference",
        fo=references,
        remote_protocol="s3",
        remote_options=options,
        asynchronous=True,
        skip_instance_cache=True,
    )
    try:
        yield zarr.open_group(FsspecStore(filesystem, read_only=True, path=""), mode="r", zarr_format=2)
    finally:
        remote = filesystem.fss["s3"]
        sync(remote.s3.close())


HDF5 = {"references": _group}
