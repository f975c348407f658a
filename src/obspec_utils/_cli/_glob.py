"""List the objects that match a pattern."""

from __future__ import annotations

import json
import sys
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from obspec_utils._cli._stores import locate
from obspec_utils._redact import redacted
from obspec_utils._text import size
from obspec_utils.glob import glob_objects

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["run"]


def run(patterns: Sequence[str], settings: Sequence[str], *, long: bool, as_json: bool) -> bool:
    """Print the URLs of the objects that match, as they arrive; return whether there are any."""
    objects = chain.from_iterable(_matches(pattern, settings) for pattern in patterns)
    return bool(_print_json(objects) if as_json else _print_lines(objects, long=long))


def _matches(pattern: str, settings: Sequence[str]) -> Iterator[dict[str, Any]]:
    store, path, root = locate(pattern, settings, is_pattern=True)
    is_encoded = root.startswith("http")
    found = False
    for meta in glob_objects(store, path):
        found = True
        name = quote(meta["path"]) if is_encoded else meta["path"]
        yield {"url": root + name, "size": meta["size"], "last_modified": meta["last_modified"].isoformat()}
    if not found:
        sys.stderr.write(f"obspec-utils: no object matches {redacted(pattern)}\n")


def _print_lines(objects: Iterator[dict[str, Any]], *, long: bool) -> int:
    count = 0
    for count, found in enumerate(objects, 1):  # noqa: B007 - the count is returned
        detail = f"{size(found['size']):>11}  {found['last_modified'][:19]}  " if long else ""
        sys.stdout.write(f"{detail}{found['url']}\n")
    return count


def _print_json(objects: Iterator[dict[str, Any]]) -> int:
    """Print a list, an object a line."""
    count = 0
    for count, found in enumerate(objects, 1):
        sys.stdout.write(f"{',' if count > 1 else '['}\n  {json.dumps(found)}")
    sys.stdout.write("\n]\n" if count else "[]\n")
    return count
