"""Where the bytes of requests are in their objects, as coordinates of a plot."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import numpy as np

from obspec_utils._text import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obspec_utils.wrappers.tracing._record import RequestRecord

__all__ = ["ObjectMap"]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_FACTOR = 1024
_BAND = 0.9
_MAX_NAME = 20


class ObjectMap:
    """The byte ranges of requests on one vertical axis.

    Of one object, the axis is the offset. Several are on top of each other, one unit each, scaled to the same height.

    Parameters
    ----------
    records
        Requests in the order of their timestamps.

    Attributes
    ----------
    requested, received
        For each request, the places of the first byte and after the last, of those requested and those received.
    repeated
        For each request, whether most of its bytes had been requested and received before.
    labels
        The objects, from bottom to top, by the first request for each.
    unit
        The unit of the offset, if there is one object.
    top
        The upper end of the axis.
    """

    def __init__(self, records: Sequence[RequestRecord]) -> None:
        self.requested = np.array([(it.start, it.end) for it in records], dtype=float).reshape(-1, 2)
        ends = [(it.start, it.start + it.bytes_received) for it in records]
        self.received = np.array(ends, dtype=float).reshape(-1, 2)
        self.repeated = np.zeros(len(records), dtype=bool)
        self.labels: list[str] = []
        self.unit, self.top = "B", 1.0
        by_path: dict[str, list[int]] = {}
        for number, record in enumerate(records):
            by_path.setdefault(record.path, []).append(number)
        for band, (path, numbers) in enumerate(by_path.items()):
            self.repeated[numbers] = _received_before([ends[number] for number in numbers])
            extent = float(max(self.requested[numbers].max(), self.received[numbers].max(), 1.0))
            self.labels.append(f"{_short(str(path))}\n{size(extent)}")
            self._place(numbers, extent, band if len(by_path) > 1 else None)

    def _place(self, numbers: list[int], extent: float, band: int | None) -> None:
        """Scale the ranges of one object to its band, or to a unit if there is no other object."""
        if band is None:
            exponent = min(int(log(extent, _FACTOR)), len(_UNITS) - 1)
            self.unit, low, scale = _UNITS[exponent], 0.0, 1 / _FACTOR**exponent
            self.top = extent * scale
        else:
            low, scale = float(band), _BAND / extent
            self.top = band + _BAND
        for places in (self.requested, self.received):
            places[numbers] = low + places[numbers] * scale


def _short(path: str) -> str:
    return path if len(path) <= _MAX_NAME else f"…{path[1 - _MAX_NAME :]}"


def _received_before(spans: Sequence[tuple[int, int]]) -> list[bool]:
    """Return for each range whether earlier ones cover most of it.

    Every stretch between two ends of ranges is visited once: `after` leads past those that are covered.
    """
    cuts = sorted({end for span in spans for end in span})
    places = {cut: place for place, cut in enumerate(cuts)}
    after = list(range(len(cuts)))

    def uncovered(place: int) -> int:
        while after[place] != place:
            after[place] = place = after[after[place]]
        return place

    covered = []
    for start, stop in spans:
        new, place = 0, uncovered(places[start])
        while cuts[place] < stop:
            new += cuts[place + 1] - cuts[place]
            after[place] = place + 1
            place = uncovered(place + 1)
        covered.append(2 * new < stop - start)
    return covered
