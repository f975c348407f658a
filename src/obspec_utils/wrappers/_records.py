"""What shared caches are told of an object's version, as text that any process can read, and by which keys."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from obspec_utils._version import Version

if TYPE_CHECKING:
    from obspec import Attributes, ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils.wrappers._known import Known

__all__ = ["block_key", "read_record", "record_key", "write_record"]

# Changed whenever what is kept, or how, changes its meaning: other releases' values are not found then.
_FORMAT = "1"


def record_key(namespace: str, path: str) -> str:
    """Return what a path's version is kept by."""
    return _join(namespace, path)


def block_key(namespace: str, path: str, known: Known, number: int) -> str | None:
    """Return what a block of a version is kept by; None where the version cannot be told from others."""
    version = known.version
    if not version.comparable(version):
        return None
    tag = version.last_modified if version.e_tag is None else version.e_tag.removeprefix("W/")
    return _join(namespace, path, str(tag), str(version.size), str(known.unit), str(number))


def _join(*parts: str) -> str:
    # Quoted, so that no two lists of parts make the same key.
    return "/".join(quote(part, safe="") for part in (_FORMAT, *parts))


def write_record(known: Known) -> bytes | None:
    """Return what is to be kept of a version; None where it can't be told from others, or can't be written down."""
    if not known.version.comparable(known.version):
        return None
    meta = {name: _written(value) for name, value in known.meta.items()}
    try:
        record = {"checked": known.checked, "meta": meta, "attributes": list(dict(known.attributes).items())}
        return json.dumps(record).encode()
    except (TypeError, ValueError):
        return None


def _written(value: object) -> object:
    return {"time": value.isoformat()} if isinstance(value, datetime) else value


def _read(value: object) -> object:
    return datetime.fromisoformat(value["time"]) if isinstance(value, dict) else value


def read_record(value: Buffer) -> tuple[ObjectMeta, Attributes, float] | None:
    """Return metadata, attributes and time of a record; None if it is none."""
    try:
        record: dict[str, Any] = json.loads(bytes(value))
        meta = cast("ObjectMeta", {name: _read(it) for name, it in record["meta"].items()})
        attributes = cast("Attributes", dict(record["attributes"]))
        checked = float(record["checked"])
        version = Version.of(meta)
        if type(version.size) is not int or not version.comparable(version):
            return None
    except (ValueError, TypeError, LookupError, AttributeError):
        return None
    return meta, attributes, checked
