"""A process in an implementation's environment: takes one JSON job a line, answers each with a line of JSON.

Needs nothing but the standard library and what the implementation itself brings.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import warnings
from typing import Any, TextIO

from benchmarks.tasks import Clock, NotThereError, Source, Task

__all__ = ["carry_out"]


def carry_out(job: dict[str, Any]) -> dict[str, Any]:
    """Return what a job cost and a checksum of what it read, or why it could not be done."""
    try:
        adapter = importlib.import_module(f"benchmarks.adapters.{job['adapter']}")
        task: Task = importlib.import_module(f"benchmarks.tasks.{job['task']}").run
        source = Source(adapter, job["url"], job["bucket"], job["path"], job["way"], job["options"])
        clock = Clock()
        checksum, figures = task(source, clock, **job["parameters"])
        source.close()
    except NotThereError as missing:
        return {"missing": str(missing)}
    except Exception as error:  # noqa: BLE001 - whatever an implementation raises belongs in its row
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    return {"checksum": checksum, "figures": figures, **clock.result()}


def _main(answers: TextIO) -> None:
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        answers.write(json.dumps(carry_out(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    # What a library prints must not be taken for an answer.
    _own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _main(_own)
