"""Which reader to use, and what was wasted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obspec_utils._explain._rows import Waste
from obspec_utils._ranges import MAX_CONCURRENT_REQUESTS
from obspec_utils._text import count, seconds, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from obspec_utils._explain._network import Network
    from obspec_utils._explain._rows import ExplanationRow, WasteKind

__all__ = ["recommend", "recommended_row", "wastes_of"]

# Times this near are the same: a measurement is repeated with about this accuracy.
_NOISE = 0.1
_NOISE_SECONDS = 0.01
# What is worth a warning: so many times the bytes, and so many more.
_MANY_TIMES = 3
_MANY_BYTES = 8 * 1024 * 1024
# What is worth mentioning: this part of all bytes or of the time, and at least so much.
_SHARE = 0.25
_WASTED_BYTES = 4 * 1024 * 1024
_CHAIN = 4
_IDLE = 0.75
_MIB = 1024 * 1024
# Readers that settings name.
_NAMED = {"eager": "EagerStoreReader", "opened": "open_reader", "parallel": "ParallelStoreReader"}


def recommended_row(rows: Sequence[ExplanationRow]) -> ExplanationRow | None:
    """Return the first, simplest row that is as fast as the fastest; None if none ran to its end."""
    ran = _comparable(rows)
    if not ran:
        return None
    fastest = min(row.seconds for row in ran)
    return next(row for row in ran if row.seconds <= max(fastest * (1 + _NOISE), fastest + _NOISE_SECONDS))


def recommend(rows: Sequence[ExplanationRow]) -> str:
    """Return a sentence that names a reader, and the reason."""
    chosen = recommended_row(rows)
    if chosen is None:
        first = next(row.error for row in rows if row.error is not None)
        return f"No reader can be recommended: with each of them the workload raised an error, such as {first}"
    parts = [f"Use {chosen.code}: {_numbers(chosen)}", _reason(chosen, _comparable(rows)), _warning(chosen, rows)]
    return "; ".join(part for part in parts if part) + "."


def _comparable(rows: Sequence[ExplanationRow]) -> list[ExplanationRow]:
    return [row for row in rows if row.error is None and not row.is_cached]


def _numbers(row: ExplanationRow) -> str:
    plural = "" if row.requests == 1 else "s"
    sent = f"{count(row.requests)} request{plural} ({count(row.round_trips)} in sequence)"
    return f"it takes {seconds(row.seconds)}, {sent} and {size(row.bytes_received)}"


def _reason(chosen: ExplanationRow, ran: Sequence[ExplanationRow]) -> str:
    others = [row for row in ran if row is not chosen]
    if not others:
        return ""
    best = min(others, key=lambda row: row.seconds)
    if best.seconds < chosen.seconds:
        return f"{best.reader} is hardly faster ({seconds(best.seconds)})"
    return f"the next fastest, {best.reader}, takes {seconds(best.seconds)}"


def _warning(chosen: ExplanationRow, rows: Sequence[ExplanationRow]) -> str:
    """Return a warning if another reader moves much less, in a time that may be acceptable."""
    near = [row for row in _comparable(rows) if row.seconds <= _MANY_TIMES * chosen.seconds + _NOISE_SECONDS]
    frugal = min(near, key=lambda row: row.bytes_received)
    more = chosen.bytes_received - frugal.bytes_received
    if more < _MANY_BYTES or chosen.bytes_received < _MANY_TIMES * frugal.bytes_received:
        return ""
    moved = f"moves only {size(frugal.bytes_received)}, in {seconds(frugal.seconds)}"
    return f"but where bytes cost more than time, {frugal.reader} {moved}"


def wastes_of(
    rows: Sequence[ExplanationRow], settings: Mapping[str, Mapping[str, str]], network: Network | None
) -> tuple[Waste, ...]:
    """Return the largest waste of each kind, the largest share first.

    It is that of the recommended reader if that has any of the kind, else the largest of all.

    Parameters
    ----------
    rows
        The rows.
    settings
        What avoids each kind of waste, by the name of the reader.
    network
        The network, if the times are computed for one.
    """
    chosen = recommended_row(rows)
    if chosen is None:
        return ()
    found: dict[WasteKind, Waste] = {}
    for row in sorted(_with_requests(rows), key=lambda row: row is not chosen):
        for kind, share, text in _wastes(row, network):
            setting = settings.get(row.reader, {}).get(kind)
            first = found.get(kind)
            is_larger = first is None or (share > first.share and first.reader != chosen.reader)
            if setting and is_larger:
                found[kind] = Waste(kind, row.reader, round(share, 3), text, _filled(setting, row, rows))
    return tuple(sorted(found.values(), key=lambda waste: -waste.share))


def _with_requests(rows: Sequence[ExplanationRow]) -> list[ExplanationRow]:
    return [row for row in _comparable(rows) if row.requests]


def _wastes(row: ExplanationRow, network: Network | None) -> Iterator[tuple[WasteKind, float, str]]:
    """Return the kinds of waste that are worth mentioning, each with its share and its text."""
    received = size(row.bytes_received)
    share = row.duplicate_bytes / max(1, row.bytes_received)
    if share >= _SHARE and row.duplicate_bytes >= _WASTED_BYTES:
        yield "duplicate bytes", share, f"received {size(row.duplicate_bytes)} of {received} again ({share:.0%})"
    share = row.unused_bytes / max(1, row.bytes_received)
    if share >= _SHARE and row.unused_bytes >= _WASTED_BYTES:
        text = f"received {size(row.unused_bytes)} of {received} that the workload did not read ({share:.0%})"
        yield "unused bytes", share, text
    yield from _times_wasted(row, network)


def _times_wasted(row: ExplanationRow, network: Network | None) -> Iterator[tuple[WasteKind, float, str]]:
    timeline = row.timeline
    if timeline is None or not timeline.transfers or row.seconds <= 0:
        return
    latency = min(it.first - it.begin for it in timeline.transfers) if network is None else network.latency
    waited = min(row.round_trips * latency, row.seconds)
    share = waited / row.seconds
    if share >= _SHARE and row.round_trips >= _CHAIN:
        text = f"waited {seconds(waited)} of {seconds(row.seconds)} for {count(row.round_trips)} requests in sequence"
        yield "requests in sequence", share, text
    capacity = MAX_CONCURRENT_REQUESTS if network is None else min(MAX_CONCURRENT_REQUESTS, network.connections)
    idle = 1 - min(1.0, timeline.mean_in_flight / capacity)
    share = max(0.0, timeline.busy_seconds - waited) / row.seconds * idle
    if share >= _SHARE and idle >= _IDLE and row.bytes_received >= _MANY_BYTES:
        used = f"{timeline.mean_in_flight:.1f} of {capacity} connections on average"
        yield "idle connections", share, f"received {size(row.bytes_received)} over {used}"


def _filled(setting: str, row: ExplanationRow, rows: Sequence[ExplanationRow]) -> str:
    """Return a setting with the memory in bytes, or chunks, that holds what was received, and what readers took."""
    memory = _MIB
    while memory < row.unique_bytes:
        memory *= 2
    took = {it.reader: f" ({seconds(it.seconds)}, {size(it.bytes_received)})" for it in _comparable(rows)}
    readers = {name: took.get(reader, "") for name, reader in _NAMED.items()}
    return setting.format(memory=memory, chunks=max(64, memory // _MIB), **readers)
