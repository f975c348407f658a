"""The servers start, end, count and keep pace as other tests rely on, and every kind of store opens."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from obspec.exceptions import NotSupportedError
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
)

from tests.servers import ObjectServer, ServerUnavailable, random_bytes
from tests.servers._process import REPOSITORY, ServerProcess
from tests.servers.azurite import find_azurite
from tests.servers.fixtures import NO_RETRIES, SAMPLE, skip_or_fail, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers import OpenedStore


class TestLog:
    def test_a_request_is_described(self, sample_store, object_server):
        etag = sample_store.head("object")["e_tag"]
        object_server.clear()
        begin = time.monotonic()
        sample_store.get("object", options={"range": (5, 15), "if_match": etag}).buffer()
        [logged] = object_server.log()
        assert (logged.method, logged.path, logged.status) == ("GET", "bucket/object", 206)
        assert (logged.start, logged.stop, logged.sent) == (5, 15, 10)
        assert (logged.range_header, logged.if_match) == ("bytes=5-14", etag)
        assert begin <= logged.begin <= logged.end <= time.monotonic()

    def test_whole_reads_have_no_range(self, sample_store, object_server):
        sample_store.get("object").buffer()
        [logged] = object_server.log()
        assert (logged.start, logged.stop, logged.sent) == (None, None, len(SAMPLE))

    def test_eighteen_threads_are_eighteen_in_flight(self, sample_store, object_server):
        object_server.put("bucket/other", SAMPLE)
        object_server.configure(latency=0.5)

        def read(number: int) -> None:
            path = "object" if number % 3 else "other"
            sample_store.get_range(path, start=number, length=1)

        with ThreadPoolExecutor(18) as pool:
            list(pool.map(read, range(18)))
        assert object_server.most_in_flight() == 18
        assert object_server.most_in_flight("bucket/object") == 12
        assert object_server.most_in_flight("bucket/other") == 6
        assert object_server.most_in_flight("bucket/missing") == 0
        assert len(object_server.log()) == 18
        object_server.clear()
        assert (object_server.most_in_flight(), object_server.log()) == (0, [])
        sample_store.head("object")
        assert object_server.most_in_flight() == 1

    def test_a_peer_that_hangs_up_is_not_in_flight(self, object_server):
        object_server.put("bucket/object", SAMPLE)
        object_server.configure(latency=30)
        impatient = object_server.s3_store(
            "bucket",
            retry_config=NO_RETRIES,
            client_options={"allow_http": True, "timeout": "200ms"},
        )
        with pytest.raises(BaseError):
            impatient.get("object")
        wait_until(lambda: object_server.log()[0].end is not None)
        object_server.clear()
        assert object_server.most_in_flight() == 0


class TestPace:
    def test_latency(self, sample_store, object_server):
        object_server.configure(latency=0.1)
        begin = time.monotonic()
        sample_store.head("object")
        assert time.monotonic() - begin >= 0.1

    def test_gathered_requests_are_answered_after_the_latest(self, sample_store, object_server):
        object_server.configure(latency=1, gather=4)
        object_server.clear()

        def head(number):
            time.sleep(0.1 * number)
            sample_store.head("object")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(head, range(4)))
        log = object_server.log()
        assert object_server.most_in_flight() == 4
        assert all(request.end >= max(other.begin for other in log) + 1 for request in log)

    def test_gathered_requests_wait_for_the_others_however_late_they_are(self, sample_store, object_server):
        object_server.configure(gather=3)
        object_server.clear()
        with ThreadPoolExecutor(3) as pool:
            answers = [pool.submit(sample_store.head, "object")]
            answers[0].result()  # the first is answered alone
            answers.append(pool.submit(sample_store.head, "object"))
            while len(object_server.log()) < 2:
                time.sleep(0.01)
            time.sleep(0.2)
            assert not answers[1].done()
            answers += [pool.submit(sample_store.head, "object") for _ in range(2)]
            for answer in answers:
                answer.result()
        assert object_server.most_in_flight() == 3

    @pytest.mark.parametrize("limit", ["bandwidth", "total_bandwidth"])
    def test_bandwidth(self, object_server, limit):
        object_server.put("bucket/large", bytes(4 << 20))
        http = object_server.http_store("bucket")
        object_server.configure(**{limit: 20e6})
        begin = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: http.get("large").buffer(), range(2)))
        expected = (4 << 20) / 20e6 * (2 if limit == "total_bandwidth" else 1)
        # No upper bound: a busy machine may be later, never earlier.
        assert time.monotonic() - begin >= expected * 0.9

    def test_random_objects_are_known_to_the_client(self, object_server):
        object_server.put_random("bucket/random", (2 << 20) + 5, seed=7)
        assert object_server.get("bucket/random") == random_bytes((2 << 20) + 5, 7)
        assert random_bytes(100, 1) != random_bytes(100, 2)


class TestProcess:
    def test_ends_when_stdin_closes(self):
        with ObjectServer.start() as server:
            server.put("bucket/object", SAMPLE)
            store = server.s3_store("bucket")
            store.get("object")
            process = server.process
            assert process is not None
            assert process.running
            process._process.stdin.close()
            process._process.wait(30)
        assert not process.running

    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
    @pytest.mark.parametrize("server", ["ObjectServer", "MotoServer", "GcsServer"])
    def test_ends_with_a_parent_that_is_killed(self, server):
        program = (
            f"import json, time; from tests.servers import {server}; s = {server}.start();"
            "print(json.dumps(s.process.pid), flush=True); time.sleep(60)"
        )
        with subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE) as parent:
            assert parent.stdout is not None
            pid = json.loads(parent.stdout.readline())
            parent.send_signal(signal.SIGKILL)
        wait_until(lambda: not _alive(pid))

    def test_stop_is_harmless_twice(self):
        server = ObjectServer.start()
        server.stop()
        server.stop()

    def test_a_second_client_does_not_stop_it(self, object_server):
        with ObjectServer(object_server.url) as other:
            other.put("bucket/object", SAMPLE)
        assert object_server.get("bucket/object") == SAMPLE

    def test_bad_commands_are_reported(self, object_server):
        with pytest.raises(RuntimeError, match="404"):
            object_server.get("bucket/missing")
        with pytest.raises(RuntimeError, match="no such command"):
            object_server._command("dance")


class TestEveryStore:
    def test_put_get_list(self, opened_store: OpenedStore):
        can, store = opened_store.capabilities, opened_store.store
        opened_store.seed("folder/ünï 1#?.bin", SAMPLE)
        assert bytes(store.get("folder/ünï 1#?.bin").buffer()) == SAMPLE
        assert bytes(store.get_range("folder/ünï 1#?.bin", start=3, length=4)) == SAMPLE[3:7]
        assert store.head("folder/ünï 1#?.bin")["e_tag"]
        if can.can_list:
            assert [meta["path"] for meta in store.list().collect()] == ["folder/ünï 1#?.bin"]

    def test_is_empty(self, opened_store: OpenedStore):
        with pytest.raises(FileNotFoundError):
            opened_store.store.get("folder/ünï 1#?.bin")

    def test_capabilities_of_writing(self, opened_store: OpenedStore):
        if not opened_store.capabilities.can_write:
            pytest.skip("a store that only reads")
        can, store = opened_store.capabilities, opened_store.store
        opened_store.seed("a", b"1")
        refused = _error(lambda: store.put("a", b"2", mode="create", use_multipart=False))
        assert isinstance(refused, AlreadyExistsError) == can.can_create
        store.copy("a", "b")
        refused = _error(lambda: store.copy("a", "b", overwrite=False))
        assert isinstance(refused, AlreadyExistsError) == can.can_copy_if_absent
        missing = _error(lambda: store.delete("missing"))
        assert isinstance(missing, FileNotFoundError) == can.delete_missing_raises

    def test_capabilities_of_attributes(self, opened_store: OpenedStore):
        if not opened_store.capabilities.can_write:
            pytest.skip("a store that only reads")
        can, store = opened_store.capabilities, opened_store.store
        sent = {"Content-Type": "text/x", "owner": "me"}
        refused = _error(lambda: store.put("a", b"1", attributes=sent, use_multipart=False))
        kept = {} if refused else store.get("a").attributes
        assert ("owner" in kept, "Content-Type" in kept) == (can.keeps_metadata, can.keeps_attributes)

    def test_capabilities_of_reading(self, opened_store: OpenedStore):
        can, store = opened_store.capabilities, opened_store.store
        opened_store.seed("a", SAMPLE)
        modified = store.head("a")["last_modified"]
        unmodified = _error(lambda: store.get("a", options={"if_unmodified_since": modified}))
        assert (unmodified is None) == can.honours_if_unmodified_since
        suffix = _error(lambda: store.get("a", options={"range": {"suffix": 5}}))
        assert (suffix is None) == can.suffix_ranges
        head = store.get("a", options={"head": True}).buffer()
        assert (len(memoryview(head)) == 0) == can.honours_head

    def test_capability_to_read_versions(self, opened_store: OpenedStore):
        store = opened_store.store
        opened_store.seed("a", b"first")
        version = store.head("a")["version"] or "1"
        opened_store.seed("a", b"second")
        if opened_store.capabilities.refuses_version:
            with pytest.raises(NotSupportedError):
                store.get("a", options={"version": version})
            return
        read = bytes(store.get("a", options={"version": version}).buffer())
        assert (read == b"first") == opened_store.capabilities.honours_version

    def test_capability_to_put_large_bodies(self, opened_store: OpenedStore):
        if not opened_store.capabilities.can_write:
            pytest.skip("a store that only reads")
        data = bytes(12 << 20)
        failed = _error(lambda: opened_store.store.put("large", data))
        assert (failed is None) == opened_store.capabilities.can_multipart

    def test_capability_to_pickle(self, opened_store: OpenedStore):
        opened_store.seed("a", b"1")
        if not opened_store.capabilities.picklable:
            with pytest.raises(TypeError):
                pickle.dumps(opened_store.store)
            return
        copy = pickle.loads(pickle.dumps(opened_store.store))
        assert bytes(copy.get("a").buffer()) == b"1"


class TestUnavailable:
    def test_missing_node_is_explained(self, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ServerUnavailable, match="node"):
            find_azurite()

    def test_a_server_that_does_not_start_is_explained(self):
        with pytest.raises(ServerUnavailable, match="before it listened"):
            ServerProcess("tests.servers._lifeline")

    @pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
    def test_tests_skip_loudly_or_fail(self, monkeypatch, ci, outcome):
        monkeypatch.setenv("CI", ci)
        with pytest.raises(outcome, match="no node"):
            skip_or_fail(ServerUnavailable("no node"))


def _error(call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever it raises is the answer
        return error
    return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
