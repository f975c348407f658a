"""Directories of a store: what its lists report. Nothing is cached."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeAlias

from obspec_utils._io.errors import is_generic
from obspec_utils._io.listing import checked_listing, errors_redacted
from obspec_utils._io.not_found import is_list_not_found
from obspec_utils._io.response import has_method, unwrap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from obspec import ObjectMeta

__all__ = ["Entries", "is_directory", "list_below", "list_directory"]

Entries: TypeAlias = "dict[str, ObjectMeta | None]"
"""The entries of a directory by their paths relative to it: an object's metadata, or None for a directory."""


async def list_directory(store: Any, path: str) -> Entries | None:  # noqa: ANN401 - any store
    """Return what is directly in a directory; None if there is no such directory."""
    _check_lists(store, path, "list_with_delimiter_async")
    try:
        with checked_listing(store):
            result = await store.list_with_delimiter_async(_prefix(path))
    except Exception as error:
        if is_list_not_found(error):
            return None
        raise
    if path and not result["objects"] and not result["common_prefixes"]:
        return None
    directories: Entries = dict.fromkeys(_relative(path, result["common_prefixes"]).values())
    return {**_objects(path, result["objects"]), **directories}


async def list_below(store: Any, path: str) -> Entries:  # noqa: ANN401
    """Return everything in a directory and below it."""
    _check_lists(store, path, "list_async")
    found: Entries = {}
    try:
        with checked_listing(store):
            async for page in store.list_async(_prefix(path)):
                found.update(_objects(path, page))
    except Exception as error:
        if not is_list_not_found(error):
            raise
    for name in list(found):
        for parent in accumulate(name.split("/")[:-1], "{}/{}".format):
            meta = found.get(parent)
            if meta is None or not meta["size"]:  # no object, or an empty one, as some tools mark directories
                found[parent] = None
    return found


async def is_directory(store: Any, path: str) -> bool:  # noqa: ANN401
    """Return whether there is a directory; one page of a list tells."""
    if not has_method(store, "list_async"):
        return not path
    try:
        with errors_redacted():
            async for page in store.list_async(_prefix(path)):
                if page:
                    return True
    except Exception as error:
        if is_list_not_found(error) or (path and _is_web_server(store, error)):
            return False
        raise
    return not path


def _is_web_server(store: object, error: Exception) -> bool:
    """Return whether an HTTPStore failed to list, as it does unless the server speaks WebDAV."""
    return is_generic(error) and type(unwrap(store)).__name__ == "HTTPStore"


def _check_lists(store: object, path: str, method: str) -> None:
    if not has_method(store, method):
        msg = f"{type(unwrap(store)).__name__} can't list {path!r}: it has no {method}()"
        raise NotImplementedError(msg)


def _prefix(path: str) -> str | None:
    return f"{path}/" if path else None


def _relative(path: str, found: Iterable[str]) -> dict[str, str]:
    """Return the paths below a directory, and what they are relative to it, but for the directory's own marker."""
    prefix = f"{path}/" if path else ""
    return {each: each[len(prefix) :].rstrip("/") for each in found if each.startswith(prefix) and each != prefix}


def _objects(path: str, objects: Iterable[ObjectMeta]) -> Entries:
    by_path = {meta["path"]: meta for meta in objects}
    return {name: by_path[full] for full, name in _relative(path, by_path).items()}
