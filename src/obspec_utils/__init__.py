"""Readers, store wrappers and a URL registry for any obspec store.

Open NetCDF, HDF5, GeoTIFF, GRIB and Parquet files in S3, GCS, Azure, HTTP or local storage as file objects, fetched
with parallel range requests; cache, split and trace the requests of a store.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from obspec_utils._about import VERSION
from obspec_utils.glob import glob, glob_async, glob_objects, glob_objects_async
from obspec_utils.registry import ObjectStoreRegistry

if TYPE_CHECKING:
    from obspec_utils._explain import Explanation, Network, explain

__version__ = VERSION

# A library must not write anything itself; see docs/guide/logging.md.
logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "Explanation",
    "Network",
    "ObjectStoreRegistry",
    "__version__",
    "explain",
    "glob",
    "glob_async",
    "glob_objects",
    "glob_objects_async",
]


def __getattr__(name: str) -> object:
    """Import what compares readers when it is first used: it needs all readers and wrappers."""
    if name not in ("Explanation", "Network", "explain"):
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from obspec_utils import _explain  # noqa: PLC0415

    return getattr(_explain, name)
