"""Run redis-server until stdin closes: by itself it would outlive whoever started it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading

from tests.servers._lifeline import announce, end, free_port, wait_for_parent

_READY = "Ready to accept connections"
# It can't be asked for any free port, and somebody else may take the one that was free.
_TRIES = 5


def main(executable: str, port: int, *options: str) -> None:
    """Serve on a loopback port; 0 for any that is free."""
    libraries = os.environ["REDIS_LIBRARIES"]
    environment = {**os.environ, **({"LD_LIBRARY_PATH": libraries} if libraries else {})}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(_TRIES):
            chosen = port or free_port()
            command = [executable, "--port", str(chosen), "--bind", "127.0.0.1", "--save", "", *options]
            with subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
            ) as process:
                try:
                    if _ready(process):
                        announce(chosen)
                        wait_for_parent()
                        return
                finally:
                    end(process)
    message = "redis-server ended before it listened"
    raise SystemExit(message)


def _ready(process: subprocess.Popen[str]) -> bool:
    stdout = process.stdout
    assert stdout is not None
    log = []
    for line in stdout:
        if _READY in line:
            # A full pipe would stop the server one day.
            threading.Thread(target=stdout.read, daemon=True).start()
            return True
        log.append(line)
    sys.stderr.writelines(log)
    return False


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
