"""Deprecated: see `obspec_utils.wrappers`."""

from obspec_utils._deprecated import moved
from obspec_utils.wrappers import RequestRecord, RequestTrace, TracingReadableStore

__all__ = ["RequestRecord", "RequestTrace", "TracingReadableStore"]

moved(__name__, "obspec_utils.wrappers")
