"""An extension of griffe for the API pages: values of defaults; parameters and errors that are described together."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import griffe

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Parameters"]

_TOGETHER = re.compile(r"^\w+(, \w+)+$", re.MULTILINE)


class Parameters(griffe.Extension):
    """Show `= 18` in place of the name of a constant, and take apart descriptions such as `store, path: See ...`."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:  # noqa: ANN401 - as declared there
        """Change signatures and docstrings once the package is loaded."""
        described = list(_members(pkg))
        for parameter in (it for one in described if isinstance(one, griffe.Function) for it in one.parameters):
            if isinstance(parameter.default, griffe.ExprName):
                parameter.default = _value(pkg, parameter.default.canonical_path) or parameter.default
        exported = {str(name) for module in _public_modules(pkg) for name in module.exports or ()}
        for one in described:
            shown = isinstance(one, griffe.Function) or one.name in exported
            if shown and one.docstring and _TOGETHER.search(one.docstring.value):
                _take_apart(one, one.docstring)


def _public_modules(package: griffe.Module) -> Iterator[griffe.Module]:
    yield package
    yield from (module for module in package.modules.values() if not module.name.startswith("_"))


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


def _take_apart(described: griffe.Function | griffe.Class, docstring: griffe.Docstring) -> None:
    """Give each parameter its own type, where griffe gives all names of a line the first's, and each error a line."""
    types = {parameter.name: parameter.annotation for parameter in described.parameters}
    for section in docstring.parsed:
        if isinstance(section, griffe.DocstringSectionParameters):
            for item in section.value:
                item.annotation = types.get(item.name, item.annotation)
        elif isinstance(section, griffe.DocstringSectionRaises):
            section.value = [
                griffe.DocstringRaise(annotation=kind, description=item.description)
                for item in section.value
                for kind in (
                    item.annotation.elements if isinstance(item.annotation, griffe.ExprTuple) else [item.annotation]
                )
            ]
