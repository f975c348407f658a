"""Filling a cache before anybody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from obspec_utils._io.backends import AsyncBackend, SyncBackend, run_sync
from obspec_utils._io.concurrency import gather, gather_async
from obspec_utils._redact import redacted, shown
from obspec_utils._validation import check_path, positive_int

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from obspec_utils._io.backends import Backend

__all__ = ["prefetch", "prefetch_async"]

_Warm: TypeAlias = "Callable[[Backend, str], Coroutine[object, object, None]]"
_Kept: TypeAlias = "Callable[[str], bool]"


def prefetch(warm: _Warm, kept: _Kept, paths: Iterable[str], most: int) -> dict[str, Exception]:
    """Warm paths side by side, with at most `most` requests in flight; return what failed, or was not `kept`."""
    todo, each = _shares(paths, most)
    failed: dict[str, Exception] = {}
    backend = SyncBackend(each)
    gather(lambda number: run_sync(_try(warm, backend, todo[number], failed)), len(todo), most)
    return failed | _evicted(kept, todo, failed)


async def prefetch_async(warm: _Warm, kept: _Kept, paths: Iterable[str], most: int) -> dict[str, Exception]:
    """Warm paths as `prefetch` does, on the running event loop."""
    todo, each = _shares(paths, most)
    failed: dict[str, Exception] = {}
    backend = AsyncBackend(each)
    await gather_async(lambda number: _try(warm, backend, todo[number], failed), len(todo), most)
    return failed | _evicted(kept, todo, failed)


def _shares(paths: Iterable[str], most: int) -> tuple[list[str], int]:
    """Return each path once, and how many requests each may have in flight."""
    if isinstance(paths, str) or not hasattr(paths, "__iter__"):
        example = shown(paths) if isinstance(paths, str) else "'a.nc'"
        msg = f"paths must be several paths, such as [{example}], got {shown(paths)}"
        raise TypeError(msg)
    todo = list(dict.fromkeys(check_path(path) for path in paths))
    return todo, max(1, positive_int("max_concurrent_requests", most) // max(1, len(todo)))


def _evicted(kept: _Kept, todo: list[str], failed: dict[str, Exception]) -> dict[str, Exception]:
    """Tell of those that were fetched, but are not there any more."""
    gone = [path for path in todo if path not in failed and not kept(path)]
    return {
        path: ValueError(
            f"{redacted(path)!r} was fetched, but others have taken its place in the memory of the cache. Give it a "
            "larger max_size, or prefetch less at a time."
        )
        for path in gone
    }


async def _try(warm: _Warm, backend: Backend, path: str, failed: dict[str, Exception]) -> None:
    try:
        await warm(backend, path)
    except Exception as error:  # noqa: BLE001 - reported, path by path
        failed[path] = error
