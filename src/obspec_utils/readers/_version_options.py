"""Which version of an object a reader reads, and what it compares to notice another one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

from obspec.exceptions import NotSupportedError

from obspec_utils._redact import redacted
from obspec_utils._validation import check_choice, check_text
from obspec_utils._version import CHECK_VERSION, Version

if TYPE_CHECKING:
    from obspec import ObjectMeta

    from obspec_utils._io.response import Response
    from obspec_utils._version import CheckVersion

__all__ = ["VersionOptions"]


@dataclass(frozen=True, slots=True)
class VersionOptions:
    """The arguments `check_version` and `version` of a reader."""

    check_version: CheckVersion
    version: str | None

    def __post_init__(self) -> None:
        check_choice("check_version", self.check_version, CHECK_VERSION)
        if self.version is not None and not check_text("version", self.version, "3sL4kqtJlcpXroDTDmJ"):
            msg = "version must not be empty: pass the id of a version, or None for the current one"
            raise ValueError(msg)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments, for copies of the reader."""
        return asdict(self)

    @property
    def options(self) -> dict[str, object] | None:
        """The options of the first request."""
        return None if self.version is None else {"version": self.version}

    def version_of(self, first: Response) -> Version:
        """Return the version of an object's first response, with which later ones are compared.

        Raises
        ------
        NotSupportedError
            If the store ignored `version`.
        """
        meta = cast("ObjectMeta", first.meta)
        found = meta.get("version")
        if self.version not in {None, found}:
            msg = (
                f"the store returned version {found!r} of {redacted(first.path)!r} in place of {self.version!r}: it "
                "ignores version=. Use one that reads versions, such as obstore's S3Store of a bucket with versioning"
            )
            raise NotSupportedError(msg)
        return Version.of(meta, self.check_version, self.version)
