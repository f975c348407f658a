"""Stores inside pickles of any protocol."""

from __future__ import annotations

import pickle

__all__ = ["pickled"]

# The first protocol that obstore's stores can be pickled with: they are made anew from keyword arguments.
_KEYWORD_ARGUMENTS = 2


class _Portable:
    """A store that is pickled by itself, with a protocol that can."""

    def __init__(self, store: object) -> None:
        self._store = store

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return pickle.loads, (pickle.dumps(self._store, _KEYWORD_ARGUMENTS),)


def pickled(store: object, protocol: int) -> object:
    """Return what stands for a store in a pickle of `protocol`, and is the store again when that is loaded."""
    return store if protocol >= _KEYWORD_ARGUMENTS else _Portable(store)
