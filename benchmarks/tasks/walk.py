"""Visit everything there is in an HDF5 file with h5py (B4a, B4c)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.tasks._source import Checksum

if TYPE_CHECKING:
    import h5py

    from benchmarks.tasks._clock import Clock
    from benchmarks.tasks._source import Source


def run(source: Source, clock: Clock) -> tuple[str, dict[str, float]]:
    """Open the file and read all metadata: groups, variables, attributes and chunk indexes."""
    import h5py  # noqa: PLC0415 - not in every environment

    seen: list[str] = []
    with clock, source.open() as opened, h5py.File(opened, "r") as file:
        file.visititems(lambda name, item: seen.append(_describe(name, item)))
    return str(Checksum([";".join(seen).encode()])), {}


def _describe(name: str, item: h5py.Dataset | h5py.Group) -> str:
    facts: list[object] = [name, sorted((key, _plain(value)) for key, value in item.attrs.items())]
    if hasattr(item, "shape"):
        # Not the names of its scales: HDF5 looks for those in the whole file, which measures nothing but HDF5.
        facts += [item.shape, item.dtype, item.chunks, item.id.get_num_chunks() if item.chunks else 0]
    return repr(facts)


def _plain(value: Any) -> object:
    # References to dimension scales print as addresses in memory, which differ from run to run.
    return len(value) if getattr(getattr(value, "dtype", None), "kind", "") in "OV" else str(value)
