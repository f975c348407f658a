"""Helpers for tests of AiohttpStore: its calls in threads and in tasks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CALLS", "in_block", "sync", "without_block"]


def sync(store: Any, method: str, *args: Any, **options: Any) -> Any:
    """Call a method; of a get, return the bytes."""
    found = getattr(store, method)(*args, **options)
    return found.buffer() if method == "get" else found


async def _call(store: Any, method: str, *args: Any, **options: Any) -> Any:
    found = await getattr(store, f"{method}_async")(*args, **options)
    return await found.buffer_async() if method == "get" else found


def in_block(store: Any, method: str, *args: Any, **options: Any) -> Any:
    """Call the async method in an `async with` block."""

    async def run() -> Any:
        async with store:
            return await _call(store, method, *args, **options)

    return asyncio.run(run())


def without_block(store: Any, method: str, *args: Any, **options: Any) -> Any:
    """Call the async method outside of an `async with` block."""
    return asyncio.run(_call(store, method, *args, **options))


CALLS: dict[str, Callable[..., Any]] = {"sync": sync, "async with": in_block, "async": without_block}
