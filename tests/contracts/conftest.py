"""One seeded store of each kind for a whole module, with what it answers itself."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.contracts._library import Library
from tests.contracts._stacks import stacks_on
from tests.servers._process import ServerUnavailable
from tests.servers.fixtures import skip_or_fail
from tests.servers.stores import STORE_KINDS, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


# obstore panics when get_ranges is asked for what lies past the end. To print where takes longer than a whole test.
os.environ["RUST_BACKTRACE"] = "0"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep only some stacks on most kinds of store: `stacks_on` names them."""
    dropped = {item for item in items if not _is_kept(getattr(getattr(item, "callspec", None), "params", {}))}
    config.hook.pytest_deselected(items=[item for item in items if item in dropped])
    items[:] = [item for item in items if item not in dropped]


def _is_kept(params: Mapping[str, Any]) -> bool:
    return not {"library", "stack"} <= params.keys() or params["stack"] in stacks_on(params["library"])


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
