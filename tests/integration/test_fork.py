"""A forked child is told what it can't do, instead of hanging, and can do everything else."""

from __future__ import annotations

import os

import pytest

from tests.integration.programs.fork_cases import BUCKET, CONTENT, PATH
from tests.integration.programs.fork_scenes import LARGE, PATTERN_ONE_PATHS
from tests.integration.programs.running import run
from tests.integration.work import digest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")

# As many as a server lists in its first answer, and one more.
LISTED = 1001


@pytest.fixture
def url(object_server):
    object_server.put(f"{BUCKET}/{PATH}", CONTENT)
    return object_server.url


def was_refused(outcome: str) -> bool:
    """Tell whether the error names the store, the reason and the ways out."""
    told = (
        "Store can't be used",
        "forked",
        "would hang",
        "get_context('spawn')",
        "'forkserver'",
        "before the first read",
    )
    return outcome.startswith("RuntimeError: ") and all(part in outcome for part in told)


@pytest.mark.parametrize("mode", ["fork", "grandchild", "pool"])
def test_native_stores_are_refused_after_io_and_all_else_works(url, tmp_path, mode):
    outcomes = run("fork_after_io", mode, url, str(tmp_path)).result()
    refused = {name: outcome for name, outcome in outcomes.items() if name.startswith("refused")}
    allowed = {name: outcome for name, outcome in outcomes.items() if name.startswith("allowed")}
    assert len(refused) >= 360  # so that no case gets lost
    assert len(allowed) >= 80
    assert {name: outcome for name, outcome in refused.items() if not was_refused(outcome)} == {}
    assert {name: outcome for name, outcome in allowed.items() if not outcome.startswith("returned ")} == {}
    whole = {outcome for name, outcome in allowed.items() if name.split()[-1] in {"get", "get_async", "eager-small"}}
    assert whole == {f"returned {digest(CONTENT)}"}


def test_a_child_forked_right_after_the_first_call_is_told(url):
    # obstore's threads may not even have their names then; several tries, because it is a matter of luck.
    outcomes = [run("fork_scenes", "first-call", url).result() for _ in range(8)]
    assert [outcome for outcome in outcomes if not was_refused(outcome)] == []


def test_a_listing_begun_before_the_fork_is_refused_not_awaited(url, object_server):
    for number in range(LISTED):
        object_server.put(f"{BUCKET}/more/{number}.bin", b"")
    assert was_refused(run("fork_scenes", "listing", url).result())


def test_a_response_begun_before_the_fork_is_refused_not_awaited(url, object_server):
    object_server.put_random(f"{BUCKET}/{LARGE}", 30_000_000)
    outcomes = run("fork_scenes", "response", url).result()
    assert [outcome.startswith("returned ") or was_refused(outcome) for outcome in outcomes] == [True] * 9
    assert [was_refused(outcome) for outcome in outcomes if "returned" not in outcome]
    assert sum(map(was_refused, outcomes)) >= 6


def test_a_flight_under_way_at_the_fork_is_not_awaited_in_the_child(url):
    seen = run("fork_scenes", "flight", url).result()
    got = f"returned {digest(CONTENT)}"
    assert seen == {"paused_in_parent": True, "collects": True, "got": got, "still_collects": True}


def test_coalesced_requests_in_flight_at_the_fork_are_not_awaited_in_the_child(url):
    assert run("fork_scenes", "turn", url).result() == f"returned {digest(CONTENT[:100])}"


@pytest.mark.parametrize("scene", ["pattern-one", "pattern-one-fork"])
def test_pattern_one_works_when_forked_before_any_read(url, object_server, scene):
    for path in PATTERN_ONE_PATHS:
        object_server.put(f"{BUCKET}/{path}", CONTENT + path.encode())
    object_server.clear()
    results = run("fork_scenes", scene, url).result()
    assert [result["cached_paths"] for result in results] == [PATTERN_ONE_PATHS[:2], PATTERN_ONE_PATHS[2:]]
    digests = {path: found for result in results for path, found in result["digests"].items()}
    assert digests == {path: digest(CONTENT + path.encode()) for path in PATTERN_ONE_PATHS}
    assert len(object_server.log()) == len(PATTERN_ONE_PATHS)
