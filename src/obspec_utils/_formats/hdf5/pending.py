"""Structures that are still to be parsed: what is wanted next, in the whole file or near one offset."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

from obspec_utils._ranges import ByteRange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obspec_utils._formats.hdf5.kinds import Kind

__all__ = ["Node", "Pending"]


class Node:
    """A structure of the file: where it lies, how it is parsed, and which structures its address led to."""

    __slots__ = ("address", "children", "detail", "kind", "parent", "pending", "start", "stop")

    detail: Any

    def __init__(
        self, kind: Kind, address: int, start: int, stop: int, parent: Node | None, detail: object = None
    ) -> None:
        self.kind = kind
        self.address = address
        self.start = start
        self.stop = stop
        self.parent = parent
        self.detail = detail
        self.pending = True
        self.children: dict[Node, None] = {}


class Pending:
    """The structures to be parsed, in the order of their discovery and as a tree.

    A node stays in the tree as long as it, or any structure reached from it, is pending; completed branches are
    dropped, so that memory follows what is left to do.
    """

    def __init__(self) -> None:
        self._queue: dict[Node, None] = {}
        self._open: dict[int, Node] = {}
        self._starts: list[int] | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._queue)

    def add(self, node: Node) -> None:
        """Add a structure, below the one that its address was found in."""
        self._queue[node] = None
        self._open.setdefault(node.start, node)
        self._starts = None
        child, parent = node, node.parent
        while parent is not None and child not in parent.children:
            parent.children[child] = None
            self._open.setdefault(parent.start, parent)
            child, parent = parent, parent.parent

    def finish(self, node: Node) -> None:
        """Remove a structure that has been parsed, and the branches that are complete with it."""
        node.pending = False
        del self._queue[node]
        closed: Node | None = node
        while closed is not None and not closed.pending and not closed.children:
            if self._open.get(closed.start) is closed:
                del self._open[closed.start]
            parent = closed.parent
            if parent is not None:
                parent.children.pop(closed, None)
            closed = parent

    def wanted(self, limit: int, near: int | None, *, only: bool) -> list[ByteRange]:
        """Return the byte ranges of pending structures, at most `limit`, those reached from `near` first."""
        if near is None:
            return [ByteRange(node.start, node.stop) for node in islice(self._queue, limit)]
        first = dict.fromkeys(islice(self._reached_from(near), limit))
        if not only and len(first) < limit:
            rest = (node for node in self._queue if node not in first)
            first.update(dict.fromkeys(islice(rest, limit - len(first))))
        return [ByteRange(node.start, node.stop) for node in first]

    def _reached_from(self, offset: int) -> Iterator[Node]:
        node = self._at(offset)
        if node is None:
            return
        level = deque([node])
        while level:
            node = level.popleft()
            if node.pending:
                yield node
            level.extend(node.children)

    def _at(self, offset: int) -> Node | None:
        """Return the structure that has an offset, or None where that one is unknown or complete."""
        node = self._open.get(offset)
        if node is None:
            if self._starts is None:
                self._starts = sorted(self._open)
            number = bisect_right(self._starts, offset) - 1
            node = self._open.get(self._starts[number]) if number >= 0 else None
        return node if node is not None and offset < node.stop else None
