"""Run Azurite until stdin closes: by itself it would outlive whoever started it."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import threading

from tests.servers._lifeline import announce, end, wait_for_parent

_LISTENING = re.compile(r"successfully listens on http://[\d.]+:(\d+)")
_OPTIONS = (
    "--blobHost=127.0.0.1",
    "--blobPort=0",
    "--silent",
    "--loose",
    "--skipApiVersionCheck",
    "--inMemoryPersistence",
    "--disableTelemetry",
)


def main(executable: str) -> None:
    """Serve on a free loopback port."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [executable, *_OPTIONS],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        try:
            _announce_port(process)
            wait_for_parent()
        finally:
            end(process)


def _announce_port(process: subprocess.Popen[str]) -> None:
    stdout = process.stdout
    assert stdout is not None
    for line in stdout:
        if found := _LISTENING.search(line):
            announce(int(found.group(1)))
            # A full pipe would stop the server one day.
            threading.Thread(target=stdout.read, daemon=True).start()
            return
    message = f"azurite-blob ended with {process.wait()} before it listened"
    raise SystemExit(message)


if __name__ == "__main__":
    main(sys.argv[1])
