"""What a store knows about its server: what tells versions apart, and what responses have shown. No I/O."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from logging import WARNING
from typing import TYPE_CHECKING

from obspec_utils._io.gc_pause import call_after_pause
from obspec_utils._io.logs import log
from obspec_utils._version import Version

if TYPE_CHECKING:
    from obspec import ObjectMeta

    from obspec_utils._version import CheckVersion
    from obspec_utils.stores._aiohttp_site import Site

__all__ = ["Server"]

# What error and login pages are.
_DOCUMENTS = frozenset({"text/html", "application/xhtml+xml", "application/xml", "text/xml"})
# How many paths a store remembers to have had another type.
_MAX_PATHS = 10_000


class Server:
    """What a store knows about its server.

    Parameters
    ----------
    check_version
        What of an object's metadata tells its versions apart.

    Attributes
    ----------
    serves_ranges
        Whether the last response to a request for a range was that range; None before the first.
    """

    def __init__(self, check_version: CheckVersion) -> None:
        self.check_version: CheckVersion = check_version
        self.serves_ranges: bool | None = None
        self._has_warned = False
        self._data_paths: dict[str, None] = {}

    def version_of(self, meta: ObjectMeta) -> Version:
        """Return the version in an object's metadata."""
        return Version.of(meta, self.check_version)

    def check_version_of(self, path: str, meta: ObjectMeta, first: Version) -> None:
        """Raise ObjectChangedError if metadata is of another version than the first response; a size may be unknown."""
        found = self.version_of(meta)
        if min(found.size, first.size) < 0:
            found = replace(found, size=first.size)
        first.check(path, found, "AiohttpStore")

    def note_range(self, site: Site, *, served: bool) -> None:
        """Note whether a range was served; warn the first time it was not."""
        self.serves_ranges = served
        if served or self._has_warned:
            return
        self._has_warned = True
        msg = (
            f"The server of {site!r} ignores ranges: each read of a part transfers the object from its start. "
            "Read whole objects, or use CachingReadableStore."
        )
        log(WARNING, "%s", msg)
        call_after_pause(partial(warnings.warn, msg, RuntimeWarning, 3))

    def is_replaced_by_page(self, path: str, content_type: str) -> bool:
        """Return whether a response is a page of HTML or XML, for an object that was none before."""
        kind = content_type.partition(";")[0].strip().lower()
        if kind in _DOCUMENTS:
            return path in self._data_paths
        if kind and path not in self._data_paths:
            if len(self._data_paths) >= _MAX_PATHS:
                self._data_paths.clear()
            self._data_paths[path] = None
        return False
