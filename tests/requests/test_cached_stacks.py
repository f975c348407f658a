"""Caching stores around caching stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from obspec_utils.caches import DiskCache
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore
from obspec_utils.wrappers.caching._context import RequestContext

from .conftest import MIB

if TYPE_CHECKING:
    from pathlib import Path

    from ._ways import Async, Sync
    from .conftest import Remote


@pytest.mark.parametrize("block_size", [None, 64 * 1024])
def test_stores_that_share_a_cache_do_not_wait_for_each_other(
    remote: Remote, call: Sync | Async, tmp_path: Path, block_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait(*_: object) -> None:
        pytest.fail("waited for a lease of its own")

    monkeypatch.setattr(RequestContext, "wait", wait)
    content = remote.put("object", MIB)
    store = remote.store
    for _ in range(3):
        cache = DiskCache(tmp_path, 10 * MIB)
        store = SplittingReadableStore(
            CachingReadableStore(store, cache=cache, block_size=block_size, namespace="n"),  # type: ignore[arg-type]
        )
    assert call.get_range(store, "object", 100, 200) == content[100:200]
    assert len(remote.log()) == 1


def test_the_innermost_one_takes_the_leases(remote: Remote, tmp_path: Path) -> None:
    inner = CachingReadableStore(remote.store, cache=DiskCache(tmp_path, MIB), namespace="n")
    outer = CachingReadableStore(SplittingReadableStore(inner), cache=DiskCache(tmp_path, MIB), namespace="n")
    above_memory = CachingReadableStore(
        CachingReadableStore(remote.store), cache=DiskCache(tmp_path, MIB), namespace="n"
    )
    assert [store._tiers.takes_leases for store in (inner, outer, above_memory)] == [True, False, True]
