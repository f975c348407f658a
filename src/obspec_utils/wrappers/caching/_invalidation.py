"""Wrap put, delete, copy and rename so that they invalidate what they change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["invalidating", "invalidating_async", "mutation_of"]


class Mutation(NamedTuple):
    """A method that changes objects.

    Attributes
    ----------
    names
        The names of its leading arguments in obspec, which are paths.
    changed
        Number of trailing path arguments that are changed (copy 1, rename 2).
    """

    names: tuple[str, ...]
    changed: int


_MUTATIONS = {
    "put": Mutation(("path",), 1),
    "delete": Mutation(("paths",), 1),
    "copy": Mutation(("from_", "to"), 1),
    "rename": Mutation(("from_", "to"), 2),
}


def mutation_of(method: str) -> Mutation | None:
    """Return the mutation of a store's method, sync or async; None if it changes nothing."""
    return _MUTATIONS.get(method.removesuffix("_async"))


def _changed_paths(mutation: Mutation, args: list[object], kwargs: dict[str, object]) -> list[str] | None:
    """Return the paths that a call changes; None (any path) if its arguments have other names.

    An iterator of paths among the arguments is replaced by a list.
    """
    found: list[object] = []
    for position, name in enumerate(mutation.names):
        if position < len(args):
            args[position] = _reusable(args[position])
            found.append(args[position])
        elif name in kwargs:
            kwargs[name] = _reusable(kwargs[name])
            found.append(kwargs[name])
        else:
            return None
    return [path for value in found[-mutation.changed :] for path in _paths(value)]


def _reusable(value: object) -> object:
    return list(value) if isinstance(value, Iterator) else value


def _paths(value: object) -> Iterable[str]:
    """Return the paths in an argument; the store refuses anything else."""
    if isinstance(value, str):
        return [value]
    return [path for path in value if isinstance(path, str)] if isinstance(value, Iterable) else []


def invalidating(
    method: Callable[..., object], mutation: Mutation, invalidate: Callable[[list[str] | None], None]
) -> Callable[..., object]:
    """Return a method that invalidates what it changes, before and after."""

    @wraps(method)
    def change(*args: object, **kwargs: object) -> object:
        arguments = list(args)
        paths = _changed_paths(mutation, arguments, kwargs)
        invalidate(paths)
        try:
            return method(*arguments, **kwargs)
        finally:  # a call that failed may have changed the object too
            invalidate(paths)

    return change


def invalidating_async(
    method: Callable[..., Any], mutation: Mutation, invalidate: Callable[[list[str] | None], Awaitable[None]]
) -> Callable[..., object]:
    """Return a coroutine function that invalidates what it changes, before and after."""

    @wraps(method)
    async def change(*args: object, **kwargs: object) -> object:
        arguments = list(args)
        paths = _changed_paths(mutation, arguments, kwargs)
        await invalidate(paths)
        try:
            return await method(*arguments, **kwargs)
        finally:
            await invalidate(paths)

    return change
