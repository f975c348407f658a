"""Carries a plan out: every part a request of its own, a bounded number at a time, all of one version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from obspec_utils._io.concurrency import gather, gather_async
from obspec_utils._io.part import FetchContext, PartFetch
from obspec_utils._io.retry import RetryBudget
from obspec_utils._version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obspec import ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils._io.allocation import WriteTarget
    from obspec_utils._io.response import Response
    from obspec_utils._ranges import ByteRange

__all__ = ["fetch", "fetch_async", "read_first"]


@dataclass(frozen=True, slots=True)
class _Plan:
    """The parts of one fetch, made when they are asked for: of what a server claims there may be billions."""

    source: FetchContext
    spans: Sequence[ByteRange]
    first: Response | None
    into: Sequence[WriteTarget] | None

    def __len__(self) -> int:
        return len(self.spans) + (self.first is not None)

    def part(self, number: int) -> PartFetch:
        """Return a part: that of the first response, if there is one, and then those of the spans."""
        place = None if self.into is None else self.into[number]
        if self.first is None:
            return PartFetch(self.source, self.spans[number], None, place)
        if number == 0:
            return PartFetch(self.source, self.first.span, self.first, place)
        return PartFetch(self.source, self.spans[number - 1], None, place)

    def run(self, number: int) -> Buffer:
        """Fetch a part."""
        return self.part(number).run()

    async def run_async(self, number: int) -> Buffer:
        """Fetch a part, on the running event loop."""
        return await self.part(number).run_async()


def fetch(
    store: object,
    path: str,
    spans: Sequence[ByteRange],
    version: Version,
    limit: int,
    *,
    first: Response | None = None,
    options: Mapping[str, object] | None = None,
    into: Sequence[WriteTarget] | None = None,
) -> list[Buffer]:
    """Fetch spans of one version of an object, each by a request of its own.

    A part that breaks is asked for again, alone, as `_retry` says.

    Parameters
    ----------
    spans
        What to fetch; all must lie within the object.
    version
        What every answer is compared with.
    limit
        The most requests in flight.
    first
        An answer whose headers are there already; its body is read beside the spans and comes first in the result.
    into
        Where the bytes of each part go (`first`, then the spans); what is returned is empty then. What is there after
        an error has no meaning.

    Raises
    ------
    ObjectChangedError
        If an answer comes from another version.
    """
    budget = RetryBudget(len(spans) + 1)
    plan = _Plan(FetchContext(store, path, version, options, budget), spans, first, into)
    return gather(plan.run, len(plan), limit, budget.stop)


async def fetch_async(
    store: object,
    path: str,
    spans: Sequence[ByteRange],
    version: Version,
    limit: int,
    *,
    first: Response | None = None,
    options: Mapping[str, object] | None = None,
    into: Sequence[WriteTarget] | None = None,
) -> list[Buffer]:
    """Fetch as `fetch` does, on the running event loop."""
    plan = _Plan(FetchContext(store, path, version, options, RetryBudget(len(spans) + 1)), spans, first, into)
    return await gather_async(plan.run_async, len(plan), limit)


def read_first(store: object, first: Response) -> Buffer:
    """Read the body of an object's first answer; where it breaks, ask for its span again, of the same version."""
    version = Version.of(cast("ObjectMeta", first.meta))
    (body,) = fetch(store, first.path, [], version, 1, first=first)
    return body
