"""GCSStore against moto's S3: both speak nearly the same XML, the rest is translated."""

from __future__ import annotations

import json
from typing import Any, Self

from obstore.store import GCSStore

from tests.servers.moto_server import MotoServer


class GcsServer(MotoServer):
    """A running moto server behind the translation."""

    @classmethod
    def start(cls, *arguments: str) -> Self:
        """Start a server process, with this command line, on a free loopback port."""
        return super().start("--gcs", *arguments)

    def gcs_store(self, bucket: str, **options: Any) -> GCSStore:
        """Return a GCSStore of a bucket."""
        account = {
            "gcs_base_url": self.url,
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
        defaults: dict[str, Any] = {
            "service_account_key": json.dumps(account),
            "client_options": {"allow_http": True},
        }
        return GCSStore(bucket, **{**defaults, **options})
