"""remfile: HTTP files made for reading HDF5."""

from __future__ import annotations

import remfile

__all__ = ["OPEN", "connect"]


def connect(url: str, bucket: str) -> str:
    """Return the address of the bucket: each file has a session of its own."""
    return f"{url}/{bucket}"


OPEN = {"http": lambda base, path: remfile.File(f"{base}/{path}")}
