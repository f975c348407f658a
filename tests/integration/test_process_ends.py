"""Reads work to the very end of a process: in exit handlers, in threads that outlive the main one, and in `__del__`."""

from __future__ import annotations

import json
from signal import SIGABRT

import pytest

from tests.integration.programs.fork_cases import CONTENT
from tests.integration.programs.reads_at_exit import BUCKET, PATH
from tests.integration.programs.running import run
from tests.integration.work import digest

# So that no case gets lost.
MOMENTS = {"del": 52, "del-locks": 53, "del-fetches": 3, "atexit": 68, "atexit-thread": 68, "outliving-thread": 68}


@pytest.mark.parametrize("moment", MOMENTS)
def test_all_bytes_are_read(object_server, tmp_path, moment):
    object_server.put(f"{BUCKET}/{PATH}", CONTENT)
    ended = run("reads_at_exit", moment, object_server.url, str(tmp_path))
    outcomes = dict(map(json.loads, ended.output.splitlines()))
    assert {name: outcome for name, outcome in outcomes.items() if outcome != digest(CONTENT)} == {}
    # Where its async methods were used in exit handlers, a thread of obstore's may abort the process once the
    # interpreter has ended (docs/design/003-forks.md). All was read by then.
    aborted = moment.startswith("atexit") and ended.status == -SIGABRT and "<no Python frame>" in ended.errors
    assert aborted or (ended.status, ended.errors) == (0, "")
    assert len(outcomes) == MOMENTS[moment]
