"""moto's S3 in a process of its own: the reference for S3 behaviour that our own server imitates."""

from __future__ import annotations

import importlib.util
from http import HTTPStatus
from typing import Any, Self

from obstore.store import S3Store

from tests.servers._process import RunningServer, ServerProcess, ServerUnavailable, send

_VERSIONING = (
    b'<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<Status>Enabled</Status></VersioningConfiguration>"
)


class MotoServer(RunningServer):
    """A running moto server; a context manager that stops it."""

    @classmethod
    def start(cls, *arguments: str) -> Self:
        """Start a server process, with this command line, on a free loopback port.

        Raises
        ------
        ServerUnavailable
            If moto is not installed.
        """
        if importlib.util.find_spec("moto") is None:
            msg = "moto is not installed: pip install 'moto[server]'"
            raise ServerUnavailable(msg)
        process = ServerProcess("tests.servers._moto_process", *arguments)
        return cls(process.url, process)

    def create_bucket(self, bucket: str, *, versioned: bool = False) -> None:
        """Create an empty bucket, with versioning enabled if asked."""
        self._put(f"/{bucket}")
        if versioned:
            self._put(f"/{bucket}?versioning", _VERSIONING)

    def _put(self, target: str, body: bytes = b"") -> None:
        status, content = send(self.url, "PUT", target, body)
        if status != HTTPStatus.OK:
            msg = f"PUT {target}: {status} {content.decode(errors='replace')}"
            raise RuntimeError(msg)

    def s3_store(self, bucket: str, **options: Any) -> S3Store:
        """Return an S3Store of a bucket, with credentials that mean nothing."""
        defaults: dict[str, Any] = {
            "endpoint": self.url,
            "region": "us-east-1",
            "access_key_id": "test",
            "secret_access_key": "test",
            "virtual_hosted_style_request": False,
            "client_options": {"allow_http": True},
        }
        return S3Store(bucket, **{**defaults, **options})
