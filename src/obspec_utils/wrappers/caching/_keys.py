"""Keys of the caches, and the record of an object's version in shared caches, in JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from math import isfinite
from typing import TYPE_CHECKING, TypeVar, cast
from urllib.parse import quote
from zlib import crc32

from obspec_utils._redact import redacted
from obspec_utils._validation import check_path
from obspec_utils._version import Version

if TYPE_CHECKING:
    from collections.abc import Callable

    from obspec import Attributes, ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils.wrappers.caching._entries import Entry

__all__ = ["block_key", "cache_key", "read_record", "record_key", "write_record"]

# Change this with the meaning of keys or values, so that releases do not find each other's values.
_FORMAT = "1"
# Limits of a record and of an ETag (bytes): several times what servers accept as metadata.
_MAX_SIZE = 65_536
_MAX_TAG = 1024

_T = TypeVar("_T")


def cache_key(path: str) -> str:
    """Return the key of an object's path: stores ignore a slash at either end."""
    try:
        return path.removeprefix("/").removesuffix("/")
    except (AttributeError, TypeError):
        check_path(path)
        raise


def record_key(namespace: str, path: str) -> str:
    """Return the key of the record of an object's version."""
    return _join(namespace, _without_credentials(path))


def block_key(namespace: str, path: str, entry: Entry, number: int) -> str | None:
    """Return the key of a block; None if its version has no validator."""
    version = entry.version
    if not version.has_validator:
        return None
    tag = version.last_modified if version.e_tag is None else version.e_tag.removeprefix("W/")
    return _join(namespace, _without_credentials(path), str(tag), str(version.size), str(entry.block_size), str(number))


def _without_credentials(path: str) -> str:
    """Return a path, or what names it if it seems to have credentials: a signature in a query, or a password."""
    shown = redacted(path)
    return path if shown == path else f"{shown}#{sha256(path.encode(errors='surrogatepass')).hexdigest()}"


def _join(*parts: str) -> str:
    # Quoted, so that two lists of parts never make the same key.
    return "/".join(quote(part, safe="", errors="surrogatepass") for part in (_FORMAT, *parts))


def write_record(entry: Entry) -> bytes | None:
    """Return the record of a version; None if it has no validator, or `read_record` would refuse it.

    None, too, if the path, which is in the record, seems to have credentials: then each process validates the version.
    """
    if not entry.version.has_validator:  # none that the store compares; its metadata may have others
        return None
    try:
        path = entry.meta.get("path", "")
        if redacted(path) != path:
            return None
        meta = {name: _written(value) for name, value in entry.meta.items()}
        attributes = dict(entry.attributes)
        record = {"checked": entry.validated_at, "meta": meta, "attributes": list(attributes.items())}
        written = json.dumps({**record, "crc32": _checksum(record)}).encode()
    except (TypeError, ValueError, OverflowError):
        return None
    return written if read_record(written) == (entry.meta, attributes, entry.validated_at) else None


def _written(value: object) -> object:
    return {"time": value.astimezone(UTC).isoformat()} if isinstance(value, datetime) else value


def _checksum(record: dict[str, object]) -> int:
    # A cache may lack checksums; a corrupted size would go unnoticed.
    return crc32(json.dumps(record).encode())


def read_record(value: Buffer) -> tuple[ObjectMeta, Attributes, float] | None:
    """Return the metadata, attributes and time of a record; None unless it has exactly the form that is written.

    A shared cache may contain anything, and the result is used in requests and keys, which must not raise or panic.
    """
    view = memoryview(value)
    if view.nbytes > _MAX_SIZE:
        return None
    try:
        record = _exact(json.loads(str(view, "utf-8")), dict)
        if record.pop("crc32") != _checksum(record) or record.keys() != {"checked", "meta", "attributes"}:
            return None
        meta = cast("ObjectMeta", {name: _FIELDS[name](it) for name, it in _exact(record["meta"], dict).items()})
        pairs = [_exact(pair, list) for pair in _exact(record["attributes"], list)]
        attributes = cast("Attributes", {_text(name): _text(it) for name, it in pairs})
        validated_at = _time(record["checked"])
        version = Version.of(meta)
    except (ValueError, LookupError, OverflowError, RecursionError):
        return None
    return (meta, attributes, validated_at) if version.has_validator else None


def _exact(value: object, kind: type[_T]) -> _T:
    if type(value) is not kind:  # a bool is no size
        msg = f"{type(value).__name__} instead of {kind.__name__}"
        raise ValueError(msg)
    return value


def _text(value: object) -> str:
    text = _exact(value, str)
    text.encode()  # no lone surrogates
    return text


def _e_tag(value: object) -> str:
    text = _exact(value, str)
    # obstore panics if a header has a control character.
    if not text.isprintable() or len(text) > _MAX_TAG:
        msg = "no ETag"
        raise ValueError(msg)
    return text


def _size(value: object) -> int:
    size = _exact(value, int)
    if not 0 <= size < 2**63:
        msg = "no size"
        raise ValueError(msg)
    return size


def _time(value: object) -> float:
    seconds = float(value) if type(value) is int else _exact(value, float)
    if not isfinite(seconds):
        msg = "no time"
        raise ValueError(msg)
    return seconds


def _date(value: object) -> datetime:
    written = _exact(value, dict)
    date = datetime.fromisoformat(_exact(written.get("time"), str))
    if len(written) > 1 or date.tzinfo is not UTC:  # obstore accepts no other zone
        msg = "no date in UTC"
        raise ValueError(msg)
    return date


def _or_none(parse: Callable[[object], object]) -> Callable[[object], object]:
    return lambda value: None if value is None else parse(value)


_FIELDS: dict[str, Callable[[object], object]] = {
    "path": _text,
    "size": _size,
    "e_tag": _or_none(_e_tag),
    "last_modified": _or_none(_date),
    "version": _or_none(_text),
}
