"""Stores of every kind that are only looked at, and what they read besides their arguments."""

from __future__ import annotations

import json
from typing import Any

from obstore.store import AzureStore, GCSStore, S3Store

__all__ = ["SECRET", "VARIABLES", "azure", "gcs", "s3", "service_account"]

SECRET = "s3cr3t"
VARIABLES = ("AWS_", "GOOGLE_", "AZURE_", "SERVICE_ACCOUNT")


def s3(bucket: str | None = "b", **options: Any) -> S3Store:
    return S3Store(bucket, **options)


def gcs(bucket: str | None = "b", **options: Any) -> GCSStore:
    return GCSStore(bucket, **options)


def azure(container: str | None = "c", account: str | None = "a", **options: Any) -> AzureStore:
    return AzureStore(container, **({"account_name": account} if account else {}), **options)


def service_account(**more: Any) -> str:
    fields = {"private_key": SECRET, "private_key_id": SECRET, "client_email": "", "disable_oauth": True}
    return json.dumps({**fields, **more})
