"""What is known of one version of an object, and which of its blocks are in memory."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, cast

from obspec_utils._ranges import ByteRange
from obspec_utils._version import Version

if TYPE_CHECKING:
    from collections.abc import Callable

    from obspec import Attributes, ObjectMeta

    from obspec_utils._io.response import Response

__all__ = ["BlockKey", "Entry"]


class Entry:
    """One version of one object.

    Parameters
    ----------
    meta
        The object's metadata.
    attributes
        Its further attributes, such as its content type.
    unit
        How many bytes its blocks have, but for the last one; its size, or 1 if it is empty, where it is one block.
    checked
        When this was the object's version for certain: when the request that told so was made (`time.time()`).

    Attributes
    ----------
    blocks
        The blocks that are in memory.
    alive
        Whether this is the version its path has, as far as is known: only then something is kept of it. As its twin.
    """

    __slots__ = (
        "_alive",
        "_pending",
        "attributes",
        "block_size",
        "blocks",
        "canonical",
        "meta",
        "size",
        "unpublished",
        "validated_at",
        "version",
    )

    def __init__(self, meta: ObjectMeta, attributes: Attributes, block_size: int, validated_at: float) -> None:
        self.meta = meta
        self.attributes = attributes
        self.version = Version.of(meta)
        self.size = self.version.size
        self.block_size = block_size
        self.validated_at = validated_at
        self.blocks: set[int] = set()
        self._alive = False
        # The same version, found out by somebody else at the same time, under which its blocks are kept.
        self.canonical: Entry | None = None
        # How to tell the shared tiers of it, once its first bytes are there: by each who has checked it.
        self.unpublished: list[Callable[[], None]] = []
        self._pending: list[tuple[Response, object]] = []

    @property
    def is_current(self) -> bool:
        """Whether something is kept of it."""
        return self._alive if self.canonical is None else self.canonical.is_current

    @is_current.setter
    def is_current(self, is_current: bool) -> None:
        self._alive = is_current

    def metadata(self) -> ObjectMeta:
        """Return the object's metadata, as a dict of the caller's own."""
        return cast("ObjectMeta", dict(self.meta))

    def is_of(self, other: Entry) -> bool:
        """Tell whether this and another one are of the same version for certain, and have the same blocks."""
        same = (self.version, self.block_size) == (other.version, other.block_size)
        return same and self.version.comparable(other.version)

    def span(self, block: int) -> ByteRange:
        """Return the bytes of a block."""
        return ByteRange(block * self.block_size, min((block + 1) * self.block_size, self.size))

    # The answer that told of this version: its body is there to be read by whoever fetches these bytes first.

    def offer_response(self, answer: Response, owner: object) -> None:
        """Put an answer where who fetches some of its bytes finds it; `owner` is the event loop it belongs to."""
        self._pending.append((answer, owner))

    def take_response(self, wanted: ByteRange, owner: object) -> Response | None:
        """Take the answer, if it is there, holds bytes of what is `wanted`, and can be read by this `owner`."""
        for pending in self._pending:
            answer, its_owner = pending
            if its_owner is owner and answer.span.start < wanted.stop and wanted.start < answer.span.stop:
                try:
                    self._pending.remove(pending)
                except ValueError:  # another thread was faster
                    return None
                return answer
        return None

    @property
    def pending(self) -> bool:
        """Whether an answer is there."""
        return bool(self._pending)

    def withdraw_response(self, answer: Response | None = None) -> None:
        """Let go of an answer that nobody has taken, or of all of them."""
        for pending in list(self._pending):
            if answer is None or pending[0] is answer:
                with suppress(ValueError):  # taken this moment
                    self._pending.remove(pending)


class BlockKey(NamedTuple):
    """What a block is kept in memory by: it is told when the block has left."""

    entry: Entry
    block: int

    def on_evict(self) -> None:
        """Take note that the block is not in memory any more."""
        self.entry.blocks.discard(self.block)
