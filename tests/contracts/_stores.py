"""Small stores in Python: with few methods, without versions, with answers that are too short."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = [
    "HeadAndRange",
    "HeadAndRanges",
    "IgnoringOptions",
    "Nothing",
    "OnlyGet",
    "OnlyRange",
    "Result",
    "Versions",
]

_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass
class Result:
    """The answer to a get."""

    meta: dict[str, Any]
    range: tuple[int, int]
    content: bytes
    attributes: dict[str, Any] = field(default_factory=dict)

    def buffer(self) -> bytes:
        return self.content

    async def buffer_async(self) -> bytes:
        return self.content


@dataclass(frozen=True)
class Versions:
    """What a store tells of an object's version."""

    e_tag: bool = True
    last_modified: bool = True


class Nothing:
    """Objects, each put anew a version of its own; no way to read them."""

    def __init__(self, objects: dict[str, bytes], versions: Versions | None = None, cut: int = 0) -> None:
        self.objects = dict(objects)
        self.changes = dict.fromkeys(objects, 0)
        self.versions = versions or Versions()
        # How many bytes every body is short of; a negative number adds bytes.
        self.cut = cut
        self.requests: list[tuple[str, Any]] = []

    def replace(self, path: str, content: bytes) -> None:
        self.objects[path] = content
        self.changes[path] = self.changes.get(path, 0) + 1

    def _meta(self, path: str) -> dict[str, Any]:
        if path not in self.objects:
            raise FileNotFoundError(path)
        change = self.changes[path]
        return {
            "path": path,
            "size": len(self.objects[path]),
            "e_tag": f'"{change}"' if self.versions.e_tag else None,
            "last_modified": _EPOCH + timedelta(days=change) if self.versions.last_modified else _EPOCH,
            "version": None,
        }

    def _body(self, path: str, start: int, stop: int) -> bytes:
        self._meta(path)
        self.requests.append((path, (start, stop)))
        content = self.objects[path][start:stop]
        return content[: len(content) - self.cut] if self.cut >= 0 else content + b"?" * -self.cut


class OnlyGet(Nothing):
    """A store with get."""

    def get(self, path: str, *, options: Any = None) -> Result:
        meta = self._meta(path)
        start, stop = (options or {}).get("range", (0, meta["size"]))
        if start >= meta["size"] > 0 or ((options or {}).get("range") and not meta["size"]):
            msg = f"Generic InMemory error: Invalid range: Wanted range starting at {start}, but object was shorter"
            raise GenericError(msg)
        stop = min(stop, meta["size"])
        return Result(meta, (start, stop), self._body(path, start, stop))

    async def get_async(self, path: str, *, options: Any = None) -> Result:
        return self.get(path, options=options)


class GenericError(Exception):
    """What obstore calls the error for a range that can't be served."""


class IgnoringOptions(Nothing):
    """A store whose get returns everything whatever it is asked for."""

    def get(self, path: str, *, options: Any = None) -> Result:
        meta = self._meta(path)
        return Result(meta, (0, meta["size"]), self._body(path, 0, meta["size"]))

    async def get_async(self, path: str, *, options: Any = None) -> Result:
        return self.get(path, options=options)


class OnlyRange(Nothing):
    """A store with get_range."""

    def get_range(self, path: str, *, start: int, end: int | None = None, length: int | None = None) -> bytes:
        return self._body(path, start, start + length if end is None else end)

    async def get_range_async(self, path: str, **span: Any) -> bytes:
        return self.get_range(path, **span)


class _Head(Nothing):
    def head(self, path: str) -> dict[str, Any]:
        self.requests.append((path, "head"))
        return self._meta(path)

    async def head_async(self, path: str) -> dict[str, Any]:
        return self.head(path)


class HeadAndRange(_Head, OnlyRange):
    """A store with head and get_range."""


class HeadAndRanges(_Head):
    """A store with head and get_ranges."""

    def get_ranges(self, path: str, *, starts: Any, ends: Any = None, lengths: Any = None) -> list[bytes]:
        stops = ends or [start + length for start, length in zip(starts, lengths, strict=True)]
        return [self._body(path, *span) for span in zip(starts, stops, strict=True)]

    async def get_ranges_async(self, path: str, **spans: Any) -> list[bytes]:
        return self.get_ranges(path, **spans)
