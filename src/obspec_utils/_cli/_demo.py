"""Compare the readers on a file in an object store on this machine."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.request import urlopen

from obstore.store import HTTPStore

from obspec_utils._cli._demo_file import VARIABLES, check_modules, read_means
from obspec_utils._cli._demo_server import LOG_PATH
from obspec_utils._cli._output import StatusLine, print_json, print_text
from obspec_utils._inspect._cost import BANDWIDTH, LATENCY
from obspec_utils.readers import BufferedStoreReader, EagerStoreReader, ParallelStoreReader, open_reader
from obspec_utils.wrappers import (
    CachingReadableStore,
    RequestTrace,
    SplittingReadableStore,
    TracingReadableStore,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["run"]

_HOST, _PATH = "127.0.0.1", "model.nc"
_BARE, _COLD, _WARM = "the store", "cold cache", "warm cache"
_WIDTH = 80
_READERS = (open_reader, EagerStoreReader, ParallelStoreReader, BufferedStoreReader)
_INTRODUCTION = """\
A NetCDF4 file of {megabytes:.0f} MB, {variables} variables in it; each row opens it with xarray
and reads three of them. 30 ms latency, 50 MB/s a connection. The cache is
CachingReadableStore(SplittingReadableStore(store)).

reader                over        requests     MB  seconds  in flight"""


class Row(NamedTuple):
    """Cost of one read."""

    reader: str
    over: str
    requests: int
    bytes: int
    seconds: float
    most_in_flight: int
    means: tuple[float, ...]

    def __str__(self) -> str:
        """Return a line of the table."""
        return (
            f"{self.reader:<20}  {self.over:<10}  {self.requests:>8}  {self.bytes / 1e6:>5.0f}"
            f"  {self.seconds:>7.2f}  {self.most_in_flight:>9}"
        )


def run(*, as_json: bool) -> None:
    """Print the cost of each reader, over the store alone and through a cache, and of others."""
    check_modules()
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = _HOST  # in this process, for all clients
    status = StatusLine()
    status.show(f"Writing a NetCDF4 file of {VARIABLES} variables ...")
    with _serving() as (url, size):
        with EagerStoreReader(_store(url), _PATH) as file:
            read_means(file)  # imports what no reader is to be charged for
        show = _Table(size, status, is_silent=as_json)
        rows = [show(row) for row in _rows(url, show)]
        picture = _picture(url)
    status.clear()
    if as_json:
        print_json({"rows": [row._asdict() for row in rows], "picture": picture})
        return
    print_text("\n" + textwrap.fill(_interpret(rows), _WIDTH))
    if picture:
        print_text(f"\nA picture of the requests of open_reader: {picture}")


class _Table:
    """Prints a table, a row as soon as it is there."""

    def __init__(self, size: int, status: StatusLine, *, is_silent: bool) -> None:
        self._status = status
        self._is_silent = is_silent
        self._print(_INTRODUCTION.format(megabytes=size / 1e6, variables=VARIABLES))

    def announce(self, reader: str, source: str) -> None:
        """Show what is being measured."""
        self._status.show(f"Reading with {reader}, {source} ...")

    def __call__(self, row: Row) -> Row:
        """Print a row, and return it."""
        self._print(str(row))
        return row

    def _print(self, text: str) -> None:
        self._status.clear()
        if not self._is_silent:
            print_text(text)


@contextmanager
def _serving() -> Iterator[tuple[str, int]]:
    """Serve the demo's file from another process; yield its URL without the path, and its size.

    That process has a session of its own, so that Ctrl-C does not reach it. It ends when its stdin closes, however this
    process ends, and leaves no file.
    """
    command = [sys.executable, "-m", "obspec_utils._cli._demo_server", str(LATENCY), str(BANDWIDTH)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as server:  # noqa: S603 - of this package
        assert server.stdin is not None and server.stdout is not None  # noqa: S101, PT018 - for type checkers
        try:
            ready = server.stdout.readline().split()
            if not ready:
                msg = "the server of the demo has not started: see the error above"
                raise OSError(msg)
            yield f"http://{_HOST}:{int(ready[0])}", int(ready[1])
        finally:
            server.stdin.close()


def _rows(url: str, table: _Table) -> Iterator[Row]:
    """Measure each reader, and what can be used instead."""
    store = _store(url)
    for reader in _READERS:
        name = reader.__name__
        cached = CachingReadableStore(SplittingReadableStore(store))
        for source, over in ((_BARE, store), (_COLD, cached), (_WARM, cached)):
            table.announce(name, source)
            yield _measure(url, name, source, partial(reader, over, _PATH))
    for name, opened in _others(url, store):
        table.announce(name, _BARE)
        yield _measure(url, name, _BARE, opened)


def _store(url: str) -> HTTPStore:
    return HTTPStore(url, client_options={"allow_http": True})


def _others(url: str, store: HTTPStore) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Iterate over other ways to get a file: fsspec's own, if it is installed, and the whole object by one request."""
    if find_spec("fsspec") and find_spec("aiohttp"):
        yield "fsspec's default", lambda: import_module("fsspec").open(f"{url}/{_PATH}").open()
    yield "one streaming GET", lambda: io.BytesIO(store.get(_PATH).bytes())


def _measure(url: str, reader: str, source: str, opened: Callable[[], Any]) -> Row:
    """Read once; return the requests and bytes that the server counted."""
    _take_log(url)
    begin = time.perf_counter()
    with opened() as file:
        means = read_means(file)
    seconds = time.perf_counter() - begin
    log = _take_log(url)
    return Row(reader, source, log["requests"], log["bytes"], seconds, log["most_in_flight"], means)


def _take_log(url: str) -> dict[str, int]:
    with urlopen(f"{url}{LOG_PATH}") as response:  # noqa: S310 - the demo's server
        log: dict[str, int] = json.load(response)
    return log


def _picture(url: str) -> str | None:
    """Write a picture of the requests of `open_reader`, if matplotlib is installed; return the file's name."""
    if not find_spec("matplotlib"):
        return None
    trace = RequestTrace()
    with open_reader(TracingReadableStore(_store(url), trace), _PATH) as file:
        read_means(file)
    figure = trace.plot()
    with tempfile.NamedTemporaryFile(prefix="obspec-utils-demo-", suffix=".png", delete=False) as picture:
        figure.savefig(picture, format="png")
    return picture.name


def _interpret(rows: list[Row]) -> str:
    """Summarise the table in a sentence."""
    ours = [row for row in rows if row.reader in {reader.__name__ for reader in _READERS}]
    bare = [row for row in ours if row.over == _BARE]
    warm = [row for row in ours if row.over == _WARM]
    fast, slow = min(bare, key=lambda row: row.seconds), max(rows, key=lambda row: row.seconds)
    return (
        f"Every row computed {'the same' if len({row.means for row in rows}) == 1 else 'DIFFERENT'} means. Without a "
        f"cache {fast.reader} ({fast.requests} requests, up to {fast.most_in_flight} at once) was "
        f"{slow.seconds / fast.seconds:.0f} times as fast as {slow.reader} ({slow.requests} requests, up to "
        f"{slow.most_in_flight} at once). From a warm cache the readers together sent "
        f"{sum(row.requests for row in warm)} requests, and none took longer than "
        f"{max(row.seconds for row in warm):.1f} s."
    )
