"""Readers, store wrappers and a URL registry for any obspec store.

Open NetCDF, HDF5, GeoTIFF, GRIB and Parquet files in S3, GCS, Azure, HTTP or local storage as file objects, fetched
with parallel range requests; cache, split and trace the requests of a store.
"""

import logging

from obspec_utils._about import VERSION
from obspec_utils.glob import glob, glob_async, glob_objects, glob_objects_async
from obspec_utils.registry import ObjectStoreRegistry

__version__ = VERSION

# A library must not write anything itself; see docs/guide/logging.md.
logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "ObjectStoreRegistry",
    "__version__",
    "glob",
    "glob_async",
    "glob_objects",
    "glob_objects_async",
]
