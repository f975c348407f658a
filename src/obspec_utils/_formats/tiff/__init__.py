"""TIFF and BigTIFF files: which bytes readers will need, from TIFF Revision 6.0 and the BigTIFF design."""

from obspec_utils._formats.tiff.header import is_tiff
from obspec_utils._formats.tiff.structure import Structure

__all__ = ["Structure", "is_tiff"]
