"""Read here and there in a large object (B6)."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from benchmarks.tasks._source import Checksum

if TYPE_CHECKING:
    from benchmarks.tasks._clock import Clock
    from benchmarks.tasks._source import Source

_SEED = 6
_ZONE = 4 << 20
_ZONES = 5
_SHARE_IN_ZONES = 0.7
_SMALLEST, _LARGEST = 4 << 10, 64 << 10


def run(source: Source, clock: Clock, *, size: int, count: int) -> tuple[str, dict[str, float]]:
    """Carry out `count` reads at seeded places of an object of `size` bytes."""
    places = plan(size, count)
    checksum = Checksum()
    with clock, source.open() as file:
        for start, length in places:
            file.seek(start)
            checksum.add(file.read(length))
    return str(checksum), {}


def plan(size: int, count: int) -> list[tuple[int, int]]:
    """Return offsets and lengths of 4 to 64 KiB, 70 % of them in five zones of 4 MiB."""
    source = random.Random(_SEED)
    zones = [source.randrange(size - _ZONE) for _ in range(_ZONES)]
    places = []
    for _ in range(count):
        length = source.randrange(_SMALLEST, _LARGEST + 1)
        hot = source.random() < _SHARE_IN_ZONES
        start, room = (source.choice(zones), _ZONE) if hot else (0, size)
        places.append((start + source.randrange(room - length), length))
    return places
