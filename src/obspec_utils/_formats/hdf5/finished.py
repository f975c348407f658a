"""The structures that have been parsed, in little memory."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import chain

__all__ = ["Finished"]

# So many are collected before they are sorted.
_FRESH = 1 << 12


class Finished:
    """A set of integers below 2**64. Each takes 8 bytes, but for those added last, in place of 70 in a `set`."""

    def __init__(self) -> None:
        self._fresh: set[int] = set()
        # Sorted runs, each at most half as long as the one before it.
        self._runs: list[array[int]] = []

    def __contains__(self, number: int) -> bool:
        if number in self._fresh:
            return True
        for run in self._runs:
            position = bisect_left(run, number)
            if position < len(run) and run[position] == number:
                return True
        return False

    def add(self, number: int) -> None:
        """Add an integer."""
        self._fresh.add(number)
        if len(self._fresh) >= _FRESH:
            run = array("Q", sorted(self._fresh))
            self._fresh.clear()
            while self._runs and 2 * len(run) > len(self._runs[-1]):
                run = array("Q", sorted(chain(self._runs.pop(), run)))
            self._runs.append(run)
