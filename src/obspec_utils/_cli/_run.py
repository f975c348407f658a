"""Run a command so that errors are one line, and Ctrl-C returns at once."""

from __future__ import annotations

import os
import sys
import traceback
from concurrent.futures import Future
from contextlib import suppress
from io import TextIOWrapper
from threading import Thread
from typing import TYPE_CHECKING, Any

from typer.main import get_command

from obspec_utils._cli._app import app
from obspec_utils._cli._errors import FAILURE, INTERRUPTED, message_of
from obspec_utils._redact import redacted

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run"]

_PROGRAM = "obspec-utils"
_STEP = 0.2  # seconds


def run(arguments: Sequence[str]) -> int:
    """Run a command; return its exit code.

    It runs in a thread, because Ctrl-C does not end a call into obstore, which may wait for a server for minutes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of objects and variables have any characters
    outcome: Future[int] = Future()
    thread = Thread(target=_complete, args=(outcome, arguments), daemon=True)
    try:
        thread.start()
        while thread.is_alive():  # in steps: a signal right before a wait, or any on Windows, does not end it
            thread.join(_STEP)
        return outcome.result()
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)  # without waiting for the thread


def _complete(outcome: Future[int], arguments: Sequence[str]) -> None:
    try:
        outcome.set_result(_run(arguments))
    except BaseException as error:  # noqa: BLE001 - raised in the main thread
        outcome.set_exception(error)


def _run(arguments: Sequence[str]) -> int:
    command: Any = get_command(app)
    try:
        code = command.main(list(arguments), prog_name=_PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # by `| head`
        return 1
    except BaseException as error:
        message = message_of(error)
        if message is None:
            raise
        if os.environ.get("OBSPEC_UTILS_DEBUG"):
            lines = "".join(traceback.format_exception(error)).splitlines()
            sys.stderr.write("".join(f"{redacted(line)}\n" for line in lines))
        with suppress(BrokenPipeError):
            sys.stdout.flush()
        sys.stderr.write(f"{_PROGRAM}: {message}\n")
        return FAILURE
    return code if isinstance(code, int) else 0
