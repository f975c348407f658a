"""Run the object server until stdin closes; prints `{"port": …}` once it listens."""

from __future__ import annotations

import argparse
import asyncio

from tests.servers._lifeline import announce, wait_for_parent
from tests.servers.object_server._server import Server, listen


async def _main(port: int) -> None:
    with listen(port) as listener:
        accepting = asyncio.create_task(Server().accept(listener))
        announce(listener.getsockname()[1])
        await asyncio.to_thread(wait_for_parent)
        accepting.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free port")
    asyncio.run(_main(parser.parse_args().port))
