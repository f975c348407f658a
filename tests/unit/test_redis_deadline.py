"""Every command to a Redis server ends in time, however slowly the bytes come."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from obspec_utils.caches import MemoryCache, _redis_client
from obspec_utils.caches._redis import RedisCache
from obspec_utils.caches._redis_client import DeadlineConnection, deadline
from obspec_utils.caches._value_codec import digest, encode
from tests.unit._redis import Pretender, array, bulk, in_trouble, let_try_again
from tests.unit._tiers import CONTENT, Over

if TYPE_CHECKING:
    from collections.abc import Iterator

RIGHT = array(bulk(encode(digest("key"), b"value")))


class Drip:
    """A reply that comes in more time than any command has: byte by byte, each of them soon enough."""

    def __init__(self, reply: bytes) -> None:
        self.reply = reply
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        for place in range(len(self.reply)):
            self.sent = place + 1
            yield self.reply[place : place + 1]
            time.sleep(0.02)


class TestDrip:
    def test_a_command_ends_and_its_connection_with_it(self):
        drip = Drip(array(bulk(bytes(2000))))
        answers: list[Any] = [drip, RIGHT]
        with Pretender(lambda _: answers.pop(0)) as server:
            cache = RedisCache(server.url, timeout=0.1)
            with in_trouble("TimeoutError"):
                assert cache.get("key") is None
            assert 1 < drip.sent < len(drip.reply)
            assert cache.get("key") is None
            assert server.connections == [[[b"MGET", cache._name("key")]]]
            let_try_again(cache)
            assert cache.get("key") == b"value"
            assert len(server.connections) == 2

    def test_the_login_ends_too(self):
        drip = Drip(b"-" + b"x" * 2000 + b"\r\n")
        with Pretender(lambda _: drip) as server:
            cache = RedisCache(server.url.replace("//", "//:password@"), timeout=0.1)
            with in_trouble("TimeoutError"):
                assert cache.get("key") is None
            assert 1 < drip.sent < len(drip.reply)
            assert server.connections == [[[b"AUTH", b"password"]]]

    def test_many_replies_are_one_wait_each_but_one_deadline(self):
        drips: list[Drip] = []

        def answer(_: list[bytes]) -> Drip:
            drips.append(Drip(b"+OK\r\n"))
            return drips[-1]

        with Pretender(answer) as server:
            cache = RedisCache(server.url, timeout=0.1)
            with in_trouble("TimeoutError"):
                cache.put_many({str(number): b"value" for number in range(90)})
            assert len(drips) < 90

    def test_a_read_goes_on(self):
        with Pretender(lambda _: Drip(array(bulk(bytes(2000))))) as server:
            store = Over().store(MemoryCache(), RedisCache(server.url, timeout=0.1))
            with in_trouble("TimeoutError"):
                assert bytes(store.get_range("object", start=0, end=1000)) == CONTENT[:1000]

    def test_a_reply_that_is_too_large_for_what_was_asked_ends_the_connection(self, monkeypatch):
        monkeypatch.setattr(_redis_client, "_MAX_OVERHEAD", 1000)
        value = b"x" * 100
        with Pretender(lambda _: array(bulk(encode(digest("key"), value)))) as server:
            assert RedisCache(server.url, max_value_size=100).get("key") == value
            value = b"x" * 100_000
            with in_trouble("larger than the limit"):
                assert RedisCache(server.url, max_value_size=100).get("key") is None


class Plain:
    """What redis-py's connections are made of."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def _connect(self) -> socket.socket:
        return self.sock


class Connection(DeadlineConnection, Plain):
    pass


class TestSocket:
    @pytest.fixture
    def ends(self) -> Iterator[tuple[Any, socket.socket]]:
        mine, theirs = socket.socketpair()
        mine.settimeout(60)
        with mine, theirs:
            yield Connection(mine)._connect(), theirs

    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        now = [1000.0]
        monkeypatch.setattr(time, "monotonic", lambda: now[0])
        return now

    def test_all_waits_together_take_five_times_one(self, ends, clock):
        mine, theirs = ends
        theirs.sendall(bytes(100))
        received = 0
        with deadline(1, 1000), pytest.raises(TimeoutError, match="the whole command took too long"):
            while received < 100:
                received += len(mine.recv(1))
                clock[0] += 0.5001
        assert received == 10

    def test_each_mib_is_granted_one_more(self, ends, clock):
        mine, theirs = ends
        piece = bytearray(64 * 1024)
        with deadline(1, 100 * len(piece)):
            for _ in range(100):
                theirs.sendall(piece)
                assert mine.recv_into(piece, len(piece), socket.MSG_WAITALL) == len(piece)
                clock[0] += 1 / 16
            assert clock[0] == 1000 + 100 / 16
            clock[0] += 5.1
            with pytest.raises(TimeoutError):
                mine.recv(1)

    def test_no_more_is_received_than_makes_sense(self, ends):
        mine, theirs = ends
        theirs.sendall(bytes(100))
        with deadline(1, 99):
            assert len(mine.recv(99)) == 99
            with pytest.raises(OSError, match="larger than the limit"):
                mine.recv(1)

    def test_everything_is_sent(self, ends):
        mine, theirs = ends
        content = memoryview(bytes(range(256)) * 4 * 4096).cast("I")
        received = bytearray(content.nbytes)
        reader = threading.Thread(target=theirs.recv_into, args=(received, 0, socket.MSG_WAITALL))
        reader.start()
        with deadline(60, 0):
            mine.sendall(content)
        reader.join()
        assert received == content.tobytes()

    def test_each_mib_sent_is_granted_one_more(self, ends, clock):
        mine, theirs = ends
        reader = threading.Thread(target=theirs.recv, args=(2 << 20, socket.MSG_WAITALL))
        with deadline(1, 10):
            reader.start()
            mine.sendall(bytes(2 << 20))
            reader.join()
            theirs.sendall(bytes(2))
            clock[0] += 6.9
            assert mine.recv(1) == bytes(1)
            clock[0] += 0.2
            with pytest.raises(TimeoutError):
                mine.recv(1)

    def test_what_nobody_takes_is_not_sent_for_ever(self, ends):
        mine, theirs = ends
        with deadline(0.01, 0), pytest.raises(TimeoutError):
            mine.sendall(bytes(1 << 26))
        assert theirs.recv(1) == b"\0"

    def test_a_look_whether_something_is_there_does_not_wait_nor_end(self, ends, clock):
        mine, theirs = ends
        with deadline(1, 10):
            clock[0] += 10
            mine.settimeout(0)
            with pytest.raises(BlockingIOError):
                mine.recv(1)
            theirs.sendall(b"x")
            assert mine.recv(1) == b"x"

    def test_between_commands_and_in_other_threads_there_are_no_limits(self, ends, clock):
        mine, theirs = ends
        theirs.sendall(bytes(100))
        received = []
        with deadline(1, 1):
            clock[0] += 10
            other = threading.Thread(target=lambda: received.append(mine.recv(10)))
            other.start()
            other.join()
        received.append(mine.recv(10))
        assert received == [bytes(10), bytes(10)]


def test_the_url_may_grant_longer_waits() -> None:
    waits = [RedisCache(f"redis://host{options}", timeout=2)._server._timeout for options in ("", "?socket_timeout=30")]
    assert waits == [2, 30]
