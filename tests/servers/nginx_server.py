"""Debian's nginx in a process of its own, over a folder of files."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Self

from tests.servers._process import REPOSITORY, RunningServer, ServerProcess, ServerUnavailable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NginxServer"]

_TOOLS = REPOSITORY / ".tools" / "nginx" / "usr" / "sbin"


class NginxServer(RunningServer):
    """A running nginx; a context manager that stops it. `_nginx_process.py` lists what it serves."""

    @classmethod
    def start(cls, files: Path) -> Self:
        """Start a server on a free loopback port.

        Raises
        ------
        ServerUnavailable
            If nginx is not on this machine.
        """
        process = ServerProcess("tests.servers._nginx_process", find_nginx(), str(files))
        return cls(process.url, process)


def find_nginx() -> str:
    """Path of nginx, from PATH or the repository's tools."""
    if found := shutil.which("nginx") or shutil.which("nginx", path=_TOOLS):
        return found
    msg = f"nginx is neither on PATH nor in {_TOOLS}: apt-get install nginx, or make test"
    raise ServerUnavailable(msg)
