"""io.BytesIO and a dict over bytes in memory: the cost of the work itself, without any network."""

from __future__ import annotations

import io
import urllib.request
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OPEN", "OVER", "STORE", "VIRTUAL", "connect"]


class Client:
    """The address of a bucket."""

    def __init__(self, url: str, bucket: str) -> None:
        self.url = url
        self.bucket = bucket


def connect(url: str, bucket: str) -> Client:
    """Return the address of the bucket."""
    return Client(url, bucket)


@cache
def _content(url: str) -> bytes:
    # Fetched by the warm-up run.
    with urllib.request.urlopen(url) as response:
        content: bytes = response.read()
    return content


def _open(client: Client, path: str) -> io.BytesIO:
    original = path.partition(".copies")[0]  # held once, however many copies the server has
    return io.BytesIO(_content(f"{client.url}/{client.bucket}/{original}"))


def _virtual(client: Client, path: str) -> tuple[Any, Any]:
    from benchmarks.adapters import obstore  # noqa: PLC0415 - only here

    _open(client, path)  # fetches it before the clock starts, where there is no warm-up run
    return obstore.connect(client.url, client.bucket), lambda _store, path: _open(client, path)


class _Dict:
    """A dict of bytes with the interface of a store: a lookup and a slice."""

    def __init__(self, fetch: Callable[[str], bytes]) -> None:
        self._fetch = fetch
        self._contents: dict[str, bytes] = {}

    def get_range(self, path: str, *, start: int, length: int) -> bytes:
        """Return a slice; the first one of an object fetches all of it."""
        content = self._contents.get(path)
        if content is None:
            content = self._contents[path] = self._fetch(path)
        return content[start : start + length]


OPEN = {"memory": _open}
STORE = {"dict": lambda client, _path: _Dict(lambda path: _content(f"{client.url}/{client.bucket}/{path}"))}
OVER = {"dict": lambda store: _Dict(lambda path: bytes(store.get(path).buffer()))}
VIRTUAL = {"memory": _virtual}
