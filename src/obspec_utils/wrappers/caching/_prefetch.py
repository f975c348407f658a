"""Prefetch whole objects into a cache, several at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from obspec_utils._io.backends import ASYNC, SYNC, run
from obspec_utils._io.interruptible import with_progress
from obspec_utils._redact import redacted, shown
from obspec_utils._validation import check_path, positive_int

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from obspec_utils._io.backends import Backend
    from obspec_utils._io.progress import Counter, Progress
    from obspec_utils._progress import ProgressSetting

__all__ = ["prefetch", "prefetch_async"]

_Fetch: TypeAlias = "Callable[[Backend, str, int, Counter | None], Coroutine[object, object, int]]"
_IsCached: TypeAlias = "Callable[[str], bool]"


def prefetch(
    fetch: _Fetch, is_cached: _IsCached, paths: Iterable[str], max_requests: int, setting: ProgressSetting | None
) -> dict[str, Exception]:
    """Fetch objects with at most `max_requests` requests in flight; return an error for each that is not cached."""
    todo, requests_each = _plan(paths, max_requests)
    progress = None if setting is None else setting.start("prefetch", len(todo))
    failed = with_progress(progress, lambda: run(_fetch_all(SYNC, fetch, todo, max_requests, requests_each, progress)))
    return failed | _evicted(is_cached, todo, failed)


async def prefetch_async(
    fetch: _Fetch, is_cached: _IsCached, paths: Iterable[str], max_requests: int, setting: ProgressSetting | None
) -> dict[str, Exception]:
    """Fetch objects as `prefetch` does, on the running event loop."""
    todo, requests_each = _plan(paths, max_requests)
    progress = None if setting is None else setting.start("prefetch", len(todo))
    failed = await _fetch_all(ASYNC, fetch, todo, max_requests, requests_each, progress)
    return failed | _evicted(is_cached, todo, failed)


async def _fetch_all(
    backend: Backend,
    fetch: _Fetch,
    todo: list[str],
    max_requests: int,
    requests_each: int,
    progress: Progress | None,
) -> dict[str, Exception]:
    failed: dict[str, Exception] = {}

    async def fetch_one(number: int) -> None:
        path = todo[number]
        counter, size = None if progress is None else progress.counter(), 0
        try:
            size = await fetch(backend, path, requests_each, counter)
        except Exception as error:  # noqa: BLE001 - reported, path by path
            failed[path] = error
        if counter is not None:
            counter.settled = size

    fetching = backend.gather(fetch_one, len(todo), max_requests)
    await (fetching if progress is None else backend.show_progress(progress, fetching))
    return failed


def _plan(paths: Iterable[str], max_requests: int) -> tuple[list[str], int]:
    """Return each path once, and the number of concurrent requests for each."""
    if isinstance(paths, str) or not hasattr(paths, "__iter__"):
        example = shown(paths) if isinstance(paths, str) else "'a.nc'"
        msg = f"paths must be an iterable of str, such as [{example}], got {shown(paths)}"
        raise TypeError(msg)
    todo = list(dict.fromkeys(check_path(path) for path in paths))
    return todo, max(1, positive_int("max_concurrent_requests", max_requests) // max(1, len(todo)))


def _evicted(is_cached: _IsCached, todo: list[str], failed: dict[str, Exception]) -> dict[str, Exception]:
    """Return an error for each object that was fetched and then evicted."""
    gone = [path for path in todo if path not in failed and not is_cached(path)]
    return {
        path: ValueError(
            f"{redacted(path)!r} was fetched, but evicted from memory by other objects. Increase the max_size of the "
            "cache, or prefetch fewer objects at a time."
        )
        for path in gone
    }
