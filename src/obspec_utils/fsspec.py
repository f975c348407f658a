"""Read through fsspec from any obspec store, with this library's readers and wrappers.

xarray, pandas, Dask, kerchunk, Zarr and others read through fsspec. Pass them an `ObspecFileSystem`, or `register` a
scheme, so that they read its URLs through one.
"""

try:
    import fsspec as _fsspec
except ImportError as error:
    _message = "obspec_utils.fsspec requires fsspec: install it with `pip install 'obspec-utils[fsspec]'`"
    raise ImportError(_message) from error

from obspec_utils._fsspec._filesystem import ObspecFileSystem
from obspec_utils._fsspec._registered import register

__all__ = ["ObspecFileSystem", "register"]

del _fsspec
