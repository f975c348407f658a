"""A process in an implementation's environment: run one JSON job a line, and print its result as a line of JSON.

Only the standard library and the implementation itself are needed.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import warnings
from typing import Any, TextIO

from benchmarks.tasks import TASKS, Clock, Source

__all__ = ["run"]


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Return a job's costs and a checksum of the bytes it read, or its error."""
    try:
        adapter = importlib.import_module(f"benchmarks.adapters.{job['adapter']}")
        source = Source(adapter, job["url"], job["bucket"], job["path"], job["method"], job["options"])
        clock = Clock()
        checksum, figures = TASKS[job["task"]](source, clock, **job["parameters"])
        source.close()
    except Exception as error:  # noqa: BLE001 - any error of an implementation belongs in its row
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    return {"checksum": checksum, "figures": figures, **clock.result()}


def _main(results: TextIO) -> None:
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        results.write(json.dumps(run(json.loads(line))) + "\n")
        results.flush()


if __name__ == "__main__":
    # Output that a library prints must not be taken for a result.
    _own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _main(_own)
