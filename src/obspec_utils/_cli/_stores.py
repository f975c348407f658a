"""The store of a URL, and its settings."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from obstore import parse_scheme
from obstore.store import HTTPStore, LocalStore, from_url

from obspec_utils._redact import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Location", "locate", "missing_as"]

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://([^/]*)(.*)", re.IGNORECASE | re.DOTALL)
_WEB_URL = re.compile(r"([^?#]*)([?#]?.*)", re.DOTALL)
_HTTP = {"http", "https"}

# A wrong host or missing credentials are to be told in seconds. obstore's own limits are 10 retries and 3 minutes.
_RETRIES: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=20)}
# Settings of obstore's HTTP client: it has no other list of them at run time.
_CLIENT_OPTIONS = frozenset({
    "allow_http", "allow_invalid_certificates", "connect_timeout", "default_content_type", "http1_only", "http2_only",
    "http2_keep_alive_interval", "http2_keep_alive_timeout", "http2_keep_alive_while_idle", "pool_idle_timeout",
    "pool_max_idle_per_host", "proxy_ca_certificate", "proxy_excludes", "proxy_url", "randomize_addresses",
    "read_timeout", "root_certificate", "timeout", "user_agent",
})  # fmt: skip

_SECRET = re.compile(
    r"secret|passw|token|sas|signature|authorization|cookie|credential|headers"
    r"|(account|access|master|encryption|customer|api|private)_key|customer_key_base64|_account_key"
)
# Names of files, places and kinds, which have one of the words above.
_PUBLIC = re.compile(r"(_(file|id|endpoint|uri|path|url|type)|skip_signature|application_credentials)$")
_ADDRESS = re.compile(r"(endpoint(_url(_s3)?)?|proxy_url)$")
_VARIABLES = {"s3": "AWS", "gcs": "GOOGLE", "azure": "AZURE_STORAGE"}
_PREFIX = re.compile(r"^(aws|google|azure_storage|azure)_")
_SECONDS = re.compile(r"\w*(timeout|interval)=\d+(\.\d*)?")


class Location(NamedTuple):
    """An object, or a pattern, in a store. `root` and a path of the store make a URL."""

    store: Any
    path: str
    root: str


@contextmanager
def missing_as(url: str) -> Iterator[None]:
    """Name a missing object by its URL, where its path in the store tells less."""
    try:
        yield
    except FileNotFoundError as error:
        msg = f"no such object: {redacted(url)}"
        raise FileNotFoundError(msg) from error


def locate(url: str, settings: Sequence[str] = (), *, is_pattern: bool = False) -> Location:
    """Return the store of a URL or of a local path, and the path in that store.

    Parameters
    ----------
    url
        A URL, or a path of a local file.
    settings
        Settings of the store or its HTTP client as "key=value".
    is_pattern
        Whether "?" is a wildcard in any URL. Else it begins the query of http(s) URLs, such as a signature.

    Raises
    ------
    ValueError
        If there is no store for the URL, or a setting is a credential, or none.
    """
    match = _URL.fullmatch(url)
    scheme, netloc, path = (match[1].lower(), match[2], match[3]) if match else ("file", "", url)
    kind = _kind(scheme, netloc)
    options = _options(settings, kind)
    if kind == "local":
        if options:
            msg = "local files take no --config"
            raise ValueError(msg)
        return _local(unquote(path) if match else path, is_pattern=is_pattern)
    if kind == "http":
        return _web(url, scheme, netloc, path, options, is_pattern=is_pattern)
    root = f"{scheme}://{netloc}"
    if not is_pattern:
        _check_key(url, path)
    return Location(from_url(root, **options, retry_config=_RETRIES), path.lstrip("/"), f"{root}/")


def _kind(scheme: str, netloc: str) -> str:
    """Return which of obstore's stores has the URLs of a scheme."""
    if scheme == "file":
        return "local"
    if scheme in _HTTP:
        return "http" if netloc else _no_bucket(scheme)
    try:
        kind = str(parse_scheme(f"{scheme}://{netloc or 'bucket'}/"))
    except Exception as error:
        msg = f"there is no store for {redacted(scheme)}:// URLs: use s3, gs, az, abfs, http, https or file"
        raise ValueError(msg) from error
    return kind if netloc else _no_bucket(scheme)


def _no_bucket(scheme: str) -> str:
    msg = f"the URL must have a bucket or host, such as {scheme}://bucket/key"
    raise ValueError(msg)


def _check_key(url: str, path: str) -> None:
    if not path.strip("/"):
        msg = f"{redacted(url)} names no object: add its path"
        raise ValueError(msg)


def _local(path: str, *, is_pattern: bool) -> Location:
    absolute = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - which takes ".." away
    if not is_pattern and absolute.exists() and not absolute.is_file():
        msg = f"{path or '.'} is {'a folder' if absolute.is_dir() else 'no regular file'}: name a file"
        raise ValueError(msg)
    return Location(LocalStore(), absolute.as_posix().lstrip("/"), "/" if absolute.root else "")


def _web(url: str, scheme: str, netloc: str, path: str, options: dict[str, Any], *, is_pattern: bool) -> Location:
    """Return the store of an http(s) URL: one that sends queries and passwords, if there is one."""
    root = f"{scheme}://{netloc}"
    if not is_pattern and ("@" in netloc or "?" in path):
        if options:
            msg = "URLs with a query or a password take no --config"
            raise ValueError(msg)
        from obspec_utils.stores import AiohttpStore  # noqa: PLC0415 - an extra

        return Location(AiohttpStore(url), "", redacted(url))
    if not is_pattern:
        _check_key(url, path)
    config = options.pop("config", {})
    if config:
        msg = f"{next(iter(config))!r} is no setting of an HTTP client: use timeout, connect_timeout or another one"
        raise ValueError(msg)
    client: Any = {"allow_http": scheme == "http", **options.get("client_options", {})}
    store = HTTPStore(root, client_options=client, retry_config=_RETRIES)
    host = netloc.rpartition("@")[2]  # without a password
    return Location(store, unquote(path).lstrip("/"), f"{scheme}://{host}/")


def _options(settings: Sequence[str], kind: str) -> dict[str, Any]:
    """Return settings as the arguments of a store."""
    config: dict[str, str] = {}
    client: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        key = key.strip().lower()
        if not equals or not key.isidentifier():
            msg = "--config takes key=value, such as region=us-west-2"
            raise ValueError(msg)
        if _SECRET.search(key) and not _PUBLIC.search(key):
            raise ValueError(_refusal(key, kind))
        if _ADDRESS.search(key) and "://" not in value:  # about which obstore panics
            msg = f"--config {key} must be a URL, such as https://host:9000"
            raise ValueError(msg)
        if key in _CLIENT_OPTIONS:
            client[key] = f"{round(1000 * float(value))}ms" if _SECONDS.fullmatch(f"{key}={value}") else value
        else:
            config[key] = value
    given = {"config": config, "client_options": client}
    return {name: options for name, options in given.items() if options}


def _refusal(key: str, kind: str) -> str:
    """Return why a credential is refused, and where it belongs."""
    why = f"--config {key} is refused, since other users of the machine can read command lines"
    if kind not in _VARIABLES:
        return f"{why}: use a signed URL, or a store in Python"
    name = _PREFIX.sub("", key)
    if kind == "azure":
        name = name.removeprefix("bearer_")  # object_store reads no variable of that name
    return f"{why}: set {_VARIABLES[kind]}_{name.upper()} in the environment"
