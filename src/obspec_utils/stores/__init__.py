"""Stores of this library, beside those of obstore."""

try:
    import aiohttp as _aiohttp
except ImportError as error:
    _message = "AiohttpStore requires aiohttp: install it with `pip install 'obspec-utils[aiohttp]'`"
    raise ImportError(_message) from error

from obspec_utils.stores._aiohttp import AiohttpStore
from obspec_utils.stores._aiohttp_result import AiohttpGetResult, AiohttpGetResultAsync

__all__ = ["AiohttpGetResult", "AiohttpGetResultAsync", "AiohttpStore"]

del _aiohttp
