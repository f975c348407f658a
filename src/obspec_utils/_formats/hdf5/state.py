"""What is known of a file so far, and the bounds of what a damaged one can cause."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from obspec_utils._formats.hdf5.chunks import ChunkOffsets
from obspec_utils._formats.hdf5.fields import Sizes
from obspec_utils._formats.hdf5.finished import Finished
from obspec_utils._formats.hdf5.kinds import Kind
from obspec_utils._formats.hdf5.pending import MAX_STRUCTURE_SIZE, Node, Pending
from obspec_utils._formats.hdf5.resolved import Resolved

if TYPE_CHECKING:
    from collections.abc import Iterable

    from obspec_utils._formats.hdf5.heap_objects import FractalHeap

__all__ = ["State"]

# As much as libhdf5 reads of an object header, a local heap and a global heap before it knows their sizes.
_OBJECT_HEADER_GUESS = 512
_GLOBAL_HEAP_GUESS = 4096

# Bounds for damaged files. No valid file is known to come near them, and beyond them only read-ahead is lost.
_MAX_STRUCTURES = 1 << 20
_MAX_PENDING = 1 << 17
_MAX_OUTSIDE = 1 << 12
_MAX_WANTED_PER_BYTE = 8
_MAX_WANTED_OF_SMALL_FILE = 64 << 10
_MAX_SHARED = 16 << 20


class State:
    """The structures of one file: those pending, and what those parsed so far tell about others.

    Parameters
    ----------
    size
        Size of the file in bytes.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.pending = Pending()
        self.discovered: deque[Node] = deque()
        self.sizes = Sizes(8, 8)
        self.base_address = 0
        self.group_leaf_k = 4
        self.group_internal_k = 16
        self.chunk_k = 32
        self.chunks = ChunkOffsets(size)
        self.shared_heaps: dict[int, FractalHeap] = {}
        self.resolved = Resolved()
        self._unfinished: dict[int, Node] = {}
        self._finished = Finished()
        self._structures = 0
        self._outside = 0
        self._budget = size * _MAX_WANTED_PER_BYTE + _MAX_WANTED_OF_SMALL_FILE
        self._shared_budget = size * _MAX_WANTED_PER_BYTE + _MAX_SHARED

    def visit(self, kind: Kind, address: int, size: int, parent: Node | None, detail: object = None) -> Node | None:
        """Add the structure at an address to those discovered, unless it has been added or is outside the file.

        Parameters
        ----------
        kind
            How it is parsed.
        address
            Its address, relative to the base address.
        size
            Its size in bytes, or a first guess.
        parent
            The structure that its address was found in.
        detail
            What its parser needs to know.

        Raises
        ------
        ValueError
            If a bound is exceeded, which ends the parsing of `parent`.
        """
        key = address << 5 | kind
        earlier = self._unfinished.get(key)
        if earlier is not None:
            if parent is not None:
                self.pending.link(earlier, parent)
            return None
        if address == self.sizes.undefined or size <= 0 or key in self._finished:
            return None
        start = self.base_address + address
        stop = min(start + size, start + MAX_STRUCTURE_SIZE, self.size)
        if start >= stop:
            self._outside += 1
            stop = start
        if (
            stop - start > self._budget
            or len(self._unfinished) >= _MAX_PENDING
            or self._structures >= _MAX_STRUCTURES
            or self._outside > _MAX_OUTSIDE
        ):
            error = "file refers to more structures than any valid one of its size"
            raise ValueError(error)
        if start >= stop:
            return None
        self._budget -= stop - start
        self._structures += 1
        node = self._unfinished[key] = Node(kind, address, start, stop, detail, parent)
        self.discovered.append(node)
        return node

    def finish(self, node: Node) -> None:
        """Forget a structure that has been parsed, but for the fact that it was."""
        key = node.address << 5 | node.kind
        self._unfinished.pop(key, None)
        if not self._unfinished:
            self._unfinished.clear()  # Emptied one by one, a dict keeps its memory.
        self._finished.add(key)
        if node.pending:
            self.pending.finish(node)

    def parse_again_with_grid(self, node: Node, table: int) -> None:
        """Parse a structure once more when the dataset's dimensions, which a later message may tell, are known."""
        self.resolved.use(("grid", table), lambda _grid: self._parse_again(node))

    def _parse_again(self, node: Node) -> None:
        self._unfinished[node.address << 5 | node.kind] = node
        self.discovered.append(node)

    def extend(self, node: Node, size: int) -> None:
        """Want more bytes of a structure whose first bytes tell its size in bytes; it will be parsed again."""
        stop = node.start + size
        missing = stop - node.stop
        if missing > 0 and stop <= self.size and size <= MAX_STRUCTURE_SIZE and missing <= self._budget:
            self._budget -= missing
            node.stop = stop

    def use_shared(self, size: int) -> None:
        """Count the bytes of a message that is parsed once more, for another object that shares it.

        Raises
        ------
        ValueError
            If the bytes of shared messages are too many in all.
        """
        if size > self._shared_budget:
            error = "objects share more than those of any valid file of its size"
            raise ValueError(error)
        self._shared_budget -= size

    def offsets(self, addresses: Iterable[int]) -> list[int]:
        """Return the offsets in the file of addresses, which are relative to the base address."""
        base = self.base_address
        return [address + base for address in addresses]

    def visit_object(self, address: int, parent: Node | None) -> Node | None:
        """Add an object header to the structures that are pending."""
        return self.visit(Kind.OBJECT_HEADER, address, _OBJECT_HEADER_GUESS, parent)

    def visit_global_heap(self, address: int, parent: Node) -> None:
        """Add a global heap collection to the structures that are pending."""
        self.visit(Kind.GLOBAL_HEAP, address, _GLOBAL_HEAP_GUESS, parent)
