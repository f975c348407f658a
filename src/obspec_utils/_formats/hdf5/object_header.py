"""Object headers, versions 1 and 2, and their continuations: a sequence of messages."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from obspec_utils._formats.hdf5.messages import HANDLERS, Header, handle_shared

if TYPE_CHECKING:
    from obspec_utils._formats.hdf5.pending import Node
    from obspec_utils._formats.hdf5.state import State

__all__ = ["parse_continuation", "parse_object_header"]

_SIGNATURE = b"OHDR"
_CONTINUATION_SIGNATURE = b"OCHK"
_CHECKSUM_SIZE = 4

_PREFIX_1 = Struct("<BxHII4x")
_MESSAGE_1 = Struct("<HHB3x")
_MESSAGE_2 = Struct("<BHB")
_MESSAGE_2_WITH_ORDER = Struct("<BHBH")

_ATTRIBUTE_CREATION_ORDER_TRACKED = 1 << 2
_ATTRIBUTE_PHASE_CHANGE_STORED = 1 << 4
_TIMES_STORED = 1 << 5

_SHARED = 1 << 1


def parse_object_header(state: State, node: Node, data: memoryview) -> None:
    """Parse the prefix of an object header and the messages that follow it."""
    if data[:4] == _SIGNATURE:
        start, stop, message = _prefix_2(data)
        end = stop + _CHECKSUM_SIZE
    elif data[0] == 1:
        _version, _messages, _references, size = _PREFIX_1.unpack_from(data)
        start, message = _PREFIX_1.size, _MESSAGE_1
        stop = end = start + size
    else:
        return
    if end > len(data):
        state.extend(node, end)
        return
    _handle_messages(state, Header(node, message), data[start:stop])


def _prefix_2(data: memoryview) -> tuple[int, int, Struct]:
    """Return where the messages of a version 2 header start and stop, and how each begins."""
    flags = data[5]
    start = 6 + (16 if flags & _TIMES_STORED else 0) + (4 if flags & _ATTRIBUTE_PHASE_CHANGE_STORED else 0)
    size_width = 1 << (flags & 3)
    size = int.from_bytes(data[start : start + size_width], "little")
    message = _MESSAGE_2_WITH_ORDER if flags & _ATTRIBUTE_CREATION_ORDER_TRACKED else _MESSAGE_2
    return start + size_width, start + size_width + size, message


def parse_continuation(state: State, node: Node, data: memoryview) -> None:
    """Parse the messages of an object header that lie in another place of the file."""
    header: Header = node.detail
    if header.message is _MESSAGE_1:
        _handle_messages(state, header, data)
    elif data[:4] == _CONTINUATION_SIGNATURE:
        _handle_messages(state, header, data[4:-_CHECKSUM_SIZE])


def _handle_messages(state: State, header: Header, data: memoryview) -> None:
    """Handle the messages in a part of a header; what is too short for one at the end is a gap."""
    unpack_from, prefix_size = header.message.unpack_from, header.message.size
    start, last = 0, len(data) - prefix_size
    while start <= last:
        fields = unpack_from(data, start)
        start += prefix_size
        stop = start + fields[1]
        handler = HANDLERS.get(fields[0])
        if handler is not None:
            body = data[start:stop]
            if fields[2] & _SHARED:
                handle_shared(state, header, fields[0], body)
            else:
                handler(state, header, body)
        start = stop
    header.end_of_messages(state)
