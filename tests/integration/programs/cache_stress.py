"""Threads and tasks that read objects through one cache, while they are replaced; every answer is looked at."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from obstore.store import S3Store

from obspec_utils.caches import DiskCache, MemoryCache
from obspec_utils.wrappers import CachingReadableStore
from obspec_utils.wrappers.caching import _origin
from tests.integration.programs.replaced_objects import BUCKET, LEAST, OBJECTS, Ledger, content_of, version_of

# Half of the objects are small to "auto", half are large.
_origin.AUTO_BLOCK_SIZE, _origin.AUTO_WHOLE_SIZE = 4 * 1024, 24 * 1024
SHORTEST = 16


class Piece(NamedTuple):
    """What was asked for, and what came: `stop` is None for all that follows."""

    start: int
    stop: int | None
    found: bytes


class Stress:
    """One process's share of the work.

    Parameters
    ----------
    config
        url, ledger, directory (of a disk cache, or None), disk_budget, budget, block_size, max_age, threads, tasks,
        reads (how many each task makes), member and members (which objects it writes), writes, seed.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.bare = S3Store(
            BUCKET,
            endpoint=config["url"],
            region="us-east-1",
            skip_signature=True,
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )
        caches: list[Any] = [MemoryCache(config["budget"])]
        if config["directory"]:
            caches.append(DiskCache(config["directory"], config["disk_budget"]))
        self.cached = CachingReadableStore(
            self.bare, cache=caches, block_size=config["block_size"], max_age=config["max_age"]
        )
        self.ledger = Ledger(Path(config["ledger"]))
        self.problems: list[str] = []
        self.answers = 0
        self.most = 0
        self.finished = threading.Event()
        self.start = threading.Barrier(config["threads"])

    # Reading.

    def least(self, path: int) -> int:
        """Return the oldest version that a read which starts now may answer."""
        mine = path % self.config["members"] == self.config["member"]
        through = self.config["writes"] and mine and self.through(path)
        return self.ledger[path].done if self.config["max_age"] == 0 or through else 0

    def check(self, path: int, least: int, pieces: list[Piece], meta: dict[str, Any] | None) -> None:
        version = version_of(pieces[0].found, pieces[0].start) if pieces else 0
        wrong = [
            f"{start}:{stop} of version {version_of(found, start)}, not {version}"
            for start, stop, found in pieces
            if found != content_of(path, version)[start:stop]
        ]
        if pieces and not least <= version <= self.ledger[path].begun:
            wrong.append(f"version {version} is not in {least}:{self.ledger[path]}")
        if pieces and meta is not None and meta["size"] != len(content_of(path, version)):
            wrong.append(f"size {meta['size']} of version {version}")
        self.answers += 1
        if wrong:
            self.problems.append(f"{path}: {wrong}")

    def spans(self, rng: random.Random, count: int) -> list[tuple[int, int]]:
        starts = [rng.randrange(LEAST - SHORTEST) for _ in range(count)]
        return [(start, rng.randrange(start + SHORTEST, LEAST + 1)) for start in starts]

    def options(self, rng: random.Random) -> tuple[dict[str, Any] | None, bool]:
        """Return options of a get, and whether they are a suffix."""
        kinds: list[Any] = [None, self.spans(rng, 1)[0], {"offset": rng.randrange(LEAST - SHORTEST)}]
        if self.config["writes"]:  # else what is asked for is counted: of a suffix, the beginning may be in vain
            kinds.append({"suffix": rng.randrange(SHORTEST, LEAST)})
        kind = rng.choice(kinds)
        return None if kind is None else {"range": kind}, isinstance(kind, dict) and "suffix" in kind

    def read(self, rng: random.Random, path: int) -> None:
        least, name, method = self.least(path), f"object-{path}", rng.randrange(4)
        if method == 0:
            result = self.cached.get(name, options=self.options(rng)[0])
            self.check(path, least, [Piece(*result.range, bytes(result.buffer()))], result.meta)
        elif method == 1:
            ((start, stop),) = self.spans(rng, 1)
            found = self.cached.get_range(name, start=start, end=stop)
            self.check(path, least, [Piece(start, stop, bytes(found))], None)
        elif method == 2:
            starts, ends = zip(*self.spans(rng, 3), strict=True)
            buffers = self.cached.get_ranges(name, starts=starts, ends=ends)
            self.check(path, least, list(map(Piece, starts, ends, map(bytes, buffers))), None)
        else:
            self.check(path, least, [], self.cached.head(name))

    async def read_async(self, rng: random.Random, path: int) -> None:
        least, name, method = self.least(path), f"object-{path}", rng.randrange(4)
        if method == 0:
            result = await self.cached.get_async(name, options=self.options(rng)[0])
            self.check(path, least, [Piece(*result.range, bytes(await result.buffer_async()))], result.meta)
        elif method == 1:
            ((start, stop),) = self.spans(rng, 1)
            found = await self.cached.get_range_async(name, start=start, end=stop)
            self.check(path, least, [Piece(start, stop, bytes(found))], None)
        elif method == 2:
            starts, ends = zip(*self.spans(rng, 3), strict=True)
            buffers = await self.cached.get_ranges_async(name, starts=starts, ends=ends)
            self.check(path, least, list(map(Piece, starts, ends, map(bytes, buffers))), None)
        else:
            self.check(path, least, [], await self.cached.head_async(name))

    async def task(self, number: int) -> None:
        rng = random.Random(f"{self.config['seed']} {number}")
        for path in rng.choices(range(OBJECTS), k=self.config["reads"]):
            if self.config["threads_too"] and rng.randrange(4) == 0:
                self.read(rng, path)
            else:
                await self.read_async(rng, path)

    async def tasks(self, thread: int) -> None:
        tasks = self.config["tasks"]
        await asyncio.gather(*(self.task(thread * tasks + number) for number in range(tasks)))

    def thread(self, number: int) -> None:
        self.start.wait(30)
        if self.config["tasks"]:
            asyncio.run(self.tasks(number))
            return
        rng = random.Random(f"{self.config['seed']} {number}")
        for path in rng.choices(range(OBJECTS), k=self.config["reads"]):
            self.read(rng, path)

    # Meanwhile.

    def through(self, path: int) -> bool:
        """Tell whether an object is replaced through the cache, or behind its back."""
        return path // self.config["members"] % 2 == 0

    def write(self) -> None:
        rng = random.Random(self.config["seed"])
        mine = range(self.config["member"], OBJECTS, self.config["members"])
        while not self.finished.is_set():
            path = rng.choice(mine)
            store = self.cached if self.through(path) else self.bare
            version = self.ledger.begin(path)
            store.put(f"object-{path}", content_of(path, version), use_multipart=False)
            self.ledger.end(path, version)

    def watch(self) -> None:
        while not self.finished.is_set():
            self.most = max(self.most, self.cached.cache_size)
            self.finished.wait(0.0005)

    def guarded(self, function: Any, *arguments: Any) -> None:
        try:
            function(*arguments)
        except BaseException:  # noqa: BLE001 - there must be none at all
            self.problems.append(traceback.format_exc())

    def run(self) -> dict[str, Any]:
        others = [threading.Thread(target=self.guarded, args=(self.watch,))]
        if self.config["writes"]:
            others.append(threading.Thread(target=self.guarded, args=(self.write,)))
        for other in others:
            other.start()
        print("here", flush=True)  # noqa: T201 - who started this process waits for it
        with ThreadPoolExecutor(self.config["threads"]) as pool:
            for number in range(self.config["threads"]):
                pool.submit(self.guarded, self.thread, number)
        self.finished.set()
        for other in others:
            other.join()
        if not self.config["writes"]:
            for path in range(OBJECTS):
                content = bytes(self.cached.get(f"object-{path}").buffer())
                self.check(path, 0, [Piece(0, None, content)], None)
        versions = sum(self.ledger[path].done for path in range(OBJECTS))
        return {
            "answers": self.answers,
            "problems": self.problems[:5],
            "most": self.most,
            "versions": versions,
            "hits": self.cached.cache_info().hits,
        }


if __name__ == "__main__":
    sys.setswitchinterval(1e-5)  # threads take turns within the steps that they have to take together
    print(json.dumps(Stress(json.loads(sys.argv[1])).run()))  # noqa: T201 - read by who started this process
