"""smart_open over boto3."""

from __future__ import annotations

from typing import Any

import boto3
import smart_open
from botocore import UNSIGNED
from botocore.config import Config

__all__ = ["LOAD", "OPEN", "connect"]


class _Client:
    def __init__(self, url: str, bucket: str) -> None:
        config = Config(signature_version=UNSIGNED, s3={"addressing_style": "path"})
        self.s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=config)
        self.bucket = bucket


def connect(url: str, bucket: str) -> _Client:
    """Return a client that is ready to send its first request."""
    return _Client(url, bucket)


def _open(client: _Client, path: str, **options: Any) -> Any:
    # Whatever the path ends in: nothing is to be decompressed.
    parameters = {"client": client.s3, **options}
    return smart_open.open(f"s3://{client.bucket}/{path}", "rb", compression="disable", transport_params=parameters)


def _load(client: _Client, path: str) -> list[Any]:
    with _open(client, path) as file:
        return [file.read()]


OPEN = {"s3": _open}
LOAD = {"s3": _load}
