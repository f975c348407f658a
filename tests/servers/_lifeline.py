"""The child's side of a server process: tell the port, and end with the parent."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any

_STOP_SECONDS = 3.0


def announce(port: int) -> None:
    """Tell the parent that the server listens."""
    sys.stdout.write(json.dumps({"port": port}) + "\n")
    sys.stdout.flush()


def wait_for_parent() -> None:
    """Return when stdin closes, which happens however the parent ends."""
    # Not sys.stdin: a thread left in its lock would make the interpreter abort on exit.
    while os.read(0, 4096):
        pass


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def end(process: subprocess.Popen[Any]) -> None:
    """Terminate a process, or kill it if that takes long."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
