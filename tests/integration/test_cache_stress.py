"""Many threads, tasks and processes that read through one cache what is replaced meanwhile; some of them are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, suppress
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils.caches import DiskCache
from tests.integration.programs.replaced_objects import BUCKET, MOST, OBJECTS, content_of, size_of
from tests.integration.programs.running import REPOSITORY
from tests.servers.fixtures import wait_until
from tests.unit._disk import FOLDER, age, counted, occupied, on_disk, temporaries

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import LoggedRequest, ObjectServer

MIB = 1 << 20
TOTAL = sum(size_of(path, 0) for path in range(OBJECTS))
BUDGET = TOTAL // 10
BLOCK_SIZES = [None, 2048, "auto"]
# A value may be on disk before others are evicted for it.
LARGEST = on_disk(MOST + 52)

Process = subprocess.Popen[str]


class Work:
    """Processes that read the same objects, and what is seen of them from outside."""

    def __init__(self, server: ObjectServer, folder: Path, stack: ExitStack) -> None:
        self.server = server
        self.folder = folder
        self.stack = stack
        self.disk = folder / "disk"
        self.most = 0
        for path in range(OBJECTS):
            server.put(f"{BUCKET}/object-{path}", content_of(path, 0))
        server.clear()

    def start(self, *, shared: bool = False, **options: Any) -> Process:
        """Start a process, and return when it is about to read."""
        config = {
            "url": self.server.url,
            "ledger": str(self.folder / "ledger"),
            "directory": str(self.disk) if shared else None,
            "disk_budget": MIB,
            "budget": BUDGET,
            "block_size": None,
            "max_age": None,
            "threads": 8,
            "tasks": 8,
            "threads_too": True,
            "member": 0,
            "members": 1,
            "writes": True,
            "seed": 1,
            **options,
        }
        program = "tests.integration.programs.cache_stress"
        command = [sys.executable, "-X", "faulthandler", "-m", program, json.dumps(config)]
        process = self.stack.enter_context(
            subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, start_new_session=True)
        )
        self.stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        return process

    def look(self, processes: list[Process]) -> None:
        """Look at the disk while all processes stand still, wherever they are."""
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        for process in processes:
            if process.returncode is None:
                os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        self.most = max(self.most, occupied(self.disk))
        for process in processes:
            process.send_signal(signal.SIGCONT)

    def finish(self, *processes: Process) -> list[dict[str, Any]]:
        """Look at the disk again and again until the processes have ended; return what they found."""
        for process in processes:
            while process.poll() is None:
                self.look(list(processes))
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.02)
        assert [process.returncode for process in processes] == [0] * len(processes)
        return [json.loads(process.stdout.read()) for process in processes if process.stdout]

    def requests(self) -> int:
        return len(self.server.log())

    def gets(self) -> list[LoggedRequest]:
        return [request for request in self.server.log() if request.method == "GET"]

    def most_often(self) -> int:
        """Return how often that byte was asked for that was asked for most often."""
        changes: dict[str, Counter[int]] = {}
        for request in self.gets():
            size = size_of(int(request.path.rpartition("-")[2]), 0)
            change = changes.setdefault(request.path, Counter())
            change[request.start or 0] += 1
            change[size if request.stop is None else request.stop] -= 1
        return max(max(accumulate(change[at] for at in sorted(change))) for change in changes.values())


@pytest.fixture
def work(object_server: ObjectServer, tmp_path: Path) -> Any:
    with ExitStack() as stack:
        yield Work(object_server, tmp_path, stack)


@pytest.mark.parametrize("max_age", [None, 0])
@pytest.mark.parametrize("block_size", BLOCK_SIZES)
@pytest.mark.parametrize(("caches", "reads"), [("memory", 6), ("memory, disk", 3)])
def test_every_answer_is_of_one_version_that_there_was(
    work: Work, caches: str, reads: int, block_size: Any, max_age: Any
) -> None:
    (found,) = work.finish(work.start(shared="disk" in caches, reads=reads, block_size=block_size, max_age=max_age))
    assert found["problems"] == []
    assert found["answers"] == 64 * reads
    assert found["versions"] > 0
    assert BUDGET // 2 < found["most"] <= BUDGET
    assert work.most <= MIB + LARGEST


# Threads share a fetch, and so do the tasks of one loop; nobody waits for tasks of another loop.
@pytest.mark.parametrize("block_size", BLOCK_SIZES)
@pytest.mark.parametrize(
    ("caches", "tasks", "most"),
    [("memory", 0, 1), ("memory", 8, 8), ("memory, disk", 0, 1), ("memory, disk", 8, 8)],
)
def test_each_byte_is_fetched_once_by_all_who_can_wait_for_each_other(
    work: Work, caches: str, tasks: int, most: int, block_size: Any
) -> None:
    quiet = {"writes": False, "threads_too": False, "budget": 4 * MIB, "disk_budget": 8 * MIB}
    reads = 3 if tasks else 40
    options = {"shared": "disk" in caches, "tasks": tasks, "reads": reads, "block_size": block_size}
    (found,) = work.finish(work.start(**options, **quiet))
    assert found["problems"] == []
    assert found["answers"] == 8 * max(tasks, 1) * reads + OBJECTS
    assert 1 <= work.most_often() <= most
    assert sum(request.sent for request in work.gets()) <= most * TOTAL


@pytest.mark.parametrize("block_size", BLOCK_SIZES)
def test_processes_that_are_killed_leave_a_cache_that_is_right(work: Work, block_size: Any) -> None:
    common = {"shared": True, "block_size": block_size, "max_age": 0, "threads": 2, "tasks": 2, "members": 4}
    victims = [work.start(reads=10**6, member=member, seed=member, **common) for member in (0, 1)]
    wait_until(lambda: work.requests() > 50)
    work.server.clear()
    survivors = [work.start(reads=40, member=member, seed=member, **common) for member in (2, 3)]
    while work.requests() < 120:
        work.look([*victims, *survivors])
    for victim in victims:
        assert victim.poll() is None
        os.kill(victim.pid, signal.SIGKILL)
    results = work.finish(*survivors)
    assert [result["problems"] for result in results] == [[], []]
    assert [result["answers"] for result in results] == [160, 160]
    assert MIB // 2 < work.most <= MIB + LARGEST
    (fresh,) = work.finish(work.start(reads=10, writes=False, **common))
    assert (fresh["problems"], fresh["answers"]) == ([], 40 + OBJECTS)
    assert fresh["hits"] > 0
    nothing_is_left_behind(work.disk)


def nothing_is_left_behind(directory: Path) -> None:
    cache = DiskCache(directory, MIB)
    for path in temporaries(directory):
        age(path, 900)
    cache.put("large", bytes(MIB * 3 // 4))
    assert cache.evictions > 0
    assert cache.get("large") is not None
    assert temporaries(directory) == []
    assert (directory / FOLDER / "leases").stat().st_size == 0
    assert occupied(directory) <= MIB
    assert counted(directory) == cache.size
