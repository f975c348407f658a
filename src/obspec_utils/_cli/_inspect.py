"""Inspect a file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from obspec_utils._cli._output import print_json, print_text
from obspec_utils._cli._stores import locate, missing_as
from obspec_utils._inspect import inspect
from obspec_utils._redact import redacted

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run"]


def run(url: str, settings: Sequence[str], *, as_json: bool) -> None:
    """Print an inspection."""
    store, path, _ = locate(url, settings)
    with missing_as(url):
        inspection = replace(inspect(store, path), path=redacted(url))
    if as_json:
        print_json(inspection.to_dict())
    else:
        print_text(str(inspection))
