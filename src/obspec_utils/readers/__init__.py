"""File-like objects over any obspec store."""

from obspec_utils.readers._buffered import BufferedStoreReader
from obspec_utils.readers._eager import EagerStoreReader
from obspec_utils.readers._open import open_reader
from obspec_utils.readers._parallel import BlockStoreReader, ParallelStoreReader

__all__ = ["BlockStoreReader", "BufferedStoreReader", "EagerStoreReader", "ParallelStoreReader", "open_reader"]
