"""Calls that change objects, and which objects they change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["changes", "forgetting", "forgetting_async"]


class Change(NamedTuple):
    """A method that changes objects.

    `names` are those obspec gives to its leading arguments, the paths; the last `changed` of these are what is changed.
    """

    names: tuple[str, ...]
    changed: int


_CHANGES = {
    "put": Change(("path",), 1),
    "delete": Change(("paths",), 1),
    "copy": Change(("from_", "to"), 1),
    "rename": Change(("from_", "to"), 2),
}


def changes(method: str) -> Change | None:
    """Return what a store's method changes, sync or async; None if it changes nothing."""
    return _CHANGES.get(method.removesuffix("_async"))


def _changed_paths(change: Change, args: list[object], kwargs: dict[str, object]) -> list[str] | None:
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


def forgetting(
    method: Callable[..., object], change: Change, forget: Callable[[list[str] | None], None]
) -> Callable[..., object]:
    """Return a method that has what it changes forgotten, before and after."""

    @wraps(method)
    def changing(*args: object, **kwargs: object) -> object:
        given = list(args)
        paths = _changed_paths(change, given, kwargs)
        forget(paths)
        try:
            return method(*given, **kwargs)
        finally:  # even a failed change may have happened
            forget(paths)

    return changing


def forgetting_async(
    method: Callable[..., Any], change: Change, forget: Callable[[list[str] | None], Awaitable[None]]
) -> Callable[..., object]:
    """Return a coroutine function that has what it changes forgotten, before and after."""

    @wraps(method)
    async def changing(*args: object, **kwargs: object) -> object:
        given = list(args)
        paths = _changed_paths(change, given, kwargs)
        await forget(paths)
        try:
            return await method(*given, **kwargs)
        finally:
            await forget(paths)

    return changing
