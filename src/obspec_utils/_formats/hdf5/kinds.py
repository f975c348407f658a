"""Kinds of structures, by the names that the HDF5 File Format Specification gives them."""

from __future__ import annotations

from enum import IntEnum, auto

__all__ = ["Kind"]


class Kind(IntEnum):
    """How the bytes at an address are parsed. The same address is parsed once as each kind at most."""

    SUPERBLOCK = auto()
    OBJECT_HEADER = auto()
    OBJECT_HEADER_CONTINUATION = auto()
    GROUP_BTREE = auto()
    SYMBOL_TABLE_NODE = auto()
    LOCAL_HEAP = auto()
    DATA = auto()
    GLOBAL_HEAP = auto()
    FRACTAL_HEAP = auto()
    DIRECT_BLOCK = auto()
    INDIRECT_BLOCK = auto()
    LINK = auto()
    ATTRIBUTE = auto()
    SHARED_MESSAGE = auto()
    SHARED_MESSAGE_TABLE = auto()
    BTREE2 = auto()
    BTREE2_NODE = auto()
    CHUNK_BTREE = auto()
    FIXED_ARRAY = auto()
    FIXED_ARRAY_BLOCK = auto()
    FIXED_ARRAY_PAGE = auto()
    EXTENSIBLE_ARRAY = auto()
    EXTENSIBLE_ARRAY_INDEX_BLOCK = auto()
    EXTENSIBLE_ARRAY_SUPER_BLOCK = auto()
    EXTENSIBLE_ARRAY_DATA_BLOCK = auto()
    EXTENSIBLE_ARRAY_PAGE = auto()
