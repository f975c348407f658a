"""The child's side of a server process: tell the port, and end with the parent."""

from __future__ import annotations

import json
import os
import sys


def announce(port: int) -> None:
    """Tell the parent that the server listens."""
    sys.stdout.write(json.dumps({"port": port}) + "\n")
    sys.stdout.flush()


def wait_for_parent() -> None:
    """Return when stdin closes, which happens however the parent ends."""
    # Not sys.stdin: a thread left in its lock would make the interpreter abort on exit.
    while os.read(0, 4096):
        pass
