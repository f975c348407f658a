"""Output on terminals and in pipes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, ClassVar

from rich.console import Console
from rich.highlighter import RegexHighlighter

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["StatusLine", "print_json", "print_text"]


class _Numbers(RegexHighlighter):
    """Highlights numbers that are words of their own: rich's own highlighter takes the middle of 1500x1400 for one."""

    base_style = "repr."
    highlights: ClassVar[Sequence[str]] = [r"(?<![^\s(])(?P<number>\d[\d,.]*)(?=[\s,;)%]|$)"]


def print_text(text: str) -> None:
    """Print a text as it is, in a terminal with its numbers highlighted."""
    Console(soft_wrap=True, highlighter=_Numbers()).print(text, markup=False, emoji=False)


def print_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON has
    """Print a value as JSON, and nothing else."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


class StatusLine:
    """One line on stderr that says what is being done; elsewhere than in a terminal, only the first one."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._is_first = True

    def show(self, text: str) -> None:
        """Replace the line."""
        if self._is_terminal:
            self._write(f"\r\x1b[K{text}")
        elif self._is_first:
            self._write(f"{text}\n")
        self._is_first = False

    def clear(self) -> None:
        """Remove the line."""
        if self._is_terminal:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
