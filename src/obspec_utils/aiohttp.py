"""Deprecated: see `obspec_utils.stores`."""

from obspec_utils._deprecated import moved
from obspec_utils.stores import AiohttpGetResult, AiohttpGetResultAsync, AiohttpStore

__all__ = ["AiohttpGetResult", "AiohttpGetResultAsync", "AiohttpStore"]

moved(__name__, "obspec_utils.stores")
