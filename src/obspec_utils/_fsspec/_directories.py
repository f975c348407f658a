"""The methods of a filesystem that look for objects and directories."""

from __future__ import annotations

import errno
import os
from abc import abstractmethod
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from obspec_utils._fsspec._listing import is_directory, list_below, list_directory
from obspec_utils._fsspec._read_only import ReadOnlyFileSystem
from obspec_utils._io.backends import ASYNC
from obspec_utils._io.concurrency import MAX_HELPERS
from obspec_utils._io.not_found import is_below_a_file, raise_not_found
from obspec_utils._redact import redacted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from obspec import ObjectMeta

    from obspec_utils._fsspec._listing import Entries

    Info = dict[str, Any]

__all__ = ["Directories"]


class Directories(ReadOnlyFileSystem):
    """Find objects by the lists of their stores, and directories by the paths of objects. Nothing is cached."""

    @abstractmethod
    def _locate(self, path: str) -> tuple[Any, str]:
        """Return the store of a path, and the path there."""

    @abstractmethod
    def _is_encoded(self, path: str) -> bool:
        """Return whether a path is percent-encoded, as those of web servers are."""

    def _batch(self, batch_size: int | None = None) -> int:
        """Return how many requests for different paths are in flight; by default, fsspec would allow a thousand."""
        return batch_size or self.batch_size or MAX_HELPERS

    async def _info(self, path: str, refresh: object = None) -> Info:  # noqa: ARG002 - nothing is cached
        path = self._strip_protocol(path)
        store, key = self._locate(path)
        missing: Exception = _not_found(path)
        with raise_not_found(store, path):
            if key:
                try:
                    return _entry(path, await ASYNC.invoke(store, "head", key))
                except Exception as error:
                    if not (isinstance(error, FileNotFoundError) or is_below_a_file(error)):
                        raise
                    missing = error
            try:
                if await is_directory(store, key):
                    return _entry(path, None)
                raise missing
            finally:
                del missing  # break the cycle error -> traceback -> frame

    async def _ls(self, path: str, detail: bool = True, refresh: object = None) -> list[Any]:  # noqa: ARG002, FBT001, FBT002
        path = self._strip_protocol(path)
        found = await self._list_directory(path)
        if found is None:
            store, key = self._locate(path)
            if not key:
                raise _not_found(path)
            with raise_not_found(store, path):
                found = {path: _entry(path, await ASYNC.invoke(store, "head", key))}
        return list(found.values()) if detail else sorted(found)

    async def _find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,  # noqa: FBT001, FBT002 - fsspec's
        detail: bool = False,  # noqa: FBT001, FBT002
        prefix: str = "",  # noqa: ARG002 - a hint of glob; stores list whole segments
        refresh: object = None,  # noqa: ARG002
    ) -> Any:  # noqa: ANN401 - a list of paths, or a dict of their details
        path = self._strip_protocol(path)
        found = await self._list_below(path, maxdepth)
        if found and path and withdirs:
            found[path] = _entry(path, None)
        elif not found and path:
            with suppress(FileNotFoundError):
                found = {path: await self._info(path)}
        names = sorted(name for name, info in found.items() if withdirs or info["type"] == "file")
        return {name: found[name] for name in names} if detail else names

    async def _du(self, path: str, total: bool = True, maxdepth: int | None = None) -> Any:  # noqa: ANN401, FBT001, FBT002
        found = await self._find(path, maxdepth=maxdepth, detail=True)
        sizes = {name: info["size"] for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    def modified(self, path: str) -> datetime:
        """Return when an object was last modified."""
        modified: datetime = self.info(path)["last_modified"]
        return modified

    async def _list_below(self, path: str, maxdepth: int | None) -> dict[str, Info]:
        if maxdepth is None:
            store, key = self._locate(path)
            with raise_not_found(store, path):
                return self._named(path, await list_below(store, key))
        if maxdepth < 1:
            msg = f"maxdepth must be at least 1, got {maxdepth}"
            raise ValueError(msg)
        found: dict[str, Info] = {}
        level: Sequence[str] = [path]
        for _ in range(maxdepth):
            lists = await ASYNC.gather(partial(self._list_nth, level), len(level), self._batch())
            below = {name: info for each in lists for name, info in (each or {}).items()}
            found |= below
            level = [name for name, info in below.items() if info["type"] == "directory"]
            if not level:
                break
        return found

    async def _list_nth(self, paths: Sequence[str], number: int) -> dict[str, Info] | None:
        return await self._list_directory(paths[number])

    async def _list_directory(self, path: str) -> dict[str, Info] | None:
        store, key = self._locate(path)
        with raise_not_found(store, path):
            found = await list_directory(store, key)
        return None if found is None else self._named(path, found)

    def _named(self, path: str, entries: Entries) -> dict[str, Info]:
        """Return the entries of a directory by the names that they have in this filesystem."""
        before = f"{path}/" if path else ""
        encode = quote if self._is_encoded(path) else str
        named = {before + encode(name): meta for name, meta in entries.items()}
        return {name: _entry(name, meta) for name, meta in named.items()}


def _not_found(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), redacted(path))


def _entry(name: str, meta: ObjectMeta | None) -> Info:
    if meta is None:
        return {"name": name, "size": 0, "type": "directory"}
    details = {key: meta.get(key) for key in ("size", "e_tag", "last_modified", "version")}
    return {"name": name, "type": "file", **details}
