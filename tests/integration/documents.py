"""Code blocks of the documentation, to be run as they stand there."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def python_blocks(document: str) -> list[str]:
    """Return the Python code blocks of a document, in order."""
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def pages() -> list[str]:
    """Return the pages with code that users read: the guide and all others but the design records."""
    found = [path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "docs").rglob("*.md")]
    return sorted(page for page in found if not page.startswith("docs/design/") and python_blocks(page))


def docstring_blocks() -> dict[str, list[str]]:
    """Return the code blocks of docstrings, by module."""
    blocks = {}
    for path in sorted((REPOSITORY / "src").rglob("*.py")):
        found = re.findall(r"^( +)```python\n(.*?)^\1```$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        if found:
            blocks[path.relative_to(REPOSITORY / "src").as_posix()] = [textwrap.dedent(code) for _, code in found]
    return blocks


def run(block: str, document: str, names: dict) -> None:
    """Run a code block with, and into, the given names."""
    exec(compile(block, document, "exec"), names)
