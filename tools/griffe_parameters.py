"""An extension of griffe for the API pages: values of defaults, and types of parameters that are described together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import griffe

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Parameters"]


class Parameters(griffe.Extension):
    """Show `= 18` in place of the name of a constant, and each parameter's own type in `store, path: See ...`."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:  # noqa: ANN401 - as declared there
        """Change signatures and docstrings once the package is loaded."""
        described = list(_members(pkg))
        for parameter in (it for one in described if isinstance(one, griffe.Function) for it in one.parameters):
            if isinstance(parameter.default, griffe.ExprName):
                parameter.default = _value(pkg, parameter.default.canonical_path) or parameter.default
        for one in described:
            _set_types(one)


def _members(parent: griffe.Object) -> Iterator[griffe.Function | griffe.Class]:
    for member in parent.members.values():
        if isinstance(member, (griffe.Function, griffe.Class)):
            yield member
        if isinstance(member, (griffe.Module, griffe.Class)):
            yield from _members(member)


def _value(package: griffe.Module, path: str) -> str | griffe.Expr | None:
    """Return the value of the package's constant at a path, or None if there is none."""
    try:
        found = package.modules_collection[path]
    except KeyError:
        return None
    return found.value if isinstance(found, griffe.Attribute) else None


def _set_types(described: griffe.Function | griffe.Class) -> None:
    """Give each described parameter the type that the signature has; griffe gives all names of a line the first's."""
    types = {parameter.name: parameter.annotation for parameter in described.parameters}
    for section in described.docstring.parsed if described.docstring else ():
        if isinstance(section, griffe.DocstringSectionParameters):
            for item in section.value:
                item.annotation = types.get(item.name, item.annotation)
