"""New headers or a new URL where a server refuses the current ones."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextvars import ContextVar
from inspect import iscoroutine, iscoroutinefunction
from typing import TYPE_CHECKING, TypeAlias, cast

from obspec_utils._io.gc_pause import held, paused, reset_after_fork
from obspec_utils.stores._aiohttp_site import Site

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CurrentSite", "Refresh"]

Refresh: TypeAlias = "Callable[[], Mapping[str, str] | str]"

# Whether `refresh` is running: a request that it sends through the same store does not call it again.
_refreshing: ContextVar[bool] = ContextVar("refreshing", default=False)


class CurrentSite:
    """The URL and the headers that requests use now.

    Parameters
    ----------
    site
        Those to begin with.
    refresh
        Returns new headers, or a new URL; None if there is no way to renew them.

    Attributes
    ----------
    site
        The current ones.
    attempts
        The number of calls of `refresh` that have ended.
    """

    def __init__(self, site: Site, refresh: object) -> None:
        if refresh is not None and (not callable(refresh) or _is_async(refresh)):
            msg = f"refresh must be a function without arguments, which is not async, got a {type(refresh).__name__}"
            raise TypeError(msg)
        self.site = site
        self.refresh = cast("Refresh | None", refresh)
        self.attempts = 0
        self._error: Exception | None = None
        self._reset_after_fork()
        reset_after_fork(self)

    def _reset_after_fork(self) -> None:
        self._lock = threading.Lock()

    @property
    def is_renewable(self) -> bool:
        """Whether `renew` can be called."""
        return self.refresh is not None and not _refreshing.get()

    def renew(self, used: Site, attempts: int) -> None:
        """Replace what a request used, unless that was done, or failed, since it was sent with `attempts` made.

        Raises
        ------
        Exception
            What `refresh` raised, for all that waited for it; ValueError or TypeError if it returned anything unusable.
        """
        paused(self._renew, used, attempts)

    def _renew(self, used: Site, attempts: int) -> None:
        # Held during the refresh, so that others wait for it. On an event loop nothing else runs meanwhile.
        with held(self._lock):
            if self.site is not used:
                return
            if self.attempts == attempts:
                self._error = None
                try:
                    self.site = self._new_site()
                except Exception as error:  # noqa: BLE001 - raised below, for those that wait, too
                    self._error = error
                self.attempts += 1
            if self._error is not None:
                raise self._error

    def _new_site(self) -> Site:
        assert self.refresh is not None  # noqa: S101 - for type checkers
        token = _refreshing.set(True)
        try:
            renewed = self.refresh()
        finally:
            _refreshing.reset(token)
        if isinstance(renewed, str):
            try:
                return Site(renewed, self.site.given_headers)
            except ValueError:
                msg = "refresh must return headers as a dict, or an http(s) URL as a str, got a str that is no such URL"
                raise ValueError(msg) from None  # the text may be a token
        if isinstance(renewed, Mapping):
            return Site(self.site.given, renewed)
        if iscoroutine(renewed):
            renewed.close()  # else Python warns that nobody awaited it
        msg = f"refresh must return headers as a dict, or a URL as a str, got a {type(renewed).__name__}"
        raise TypeError(msg)


def _is_async(function: object) -> bool:
    return iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
