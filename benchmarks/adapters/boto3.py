"""boto3: its transfer manager, and a streaming body."""

from __future__ import annotations

import io
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED
from botocore.config import Config

__all__ = ["LOAD", "OPEN", "connect"]


class _Client:
    def __init__(self, url: str, bucket: str) -> None:
        config = Config(signature_version=UNSIGNED, s3={"addressing_style": "path"}, max_pool_connections=32)
        self.s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=config)
        self.bucket = bucket


def connect(url: str, bucket: str) -> _Client:
    """Return a client that is ready to send its first request."""
    return _Client(url, bucket)


def _transfer(client: _Client, path: str, **options: Any) -> list[Any]:
    target = io.BytesIO()
    client.s3.download_fileobj(client.bucket, path, target, Config=TransferConfig(**options))
    return [target.getbuffer()]


def _body(client: _Client, path: str) -> Any:
    return client.s3.get_object(Bucket=client.bucket, Key=path)["Body"]


LOAD = {"transfer": _transfer, "get": lambda client, path: [_body(client, path).read()]}
OPEN = {"streamed": _body}
