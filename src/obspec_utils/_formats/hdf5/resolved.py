"""Values that other structures need, and what waits for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Resolved"]

# Bounds for damaged files.
_MAX_VALUES = 1 << 16
_MAX_BYTES = 16 << 20
_MAX_WAITING = 1 << 16


class Resolved:
    """Values by key. Structures are parsed in the order of their arrival, so that one may need another's too early."""

    def __init__(self) -> None:
        self._values: dict[Hashable, Any] = {}
        self._room = _MAX_BYTES
        self._waiting: dict[Hashable, list[Callable[[Any], None]]] = {}
        self._waiting_count = 0

    def add(self, key: Hashable, value: object) -> None:
        """Keep a value, and pass it to what waits for it."""
        size = len(value) if isinstance(value, bytes) else 0
        if len(self._values) < _MAX_VALUES and size <= self._room:
            self._room -= size
            self._values[key] = value
        self.publish(key, value)

    def publish(self, key: Hashable, value: object) -> None:
        """Pass a value to what waits for it, without keeping it."""
        waiting = self._waiting.pop(key, ())
        self._waiting_count -= len(waiting)
        for use in waiting:
            use(value)

    def use(self, key: Hashable, use: Callable[[Any], None]) -> None:
        """Call `use` with the value of a key, now or as soon as there is one."""
        if key in self._values:
            use(self._values[key])
        elif self._waiting_count < _MAX_WAITING:
            self._waiting_count += 1
            self._waiting.setdefault(key, []).append(use)
