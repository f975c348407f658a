"""Structures that are still to be parsed: what is wanted next, in the whole file or near one offset."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

from obspec_utils._ranges import ByteRange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from obspec_utils._formats.hdf5.kinds import Kind

__all__ = ["MAX_STRUCTURE_SIZE", "Node", "Pending"]

# Bounds for damaged files: the size of a structure, and the structures that are found by more than one address each.
MAX_STRUCTURE_SIZE = 16 << 20
_MAX_LINKS = 1 << 16

# What is further above a pending structure is forgotten: chains of groups, or of damaged structures, may be long.
_MAX_LEVELS = 64

# A bound for the time that `wanted` takes: the steps that lead to no structure that is wanted.
_MAX_STEPS = 1 << 12

# Callers fetch more than they are asked for: whole pages, and gaps. So what is this near to what was wanted, in bytes,
# may have come into memory with it; of so few structures, any may have.
_NEIGHBOURHOOD = 64 << 10
_FEW = 256


class Node:
    """A structure of the file: where it lies, how it is parsed, and what it was reached from.

    It is closed, which is to say that it has no `children` and cannot be found by its offset, unless it is pending or
    leads to a structure that is.
    """

    __slots__ = ("address", "children", "detail", "kind", "parents", "pending", "start", "stop")

    detail: Any

    def __init__(
        self, kind: Kind, address: int, start: int, stop: int, detail: object = None, parent: Node | None = None
    ) -> None:
        self.kind = kind
        self.address = address
        self.start = start
        self.stop = stop
        self.detail = detail
        self.pending = False
        self.parents = [] if parent is None else [parent]
        self.children: dict[Node, None] | None = None


class Pending:
    """The structures that wait for their bytes, in the order of their discovery and by what they were reached from.

    Memory follows what is left to do: of the structures that have been parsed, only those that lead to a pending one
    are kept. Links lead to structures that are not parsed yet, so that there are no cycles.
    """

    def __init__(self) -> None:
        self._queue: dict[Node, None] = {}
        self._wanted: dict[Node, None] = {}
        self._open: dict[int, dict[Node, None]] = {}  # by neighbourhood
        self._links = 0

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._queue)

    def add(self, node: Node) -> None:
        """Add a structure whose bytes are not in memory, unless it has been added before."""
        if not node.pending:
            node.pending = True
            self._queue[node] = None
            if node.children is None:
                self._open_node(node)
                self._attach(node, node.parents)

    def link(self, node: Node, parent: Node) -> None:
        """Let a structure that is not parsed yet be reached from one more."""
        parents = node.parents
        if node is parent or (parents and parents[-1] is parent) or self._links >= _MAX_LINKS:
            return
        if parent.children is None or node not in parent.children:
            self._links += 1
            parents.append(parent)
            if node.children is not None:
                self._attach(node, [parent])

    def _open_node(self, node: Node) -> dict[Node, None]:
        children: dict[Node, None] = {}
        node.children = children
        self._open.setdefault(node.start // _NEIGHBOURHOOD, {})[node] = None
        return children

    def _attach(self, node: Node, parents: Iterable[Node]) -> None:
        level = [(node, parents)]
        for _ in range(_MAX_LEVELS):
            above: list[tuple[Node, Iterable[Node]]] = []
            for child, reached_from in level:
                for parent in reached_from:
                    children = parent.children
                    if children is None:
                        children = self._open_node(parent)
                        above.append((parent, parent.parents))
                    children[child] = None
            level = above
        for highest, _ in level:
            highest.parents = []

    def finish(self, node: Node) -> None:
        """Remove a structure that has been parsed, and close it and those above it that lead to nothing else."""
        node.pending = False
        del self._queue[node]
        self._wanted.pop(node, None)
        complete = [node]
        while complete:
            node = complete.pop()
            if node.pending or node.children is None or node.children:
                continue
            node.children = None
            number = node.start // _NEIGHBOURHOOD
            neighbours = self._open[number]
            del neighbours[node]
            if not neighbours:
                del self._open[number]
            for parent in node.parents:
                if parent.children and node in parent.children:
                    del parent.children[node]
                    complete.append(parent)

    def candidates(self) -> list[Node]:
        """Return the structures that may have come into memory: those that were wanted, and those near them."""
        if len(self._queue) <= _FEW:
            self._queue = dict(self._queue)  # The dict that had more keeps its memory.
            return list(self._queue)
        numbers = dict.fromkeys(node.start // _NEIGHBOURHOOD for node in self._wanted)
        return [node for number in numbers for node in self._open[number] if node.pending]

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
        self._wanted.update(found)
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
        """Return the structure that has an offset, or None where that one is unknown or closed."""
        last = offset // _NEIGHBOURHOOD
        for number in range(last, last - MAX_STRUCTURE_SIZE // _NEIGHBOURHOOD - 1, -1):
            before = [node for node in self._open.get(number, ()) if node.start <= offset]
            if before:
                node = max(before, key=lambda node: node.start)
                return node if offset < node.stop else None
        return None


def _reached_from(node: Node, seen: set[Node]) -> Iterator[Node]:
    """Yield the structures below one, breadth first, and add them to those seen; nothing below those seen before."""
    level = deque([node])
    while level:
        for child in level.popleft().children or ():
            yield child
            if child not in seen:
                seen.add(child)
                level.append(child)
