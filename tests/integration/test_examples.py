"""The examples run, and what they print is what the documentation says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from examples import dask_redis
from examples.thousand_workers import Job, setups, tables
from tests.servers import ServerUnavailable
from tests.servers.redis_server import RedisServer

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
def test_dask_and_redis(redis_server):
    pytest.importorskip("distributed")
    command = [sys.executable, "-m", "examples.dask_redis"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    counts = {line[:24].strip(): tuple(map(int, line[24:].split())) for line in lines[4:8]}
    files, megabytes = len(dask_redis.PATHS), len(dask_redis.PATHS) * dask_redis.SIZE // 1_000_000
    assert counts == {
        "no cache": (4 * 2 * files, 4 * 2 * megabytes),
        "a cache in memory each": (4 * files, 4 * megabytes),
        "memory, and one Redis": (files, megabytes),
        "the same, another job": (0, 0),
    }
    assert lines[-1] == "Every worker computed the same each time."


def test_dask_and_redis_without_a_server(monkeypatch):
    pytest.importorskip("distributed")

    def start():
        raise ServerUnavailable("not here")

    monkeypatch.setattr(RedisServer, "start", start)
    with pytest.raises(SystemExit, match=r"redis-server on the PATH.*\n.*not here"):
        dask_redis.main()


def test_the_page_about_a_thousand_workers_shows_the_tables_of_its_script():
    page = (REPOSITORY / "docs/guide/thousand-workers.md").read_text(encoding="utf-8")
    for heading, table in tables(Job()).items():
        assert f"## {heading}\n" in page
        assert f"\n\n{table}\n" in page, heading


def test_blocks_that_nodes_and_workers_ask_for_add_up():
    job = Job()
    assert job.workers == 1_000
    # Together the nodes touch every block, and each of them several nodes.
    assert job.nodes * job.region_of_node > job.blocks_per_file - job.metadata
    # A node's workers overlap, or they would ask for as much as without a disk.
    assert job.region <= job.region_of_node <= job.workers_per_node * job.region
    counted = [setup.origin for setup in setups(job)]
    assert counted == sorted(counted, reverse=True)
