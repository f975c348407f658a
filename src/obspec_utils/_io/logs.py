"""Log requests and degradations, each once the calling thread holds nothing that another thread may wait for.

A handler has a lock, and runs code of the user's: the same as for callbacks applies, see docs/design/002.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from obspec_utils._io.gc_pause import call_after_pause
from obspec_utils._redact import error_text, redacted, shown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

__all__ = ["async_method_of", "log", "method_of"]

_requests = logging.getLogger("obspec_utils.requests")


def log(level: int, message: str, *args: object, about: str = "requests") -> None:
    """Log a message to `obspec_utils.<about>`; credentials in its arguments are redacted."""
    logger = logging.getLogger(f"obspec_utils.{about}")
    if logger.isEnabledFor(level):
        args = tuple(_text_of(arg) if isinstance(arg, Exception) else arg for arg in args)  # without its traceback
        call_after_pause(partial(_emit, logger, level, message, args))


def method_of(store: object, method: str) -> Callable[..., Any]:
    """Return a method of a store; each call is logged if requests are logged and the store is none of our wrappers."""
    call: Callable[..., Any] = getattr(store, method)
    if not _requests.isEnabledFor(logging.DEBUG) or hasattr(store, "_supports"):
        return call

    def logged(path: str, **arguments: Any) -> Any:  # noqa: ANN401 - of any method
        with _logged(store, method, path, arguments) as results:
            results.append(call(path, **arguments))
        return results[0]

    return logged


def async_method_of(store: object, method: str) -> Callable[..., Awaitable[Any]]:
    """Return an async method of a store, see `method_of`."""
    call: Callable[..., Awaitable[Any]] = getattr(store, method)
    if not _requests.isEnabledFor(logging.DEBUG) or hasattr(store, "_supports"):
        return call

    async def logged(path: str, **arguments: Any) -> Any:  # noqa: ANN401 - of any method
        with _logged(store, method, path, arguments) as results:
            results.append(await call(path, **arguments))
        return results[0]

    return logged


@contextmanager
def _logged(store: object, method: str, path: str, arguments: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Log a request, whose result the caller appends to the yielded list."""
    results: list[Any] = []
    outcome = "no response"
    begin = perf_counter()
    try:
        yield results
        outcome = _size(results[0])
    except BaseException as error:
        outcome = _text_of(error)
        raise
    finally:
        ms = (perf_counter() - begin) * 1000
        args = (method.removesuffix("_async"), path, _wanted(arguments), outcome, ms, store)
        call_after_pause(partial(_emit, _requests, logging.DEBUG, "%s %r%s: %s in %.1f ms from %s", args))


def _emit(logger: logging.Logger, level: int, message: str, args: tuple[object, ...]) -> None:
    logger.log(level, message, *(arg if isinstance(arg, int | float) else _text_of(arg) for arg in args))


def _text_of(value: object) -> str:
    """Return the text of an argument, redacted, on one line."""
    try:
        if isinstance(value, BaseException):
            return error_text(value)
        return redacted(value) if isinstance(value, str) else shown(value)
    except Exception:  # noqa: BLE001 - of a repr of the user's
        return f"<{type(value).__name__}>"


def _wanted(arguments: Mapping[str, Any]) -> str:
    """Return which bytes are requested, as text."""
    if "starts" in arguments:
        return " in ranges"
    options = arguments.get("options") or {}
    start, stop = arguments.get("start"), arguments.get("end")
    wanted = options.get("range") if isinstance(options, dict) else None
    if isinstance(wanted, tuple | list) and len(wanted) == 2:  # noqa: PLR2004 - a start and a stop
        start, stop = wanted
    elif wanted is not None:
        return f" {wanted}"
    if start is None:
        return ""
    if stop is None and "length" in arguments:
        return f" {arguments['length']} bytes from {start}"
    return f" bytes {start} to {stop}"


def _size(result: Any) -> str:  # noqa: ANN401 - of any method
    """Return how many bytes a response has, as text."""
    if isinstance(result, dict):  # the metadata that head returns
        return f"size {result.get('size')}"
    if hasattr(result, "meta"):
        start, stop = result.range
        return f"{stop - start} of {result.meta['size']} bytes"
    bodies = result if isinstance(result, list | tuple) else [result]
    return f"{sum(memoryview(body).nbytes for body in bodies)} bytes"
