"""What recorded requests take on another network, and how they follow each other."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from decimal import Decimal

import numpy as np
import pytest

from obspec_utils import Network
from obspec_utils._explain._network import timeline_on
from obspec_utils._explain._timeline import Timeline, Transfer, overlap_size, union

NETWORK = Network(latency=0.1, bandwidth=1e6, connections=4)


def transfer(begin: float, end: float, size: int = 0, *, first: float | None = None) -> Transfer:
    return Transfer(begin, end if first is None else first, end, size)


def computed(network: Network, *transfers: tuple[float, float, int], begin: float = 0.0, end: float | None = None):
    records = [transfer(*it) for it in transfers]
    return timeline_on(network, records, begin, max(it.end for it in records) if end is None else end, processor=0)


def test_one_request_takes_its_latency_and_its_bytes():
    assert computed(NETWORK, (0.0, 0.001, 500_000)).seconds == pytest.approx(0.6)


def test_what_the_program_does_before_between_and_after_requests_stays():
    timeline = computed(NETWORK, (0.5, 0.6, 0), (0.8, 0.9, 0), end=1.3)
    assert [it.begin for it in timeline.transfers] == pytest.approx([0.5, 0.8])
    assert timeline.seconds == pytest.approx(0.5 + 0.1 + 0.2 + 0.1 + 0.4)


def test_requests_in_sequence_wait_for_each_other_and_those_that_overlap_do_not():
    in_sequence = [(number / 64, (number + 1) / 64, 0) for number in range(8)]
    assert computed(NETWORK, *in_sequence).seconds == pytest.approx(0.8)
    together = [(number * 0.001, 0.02, 0) for number in range(4)]
    assert computed(NETWORK, *together).seconds == pytest.approx(0.1 + 0.003)


def test_a_request_waits_only_for_those_that_had_ended():
    # The third was sent when the first had ended, while the second, which takes long here, was in flight.
    timeline = computed(NETWORK, (0.0, 0.01, 0), (0.0, 0.05, 2_000_000), (0.01, 0.05, 0))
    assert [(it.begin, it.end) for it in timeline.transfers] == [
        pytest.approx((0.0, 0.1)),
        pytest.approx((0.0, 2.1)),
        pytest.approx((0.1, 0.2)),
    ]
    assert timeline.seconds == pytest.approx(2.1)


@pytest.mark.parametrize(("connections", "rounds"), [(1, 12), (4, 3), (5, 3), (6, 2), (64, 1)])
def test_there_are_no_more_in_flight_than_connections(connections: int, rounds: int):
    network = Network(0.1, 1e6, connections)
    timeline = computed(network, *[(0.0, 0.01, 0)] * 12)
    assert timeline.seconds == pytest.approx(0.1 * rounds)
    begins = [it.begin for it in timeline.transfers]
    assert max(begins.count(begin) for begin in begins) <= connections


def test_a_slower_network_than_the_recorded_one_and_a_faster_one():
    recorded = [(0.0, 0.1, 100_000), (0.1, 0.2, 100_000)]
    assert computed(Network(0, 1e12), *recorded).seconds == pytest.approx(0, abs=1e-6)
    assert computed(Network(1, 1e5), *recorded).seconds == pytest.approx(4)


def test_the_order_of_the_records_is_that_of_their_ends_perhaps():
    forward = [(0.0, 0.01, 10), (0.0, 0.02, 20), (0.02, 0.03, 30)]
    assert computed(NETWORK, *forward).seconds == computed(NETWORK, *reversed(forward)).seconds


def test_requests_that_take_no_time_do_not_wait_for_themselves():
    assert computed(NETWORK, (0.0, 0.0, 0), (0.0, 0.0, 0)).seconds in (pytest.approx(0.1), pytest.approx(0.2))


def test_requests_are_sent_one_at_a_time():
    records = [transfer(0.0, 0.01)] * 3 + [transfer(0.01, 0.02)]
    timeline = timeline_on(NETWORK, records, 0.0, 0.02, processor=0.02)
    assert [it.first for it in timeline.transfers] == pytest.approx([0.12, 0.14, 0.16, 0.28])
    assert timeline.seconds == pytest.approx(0.28)


def test_no_requests_take_the_time_of_the_program():
    assert timeline_on(NETWORK, [], 10.0, 12.5).seconds == pytest.approx(2.5)


def test_a_request_that_was_sent_when_a_response_had_begun_waits_for_its_first_byte():
    records = [transfer(0.0, 0.05, 1_000_000, first=0.01), transfer(0.02, 0.04, first=0.03)]
    timeline = timeline_on(NETWORK, records, 0.0, 0.05, processor=0)
    assert timeline.transfers[1].begin == pytest.approx(0.1 + 0.01)
    assert timeline.seconds == pytest.approx(1.1)
    assert Timeline(tuple(records), 0.0).round_trips == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((-0.1, 1e6), ValueError, "latency must be a finite number of at least 0 seconds, got -0.1"),
        ((math.nan, 1e6), ValueError, "latency must be a finite number of at least 0 seconds, got nan"),
        ((math.inf, 1e6), ValueError, "latency must be a finite number"),
        ((10**400, 1e6), ValueError, "latency must be a finite number"),
        ((0.1, 0), ValueError, "bandwidth must be a positive, finite number of bytes per second, got 0"),
        ((0.1, math.nan), ValueError, "bandwidth must be a positive"),
        ((0.1, math.inf), ValueError, "bandwidth must be a positive"),
        ((0.1, Decimal(1)), TypeError, "bandwidth must be a number"),
        (("30ms", 1e6), TypeError, "latency must be a number of seconds, such as 0.03, got '30ms'"),
        ((0.1, None), TypeError, "bandwidth must be a number of bytes per second, such as 50e6, got None"),
        ((0.1, 1e6, 0), ValueError, "connections must be positive, got 0"),
        ((0.1, 1e6, 2.5), ValueError, "connections must be a whole number, got 2.5"),
    ],
)
def test_values_that_are_no_network_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Network(*arguments)


def test_numbers_of_numpy_are_numbers():
    network = Network(np.float32(0.5), np.int64(1_000_000), np.int64(4))
    assert json.loads(json.dumps(asdict(network))) == {"latency": 0.5, "bandwidth": 1_000_000, "connections": 4}


def test_a_network_says_what_it_is():
    assert str(Network(0.03, 50 << 20)) == "30 ms to the first byte, 50 MiB/s a connection, 64 connections"


@pytest.mark.parametrize(
    ("transfers", "length"),
    [
        ([], 0),
        ([(0, 1)], 1),
        ([(0, 1), (1, 2), (2, 3)], 3),
        ([(0, 2), (1, 3), (2, 4)], 2),
        ([(0, 10), (1, 2), (3, 4), (5, 6)], 3),
        ([(0, 1)] * 18 + [(1, 2)] * 18, 2),
        ([(0, 1.5), (1, 2), (1.5, 2.5), (2, 3)], 2),
    ],
)
def test_the_longest_chain_of_requests_in_sequence(transfers, length):
    assert Timeline(tuple(transfer(*it) for it in transfers), 0.0).round_trips == length


def test_how_many_are_in_flight():
    timeline = Timeline((transfer(0, 1), transfer(0, 2), transfer(5, 6)), 10.0)
    assert timeline.busy_seconds == 3
    assert timeline.mean_in_flight == pytest.approx(4 / 3)
    assert Timeline((), 1.0).mean_in_flight == 0


def test_ranges_are_joined_and_compared():
    assert union([(5, 7), (0, 2), (2, 3), (6, 9), (4, 4)]) == [(0, 3), (5, 9)]
    assert overlap_size([(0, 10), (5, 20)], [(15, 30), (0, 1), (0, 2)]) == 7
    assert overlap_size([], [(0, 1)]) == 0
