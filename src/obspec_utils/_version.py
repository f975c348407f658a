"""Compare versions of an object by size, ETag and date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from obspec_utils.exceptions import ObjectChangedError

if TYPE_CHECKING:
    from obspec import ObjectMeta

__all__ = ["CHECK_VERSION", "CheckVersion", "Version"]

CheckVersion: TypeAlias = Literal["auto", "etag", "date", "size"]
CHECK_VERSION: tuple[CheckVersion, ...] = ("auto", "etag", "date", "size")

# The date that an HTTPStore returns if the server sent none.
_NO_DATE = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Version:
    """The size, ETag and date of an object, as far as its store reports them and they are compared.

    Attributes
    ----------
    requested
        The version id that requests name; None to request the current version.
    """

    size: int
    e_tag: str | None = None
    last_modified: datetime | None = None
    requested: str | None = None

    @classmethod
    def of(cls, meta: ObjectMeta, check_version: CheckVersion = "auto", requested: str | None = None) -> Version:
        """Return the version in an object's metadata, without the ETag or the date if `check_version` excludes it."""
        e_tag = meta.get("e_tag") if check_version in {"auto", "etag"} else None
        last_modified = meta.get("last_modified") if check_version in {"auto", "date"} else None
        return cls(meta["size"], e_tag, last_modified, requested)

    @property
    def options(self) -> dict[str, object]:
        """The options of a get of this version."""
        return {} if self.requested is None else {"version": self.requested}

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
        return self.comparable(found) and self._difference(found) is None

    def check(self, path: str, found: Version, option_of: str = "") -> None:
        """Raise `ObjectChangedError` if `found` is another version of the object at `path`.

        Parameters
        ----------
        option_of
            What has the option that the error names, if that is not what the caller opened.
        """
        difference = self._difference(found)
        if difference is None:
            return
        name, expected, got = difference
        msg = (
            f"{path!r} changed while it was being read: expected {name} {expected}, found {got}. "
            "No bytes were returned, so no result mixes two versions. Open the object again to read the new one."
        )
        if name != "size":
            same_date = self.last_modified == found.last_modified not in {None, _NO_DATE}
            other = "date" if name == "ETag" and same_date else "size"
            option = f"check_version={other!r}" + (f" to {option_of}" if option_of else "")
            msg += f" If the server sends different values for the same bytes, pass {option}."
        raise ObjectChangedError(msg)

    def _difference(self, found: Version) -> tuple[str, object, object] | None:
        """Return what differs, and both values; None if nothing does."""
        if self.size != found.size:
            return "size", self.size, found.size
        if self.e_tag is not None and found.e_tag is not None:
            same = self.e_tag.removeprefix("W/") == found.e_tag.removeprefix("W/")
            return None if same else ("ETag", self.e_tag, found.e_tag)
        if self.e_tag is not None and not self.comparable(found):
            return "ETag", self.e_tag, found.e_tag
        dates = (self.last_modified, found.last_modified)
        return None if None in dates or dates[0] == dates[1] else ("Last-Modified", *dates)
