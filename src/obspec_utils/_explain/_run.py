"""Run a workload through every reader."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from obspec_utils._explain._advice import recommend, recommended_row, wastes_of
from obspec_utils._explain._candidates import candidates
from obspec_utils._explain._explanation import Explanation
from obspec_utils._explain._hold import HoldingStore
from obspec_utils._explain._measure import ResponseTrace, Run
from obspec_utils._explain._network import Network
from obspec_utils._explain._rows import ExplanationRow
from obspec_utils._explain._workloads import workload_of
from obspec_utils._redact import redacted, shown
from obspec_utils._validation import check_path, check_store
from obspec_utils.readers import open_reader
from obspec_utils.wrappers import TracingReadableStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from obspec_utils._explain._candidates import Candidate
    from obspec_utils._explain._workloads import Workload
    from obspec_utils.protocols import ReadableStore

__all__ = ["explain"]


def explain(
    store: ReadableStore,
    path: str,
    workload: str | Callable[[BinaryIO], object],
    *,
    network: Network | None = None,
) -> Explanation:
    """Run a workload through every reader and stack of wrappers, compare them, and recommend one.

    The workload runs seven to ten times, over the real store: once to import and connect, which is not measured, and
    once through each reader. If it raises, its requests until then are reported, and the other readers run all the
    same. Readers that would keep more than 1 GiB in memory do not run.

    Parameters
    ----------
    store
        Any obspec store with `get`, or with `head` and `get_range` or `get_ranges`; without a cache, which the first
        run would fill for the others.
    path
        The object's path in the store.
    workload
        A function that is called with a binary file, open for reading; or one of these names. "h5netcdf": open all
        groups with xarray, and load nothing but the coordinates that it indexes. "h5py": visit all objects, and read
        their attributes, shapes and types. "rasterio": read the middle of the first band, up to 1,024 x 1,024 pixels at
        full resolution. "parquet": read the metadata, and the first column of the first row group. "read-all": read
        the object from start to end, in pieces of 1 MiB.
    network
        The network for which to compute the times; by default they are measured. If there is one, responses of a store
        that is faster than 5 ms are held back until no more requests are sent, so that requests sent together
        are recorded together.

    Returns
    -------
    Explanation
        A row for each reader, a recommendation, and what was wasted.

    Raises
    ------
    FileNotFoundError
        If there is no such object. Any other error of the first request is raised, too.
    ModuleNotFoundError
        If the workload needs a package that is not installed.
    ValueError
        If `workload` is a str that is none of these.
    TypeError
        If an argument is of another type.

    Examples
    --------
    ```python
    from obspec_utils import Network, explain

    print(explain(store, "a.nc", "h5netcdf", network=Network(latency=0.03, bandwidth=50e6)))
    ```
    """
    check_store(store, path)
    check_path(path)
    _check_network(network)
    work = workload_of(workload)
    size = _warm_up(store, path, work)
    compared = list(candidates(work, size))
    rows = tuple(row for candidate in compared for row in _rows(candidate, store, path, work, network))
    settings = {candidate.name: candidate.settings for candidate in compared}
    chosen = recommended_row(rows)
    return Explanation(
        path=redacted(path),
        size=size,
        workload=work.name,
        network=network,
        rows=rows,
        recommendation=recommend(rows),
        recommended=None if chosen is None else chosen.reader,
        wastes=wastes_of(rows, settings, network),
    )


def _check_network(network: object) -> None:
    if network is not None and not isinstance(network, Network):
        msg = f"network must be a Network such as Network(latency=0.03, bandwidth=50e6), or None, got {shown(network)}"
        raise TypeError(msg)


def _warm_up(store: Any, path: str, work: Workload) -> int:  # noqa: ANN401 - any store
    """Run the workload once, so that imports and new connections are not charged to a reader; return the size."""
    with open_reader(store, path) as reader:
        with suppress(Exception):  # it is reported when it is raised again
            work.run(reader)
        return reader.size


def _rows(candidate: Candidate, store: Any, path: str, work: Workload, network: Network | None) -> list[ExplanationRow]:  # noqa: ANN401 - any store
    """Run a workload through a candidate, twice if it caches."""
    if candidate.refused is not None:
        return [ExplanationRow(candidate.name, candidate.code, error=candidate.refused)]
    trace = ResponseTrace()
    traced = TracingReadableStore(store if network is None else HoldingStore(store), trace)
    wrapped = candidate.wrap(traced)
    rows = []
    for name in (candidate.name, candidate.again):
        if name:
            run = Run(candidate, wrapped, path, trace)
            run.run(work.run)
            rows.append(run.row(name, network))
    return rows
