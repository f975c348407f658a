"""Compare versions of an object by size, ETag and date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from obspec_utils.exceptions import ObjectChangedError

if TYPE_CHECKING:
    from obspec import ObjectMeta

__all__ = ["Version"]

# The date that an HTTPStore returns if the server sent none.
_NO_DATE = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Version:
    """The size, ETag and date of an object, as far as its store reports them."""

    size: int
    e_tag: str | None = None
    last_modified: datetime | None = None

    @classmethod
    def of(cls, meta: ObjectMeta) -> Version:
        """Return the version in an object's metadata."""
        return cls(meta["size"], meta.get("e_tag"), meta.get("last_modified"))

    @property
    def has_validator(self) -> bool:
        """Whether the version has an ETag or a date, so that more than the size can be compared."""
        return self.comparable(self)

    def comparable(self, found: Version) -> bool:
        """Return whether both versions have an ETag, or both a date, so that more than the size can be compared."""
        if self.e_tag is not None and found.e_tag is not None:
            return True
        dates = (self.last_modified, found.last_modified)
        return None not in dates and _NO_DATE not in dates

    def is_same(self, found: Version) -> bool:
        """Return whether `found` is certainly the same version."""
        return self.comparable(found) and not self._differs(found)

    def check(self, path: str, found: Version) -> None:
        """Raise `ObjectChangedError` if `found` is another version of the object at `path`."""
        if self._differs(found):
            msg = (
                f"{path!r} changed while it was being read: expected {self}, found {found}. "
                "No bytes were returned, so no result mixes two versions. Open the object again to read the new one."
            )
            raise ObjectChangedError(msg)

    def _differs(self, found: Version) -> bool:
        if self.size != found.size:
            return True
        if self.e_tag is not None and found.e_tag is not None:
            return self.e_tag.removeprefix("W/") != found.e_tag.removeprefix("W/")
        return None not in (self.last_modified, found.last_modified) and self.last_modified != found.last_modified
