"""What a file's structure says about the cost of reading it."""

from obspec_utils._inspect._inspect import inspect
from obspec_utils._inspect._inspection import Inspection
from obspec_utils._inspect._records import Advice, Array, Cost, Metadata

__all__ = ["Advice", "Array", "Cost", "Inspection", "Metadata", "inspect"]
