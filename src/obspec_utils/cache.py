"""Deprecated: see `obspec_utils.wrappers`."""

from obspec_utils._deprecated import moved
from obspec_utils.wrappers import CachingReadableStore

__all__ = ["CachingReadableStore"]

moved(__name__, "obspec_utils.wrappers")
