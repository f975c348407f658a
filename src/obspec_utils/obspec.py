"""Deprecated: see `obspec_utils.protocols` and `obspec_utils.readers`."""

from obspec_utils._deprecated import moved
from obspec_utils.protocols import ReadableFile, ReadableStore
from obspec_utils.readers import BlockStoreReader, BufferedStoreReader, EagerStoreReader, ParallelStoreReader

__all__ = [
    "BlockStoreReader",
    "BufferedStoreReader",
    "EagerStoreReader",
    "ParallelStoreReader",
    "ReadableFile",
    "ReadableStore",
]

moved(__name__, "obspec_utils.protocols", "obspec_utils.readers")
