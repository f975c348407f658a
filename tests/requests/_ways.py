"""The methods of a store called from a thread, and by an event loop of its own: tests are run both ways."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Async", "Sync"]


class Sync:
    """From a thread."""

    def get_range(self, store: Any, path: str, start: int, end: int) -> bytes:
        return bytes(store.get_range(path, start=start, end=end))

    def get_ranges(self, store: Any, path: str, starts: list[int], ends: list[int]) -> list[bytes]:
        return [bytes(buffer) for buffer in store.get_ranges(path, starts=starts, ends=ends)]

    def get(self, store: Any, path: str, **options: Any) -> bytes:
        return bytes(store.get(path, options=options or None).buffer())

    def head(self, store: Any, path: str) -> dict[str, Any]:
        return dict(store.head(path))

    def prefetch(self, store: Any, paths: list[str], **options: Any) -> dict[str, Exception]:
        failed: dict[str, Exception] = store.prefetch(paths, **options)
        return failed


class Async:
    """By an event loop."""

    def get_range(self, store: Any, path: str, start: int, end: int) -> bytes:
        async def run() -> bytes:
            return bytes(await store.get_range_async(path, start=start, end=end))

        return asyncio.run(run())

    def get_ranges(self, store: Any, path: str, starts: list[int], ends: list[int]) -> list[bytes]:
        async def run() -> list[bytes]:
            return [bytes(it) for it in await store.get_ranges_async(path, starts=starts, ends=ends)]

        return asyncio.run(run())

    def get(self, store: Any, path: str, **options: Any) -> bytes:
        async def run() -> bytes:
            result = await store.get_async(path, options=options or None)
            return bytes(await result.buffer_async())

        return asyncio.run(run())

    def head(self, store: Any, path: str) -> dict[str, Any]:
        async def run() -> dict[str, Any]:
            return dict(await store.head_async(path))

        return asyncio.run(run())

    def prefetch(self, store: Any, paths: list[str], **options: Any) -> dict[str, Exception]:
        async def run() -> dict[str, Exception]:
            failed: dict[str, Exception] = await store.prefetch_async(paths, **options)
            return failed

        return asyncio.run(run())
