"""Type aliases for URLs and paths."""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["Path", "Url"]

Url: TypeAlias = str
"""URL of an object, with a scheme: `s3://bucket/key`, `https://host/path`, `file:///tmp/a.nc`."""

Path: TypeAlias = str
"""Path of an object within a store, without a leading slash: `key`."""
