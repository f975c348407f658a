"""Load of a job of 1,000 workers on the object store, on the disks of its nodes and on a Redis server.

`python -m examples.thousand_workers` prints the tables of docs/guide/thousand-workers.md. Change the numbers in `Job`
to those of your own job and run it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

MIB = 1024 * 1024
GIB, TIB = 1024 * MIB, 1024 * 1024 * MIB
HOUR = 3600
GBIT = 1e9 / 8


@dataclass(frozen=True)
class Job:
    """A thousand regions, and one file per time step: each worker makes the time series of one region."""

    nodes: int = 100
    workers_per_node: int = 10
    files: int = 10_000
    # A file: 200 blocks of 1 MiB, of which two hold the metadata.
    blocks_per_file: int = 200
    # Blocks that a worker reads of every file: the metadata, twice since it opens two variables, and its region.
    metadata: int = 2
    opens: int = 2
    region: int = 10
    # The regions of a node's workers are neighbours: so many blocks hold all ten of them.
    region_of_node: int = 20
    # How many files the fastest worker is ahead of the slowest.
    window: int = 100
    hours: int = 2
    # Of Redis: the memory of a value of 1 MiB, and the Gbit/s of its network.
    redis_bytes_per_block: float = 1.25 * MIB
    nics: tuple[int, ...] = (10, 25)
    memory_per_worker: int = 256 * MIB
    # Requests per second that an object store serves under one prefix.
    gets_per_second: int = 5_500

    @property
    def workers(self) -> int:
        """All workers."""
        return self.nodes * self.workers_per_node

    @property
    def seconds(self) -> int:
        """Time limit of the job."""
        return self.hours * HOUR


class Setup(NamedTuple):
    """Some caches: blocks of one file that are requested from the object store, and from Redis."""

    name: str
    origin: int
    origin_is: str
    redis: int
    redis_is: str


def setups(job: Job) -> list[Setup]:
    """Compute the requested blocks per file."""
    every = job.opens * job.metadata + job.region
    once = job.metadata + job.region
    node = job.metadata + job.region_of_node
    n, w, m = job.nodes, job.workers, job.metadata
    each = f"{w:,} workers x"
    from_nodes = f"{n} nodes x ({m} + {job.region_of_node})"
    all_blocks = f"all {job.blocks_per_file}, once"
    from_workers = f"{each} ({m} + {job.region})"
    return [
        Setup("no cache", w * every, f"{each} ({job.opens} x {m} + {job.region})", 0, "-"),
        Setup("memory", w * once, from_workers, 0, "-"),
        Setup("memory, disk", n * node, from_nodes, 0, "-"),
        Setup("memory, Redis", job.blocks_per_file, all_blocks, w * once, from_workers),
        Setup("memory, disk, Redis", job.blocks_per_file, all_blocks, n * node, from_nodes),
    ]


def table(head: list[str], rows: list[list[str]]) -> str:
    """Format a table as Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def size(number: float) -> str:
    """Format a number of bytes."""
    units = [(TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB")]
    unit, name = next(((unit, name) for unit, name in units if number >= unit), units[-1])
    return f"{number / unit:,.1f} {name}"


def origin_table(job: Job) -> str:
    """Compute requests and bytes at the object store."""
    rows = []
    for setup in setups(job):
        requests = setup.origin * job.files
        per_second = requests / job.seconds
        loads = f"{per_second:,.0f}" + (" (too many)" if per_second > job.gets_per_second else "")
        rows.append([setup.name, setup.origin_is, f"{setup.origin:,}", f"{requests:,}", size(requests * MIB), loads])
    return table(["caches", "blocks per file", "blocks", "requests", "bytes", "requests/s"], rows)


def redis_table(job: Job) -> str:
    """Compute the bytes that one Redis server sends, and how long its network takes."""
    rows = []
    for setup in setups(job):
        if setup.redis:
            sent = setup.redis * job.files * MIB
            took = [f"{sent / (nic * GBIT) / HOUR:,.1f} h" for nic in job.nics]
            rate = sent / job.seconds
            rows.append(
                [setup.name, setup.redis_is, size(sent), f"{size(rate)}/s", f"{size(rate / job.nodes)}/s", *took]
            )
    heads = [f"duration at {nic} Gbit/s" for nic in job.nics]
    return table(["caches", "blocks per file", "sent", "in all", "to a node", *heads], rows)


def nodes_table(job: Job) -> str:
    """Compute how many nodes one Redis server can feed."""
    rows = []
    for setup in setups(job):
        if setup.redis:
            per_node = setup.redis * job.files * MIB / job.nodes
            feeds = [f"{nic * GBIT * job.seconds / per_node:,.0f}" for nic in job.nics]
            rows.append([setup.name, size(per_node), *feeds])
    return table(["caches", "sent to a node", *(f"nodes at {nic} Gbit/s" for nic in job.nics)], rows)


def space_table(job: Job) -> str:
    """Compute the size of the caches."""
    node = job.metadata + job.region_of_node
    rows = []
    for name, files in (("all files", job.files), (f"the {job.window} files in use", job.window)):
        redis = files * job.blocks_per_file * job.redis_bytes_per_block
        rows.append([name, size(files * node * MIB), size(redis)])
    return table(["to hold", "disk of a node", "Redis"], rows)


def disk_table(job: Job) -> str:
    """Compute the load on a node's disk."""
    written = (job.metadata + job.region_of_node) * job.files * MIB
    read = job.workers_per_node * (job.metadata + job.region) * job.files * MIB
    memory = job.workers_per_node * job.memory_per_worker
    rows = [
        ["written", f"{job.metadata} + {job.region_of_node} blocks of each file", size(written)],
        ["", "per second", f"{size(written / job.seconds)}/s"],
        ["read", f"{job.workers_per_node} workers x ({job.metadata} + {job.region}) blocks of each file", size(read)],
        ["", "per second", f"{size(read / job.seconds)}/s"],
        ["memory", f"{job.workers_per_node} workers x {size(job.memory_per_worker)}", size(memory)],
    ]
    return table(["of a node", "", ""], rows)


def tables(job: Job) -> dict[str, str]:
    """Return all tables by their headings."""
    return {
        "Load on the object store": origin_table(job),
        "Load on Redis": redis_table(job),
        "How many nodes one Redis server feeds": nodes_table(job),
        "Space": space_table(job),
        "A node": disk_table(job),
    }


def main() -> None:
    """Print the tables."""
    for heading, text in tables(Job()).items():
        print(f"## {heading}\n\n{text}\n")


if __name__ == "__main__":
    main()
