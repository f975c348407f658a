"""Where values of a datatype have addresses of global heap collections."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from obspec_utils._formats.hdf5.fields import min_bytes, padded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["value_references"]

_COMPOUND = 6
_ENUMERATION = 8
_VARIABLE_LENGTH = 9
_ARRAY = 10
_COMPLEX = 11

_PROPERTY_SIZES = {0: 4, 1: 12, 2: 2, 3: 0, 4: 4, 7: 0}
_OPAQUE = 5

# A bound for damaged files: the depth of nested datatypes.
_MAX_DEPTH = 32


class _Repeated(NamedTuple):
    """A datatype that has references, `times` times, the first at a position."""

    element: _Datatype
    first: int
    times: int


class _Datatype(NamedTuple):
    """Where a value of a datatype refers to variable-length data.

    A value has `size` bytes, and a reference at its start or in its `parts`, each of which has some; the encoded
    datatype stops at `stop`. Positions are computed as far as they are used: nested arrays have any number of them.
    """

    size: int
    stop: int
    is_reference: bool = False
    parts: Sequence[_Repeated] = ()


def value_references(message: bytes, limit: int) -> tuple[int, list[int]]:
    """Return the size of values of a datatype message, and where in a value are references to variable-length data.

    Parameters
    ----------
    message
        The datatype message.
    limit
        Maximum number of positions.

    Raises
    ------
    ValueError
        If the datatype is nested too deeply, or of a class that is not understood.
    """
    kind = message[0] & 15
    if kind == _VARIABLE_LENGTH:
        return int.from_bytes(message[4:8], "little"), [0][:limit]
    if kind not in (_COMPOUND, _ARRAY):
        return 0, []
    datatype = _parse(message, 0, 0)
    return datatype.size, list(islice(_positions(datatype, 0), limit))


def _positions(datatype: _Datatype, start: int) -> Iterator[int]:
    """Yield the positions of the references in a value that is at `start`."""
    if datatype.is_reference:
        yield start
    for element, first, times in datatype.parts:
        for number in range(times):
            yield from _positions(element, start + first + number * element.size)


def _parse(message: bytes, start: int, depth: int) -> _Datatype:
    kind, version = message[start] & 15, message[start] >> 4
    bits = int.from_bytes(message[start + 1 : start + 4], "little")
    size = int.from_bytes(message[start + 4 : start + 8], "little")
    body = start + 8
    if depth > _MAX_DEPTH:
        error = f"datatype is nested more than {_MAX_DEPTH} levels deep"
        raise ValueError(error)
    if kind in _PROPERTY_SIZES:
        return _Datatype(size, body + _PROPERTY_SIZES[kind])
    if kind == _OPAQUE:
        return _Datatype(size, body + padded(bits & 0xFF))
    if kind in (_VARIABLE_LENGTH, _COMPLEX):
        return _Datatype(size, _parse(message, body, depth + 1).stop, is_reference=kind == _VARIABLE_LENGTH)
    parse = {_ARRAY: _array, _COMPOUND: _compound, _ENUMERATION: _enumeration}.get(kind)
    if parse is not None:
        return parse(message, body, version, size, bits & 0xFFFF, depth)
    error = f"datatype class {kind} is unknown"
    raise ValueError(error)


def _repeated(element: _Datatype, first: int, count: int) -> list[_Repeated]:
    """Return the part of a value that has elements, if those have references."""
    has_references = element.is_reference or element.parts
    return [_Repeated(element, first, count)] if has_references and element.size > 0 and count > 0 else []


def _array(message: bytes, body: int, version: int, size: int, _bits: int, depth: int) -> _Datatype:
    rank = message[body]
    base = body + 4 + 8 * rank if version < 3 else body + 1 + 4 * rank
    element = _parse(message, base, depth + 1)
    return _Datatype(size, element.stop, parts=_repeated(element, 0, -(-size // max(1, element.size))))


def _name_stop(message: bytes, start: int, version: int) -> int:
    length = message.index(0, start) - start + 1
    return start + (padded(length) if version < 3 else length)


def _compound(message: bytes, body: int, version: int, size: int, members: int, depth: int) -> _Datatype:
    parts: list[_Repeated] = []
    for _ in range(members):
        body = _name_stop(message, body, version)
        offset_size = min_bytes(size) if version >= 3 else 4
        offset = int.from_bytes(message[body : body + offset_size], "little")
        body += offset_size
        count = 1
        if version == 1:
            for length in (message[body + 12 + 4 * d : body + 16 + 4 * d] for d in range(min(4, message[body]))):
                count *= int.from_bytes(length, "little")
            body += 28
        member = _parse(message, body, depth + 1)
        parts += _repeated(member, offset, count)
        body = member.stop
    return _Datatype(size, body, parts=parts)


def _enumeration(message: bytes, body: int, version: int, size: int, members: int, depth: int) -> _Datatype:
    base = _parse(message, body, depth + 1)
    body = base.stop
    for _ in range(members):
        body = _name_stop(message, body, version)
    return _Datatype(size, body + members * base.size)
