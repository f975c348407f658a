"""The arguments `check_version` and `version`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from obstore.store import MemoryStore

from obspec_utils._redact import shown
from obspec_utils.readers import (
    BlockStoreReader,
    BufferedStoreReader,
    EagerStoreReader,
    ParallelStoreReader,
    open_reader,
    open_reader_async,
)
from obspec_utils.wrappers import CachingReadableStore, SplittingReadableStore

if TYPE_CHECKING:
    from collections.abc import Callable


def opened_async(store: Any, path: str, **options: Any) -> Any:
    return asyncio.run(open_reader_async(store, path, **options))


READERS = [
    EagerStoreReader,
    ParallelStoreReader,
    BlockStoreReader,
    BufferedStoreReader,
    open_reader,
    opened_async,
]
WRAPPERS = [CachingReadableStore, SplittingReadableStore]


@pytest.mark.parametrize("wrong", ["ETag", "last_modified", "", None, True, b"etag", ["etag"], np.array(["etag"])])
@pytest.mark.parametrize("make", [*READERS, *WRAPPERS])
def test_a_wrong_check_version_is_refused_with_the_choices(make: Callable[..., Any], wrong: Any) -> None:
    arguments = ["a.nc"] if make in READERS else []
    with pytest.raises(ValueError, match=r"^check_version must be 'auto', 'etag', 'date' or 'size', got ") as raised:
        make(MemoryStore(), *arguments, check_version=wrong)
    assert str(raised.value).endswith(f"got {shown(wrong)}")


@pytest.mark.parametrize("make", READERS)
def test_a_version_is_a_text(make: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"^version must be a str such as '.*', got 5$"):
        make(MemoryStore(), "a.nc", version=5)
    with pytest.raises(ValueError, match=r"^version must not be empty: pass the id of a version, or None"):
        make(MemoryStore(), "a.nc", version="")
