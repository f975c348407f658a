"""Run a program of this folder in a process of its own, and end it if it hangs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[3]


class Ended(NamedTuple):
    """How a program ended; `status` is None if it had to be killed."""

    status: int | None
    output: str
    errors: str

    def result(self):
        """Return what the last line of output says, as JSON."""
        assert self.status == 0, f"ended with {self.status}\n{self.output}\n{self.errors}"
        return json.loads(self.output.splitlines()[-1])


def run(program: str, *arguments: str, timeout: float = 60.0) -> Ended:
    """Run a program to its end, or for `timeout` seconds."""
    process = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", f"tests.integration.programs.{program}", *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    status = None
    try:
        output, errors = process.communicate(timeout=timeout)
        status = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with its children, which hold the pipes open
        output, errors = process.communicate()
    return Ended(status, output, errors)
