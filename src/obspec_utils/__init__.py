"""Readers, store wrappers and a URL registry for any obspec store.

Read NetCDF, HDF5, GeoTIFF, GRIB, Parquet and Zarr files in S3, GCS, Azure, HTTP or local storage, in parallel.
"""

from importlib.metadata import version

from obspec_utils.glob import glob, glob_async, glob_objects, glob_objects_async
from obspec_utils.registry import ObjectStoreRegistry

__version__ = version("obspec-utils")

__all__ = [
    "ObjectStoreRegistry",
    "__version__",
    "glob",
    "glob_async",
    "glob_objects",
    "glob_objects_async",
]
