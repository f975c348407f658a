"""Which reader `explain` recommends, and which wastes it names, for rows with given numbers."""

from __future__ import annotations

from typing import Any

import pytest

from obspec_utils import Network
from obspec_utils._explain._advice import recommend, recommended_row, wastes_of
from obspec_utils._explain._rows import ExplanationRow
from obspec_utils._explain._timeline import Timeline, Transfer

MIB = 1 << 20
NETWORK = Network(latency=0.1, bandwidth=10e6)
KINDS = ("duplicate bytes", "unused bytes", "requests in sequence", "idle connections")
SETTINGS = {name: {kind: f"{name} against {kind}" for kind in KINDS} for name in ("simple", "other", "third")}


def row(name: str, seconds: float, received: int = MIB, **options: Any) -> ExplanationRow:
    numbers = {"requests": 4, "round_trips": 2, "unique_bytes": received, "bytes_used": received, **options}
    transfers = numbers.pop("transfers", [Transfer(0, 0.1, 0.1, received)])
    timeline = Timeline(tuple(transfers), seconds)
    return ExplanationRow(
        name, f"{name}(store, path)", bytes_received=received, seconds=seconds, timeline=timeline, **numbers
    )


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ((1.0, 0.95, 2.0), "simple"),  # within 10 %
        ((1.2, 1.0, 2.0), "other"),
        ((1.0, 2.0, 0.5), "third"),
        ((1.09, 1.05, 1.0), "simple"),
        ((0.012, 0.003, 0.5), "simple"),  # within 10 ms
    ],
)
def test_the_simplest_of_those_that_are_about_the_fastest_is_recommended(seconds, chosen):
    rows = [row(name, value) for name, value in zip(("simple", "other", "third"), seconds, strict=True)]
    found = recommended_row(rows)
    assert found is not None
    assert found.reader == chosen
    assert recommend(rows).startswith(f"Use {chosen}(store, path): it takes ")


def test_the_reason_has_the_numbers():
    assert recommend([row("simple", 2.0), row("other", 1.0), row("third", 1.5)]) == (
        "Use other(store, path): it takes 1 s, 4 requests (2 in sequence) and 1 MiB; "
        "the next fastest, third, takes 1.5 s."
    )
    assert recommend([row("simple", 1.05, requests=1, round_trips=1), row("other", 1.0)]) == (
        "Use simple(store, path): it takes 1.05 s, 1 request (1 in sequence) and 1 MiB; other is hardly faster (1 s)."
    )
    assert recommend([row("simple", 1.0)]).endswith("and 1 MiB.")


def test_a_reader_that_moves_much_more_comes_with_a_warning():
    warned = recommend([row("simple", 1.0, 100 * MIB), row("other", 2.0, 3 * MIB), row("third", 20.0, MIB)])
    assert warned.endswith("; but where bytes cost more than time, other moves only 3 MiB, in 2 s.")
    assert "but" not in recommend([row("simple", 1.0, 100 * MIB), row("other", 2.0, 50 * MIB)])
    assert "but" not in recommend([row("simple", 1.0, 5 * MIB), row("other", 2.0, MIB)])


def test_rows_with_errors_and_caches_are_not_recommended():
    rows = [row("simple", 0.1, error="OSError: x"), row("other", 0.1, is_cached=True), row("third", 1.0)]
    found = recommended_row(rows)
    assert found is not None
    assert found.reader == "third"
    failed = [row("simple", 0.1, error="OSError: x"), row("other", 0.2, error="not run: too large")]
    assert recommended_row(failed) is None
    assert recommend(failed) == (
        "No reader can be recommended: with each of them the workload raised an error, such as OSError: x"
    )
    assert wastes_of(failed, SETTINGS, None) == ()


def wastes(*rows: ExplanationRow, network: Network | None = None) -> dict[str, tuple[str, str]]:
    return {it.kind: (it.reader, it.text) for it in wastes_of(rows, SETTINGS, network)}


