"""What names the place a store reads from, the same in every process, so that processes can share what they cached.

Only what is listed here goes into the name: a store's `config` holds secrets beside it, and obstore may add more. Where
the list does not tell two places apart there is no name: a wrong one would hand out the bytes of another place.
"""

from __future__ import annotations

import ipaddress
import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["store_identity"]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a class of native stores is configured by, as far as it says where they read from.

    Attributes
    ----------
    variables
        How the names of its environment variables begin; obstore drops that from a setting's name.
    needed
        The settings it has no place without.
    names
        The settings that go into the name as they are, the needed ones among them.
    urls
        Those that are URLs, in which there may be secrets.
    aliases
        What else obstore calls a setting.
    """

    variables: tuple[str, ...]
    needed: frozenset[str]
    names: frozenset[str]
    urls: frozenset[str]
    aliases: dict[str, str]


_KINDS = {
    "S3Store": _Kind(
        variables=("AWS_",),
        needed=frozenset({"bucket"}),
        names=frozenset({"bucket", "region", "default_region", "s3_express", "virtual_hosted_style_request"}),
        urls=frozenset({"endpoint", "endpoint_url_s3"}),
        aliases={"bucket_name": "bucket", "endpoint_url": "endpoint"},
    ),
    "GCSStore": _Kind(
        variables=("GOOGLE_",),
        needed=frozenset({"bucket"}),
        names=frozenset({"bucket"}),
        urls=frozenset({"base_url"}),
        aliases={"bucket_name": "bucket", "service_account_path": "service_account"},
    ),
    "AzureStore": _Kind(
        variables=("AZURE_STORAGE_", "AZURE_"),
        needed=frozenset({"account_name", "container_name"}),
        names=frozenset({"account_name", "container_name", "use_fabric_endpoint"}),
        urls=frozenset({"endpoint"}),
        aliases={},
    ),
}


class _Unnamed(Exception):  # noqa: N818 - not an error: the store has no name
    """What is known of a store does not tell it from others."""


def store_identity(store: object) -> str | None:
    """Return what names the place that a store, or the store inside our wrappers, reads from.

    The name is the same in all processes, on all machines that read from the same place, and holds no credentials. It
    tells what obstore reads from the environment too, as it is now: ask when the store is made.

    Returns
    -------
    str or None
        None where two places could have the same name: of a MemoryStore, of stores that are not obstore's, and of
        those whose place is told by something secret, such as the query of a URL.
    """
    native: Any = store
    while _package(native) == "obspec_utils":
        native = getattr(native, "_store", None)  # where every wrapper keeps it
    if _package(native) != "obstore":
        return None
    try:
        facts = _facts(native)
    except _Unnamed:
        return None
    return json.dumps([["store", type(native).__name__], *sorted(facts.items())], separators=(",", ":"))


def _package(store: object) -> str:
    # Of the very class: a subclass, also of a wrapper, may read from elsewhere.
    return type(store).__module__.partition(".")[0]


def _facts(store: object) -> dict[str, str]:
    name = type(store).__name__
    if name == "LocalStore":
        return _folder(os.path.realpath(_told(store, "prefix") or os.sep))
    if "default_headers" in (_told(store, "client_options") or {}):  # they can say whose objects are meant
        raise _Unnamed
    if name == "HTTPStore":
        return _with_machine({"url": _told(store, "url")}, {"url"})
    kind = _KINDS.get(name)
    if kind is None:
        raise _Unnamed
    facts = _configured(kind, _told(store, "config"))
    if prefix := _told(store, "prefix"):
        facts["prefix"] = prefix
    return _with_machine(facts, kind.urls)


def _folder(path: str) -> dict[str, str]:
    """Name a folder: containers may have the name of their machine, and others under the same paths."""
    try:
        found = os.stat(path)  # noqa: PTH116 - of a path as it is
    except OSError:
        raise _Unnamed from None
    return {"prefix": path, "machine": _machine(), "inode": f"{found.st_dev}:{found.st_ino}"}


def _told(store: object, attribute: str) -> Any:  # noqa: ANN401 - as typed as obstore's attribute
    try:
        return getattr(store, attribute)
    except AttributeError:  # another release of obstore, or a store without it
        raise _Unnamed from None


def _with_machine(facts: dict[str, str], urls: Iterable[str]) -> dict[str, str]:
    """Check the URLs, and add this machine's name where they lead to another place on every machine."""
    local = [_is_local(facts[name]) for name in urls if name in facts]
    return {**facts, "machine": _machine(), **_network()} if any(local) else facts


def _configured(kind: _Kind, config: dict[str, object]) -> dict[str, str]:
    # A store tells what it was given; what it found in the environment it does not tell.
    settings = {**_named(kind, _environment(kind)), **_named(kind, config)}
    if not all(settings.get(name) for name in kind.needed):
        raise _Unnamed
    if any(map(_redirects, _service_accounts(settings))):
        raise _Unnamed
    if settings.get("use_emulator", "false").lower() != "false":  # its address is in yet another variable
        raise _Unnamed
    if not kind.urls & settings.keys():  # without an endpoint both styles lead to the same bucket
        settings.pop("virtual_hosted_style_request", None)
    return {name: settings[name] for name in (kind.names | kind.urls) & settings.keys()}


def _environment(kind: _Kind) -> dict[str, object]:
    found: dict[str, object] = {name: text for name, text in os.environ.items() if name.startswith(kind.variables)}
    if "GOOGLE_" in kind.variables and "SERVICE_ACCOUNT" in os.environ:
        found.setdefault("GOOGLE_SERVICE_ACCOUNT", os.environ["SERVICE_ACCOUNT"])
    return found


def _named(kind: _Kind, settings: dict[str, object]) -> dict[str, str]:
    """Return settings by the names obstore has for them, of which some have several."""
    named: dict[str, str] = {}
    for key, setting in settings.items():
        name = key.lower()
        for start in kind.variables:
            name = name.removeprefix(start.lower())
        name = kind.aliases.get(name, name)
        if named.setdefault(name, str(setting)) != str(setting) and name in kind.needed | kind.names | kind.urls:
            raise _Unnamed  # which of two variables counts is not defined
    return named


def _service_accounts(settings: dict[str, str]) -> list[str]:
    """Return the contents of what may redirect a GCSStore."""
    contents = [settings["service_account_key"]] if "service_account_key" in settings else []
    if "service_account" in settings:
        try:
            contents.append(Path(settings["service_account"]).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise _Unnamed from None
    return contents


def _redirects(service_account: str) -> bool:
    try:
        return bool(json.loads(service_account).get("gcs_base_url"))
    except (ValueError, AttributeError):
        return True


def _is_local(url: str) -> bool:
    """Tell whether a URL leads to another place on every machine; one that may hold a secret has no name."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise _Unnamed from None
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc or parts.query or parts.fragment:
        raise _Unnamed
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _network() -> dict[str, str]:
    """Name the network whose "localhost" is meant: on Linux, containers may have one each."""
    try:
        return {"network": str(os.stat("/proc/self/ns/net").st_ino)}  # noqa: PTH116 - follows the link
    except OSError:
        return {}


def _machine() -> str:
    name = platform.node()
    if not name:
        raise _Unnamed
    return name
