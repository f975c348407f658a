"""Sizes of the browser's window."""

from __future__ import annotations

NARROW = {"width": 500, "height": 900}
WIDE = {"width": 1280, "height": 900}
