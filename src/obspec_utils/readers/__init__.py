"""File-like objects over any obspec store."""

from obspec_utils.readers._buffered import BufferedStoreReader
from obspec_utils.readers._eager import EagerStoreReader
from obspec_utils.readers._open import open_reader, open_reader_async
from obspec_utils.readers._parallel import BlockStoreReader, ParallelStoreReader
from obspec_utils.readers._stats import ReaderStats

__all__ = [
    "BlockStoreReader",
    "BufferedStoreReader",
    "EagerStoreReader",
    "ParallelStoreReader",
    "ReaderStats",
    "open_reader",
    "open_reader_async",
]
