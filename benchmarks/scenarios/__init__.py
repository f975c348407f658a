"""The scenarios by name; each module has a `run(bench)`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.scenarios import (
    bare_client,
    caching,
    hdf5_sizes,
    hdf5_structure,
    hot_reads,
    http_stores,
    many_small,
    netcdf_metadata,
    peak_memory,
    random,
    scaling,
    sequential,
    virtualizarr,
    whole_object,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measure import Bench
    from benchmarks.results import ScenarioResult

__all__ = ["QUICK", "SCENARIOS"]

# In the order of the page.
SCENARIOS: dict[str, Callable[[Bench], ScenarioResult]] = {
    "whole_object": whole_object.run,
    "many_small": many_small.run,
    "peak_memory": peak_memory.run,
    "netcdf_metadata": netcdf_metadata.run,
    "hdf5_structure": hdf5_structure.run,
    "hdf5_sizes": hdf5_sizes.run,
    "virtualizarr": virtualizarr.run,
    "sequential": sequential.run,
    "random": random.run,
    "hot_reads": hot_reads.run,
    "caching": caching.run,
    "scaling": scaling.run,
    "http_stores": http_stores.run,
    "bare_client": bare_client.run,
}
# Those that fit into a minute or two.
QUICK = (
    "whole_object",
    "many_small",
    "netcdf_metadata",
    "hdf5_structure",
    "sequential",
    "random",
    "hot_reads",
    "caching",
)
