"""Shared messages: in the object headers of committed datatypes, and in the file's heaps of shared messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obspec_utils._formats.hdf5.fractal_heap import visit_fractal_heap
from obspec_utils._formats.hdf5.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from obspec_utils._formats.hdf5.heap_objects import FractalHeap
    from obspec_utils._formats.hdf5.pending import Node
    from obspec_utils._formats.hdf5.state import State

__all__ = [
    "add_committed_datatype",
    "parse_shared_message",
    "parse_shared_message_table",
    "use_shared_message",
    "visit_shared_message_table",
]

_TABLE_SIGNATURE = b"SMTB"
_INDEX = "BBHIHHHOO"
_CHECKSUM_SIZE = 4

_IN_HEAP = 1

# A valid file has up to eight heaps of shared messages.
_MAX_HEAPS = 16


def use_shared_message(
    state: State, node: Node, kind: int, shared: bytes | memoryview, use: Callable[[bytes], None]
) -> None:
    """Visit what a shared message of a type refers to, and call `use` with the message once it is found."""

    def use_and_count(message: bytes) -> None:
        state.use_shared(len(message))
        use(message)

    version, place = shared[0], shared[1]
    if version == 3 and place == _IN_HEAP:
        heap_id = int.from_bytes(shared[2:10], "little")

        def find(heap: int) -> None:
            key = ("shared message", heap, heap_id)
            _heap_at(state, heap, node).find(heap_id, node, key)
            state.resolved.use(key, use_and_count)

        state.resolved.use(("shared message heap", kind), find)
        return
    # In version 1, the address follows the offset of a name, as in a symbol table entry.
    address = state.sizes.offset(shared, 8 + state.sizes.length_size if version == 1 else 2)
    state.visit_object(address, node)
    state.resolved.use(("committed datatype", address), use_and_count)


def _heap_at(state: State, address: int, parent: Node) -> FractalHeap:
    """Return the heap of shared messages at an address."""
    heap = state.shared_heaps.get(address)
    if heap is None:
        if len(state.shared_heaps) >= _MAX_HEAPS:
            error = f"file has more than {_MAX_HEAPS} heaps of shared messages"
            raise ValueError(error)
        heap = state.shared_heaps[address] = visit_fractal_heap(state, address, parent, Kind.SHARED_MESSAGE)
    return heap


def add_committed_datatype(state: State, address: int, message: bytes) -> None:
    """Keep the datatype message in the object header at an address, which other messages refer to."""
    state.resolved.add(("committed datatype", address), message)


def visit_shared_message_table(state: State, parent: Node, body: memoryview) -> None:
    """Add the table that a shared message table message refers to, to the structures that are pending."""
    indexes = body[1 + state.sizes.offset_size]
    size = len(_TABLE_SIGNATURE) + indexes * state.sizes.struct(_INDEX).size + _CHECKSUM_SIZE
    state.visit(Kind.SHARED_MESSAGE_TABLE, state.sizes.offset(body, 1), size, parent)


def parse_shared_message_table(state: State, node: Node, data: memoryview) -> None:
    """Parse the table that says which fractal heap has the shared messages of each type."""
    if data[:4] != _TABLE_SIGNATURE:
        return
    for fields in state.sizes.struct(_INDEX).iter_unpack(data[4:-_CHECKSUM_SIZE]):
        types, heap = fields[2], fields[8]
        if heap != state.sizes.undefined:
            _heap_at(state, heap, node)
            for kind in range(16):
                if types >> kind & 1:
                    state.resolved.add(("shared message heap", kind), heap)


def parse_shared_message(state: State, node: Node, body: memoryview) -> None:
    """Pass a message in the heap of shared messages to the object headers that share it."""
    state.resolved.add(node.detail, bytes(body))
