"""Read in the parent, fork, and try every case in the child: `fork_after_io MODE URL FOLDER`.

Prints, as one line of JSON, what became of each case: a digest of what it returned, its error, or "hangs".
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
from concurrent.futures import ProcessPoolExecutor

from tests.integration.programs.fork_cases import CALLS, allowed, begun, digest, native_stores, refused

# Only reached by a case that fails: the others take milliseconds.
HANGS_AFTER = 5.0
CASES: dict = {}


def outcome(case) -> str:
    """Run a case in a thread, so that one that hangs can be told and left behind."""
    outcomes = ["hangs"]

    def run() -> None:
        try:
            returned = case()
        except Exception as error:  # noqa: BLE001 - whatever it was, it is what is told
            outcomes[0] = f"{type(error).__name__}: {error}"
        else:
            outcomes[0] = f"returned {digest(returned)}" if not isinstance(returned, (dict, list)) else "returned"

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(HANGS_AFTER)
    return outcomes[0]


def outcomes() -> dict[str, str]:
    return {name: outcome(case) for name, case in CASES.items()}


def show(found) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def tell() -> None:
    show(outcomes())


def in_fork(work) -> None:
    process = os.fork()
    if process == 0:
        work()
        os._exit(0)
    os.waitpid(process, 0)


def in_pool() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as executor:
        show(executor.submit(outcomes).result())


MODES = {
    "fork": lambda: in_fork(tell),
    "grandchild": lambda: in_fork(lambda: in_fork(tell)),
    "pool": in_pool,
}

if __name__ == "__main__":
    mode, url, folder = sys.argv[1:]
    natives = native_stores(url, folder)
    for native in natives.values():
        CALLS["get"](native)
    CASES |= {f"refused: {name}": case for name, case in refused(natives).items()}
    CASES |= {f"allowed: {name}": case for name, case in allowed(natives).items()}
    for kind, native in natives.items():
        CASES |= {f"refused: {name}": case for name, case in begun(kind, native).items()}
    MODES[mode]()
