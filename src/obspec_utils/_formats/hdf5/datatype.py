"""Where values of a datatype have addresses of global heap collections."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from obspec_utils._formats.hdf5.fields import min_bytes, padded

__all__ = ["value_references"]

_COMPOUND = 6
_ENUMERATION = 8
_VARIABLE_LENGTH = 9
_ARRAY = 10
_COMPLEX = 11

_PROPERTY_SIZES = {0: 4, 1: 12, 2: 2, 3: 0, 4: 4, 7: 0}
_OPAQUE = 5

# Bounds for damaged files: the depth of nested datatypes and the variable-length members of one value.
_MAX_DEPTH = 32
_MAX_REFERENCES = 4096


class _References(NamedTuple):
    """Where a value of a datatype refers to variable-length data.

    `positions` are those of the references within a value of `size` bytes; the encoded datatype stops at `stop`.
    """

    size: int
    positions: list[int]
    stop: int


@lru_cache(maxsize=256)
def value_references(message: bytes) -> tuple[int, list[int]]:
    """Return the size of values of a datatype message, and where in a value are references to variable-length data.

    Raises
    ------
    ValueError
        If the datatype is nested too deeply, or of a class that is not understood.
    """
    kind = message[0] & 15
    if kind == _VARIABLE_LENGTH:
        return int.from_bytes(message[4:8], "little"), [0]
    if kind not in (_COMPOUND, _ARRAY):
        return 0, []
    return _parse(message, 0, 0)[:2]


def _parse(message: bytes, start: int, depth: int) -> _References:
    kind, version = message[start] & 15, message[start] >> 4
    bits = int.from_bytes(message[start + 1 : start + 4], "little")
    size = int.from_bytes(message[start + 4 : start + 8], "little")
    body = start + 8
    if depth > _MAX_DEPTH:
        error = f"datatype is nested more than {_MAX_DEPTH} levels deep"
        raise ValueError(error)
    if kind in _PROPERTY_SIZES:
        return _References(size, [], body + _PROPERTY_SIZES[kind])
    if kind == _OPAQUE:
        return _References(size, [], body + padded(bits & 0xFF))
    if kind in (_VARIABLE_LENGTH, _COMPLEX):
        positions = [0] if kind == _VARIABLE_LENGTH else []
        return _References(size, positions, _parse(message, body, depth + 1).stop)
    parse = {_ARRAY: _array, _COMPOUND: _compound, _ENUMERATION: _enumeration}.get(kind)
    if parse is not None:
        return parse(message, body, version, size, bits & 0xFFFF, depth)
    error = f"datatype class {kind} is unknown"
    raise ValueError(error)


def _repeated(element: _References, size: int) -> list[int]:
    """Return the positions of references in an array of `size` bytes."""
    if not element.positions or element.size <= 0:
        return []
    starts = range(0, min(size, _MAX_REFERENCES * element.size), element.size)
    return [first + position for first in starts for position in element.positions][:_MAX_REFERENCES]


def _array(message: bytes, body: int, version: int, size: int, _bits: int, depth: int) -> _References:
    rank = message[body]
    base = body + 4 + 8 * rank if version < 3 else body + 1 + 4 * rank
    element = _parse(message, base, depth + 1)
    return _References(size, _repeated(element, size), element.stop)


def _name_stop(message: bytes, start: int, version: int) -> int:
    length = message.index(0, start) - start + 1
    return start + (padded(length) if version < 3 else length)


def _compound(message: bytes, body: int, version: int, size: int, members: int, depth: int) -> _References:
    positions: list[int] = []
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
        if len(positions) < _MAX_REFERENCES:
            positions += [offset + position for position in _repeated(member, count * member.size)]
        body = member.stop
    return _References(size, positions, body)


def _enumeration(message: bytes, body: int, version: int, size: int, members: int, depth: int) -> _References:
    base = _parse(message, body, depth + 1)
    body = base.stop
    for _ in range(members):
        body = _name_stop(message, body, version)
    return _References(size, [], body + members * base.size)
