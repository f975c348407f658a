"""One environment per implementation, made by uv from benchmarks/requirements."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["REPOSITORY", "SCRATCH", "python_of"]

REPOSITORY = Path(__file__).resolve().parents[1]
# Beside the other tools that the Makefile sets up, and ignored by git as they are.
SCRATCH = REPOSITORY / ".tools" / "bench"

_REQUIREMENTS = Path(__file__).with_name("requirements")
_CONSTRAINTS = _REQUIREMENTS / "constraints.txt"


def python_of(environment: str) -> Path:
    """Return the interpreter of an environment, which is made first if it is not there or out of date."""
    folder = SCRATCH / environment
    python = folder / "bin" / "python"
    stamp = folder / "made-from"
    wanted = _fingerprint(environment)
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        _uv("venv", "--quiet", "--python", sys.executable, str(folder))
        requirements = _REQUIREMENTS / f"{environment}.txt"
        _uv("pip", "install", "--quiet", "--python", str(python), "-r", str(requirements), "-c", str(_CONSTRAINTS))
        stamp.write_text(wanted)
    return python


def _fingerprint(environment: str) -> str:
    requirements = (_REQUIREMENTS / f"{environment}.txt").read_bytes()
    sources = [requirements, _CONSTRAINTS.read_bytes(), sys.version.encode()]
    if b"-e ." in requirements:  # what the checkout itself needs
        sources.append((REPOSITORY / "pyproject.toml").read_bytes())
    return hashlib.sha256(b"\0".join(sources)).hexdigest()


def _uv(*arguments: str) -> None:
    # `uv run` tells its children where it is.
    program = os.environ.get("UV") or shutil.which("uv") or str(REPOSITORY / ".tools" / "uv" / "bin" / "uv")
    # Without VIRTUAL_ENV: uv warns of one that is not the environment it was told to fill.
    environment = {name: text for name, text in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run([program, *arguments], check=True, cwd=REPOSITORY, env=environment)
