"""The objects the contract is checked on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.servers.stores import OpenedStore

__all__ = [
    "CONTENTS",
    "DATA",
    "EMPTY",
    "MANY_PARTS",
    "MISSING",
    "ONE",
    "PREFIX",
    "SIZE",
    "SPELLINGS",
    "UNICODE",
    "seed",
]

DATA = "folder/data.bin"
EMPTY = "folder/empty.bin"
ONE = "folder/one.bin"
MANY_PARTS = "folder/many-parts.bin"
UNICODE = "folder/größe 100%/ключ+.bin"
MISSING = "folder/missing.bin"
PREFIX = "folder"
# What stores take for the same object as DATA, or refuse.
SPELLINGS = (f"/{DATA}", f"{DATA}/", f"/{DATA}/", f"//{DATA}", DATA.replace("/", "//"))

SIZE = 300
CONTENTS = {
    DATA: bytes(number % 251 for number in range(SIZE)),
    EMPTY: b"",
    ONE: b"1",
    MANY_PARTS: bytes(number * 7 % 253 for number in range(800)),
    UNICODE: "größe".encode(),
}


def seed(opened: OpenedStore) -> None:
    """Store all objects."""
    for path, content in CONTENTS.items():
        attributes = {"Content-Type": "text/plain"} if opened.capabilities.keeps_attributes else None
        opened.writer.put(path, content, use_multipart=False, attributes=attributes)
