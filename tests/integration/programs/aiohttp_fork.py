"""Read through an AiohttpStore, fork, and read in both processes: `aiohttp_fork URL`.

Prints, as JSON, whether the child ended well. Neither process may read what the other one requested.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from contextlib import suppress

from obspec_utils.readers import ParallelStoreReader
from obspec_utils.stores import AiohttpStore, _aiohttp_pairs
from tests.servers import random_bytes

SIZE = 4 << 20
ROUNDS = 5


def check(store: AiohttpStore, content: bytes) -> None:
    assert ParallelStoreReader(store, "object", chunk_size=100_000).read() == content
    assert store.get_range("object", start=7, length=99) == content[7:106]


def main(url: str) -> None:
    warnings.simplefilter("error", ResourceWarning)
    content = random_bytes(SIZE, seed=1)
    store = AiohttpStore(f"{url}/bucket")
    check(store, content)
    for other in [store.get("object") for _ in range(4)]:
        assert other.buffer() == content
    result = store.get("object")  # its body is on its way
    assert len(_aiohttp_pairs.PAIRS._idle) >= 3  # whose connections the child must not use
    chunks = result.stream(min_chunk_size=SIZE // 4)
    first = next(chunks)
    forked = os.fork()
    for _ in range(ROUNDS):
        check(store, content)
    if not forked:
        assert store.get("object").buffer() == content
        with suppress(RuntimeError):
            next(chunks)
            raise AssertionError
        os._exit(0)
    assert first + b"".join(chunks) == content
    _, status = os.waitpid(forked, 0)
    check(store, content)
    sys.stdout.write(json.dumps({"child": status}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
