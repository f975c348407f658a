"""One seeded store of each kind for a whole module, with what it answers itself."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from obspec_utils._io import request, retry
from tests.contracts._library import Library
from tests.servers._process import ServerUnavailable
from tests.servers.fixtures import skip_or_fail
from tests.servers.stores import STORE_KINDS, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator


# obstore panics when get_ranges is asked for what lies past the end. To print where takes longer than a whole test.
os.environ["RUST_BACKTRACE"] = "0"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once: how long a retry is waited for is no part of the contract."""
    monkeypatch.setattr(retry, "_DELAYS", (0, 0))
    monkeypatch.setattr(request, "RETRY_AFTER", 0)


@pytest.fixture(scope="module", params=STORE_KINDS)
def library(request, servers) -> Iterator[Library]:
    """Objects in a store of each kind; tests may add objects under names of their own, and change only these."""
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(open_store(request.param, servers))
            library = Library(opened)
        except ServerUnavailable as reason:
            skip_or_fail(reason)
            raise
        yield library
