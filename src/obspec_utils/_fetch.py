"""Carries a plan out: every part a request of its own, a bounded number at a time, all of one version."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, cast

from obspec_utils._crew import run_all, run_all_async
from obspec_utils._part import Part, Source
from obspec_utils._retry import Budget
from obspec_utils._version import Version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from obspec import ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils._memory import Place
    from obspec_utils._plan import Span
    from obspec_utils._requests import Answer

__all__ = ["fetch", "fetch_async", "first_body"]


def _parts(
    store: object,
    path: str,
    spans: Sequence[Span],
    version: Version,
    *,
    first: Answer | None,
    options: Mapping[str, object] | None,
    into: Sequence[Place] | None,
) -> list[Part]:
    count = len(spans) + (first is not None)
    source = Source(store, path, version, options, Budget(count))
    places: Iterator[Place | None] = iter(into) if into else repeat(None, count)
    parts = [Part(source, first.span, first, next(places))] if first else []
    return parts + [Part(source, span, None, place) for span, place in zip(spans, places, strict=True)]


def fetch(
    store: object,
    path: str,
    spans: Sequence[Span],
    version: Version,
    limit: int,
    *,
    first: Answer | None = None,
    options: Mapping[str, object] | None = None,
    into: Sequence[Place] | None = None,
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
    parts = _parts(store, path, spans, version, first=first, options=options, into=into)
    return run_all([part.run for part in parts], limit, parts[0].source.budget.stop if parts else None)


async def fetch_async(
    store: object,
    path: str,
    spans: Sequence[Span],
    version: Version,
    limit: int,
    *,
    first: Answer | None = None,
    options: Mapping[str, object] | None = None,
    into: Sequence[Place] | None = None,
) -> list[Buffer]:
    """Fetch as `fetch` does, on the running event loop."""
    parts = _parts(store, path, spans, version, first=first, options=options, into=into)
    return await run_all_async([part.run_async for part in parts], limit)


def first_body(store: object, first: Answer) -> Buffer:
    """Read the body of an object's first answer; where it breaks, ask for its span again, of the same version."""
    version = Version.of(cast("ObjectMeta", first.meta))
    (body,) = fetch(store, first.path, [], version, 1, first=first)
    return body
