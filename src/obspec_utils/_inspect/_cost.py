"""Estimate requests, bytes and seconds, by the rules of `open_reader` and `ParallelStoreReader`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from obspec_utils._inspect._records import Cost
from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS, REQUEST_SIZE, coalesce
from obspec_utils.readers._chunk_order import FIRST_BATCH, GROWTH, MAX_FIRST, MIN_CHUNK, merge_chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from obspec_utils._ranges import ByteRange

__all__ = ["BANDWIDTH", "LATENCY", "Batch", "cost", "cost_of_chunks", "cost_of_range", "cost_of_whole"]

# The network: that of cloud storage, in seconds to the first byte, and bytes per second of a connection.
LATENCY = 0.030
BANDWIDTH = 50e6
_CONNECTIONS = 64

# The defaults of the readers. What they read ahead differs a little with what was read before.
_MEMORY = 64 << 20
_CHUNK_SIZE = 1 << 20
_FIRST_CHUNKS = 1 + FIRST_BATCH
_MAX_BATCH = _MEMORY // 4


class Batch(NamedTuple):
    """Requests that are sent at once."""

    requests: int
    bytes: int


def cost(batches: Sequence[Batch]) -> Cost:
    """Return the cost of batches of requests, each of which is sent when the one before it has been received."""
    batches = [batch for batch in batches if batch.requests]
    round_trips = [-(-batch.requests // _CONNECTIONS) for batch in batches]
    transfer = [batch.bytes / (BANDWIDTH * min(batch.requests, _CONNECTIONS)) for batch in batches]
    return Cost(
        requests=sum(batch.requests for batch in batches),
        round_trips=sum(round_trips),
        bytes=sum(batch.bytes for batch in batches),
        seconds=round(LATENCY * sum(round_trips) + sum(transfer), 4),
    )


def cost_of_whole(size: int) -> Cost:
    """Return the cost of loading an object of `size` bytes, as `open_reader` does up to 64 MiB."""
    first = min(size, _CHUNK_SIZE)
    part = min(max(_CHUNK_SIZE, -(-max(_MEMORY, size) // MAX_CONCURRENT_REQUESTS)), REQUEST_SIZE)
    return cost([Batch(1, first), *_in_parts(size - first, part)])


def cost_of_range(size: int) -> Cost:
    """Return the cost of reading `size` bytes that lie one after the other, by one read."""
    return cost(_one_read(size))


def cost_of_chunks(chunks: Sequence[ByteRange]) -> Cost:
    """Return the cost of reading all chunks of an array, given in the order in which they are read."""
    size = sum(chunk.length for chunk in chunks)
    if not chunks:
        return cost([])
    mean = size // len(chunks)
    if mean > _MAX_BATCH // 2:
        return cost([batch for chunk in chunks for batch in _one_read(chunk.length)])
    if mean < MIN_CHUNK:
        return cost(list(_scan(coalesce(chunks, 0, _CHUNK_SIZE))))
    return cost(list(_read_ahead(chunks)))


def _one_read(size: int) -> list[Batch]:
    part = min(max(_CHUNK_SIZE, -(-size // MAX_CONCURRENT_REQUESTS)), REQUEST_SIZE)
    return _in_parts(size, part)


def _in_parts(size: int, part: int) -> list[Batch]:
    """Return the batches of a range that is fetched in parts."""
    parts = -(-size // part)
    full, rest = divmod(parts, MAX_CONCURRENT_REQUESTS)
    counts = [MAX_CONCURRENT_REQUESTS] * full + [rest] * bool(rest)
    return [Batch(count, size * count // parts) for count in counts]


def _read_ahead(chunks: Sequence[ByteRange]) -> Iterable[Batch]:
    """Return the batches in which chunks are fetched: the first with its neighbours, then more each time."""
    batch: list[ByteRange] = []
    size, most, most_bytes = 0, _FIRST_CHUNKS, MAX_FIRST
    for chunk in chunks:
        if batch and (len(batch) == most or size + chunk.length > most_bytes):
            yield _requests(batch)
            most, most_bytes = max(_FIRST_CHUNKS, GROWTH * len(batch)), _MAX_BATCH
            batch, size = [], 0
        batch.append(chunk)
        size += chunk.length
    yield _requests(batch)


def _scan(spans: Sequence[ByteRange]) -> Iterable[Batch]:
    """Return the batches in which ranges are fetched by blocks: in steps that double."""
    batch = size = 0
    step = _CHUNK_SIZE
    for span in spans:
        if batch and (batch == MAX_CONCURRENT_REQUESTS or size + span.length > step):
            yield Batch(batch, size)
            step = min(2 * step, _MEMORY // 2)
            batch = size = 0
        batch += 1
        size += span.length
    yield Batch(batch, size)


def _requests(chunks: list[ByteRange]) -> Batch:
    """Return the requests for chunks: those that lie close together are one."""
    merged = merge_chunks(chunks)
    return Batch(len(merged), sum(span.length for span in merged))
