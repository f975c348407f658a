"""One call of a store, and what came of it, in a form that two stores can be compared by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["READS", "Call", "Outcome", "differences", "perform", "perform_async", "read_result", "read_result_async"]

# What a result is read by. Chunks are joined: how a body is cut is a store's own affair.
READS = ("buffer", "bytes", "iteration", "stream")
_MIN_CHUNK_SIZE = 7
_SHOWN = 20


@dataclass(frozen=True)
class Call:
    """A method of a store by its sync name, with the arguments after the path, and how a result of `get` is read."""

    method: str
    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    read: str = "buffer"


@dataclass(frozen=True)
class Outcome:
    """What a call came to: the name of its error, or what it returned."""

    error: str | None = None
    meta: dict[str, Any] | None = None
    range: tuple[int, int] | None = None
    attributes: dict[str, Any] | None = None
    content: tuple[bytes, ...] = ()


def perform(store: Any, call: Call) -> Outcome:
    """Make a call with the sync method."""
    try:
        answer = getattr(store, call.method)(call.path, **call.arguments)
        body = read_result(answer, call.read) if call.method == "get" else None
    except BaseException as error:  # noqa: BLE001 - a panic of obstore's is no Exception
        return _failed(error)
    return _succeeded(call, answer, body)


async def perform_async(store: Any, call: Call) -> Outcome:
    """Make a call with the async method."""
    try:
        answer = await getattr(store, f"{call.method}_async")(call.path, **call.arguments)
        body = await read_result_async(answer, call.read) if call.method == "get" else None
    except BaseException as error:  # noqa: BLE001 - a panic of obstore's is no Exception
        return _failed(error)
    return _succeeded(call, answer, body)


def _failed(error: BaseException) -> Outcome:
    if isinstance(error, KeyboardInterrupt | SystemExit):
        raise error
    # Names, since a panic comes from a module that can't be imported; a message may hold an address or a time.
    return Outcome(error=f"{type(error).__module__}.{type(error).__qualname__}")


def _succeeded(call: Call, answer: Any, body: bytes | None) -> Outcome:
    if call.method == "get":
        attributes = dict(answer.attributes)
        return Outcome(None, dict(answer.meta), tuple(answer.range), attributes, (body or b"",))
    if call.method == "head":
        return Outcome(meta=dict(answer))
    if call.method == "get_range":
        return Outcome(content=(bytes(answer),))
    return Outcome(content=tuple(map(bytes, answer)))


def read_result(result: Any, how: str) -> bytes:
    """Read a result with its sync methods."""
    if how == "iteration":
        return b"".join(map(bytes, result))
    if how == "stream":
        return b"".join(map(bytes, result.stream(min_chunk_size=_MIN_CHUNK_SIZE)))
    return bytes(getattr(result, how)())


async def read_result_async(result: Any, how: str) -> bytes:
    """Read a result with its async methods."""
    if how == "iteration":
        return b"".join([bytes(chunk) async for chunk in result])
    if how == "stream":
        return b"".join([bytes(chunk) async for chunk in result.stream(min_chunk_size=_MIN_CHUNK_SIZE)])
    return bytes(await getattr(result, f"{how}_async")())


def differences(calls: Mapping[str, Call], expected: Mapping[str, Outcome], found: Mapping[str, Outcome]) -> list[str]:
    """Describe the calls that came to something else than expected; empty if there are none."""
    return [
        f"{name}: {call.method}({call.path!r}, **{call.arguments}) by {call.read}\n"
        f"  expected {_short(expected[name])}\n  found    {_short(found[name])}"
        for name, call in calls.items()
        if expected[name] != found[name]
    ]


def _short(outcome: Outcome) -> str:
    content = [body if len(body) < _SHOWN else f"{len(body)} bytes, hash {hash(body)}" for body in outcome.content]
    return outcome.error or f"{content} range={outcome.range} meta={outcome.meta} attributes={outcome.attributes}"
