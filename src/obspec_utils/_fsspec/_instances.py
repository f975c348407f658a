"""How filesystems are shared, compared, pickled and written as JSON."""

from __future__ import annotations

from datetime import timedelta
from types import FunctionType
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    _Meta = type  # fsspec has no type hints
else:
    from fsspec.asyn import AsyncFileSystem

    _Meta = type(AsyncFileSystem)

__all__ = ["Instances", "refer_to", "restore"]

# In JSON, a filesystem is a reference to itself, so that no credentials get there.
_REFERENCE = "obspec-utils:"
_referenced: WeakValueDictionary[str, Any] = WeakValueDictionary()

# The text of their values is different for different values: subclasses may hide them.
_PLAIN = (str, bytes, int, float, bool, type(None), timedelta)


class Instances(_Meta):
    """Metaclass that creates filesystems.

    fsspec shares filesystems and compares them by the text of their arguments. Two stores with different credentials
    may have the same text, and so may two objects that hide their secrets. A filesystem with such arguments is not
    shared, and equal only to itself and to its unpickled copies.
    """

    cachable: bool

    def __call__(cls, *args: object, **options: Any) -> Any:  # noqa: ANN401, N805 - an instance of any of the classes
        if args and isinstance(args[0], str) and args[0].startswith(_REFERENCE):
            return _copy(args[0], options)
        options = _copied(options)  # which the caller may change later
        if not (cls.cachable and _has_own_text(options)):
            options["skip_instance_cache"] = True
        skip = options.get("skip_instance_cache", False)
        made = super().__call__(*args, **options)
        if skip:
            made._fs_token_ = made._own_token = uuid4().hex  # noqa: SLF001 - the first is fsspec's
        return made


def _copied(value: Any) -> Any:  # noqa: ANN401 - any option
    """Return a copy of the dicts, lists and tuples in an option."""
    if type(value) is dict:
        return {name: _copied(part) for name, part in value.items()}
    return type(value)(map(_copied, value)) if type(value) in {list, tuple} else value


def _has_own_text(value: object) -> bool:
    """Return whether any other value has another text, at least as long as this one exists."""
    if type(value) is dict:
        return all(_has_own_text(part) for item in value.items() for part in item)
    if type(value) in {list, tuple}:
        return all(map(_has_own_text, value))  # type: ignore[call-overload]
    shows_address = type(value).__repr__ is object.__repr__ or isinstance(value, FunctionType)
    # A notebook may define a class of the same name again.
    is_importable = type(value) is type and value.__module__ != "__main__"
    return type(value) in _PLAIN or shows_address or is_importable


def restore(cls: Any, args: tuple[object, ...], options: dict[str, Any], own_token: str | None) -> Any:  # noqa: ANN401
    """Create a filesystem that was pickled; without sharing, it is equal to the original."""
    made = cls(*args, **options)
    if own_token is not None:
        made._fs_token_ = made._own_token = own_token
    return made


def refer_to(filesystem: object) -> str:
    """Return an argument from which `Instances` creates a copy of a filesystem, as long as that exists."""
    reference = f"{_REFERENCE}{uuid4().hex}"
    _referenced[reference] = filesystem
    return reference


def _copy(reference: str, options: dict[str, Any]) -> Any:  # noqa: ANN401
    original = _referenced.get(reference)
    if original is None:
        msg = (
            f"There is no filesystem {reference!r} in this process. The JSON of an ObspecFileSystem has neither its "
            "store nor credentials, so it can only be read while the filesystem exists. Pickle it, or make a new one."
        )
        raise ValueError(msg)
    return type(original)(*original.storage_args, **{**original.storage_options, **options})
