"""Names for the two kinds of string that the library passes around."""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["Path", "Url"]

Url: TypeAlias = str
"""Where an object is, with a scheme: `s3://bucket/key`, `https://host/path`, `file:///tmp/a.nc`."""

Path: TypeAlias = str
"""Where an object is within a store, without a leading slash: `key`."""
