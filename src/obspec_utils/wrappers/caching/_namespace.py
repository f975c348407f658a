"""The default namespace of a store in shared caches: its location, derived from its public configuration.

With one namespace for two locations, a store would serve the bytes of the other. So if the location can't be derived,
there is no default, and the user must pass a namespace. Credentials are never part of it.
"""

from __future__ import annotations

import ipaddress
import json
import os
import platform
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

__all__ = ["default_namespace"]


class _Kind(NamedTuple):
    """The settings that locate a class of obstore's stores.

    Attributes
    ----------
    required
        The settings that its configuration must contain.
    variables
        Further settings, by the environment variables that set them if the configuration does not contain them.
    """

    required: tuple[str, ...]
    variables: dict[str, str]


_KINDS = {
    "S3Store": _Kind(
        ("bucket",),
        {
            "AWS_ENDPOINT": "endpoint",
            "AWS_ENDPOINT_URL": "endpoint",
            "AWS_ENDPOINT_URL_S3": "endpoint_url_s3",
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "virtual_hosted_style_request",
            "AWS_S3_EXPRESS": "s3_express",
            "AWS_REGION": "region",
            "AWS_DEFAULT_REGION": "default_region",
        },
    ),
    "GCSStore": _Kind(
        ("bucket",),
        {
            "GOOGLE_BASE_URL": "base_url",
            "GOOGLE_SERVICE_ACCOUNT": "service_account",
            "GOOGLE_SERVICE_ACCOUNT_PATH": "service_account",
            "GOOGLE_SERVICE_ACCOUNT_KEY": "service_account_key",
            "SERVICE_ACCOUNT": "service_account",
        },
    ),
    "AzureStore": _Kind(
        ("account_name", "container_name"),
        {
            "AZURE_STORAGE_ENDPOINT": "endpoint",
            "AZURE_ENDPOINT": "endpoint",
            "AZURE_STORAGE_USE_EMULATOR": "use_emulator",
            "AZURE_USE_EMULATOR": "use_emulator",
            "AZURE_STORAGE_USE_FABRIC_ENDPOINT": "use_fabric_endpoint",
            "AZURE_USE_FABRIC_ENDPOINT": "use_fabric_endpoint",
        },
    ),
}
# Set on all machines of AWS. They only select the partition (such as China); names of buckets are unique in each.
_REGIONS = {"region", "default_region"}
_URLS = {"url", "endpoint", "endpoint_url_s3", "base_url"}


class _Unknown(Exception):  # noqa: N818 - a reason, caught here
    """The location can't be derived from the configuration."""


def default_namespace(store: Any) -> str:  # noqa: ANN401 - any store
    """Return the namespace of a store, or of the store inside wrappers of this package: the same in all processes.

    Raises
    ------
    ValueError
        If the location can't be derived from the configuration of the store.
    """
    while _package(store) == "obspec_utils" and hasattr(store, "_store"):  # where every wrapper keeps it
        store = store._store  # noqa: SLF001 - of this package
    try:
        location = [type(store).__name__, *sorted(_location(store).items())]
    except (_Unknown, AttributeError) as error:  # AttributeError: another release of obstore
        msg = (
            f"Pass namespace=: the location of this {type(store).__name__} can't be derived from its configuration "
            f"({error}), so it could be mixed up with another store's."
        )
        raise ValueError(msg) from None
    # A digest: short, and it shows no URL to other users of the cache.
    return sha256(json.dumps(location).encode()).hexdigest()


def _package(store: object) -> str:
    # Of the class itself: a subclass may read from elsewhere.
    return type(store).__module__.partition(".")[0]


def _location(store: Any) -> dict[str, str]:  # noqa: ANN401 - any store
    kind = type(store).__name__
    if kind == "AiohttpStore" and _package(store) == "obspec_utils":
        facts = {"url": _url_of_all(store)}
        return {**facts, "machine": platform.node()} if _is_loopback(facts["url"]) else facts
    if _package(store) != "obstore" or kind not in {"LocalStore", "HTTPStore", *_KINDS}:
        msg = "not an S3Store, GCSStore, AzureStore, HTTPStore or LocalStore of obstore, nor an AiohttpStore"
        raise _Unknown(msg)
    if kind == "LocalStore":
        return {"folder": os.path.realpath(store.prefix or os.sep), "machine": platform.node()}
    if "default_headers" in (store.client_options or {}):
        msg = "its default_headers may select other objects"
        raise _Unknown(msg)
    facts = {"url": store.url} if kind == "HTTPStore" else _bucket(store, _KINDS[kind])
    local = [_is_loopback(facts[name]) for name in _URLS & facts.keys()]
    return {**facts, "machine": platform.node()} if any(local) else facts


def _url_of_all(store: Any) -> str:  # noqa: ANN401 - an AiohttpStore
    """Return the URL of an AiohttpStore, if no headers, query, credentials or session select the objects."""
    url: str | None = store._plain_url  # noqa: SLF001 - for this module
    if url is None:
        msg = "its headers, session, or the query or the credentials of its URL may select other objects"
        raise _Unknown(msg)
    return url


def _bucket(store: Any, kind: _Kind) -> dict[str, str]:  # noqa: ANN401 - a store of obstore
    config = {name: str(value) for name, value in store.config.items()}
    for variable, value in os.environ.items():
        name = kind.variables.get(variable.upper())
        if name in _REGIONS:
            config.setdefault(name, value)
        elif name is not None and name not in config:
            msg = f"the environment variable {variable} may change it"
            raise _Unknown(msg)
    for name in kind.required:
        if not config.get(name):
            msg = f"no {name}"
            raise _Unknown(msg)
    if config.get("use_emulator", "false").lower() != "false":
        msg = "use_emulator"
        raise _Unknown(msg)
    _check_service_account(config)
    names = {*kind.required, *kind.variables.values()} - {"service_account", "service_account_key", "use_emulator"}
    return {"prefix": store.prefix or "", **{name: config[name] for name in names & config.keys()}}


def _check_service_account(config: dict[str, str]) -> None:
    """Reject a service account that sets the endpoint of a GCSStore, as those of emulators do."""
    try:
        if "service_account" in config:
            accounts = [json.loads(Path(config["service_account"]).read_text(encoding="utf-8"))]
        else:
            accounts = [json.loads(config[name]) for name in ("service_account_key",) if name in config]
        redirected = any(account.get("gcs_base_url") for account in accounts)
    except (OSError, ValueError, AttributeError):
        redirected = True
    if redirected:
        msg = "its service account may change it"
        raise _Unknown(msg)


def _is_loopback(url: str) -> bool:
    """Return whether a URL is a different server on each machine; reject a URL that may have a secret."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        msg = "its URL is not valid"
        raise _Unknown(msg) from None
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc or parts.query or parts.fragment:
        msg = "its URL has more than a host and a path"
        raise _Unknown(msg)
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
