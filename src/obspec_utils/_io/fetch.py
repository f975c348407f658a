"""Fetch ranges of one version of an object: each by a request of its own, a bounded number at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from obspec_utils._io.part import FetchContext, PartFetch
from obspec_utils._io.retry import RetryBudget
from obspec_utils._io.transport import SYNC_TRANSPORT, run
from obspec_utils._version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obspec import ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils._io.allocation import WriteTarget
    from obspec_utils._io.response import Response
    from obspec_utils._io.transport import Transport
    from obspec_utils._ranges import ByteRange

__all__ = ["fetch", "fetch_parts", "read_first"]


@dataclass(frozen=True, slots=True)
class _Plan:
    """The parts of one fetch, made when they are started: of the size that a server claims, there may be billions."""

    context: FetchContext
    spans: Sequence[ByteRange]
    first: Response | None
    targets: Sequence[WriteTarget] | None

    def __len__(self) -> int:
        return len(self.spans) + (self.first is not None)

    async def fetch(self, number: int) -> Buffer:
        """Fetch a part: that of the first response, if there is one, and then those of the spans."""
        target = None if self.targets is None else self.targets[number]
        if self.first is None:
            part = PartFetch(self.context, self.spans[number], None, target)
        elif number == 0:
            part = PartFetch(self.context, self.first.span, self.first, target)
        else:
            part = PartFetch(self.context, self.spans[number - 1], None, target)
        return await part.run()


async def fetch_parts(
    transport: Transport,
    store: object,
    path: str,
    spans: Sequence[ByteRange],
    version: Version,
    limit: int,
    *,
    first: Response | None = None,
    options: Mapping[str, object] | None = None,
    targets: Sequence[WriteTarget] | None = None,
) -> list[Buffer]:
    """Fetch spans of one version of an object, each by a request of its own; retry a part that fails, alone.

    Parameters
    ----------
    spans
        The ranges, within the object.
    version
        The version that every response must have.
    limit
        The most requests in flight.
    first
        A response whose headers have arrived already. Its body is read beside the spans, and is first in the result.
    targets
        Where to write the bytes of each part (`first`, then the spans); the buffers returned are empty then. After an
        error they hold anything.

    Raises
    ------
    ObjectChangedError
        If a response is of another version.
    """
    budget = RetryBudget(len(spans) + 1)
    plan = _Plan(FetchContext(transport, store, path, version, options, budget), spans, first, targets)
    return await transport.gather(plan.fetch, len(plan), limit, budget.stop)


def fetch(
    store: object,
    path: str,
    spans: Sequence[ByteRange],
    version: Version,
    limit: int,
    *,
    first: Response | None = None,
) -> list[Buffer]:
    """Fetch as `fetch_parts` does, in the calling thread and helper threads."""
    return run(fetch_parts(SYNC_TRANSPORT, store, path, spans, version, limit, first=first))


def read_first(store: object, first: Response) -> Buffer:
    """Read the body of an object's first response; if it breaks, request its range again, of the same version."""
    version = Version.of(cast("ObjectMeta", first.meta))
    (body,) = fetch(store, first.path, [], version, 1, first=first)
    return body
