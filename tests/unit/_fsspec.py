"""What the stores hold that ObspecFileSystem reads in tests."""

from __future__ import annotations

from typing import Any

OBJECTS = {
    "a.txt": b"0123456789",
    "empty": b"",
    "dir/b.txt": b"line one\nline two\n",
    "dir/deep/c.bin": bytes(range(256)),
    "dir.txt": b"beside dir",
}


def filled(store: Any) -> Any:
    for path, content in OBJECTS.items():
        store.put(path, content)
    return store
