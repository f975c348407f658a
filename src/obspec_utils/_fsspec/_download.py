"""Copy an object to a local file as its bytes arrive."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from fsspec.utils import isfilelike

from obspec_utils._fsspec._reads import request_whole
from obspec_utils._io.allocation import WriteTarget
from obspec_utils._io.backends import ASYNC
from obspec_utils._io.fetch import fetch_parts
from obspec_utils._version import Version

if TYPE_CHECKING:
    from obspec import ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils._io.allocation import Allocation

__all__ = ["download"]


async def download(store: object, path: str, local: Any, callback: Any) -> None:  # noqa: ANN401 - fsspec's
    """Copy an object to an open file, or to a file that gets its name when it is complete."""
    if isfilelike(local):
        return await _copy(store, path, local, callback)
    name = os.path.realpath(local)  # noqa: ASYNC240 - local files take no time
    os.makedirs(os.path.dirname(name), exist_ok=True)  # noqa: PTH103, PTH120
    if os.path.exists(name) and not os.path.isfile(name):  # noqa: ASYNC240, PTH110, PTH113
        with open(name, "wb") as device:  # noqa: ASYNC230, PTH123
            return await _copy(store, path, device, callback)
    unfinished = f"{name}.{uuid4().hex}.partial"
    try:
        with open(unfinished, "xb") as file:  # noqa: ASYNC230, PTH123
            await _copy(store, path, file, callback)
        os.replace(unfinished, name)  # noqa: PTH105
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(unfinished)  # noqa: PTH108
        raise


async def _copy(store: object, path: str, file: Any, callback: Any) -> None:  # noqa: ANN401
    first = await request_whole(store, path)
    meta = cast("ObjectMeta", first.meta)
    callback.set_size(meta["size"])
    target = WriteTarget(cast("Allocation", _File(file, callback)), 0)
    await fetch_parts(ASYNC, store, path, [], Version.of(meta), 1, first=first, targets=[target])


class _File:
    """A local file, written from its current position on. If a body breaks, it is written again from there."""

    def __init__(self, file: Any, callback: Any) -> None:  # noqa: ANN401
        self._file = file
        self._callback = callback
        self._written = 0

    def write(self, position: int, data: Buffer, /) -> int:
        """Write data at a position within the object; return the position after it."""
        if position != self._written:
            self._file.seek(position - self._written, os.SEEK_CUR)
        self._file.write(data)
        self._written = position + memoryview(data).nbytes
        self._callback.absolute_update(self._written)
        return self._written
