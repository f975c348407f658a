"""Validate arguments: stores, paths and numbers."""

from __future__ import annotations

import os
import re
import sys
from operator import index
from typing import TYPE_CHECKING, SupportsIndex, TypeVar

from obspec_utils._redact import redacted, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["URL", "check_choice", "check_path", "check_store", "check_text", "positive_int"]

_T = TypeVar("_T")

# An object with any of these is a store. Which of them are needed depends on how it is read.
_STORE_METHODS = tuple(
    name + suffix for name in ("get", "get_range", "get_ranges", "head", "list") for suffix in ("", "_async")
)
# The start of a URL. A key may have "://" further on.
URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def positive_int(name: str, value: float | SupportsIndex, *, least: int = 1) -> int:
    """Return a size or count as a plain int.

    Parameters
    ----------
    name
        The name of the argument, for the error.
    value
        An integer of any type, or a float that is a whole number, such as `1e6`.
    least
        The smallest value allowed.

    Raises
    ------
    ValueError
        If it is too small, larger than `sys.maxsize`, or not a whole number.
    TypeError
        If it is not a number.
    """
    if isinstance(value, float) and not value.is_integer():
        msg = f"{name} must be a whole number, got {value!r}"
        raise ValueError(msg)
    try:
        number = int(value) if isinstance(value, float) else index(value)
    except TypeError:
        msg = f"{name} must be a whole number such as 1048576, got {shown(value)}, a {type(value).__name__}"
        raise TypeError(msg) from None
    if number > sys.maxsize:
        msg = f"{name} must be at most {sys.maxsize}, got {value!r}"
        raise ValueError(msg)
    if number < least:
        msg = f"{name} must {'be positive' if least == 1 else f'be at least {least}'}, got {value!r}"
        raise ValueError(msg)
    return number


def check_choice(name: str, value: object, choices: Sequence[_T]) -> _T:
    """Return the choice that an argument equals; raise ValueError if there is none."""
    for choice in choices:
        if isinstance(value, type(choice)) and value == choice:
            return choice
    *most, last = map(repr, choices)
    msg = f"{name} must be {', '.join(most)} or {last}, got {shown(value)}"
    raise ValueError(msg)


def check_store(store: object, path: object = None) -> None:
    """Raise TypeError unless an object has a method of a store.

    Parameters
    ----------
    store
        The store argument.
    path
        The path argument, to recognize swapped arguments.

    Raises
    ------
    TypeError
        If the store is a str, a path, a dict, a class or an fsspec filesystem, or has no method that reads or lists.
    """
    if _is_store(store):
        return
    if _is_store(path):
        msg = f"store and path are swapped, got {shown(store)} as store: pass the store first"
    elif isinstance(store, str | os.PathLike):
        msg = f"store must be a store, got {shown(store)}: pass obstore.store.from_url(...) of a bucket or folder"
    elif isinstance(store, type):
        msg = f"store must be a store, got the class {store.__name__}: pass an object of it"
    elif hasattr(type(store), "cat_file"):
        msg = f"store must be an obspec store such as one of obstore.store, got an fsspec filesystem, {shown(store)}"
    else:
        msg = (
            f"store must be an obspec store such as one of obstore.store, got {shown(store)}, "
            "which has neither get() nor another method of a store"
        )
    raise TypeError(msg)


def _is_store(value: object) -> bool:
    # The get() of a dict or an fsspec filesystem does something else; the methods of a class need an object.
    if isinstance(value, str | dict | type) or hasattr(type(value), "cat_file"):
        return False
    return any(hasattr(value, method) for method in _STORE_METHODS)


def check_text(name: str, value: object, example: str) -> str:
    """Return a str; raise TypeError for another type, such as a pathlib.Path."""
    if not isinstance(value, str):
        msg = f"{name} must be a str such as {example!r}, got {shown(value)}"
        raise TypeError(msg)
    return value


def check_path(path: object, *, name: str = "path", example: str = "a/b.nc") -> str:
    """Return a path within a store, or a pattern for paths.

    Raises
    ------
    TypeError
        If it is not a str.
    ValueError
        If it is a URL.
    """
    path = check_text(name, path, example)
    if URL.match(path):
        msg = (
            f"{name} must be relative to the store, such as {example!r}, got the URL {redacted(path)!r}: "
            "leave out the part that the store already points at"
        )
        raise ValueError(msg)
    return path
