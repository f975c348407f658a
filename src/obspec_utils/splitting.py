"""Deprecated: see `obspec_utils.wrappers`."""

from obspec_utils._deprecated import moved
from obspec_utils.wrappers import SplittingReadableStore

__all__ = ["SplittingReadableStore"]

moved(__name__, "obspec_utils.wrappers")
