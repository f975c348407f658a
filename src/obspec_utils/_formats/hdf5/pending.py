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


# A bound for damaged files: the structures that are found by more than one address each.
_MAX_LINKS = 1 << 18
# A bound for the time that `wanted` takes: the steps that lead to no structure that is wanted.
_MAX_STEPS = 1 << 12


class Node:
    """A structure of the file: where it lies, how it is parsed, and what it was reached from."""

    __slots__ = ("address", "children", "detail", "kind", "parents", "pending", "start", "stop")

    detail: Any

    def __init__(self, kind: Kind, address: int, start: int, stop: int, detail: object = None) -> None:
        self.kind = kind
        self.address = address
        self.start = start
        self.stop = stop
        self.detail = detail
        self.pending = True
        self.parents: list[Node] = []
        self.children: dict[Node, None] = {}


class Pending:
    """The structures to be parsed, in the order of their discovery and by what they were reached from.

    A node stays in the graph as long as it, or any structure reached from it, is pending; completed branches are
    dropped, so that memory follows what is left to do. Links lead to structures that are not parsed yet, so that
    there are no cycles.
    """

    def __init__(self) -> None:
        self._queue: dict[Node, None] = {}
        self._open: dict[int, Node] = {}
        self._starts: list[int] | None = None
        self._links = 0

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._queue)

    def add(self, node: Node, parent: Node | None) -> None:
        """Add a structure, below the one that its address was found in."""
        self._queue[node] = None
        self._open.setdefault(node.start, node)
        self._starts = None
        if parent is not None:
            self._attach(node, parent)

    def link(self, node: Node, parent: Node) -> None:
        """Let a structure that is pending be reached from one more."""
        if node is not parent and node not in parent.children and self._links < _MAX_LINKS:
            self._links += 1
            self._attach(node, parent)

    def _attach(self, node: Node, parent: Node) -> None:
        node.parents.append(parent)
        edges = [(node, parent)]
        while edges:
            child, parent = edges.pop()
            is_open = parent.pending or bool(parent.children)
            parent.children[child] = None
            if not is_open:  # It was complete before this structure was found.
                self._open.setdefault(parent.start, parent)
                self._starts = None
                edges += [(parent, grandparent) for grandparent in parent.parents]

    def finish(self, node: Node) -> None:
        """Remove a structure that has been parsed, and the branches that are complete with it."""
        node.pending = False
        del self._queue[node]
        closed = [node]
        while closed:
            node = closed.pop()
            if node.pending or node.children:
                continue
            if self._open.get(node.start) is node:
                del self._open[node.start]
            for parent in node.parents:
                if node in parent.children:
                    del parent.children[node]
                    closed.append(parent)

    def wanted(self, limit: int, near: int | None, *, only: bool) -> list[ByteRange]:
        """Return the byte ranges of pending structures, at most `limit`, those around `near` first."""
        found: dict[Node, None] = {}
        if near is not None and limit > 0:
            for node in islice(self._around(near, only=only), limit + _MAX_STEPS):
                if node.pending:
                    found[node] = None
                    if len(found) == limit:
                        break
        if not only and len(found) < limit:
            rest = (node for node in self._queue if node not in found)
            found.update(dict.fromkeys(islice(rest, limit - len(found))))
        return [ByteRange(node.start, node.stop) for node in found]

    def _around(self, offset: int, *, only: bool) -> Iterator[Node]:
        """Yield the structure at an offset and those reached from it, then those reached from its parents, and so on.

        Some are yielded more than once, so that each yield is one step, and a caller can bound the steps.
        """
        start = self._at(offset)
        if start is None:
            return
        seen = {start}
        yield start
        yield from _reached_from(start, seen)
        ancestors = deque([] if only else [start])
        while ancestors:
            for parent in ancestors.popleft().parents:
                yield parent
                if parent not in seen:
                    seen.add(parent)
                    ancestors.append(parent)
                    yield from _reached_from(parent, seen)

    def _at(self, offset: int) -> Node | None:
        """Return the structure that has an offset, or None where that one is unknown or complete."""
        node = self._open.get(offset)
        if node is None:
            if self._starts is None:
                self._starts = sorted(self._open)
            number = bisect_right(self._starts, offset) - 1
            node = self._open.get(self._starts[number]) if number >= 0 else None
        return node if node is not None and offset < node.stop else None


def _reached_from(node: Node, seen: set[Node]) -> Iterator[Node]:
    """Yield the structures below one, breadth first, and add them to those seen; nothing below those seen before."""
    level = deque([node])
    while level:
        for child in level.popleft().children:
            yield child
            if child not in seen:
                seen.add(child)
                level.append(child)
