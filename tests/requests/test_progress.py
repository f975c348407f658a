"""Progress over a real server: bytes that break off, or come twice, count once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils.readers import EagerStoreReader
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Remote

PART = 64 * 1024
SIZE = 20 * PART

LOADS: dict[str, Callable[[Any, Any], bytes]] = {
    "eager": lambda store, calls: EagerStoreReader(store, "object", PART, progress=calls).read(),
    "splitting": lambda store, calls: bytes(SplittingReadableStore(store, PART, progress=calls).get("object").buffer()),
    "iterated": lambda store, calls: b"".join(SplittingReadableStore(store, PART, 6, progress=calls).get("object")),
    "blocks": lambda store, calls: prefetched(CachingReadableStore(store, block_size=PART), calls),
    "whole": lambda store, calls: prefetched(CachingReadableStore(store), calls),
    "windows": lambda store, calls: prefetched(CachingReadableStore(store, SIZE, block_size=PART), calls),
    "parts": lambda store, calls: prefetched(CachingReadableStore(SplittingReadableStore(store, PART)), calls),
    "fewer parts": lambda store, calls: prefetched(
        CachingReadableStore(SplittingReadableStore(store, 7 * PART, 2)), calls
    ),
}


def prefetched(store: CachingReadableStore, calls: Any) -> bytes:
    assert store.prefetch(["object"], progress=calls) == {}
    return bytes(store.get("object").buffer())


@pytest.fixture(autouse=True)
def every_update(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("obspec_utils._io.progress.INTERVAL", 0)
    monkeypatch.setattr("obspec_utils._io.interruptible.COLLECTION_INTERVAL", 0.001)


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("fault", ["nothing", "drop", "ignore_range"])
def test_every_byte_counts_once(remote: Remote, load: str, fault: Any) -> None:
    content = remote.put("object", SIZE)
    remote.server.configure(latency=0.01, total_bandwidth=20e6)
    if fault == "drop":
        remote.server.add_fault("drop", skip=1, times=2, after=PART // 2)
    elif fault == "ignore_range":
        remote.server.add_fault("ignore_range", skip=2, times=4)
    calls: list[tuple[int, int | None]] = []
    assert LOADS[load](remote.store, lambda *call: calls.append(call)) == content
    assert calls[-1] == (SIZE, SIZE)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert len(set(calls)) == len(calls)
    assert {total for _, total in calls} <= {None, SIZE}


def test_progress_takes_no_request_more(remote: Remote) -> None:
    remote.put("object", SIZE)
    counts = []
    for progress in (None, lambda *_: None):
        remote.server.clear()
        EagerStoreReader(remote.store, "object", PART, progress=progress)
        counts.append((len(remote.log()), sum(request.sent for request in remote.log())))
    assert counts[0] == counts[1]
    assert counts[0][1] == SIZE