def test_what_is_worth_no_word_is_not_said():
    assert wastes(row("simple", 1.0, 100 * MIB, bytes_used=90 * MIB, unique_bytes=95 * MIB)) == {}
    assert wastes(row("simple", 1.0, 3 * MIB, bytes_used=0, unique_bytes=MIB)) == {}
    assert wastes(row("simple", 1.0, 0, requests=0, transfers=[])) == {}


def test_bytes_that_were_received_again_or_not_read():
    found = wastes(row("simple", 1.0, 100 * MIB, bytes_used=20 * MIB, unique_bytes=60 * MIB))
    assert found["duplicate bytes"] == ("simple", "received 40 MiB of 100 MiB again (40%)")
    assert found["unused bytes"] == ("simple", "received 40 MiB of 100 MiB that the workload did not read (40%)")


def test_requests_in_sequence():
    found = wastes(row("simple", 1.0, round_trips=6), network=NETWORK)
    assert found == {"requests in sequence": ("simple", "waited 600 ms of 1 s for 6 requests in sequence")}
    assert wastes(row("simple", 1.0, round_trips=2), network=NETWORK) == {}
    assert wastes(row("simple", 9.0, round_trips=6), network=NETWORK) == {}
    # Without a network, the latency is that of the quickest response.
    transfers = [Transfer(0, 0.1, 0.2, 0), Transfer(0.2, 0.5, 0.5, 0)]
    assert "waited 600 ms" in wastes(row("simple", 1.0, round_trips=6, transfers=transfers))["requests in sequence"][1]


def test_idle_connections():
    alone = [Transfer(0, 0.1, 5.0, 50 * MIB), Transfer(5.0, 5.1, 10.0, 50 * MIB)]
    found = wastes(row("simple", 10.0, 100 * MIB, transfers=alone), network=NETWORK)
    assert found == {"idle connections": ("simple", "received 100 MiB over 1.0 of 18 connections on average")}
    together = [Transfer(0, 0.1, 5.0, 50 * MIB)] * 18
    assert wastes(row("simple", 5.0, 100 * MIB, transfers=together), network=NETWORK) == {}
    few = Network(latency=0.1, bandwidth=10e6, connections=1)
    assert wastes(row("simple", 10.0, 100 * MIB, transfers=alone), network=few) == {}


def test_the_wastes_of_the_recommended_reader_come_before_larger_ones():
    better = row("simple", 1.0, 100 * MIB, bytes_used=50 * MIB)
    worse = row("other", 2.0, 100 * MIB, bytes_used=0)
    assert wastes(better, worse)["unused bytes"][0] == "simple"
    fine = row("simple", 1.0)
    assert wastes(fine, row("third", 2.0, 100 * MIB, bytes_used=50 * MIB), worse)["unused bytes"][0] == "other"


def test_a_setting_has_the_memory_that_is_needed_and_what_other_readers_took():
    settings = {"simple": {"duplicate bytes": "memory={memory} or {chunks} chunks, or EagerStoreReader{eager}"}}
    rows = [row("simple", 1.0, 200 * MIB, unique_bytes=100 * MIB), row("EagerStoreReader", 2.0, 100 * MIB)]
    (found,) = wastes_of(rows, settings, None)
    assert found.setting == f"memory={128 * MIB} or 128 chunks, or EagerStoreReader (2 s, 100 MiB)"
    assert str(found) == f"duplicate bytes: simple received 100 MiB of 200 MiB again (50%). {found.setting}."
    (found,) = wastes_of(rows[:1], settings, None)
    assert found.setting.endswith("or EagerStoreReader")


def test_a_row_without_bytes_has_an_amplification_of_one():
    empty = row("simple", 1.0, 0)
    assert (empty.amplification, empty.duplicate_bytes, empty.unused_bytes) == (1.0, 0, 0)
    assert "trace" not in empty.to_dict()
