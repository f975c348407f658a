"""The servers and hypothesis's settings, for every test; and how the test process ends."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from obspec_utils._io import request, retry

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ["tests.servers.fixtures"]

# A shell that runs the tests in the background has them ignore Ctrl-C, and the processes that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Timing belongs in benchmarks: a slow machine must not fail a test.
settings.register_profile("obspec-utils", deadline=None)
settings.load_profile("obspec-utils")


@pytest.fixture(autouse=True)
def _retry_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without delay: a test counts attempts; `test_retry` knows the delays."""
    monkeypatch.setattr(retry, "_DELAYS", (0, 0))
    monkeypatch.setattr(retry, "_REQUEST_DELAYS", (0,) * len(retry._REQUEST_DELAYS))
    monkeypatch.setattr(request, "FIRST_RETRY_DELAY", 0)


_finished: list[pytest.Session] = []


def pytest_sessionfinish(session: pytest.Session) -> None:
    _finished.append(session)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_unconfigure() -> Iterator[None]:
    """End the process at once when all is reported.

    It has loaded HDF5, GDAL, dask and obstore into one interpreter, and that combination now and then crashes while
    the interpreter shuts down. How processes of this library end is tested in processes of their own.
    """
    yield
    if _finished:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(_finished[0].exitstatus))
