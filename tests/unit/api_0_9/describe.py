"""Print a package's public API as JSON: dotted names and parameters, found by introspection.

`api.json` beside this file describes obspec-utils 0.9.0. It was made in an environment of its own:

    python -m venv /tmp/obspec-utils-0.9.0
    /tmp/obspec-utils-0.9.0/bin/pip install obspec-utils==0.9.0 aiohttp
    /tmp/obspec-utils-0.9.0/bin/python tests/unit/api_0_9/describe.py > tests/unit/api_0_9/api.json
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import sys
import warnings
from typing import Any

PACKAGE = "obspec_utils"


def describe() -> dict[str, list[str] | None]:
    """Return the parameters of everything public by its dotted name; None for what can't be called."""
    root = importlib.import_module(PACKAGE)
    modules = [PACKAGE, *(found.name for found in pkgutil.walk_packages(root.__path__, f"{PACKAGE}."))]
    found: dict[str, list[str] | None] = {}
    for module in modules:
        if "._" in module:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            imported = importlib.import_module(module)
        for name in public_names(imported):
            found |= entries(f"{module}.{name}", getattr(imported, name))
    return dict(sorted(found.items()))


def public_names(module: Any) -> set[str]:
    """Return the names in a module's `__all__`, and of the package's own public classes and functions."""
    own = {name for name, value in vars(module).items() if is_own(value) and not name.startswith("_")}
    return own.union(getattr(module, "__all__", ()))


def is_own(value: Any) -> bool:
    """Tell whether a value is a class or function of the package."""
    return (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__.startswith(PACKAGE)


def entries(name: str, value: Any) -> dict[str, list[str] | None]:
    """Describe one public value, and the public attributes and methods of a class."""
    if not is_own(value):
        return {name: None}
    described = {name: parameters(value)}
    if inspect.isclass(value):
        members = {key: inspect.getattr_static(value, key) for key in dir(value) if not key.startswith("_")}
        for key, member in members.items():
            described[f"{name}.{key}"] = parameters(member)[1:] if inspect.isfunction(member) else None
    return described


def parameters(function: Any) -> list[str]:
    """Return a signature without annotations, as in `["store", "path", "size=-1", "*", "trace=None"]`."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # of classes that inherit their constructor from one written in C
        return []
    bare = [value.replace(annotation=value.empty) for value in signature.parameters.values()]
    text = str(signature.replace(parameters=bare, return_annotation=signature.empty))
    return [part for part in text[1:-1].split(", ") if part]


if __name__ == "__main__":
    lines = (f"{json.dumps(name)}: {json.dumps(found)}" for name, found in describe().items())
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")
