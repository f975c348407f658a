"""Hundreds of KeyboardInterrupts at random moments, and Ctrl-C while a server is silent."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.integration.programs.random_interrupts import STACKS
from tests.integration.programs.running import REPOSITORY, run

STORES = ["memory", "local", "python"]
SHORT = [("plain", "local"), ("coalescing", "memory"), ("blocks", "memory"), ("disk", "local"), ("all", "python")]


@pytest.mark.parametrize(("stack", "store"), SHORT)
def test_reads_go_on_after_interrupts_at_random_moments(stack: str, store: str) -> None:
    assert run("random_interrupts", stack, store, "2").result()["interrupts"] > 50


@pytest.mark.slow
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("stack", STACKS)
def test_reads_go_on_after_many_interrupts_at_random_moments(stack: str, store: str) -> None:
    assert run("random_interrupts", stack, store, "8").result()["interrupts"] > 200


SILENT = """
import sys
from obstore.store import S3Store
from obspec_utils.readers import ParallelStoreReader
from obspec_utils.wrappers import CachingReadableStore
client = {"allow_http": True}
store = S3Store("silent", endpoint=sys.argv[1], region="us-east-1", skip_signature=True, client_options=client)
print("reading", flush=True)
if sys.argv[2] == "reader":
    ParallelStoreReader(store, "object").read(10)
else:
    CachingReadableStore(store).get_range("object", start=0, end=10)
"""


@pytest.mark.parametrize("how", ["reader", "cache"])
def test_a_program_that_waits_for_a_silent_server_ends_at_ctrl_c(object_server, how: str) -> None:
    object_server.put_random("silent/object", 1000, 1)
    object_server.clear()
    object_server.add_fault("stall", seconds=60)
    program = subprocess.Popen(
        [sys.executable, "-c", SILENT, object_server.url, how],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == "reading\n"
        while not object_server.most_in_flight():
            pass
        program.send_signal(signal.SIGINT)
        errors = program.communicate(timeout=30)[1]  # long before the server answers
    finally:
        program.kill()
        object_server.clear()
    assert program.returncode == -signal.SIGINT
    assert errors.endswith("KeyboardInterrupt\n")
