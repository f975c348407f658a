"""HDF5 files: which bytes readers will need, from the HDF5 File Format Specification, versions 1.1 to 3.0."""

from obspec_utils._formats.hdf5.chunks import ChunkTable
from obspec_utils._formats.hdf5.structure import Structure
from obspec_utils._formats.hdf5.superblock import is_hdf5

__all__ = ["ChunkTable", "Structure", "is_hdf5"]
