"""Parse files as VirtualiZarr does, with the index of all chunks (B8)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.tasks._source import Checksum

if TYPE_CHECKING:
    from benchmarks.tasks._clock import Clock
    from benchmarks.tasks._source import Source


def run(source: Source, clock: Clock, *, files: int, threads: int) -> tuple[str, dict[str, float]]:
    """Open `{path}/0`, `{path}/1`, … as virtual datasets: registry, store, reader, parser and back."""
    from virtualizarr import open_virtual_dataset  # noqa: PLC0415
    from virtualizarr.parsers import HDFParser  # noqa: PLC0415

    from obspec_utils.registry import ObjectStoreRegistry  # noqa: PLC0415 - not in every environment

    store, reader_factory = source.call("VIRTUAL")
    base = f"s3://{source.bucket}"
    registry = ObjectStoreRegistry({base: store})

    def parse(number: int) -> str:
        parser = HDFParser(reader_factory=reader_factory)
        url = f"{base}/{source.path}/{number}"
        with open_virtual_dataset(url, registry, parser, loadable_variables=[], decode_times=False) as dataset:
            return ";".join(_describe(name, it.data) for name, it in sorted(dataset.variables.items()))

    with clock:
        if threads == 1:
            seen = [parse(number) for number in range(files)]
        else:
            with ThreadPoolExecutor(threads) as pool:
                seen = list(pool.map(parse, range(files)))
    return str(Checksum(text.replace(source.path, "").encode() for text in seen)), {}


def _describe(name: object, array: object) -> str:
    manifest = array.manifest  # type: ignore[attr-defined] # a ManifestArray
    return f"{name}: {sorted((key, it['offset'], it['length']) for key, it in manifest.dict().items())}"
