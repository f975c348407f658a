"""Code blocks of the documentation, to be run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def python_blocks(document: str) -> list[str]:
    """Return the Python code blocks of a document, in order."""
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(block: str, document: str, names: dict) -> None:
    """Run a code block with, and into, the given names."""
    exec(compile(block, document, "exec"), names)
