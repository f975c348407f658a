"""Print version and path of the newest Python here that is not of this one's version: `3.13 /usr/bin/python3.13`.

Looks on PATH, among pyenv's versions, and where uv looks. Prereleases and free-threaded builds do not count.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST = (3, 11)
DESCRIBE = """
import json, platform, sys
print(json.dumps([platform.python_implementation(), sys.abiflags, sys.version_info, sys.executable]))
"""


def _output(*command: str) -> str:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):  # such as pyenv's shims of versions that are not active
        return "[]"
    return ran.stdout or "[]"


def _candidates(uv: str) -> Iterator[str]:
    for minor in range(OLDEST[1], 40):
        yield shutil.which(f"python3.{minor}") or ""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from map(str, pyenv.glob("versions/3.*/bin/python3"))
    for found in json.loads(_output(uv, "python", "list", "--only-installed", "--output-format", "json")):
        yield found["path"]


def _pythons(uv: str) -> Iterator[tuple[tuple[int, ...], str]]:
    for path in filter(None, _candidates(uv)):
        implementation, flags, version, executable = json.loads(_output(path, "-c", DESCRIBE)) or [""] * 4
        if implementation == "CPython" and not flags and version[3] == "final":
            yield tuple(version[:3]), executable


def main(uv: str) -> None:
    """Print the newest, or nothing."""
    here = sys.version_info[:2]
    pythons = [found for found in _pythons(uv) if OLDEST <= found[0][:2] != here]
    if pythons:
        (major, minor, _), executable = max(pythons)
        print(f"{major}.{minor} {executable}")


if __name__ == "__main__":
    main(sys.argv[1])
