"""Compare readers on one object."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from obspec_utils._cli._output import StatusLine, print_json, print_text
from obspec_utils._cli._stores import locate, missing_as
from obspec_utils._inspect._cost import BANDWIDTH, LATENCY
from obspec_utils._redact import redacted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from obspec_utils._explain import Network

__all__ = ["network", "run"]

# By the end of a URL. Anything else is read from its start to its end.
_WORKLOADS = {
    **dict.fromkeys((".nc", ".nc4", ".h5", ".hdf5", ".hdf", ".he5"), "h5netcdf"),
    **dict.fromkeys((".tif", ".tiff", ".jp2", ".grib", ".grib2"), "rasterio"),
    **dict.fromkeys((".parquet", ".geoparquet", ".pq"), "parquet"),
}


def network(latency: float | None, bandwidth: float | None, connections: int | None) -> Network | None:
    """Return the network to compute, if any of its properties is given; the others are those of cloud storage."""
    if latency is bandwidth is connections is None:
        return None
    from obspec_utils._explain import Network  # noqa: PLC0415 - not needed by other commands

    given = {"latency": latency, "bandwidth": bandwidth, "connections": connections}
    cloud: dict[str, Any] = {"latency": LATENCY, "bandwidth": BANDWIDTH}
    return Network(**{**cloud, **{name: value for name, value in given.items() if value is not None}})


def run(
    url: str,
    settings: Sequence[str],
    workload: str | None,
    network: Network | None,
    *,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Print a comparison of readers, and write a picture of it.

    Raises
    ------
    ValueError
        If the workload raised an error with every reader, after all is printed.
    """
    from obspec_utils._explain import explain  # noqa: PLC0415 - not needed by other commands

    if plot is not None:
        _check_plot(plot)
    store, path, _ = locate(url, settings)
    key = path or url.partition("?")[0]  # the store of a signed URL has one object, of no name
    name = workload or _WORKLOADS.get(PurePosixPath(key.lower()).suffix, "read-all")
    status = StatusLine()
    status.show(f"Reading with every reader, as {redacted(name)} does ...")
    try:
        with missing_as(url):
            explanation = replace(explain(store, path, name, network=network), path=redacted(url))
    finally:
        status.clear()
    if as_json:
        print_json(explanation.to_dict())
    else:
        print_text(str(explanation))
    if plot is not None:
        explanation.plot().savefig(plot)
    if explanation.recommended is None:
        msg = f"the workload {explanation.workload} ended in an error with every reader"
        raise ValueError(msg)


def _check_plot(plot: Path) -> None:
    """Raise an error before the work if no picture could be written after it."""
    if not find_spec("matplotlib"):
        msg = '--plot requires matplotlib: pip install "obspec-utils[plot]"'
        raise ModuleNotFoundError(msg, name="matplotlib")
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    endings = Figure().canvas.get_supported_filetypes()
    if plot.suffix[1:].lower() not in endings or plot.is_dir():
        msg = f"--plot must name a file that ends in one of {', '.join(f'.{it}' for it in endings)}, got {plot}"
        raise ValueError(msg)
    if not plot.parent.is_dir():
        msg = f"there is no folder for --plot {plot}"
        raise FileNotFoundError(msg)
    if not os.access(plot if plot.exists() else plot.parent, os.W_OK):
        msg = f"no permission to write --plot {plot}"
        raise PermissionError(msg)
