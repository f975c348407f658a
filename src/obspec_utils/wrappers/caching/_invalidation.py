"""Calls that change objects, and which objects they change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["invalidating", "invalidating_async", "mutation_of"]


class Mutation(NamedTuple):
    """A method that changes objects.

    `names` are those obspec gives to its leading arguments, the paths; the last `changed` of these are what is changed.
    """

    names: tuple[str, ...]
    changed: int


_CHANGES = {
    "put": Mutation(("path",), 1),
    "delete": Mutation(("paths",), 1),
    "copy": Mutation(("from_", "to"), 1),
    "rename": Mutation(("from_", "to"), 2),
}


def mutation_of(method: str) -> Mutation | None:
    """Return what a store's method changes, sync or async; None if it changes nothing."""
    return _CHANGES.get(method.removesuffix("_async"))


def _changed_paths(change: Mutation, args: list[object], kwargs: dict[str, object]) -> list[str] | None:
    """Return the paths that a call changes; None if its arguments have other names, so that it could be any.

    A one-shot iterator of paths among the arguments is replaced by a list.
    """
    found: list[object] = []
    for position, name in enumerate(change.names):
        if position < len(args):
            args[position] = _reusable(args[position])
            found.append(args[position])
        elif name in kwargs:
            kwargs[name] = _reusable(kwargs[name])
            found.append(kwargs[name])
        else:
            return None
    return [path for value in found[-change.changed :] for path in _paths(value)]


def _reusable(value: object) -> object:
    return list(value) if isinstance(value, Iterator) else value


def _paths(value: object) -> Iterable[str]:
    """Return the paths in an argument; what is none is for the store to refuse."""
    if isinstance(value, str):
        return [value]
    return [path for path in value if isinstance(path, str)] if isinstance(value, Iterable) else []


def invalidating(
    method: Callable[..., object], change: Mutation, invalidate: Callable[[list[str] | None], None]
) -> Callable[..., object]:
    """Return a method that has what it changes forgotten, before and after."""

    @wraps(method)
    def changing(*args: object, **kwargs: object) -> object:
        drop_none = list(args)
        paths = _changed_paths(change, drop_none, kwargs)
        invalidate(paths)
        try:
            return method(*drop_none, **kwargs)
        finally:  # even a failed change may have happened
            invalidate(paths)

    return changing


def invalidating_async(
    method: Callable[..., Any], change: Mutation, invalidate: Callable[[list[str] | None], Awaitable[None]]
) -> Callable[..., object]:
    """Return a coroutine function that has what it changes forgotten, before and after."""

    @wraps(method)
    async def changing(*args: object, **kwargs: object) -> object:
        drop_none = list(args)
        paths = _changed_paths(change, drop_none, kwargs)
        await invalidate(paths)
        try:
            return await method(*drop_none, **kwargs)
        finally:
            await invalidate(paths)

    return changing
