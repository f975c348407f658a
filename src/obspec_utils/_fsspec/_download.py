"""Copy an object to a local file, as its bytes arrive."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from fsspec.utils import isfilelike

from obspec_utils._fsspec._reads import WholeObject
from obspec_utils._io.allocation import WriteTarget

if TYPE_CHECKING:
    from obspec import ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils._io.allocation import Allocation

__all__ = ["download"]


async def download(store: object, path: str, local: Any, callback: Any) -> None:  # noqa: ANN401 - fsspec's
    """Copy an object to an open file, or, in parallel parts, to a file that gets its name when it is complete."""
    if isfilelike(local):
        return await _copy(store, path, local, callback, in_parts=False)
    name = os.path.realpath(local)  # noqa: ASYNC240 - local files take no time
    os.makedirs(os.path.dirname(name), exist_ok=True)  # noqa: PTH103, PTH120
    if os.path.exists(name) and not os.path.isfile(name):  # noqa: ASYNC240, PTH110, PTH113
        with open(name, "wb") as device:  # noqa: ASYNC230, PTH123
            return await _copy(store, path, device, callback, in_parts=False)
    unfinished = f"{name}.{uuid4().hex}.partial"
    try:
        with open(unfinished, "xb") as file:  # noqa: ASYNC230, PTH123
            await _copy(store, path, file, callback, in_parts=True)
        os.replace(unfinished, name)  # noqa: PTH105
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(unfinished)  # noqa: PTH108
        raise


async def _copy(store: object, path: str, file: Any, callback: Any, *, in_parts: bool) -> None:  # noqa: ANN401
    whole = await WholeObject.request(store, path, in_parts=in_parts)
    callback.set_size(cast("ObjectMeta", whole.first.meta)["size"])
    memory = cast("Allocation", _File(file, callback))
    await whole.fetch([WriteTarget(memory, span.start) for span in (whole.first.span, *whole.parts)])


class _File:
    """A local file, to which the bytes of an object are written from its current position on."""

    def __init__(self, file: Any, callback: Any) -> None:  # noqa: ANN401
        self._file = file
        self._callback = callback
        self._position = 0

    def write(self, position: int, data: Buffer, /) -> int:
        """Write data at a position within the object; return the position after it."""
        if position != self._position:  # of another part, or again, because a body broke
            self._file.seek(position - self._position, os.SEEK_CUR)
        self._file.write(data)
        length = memoryview(data).nbytes
        self._position = position + length
        self._callback.relative_update(length)
        return self._position
