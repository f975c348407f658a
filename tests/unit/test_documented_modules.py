"""The modules and folders that CONTRIBUTING and the design records name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "src" / "obspec_utils"
DOCUMENTS = [REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs" / "design").glob("*.md"))]
FILES = [f"/{path.relative_to(SOURCE).as_posix()}{'/' if path.is_dir() else ''}" for path in SOURCE.rglob("*")]


def missing(text: str) -> list[str]:
    named = re.findall(r"`([\w./]+(?:\.py|/))`", text)
    return [
        name
        for name in named
        if not any(file.endswith(f"/{name}") for file in FILES) and not (REPOSITORY / name).exists()
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_named_modules_exist(document):
    assert missing(document.read_text("utf-8")) == []


def test_a_module_that_is_not_there_is_found():
    assert missing("`_io/fetch.py` and `_io/crew.py` in `readers/`") == ["_io/crew.py"]
