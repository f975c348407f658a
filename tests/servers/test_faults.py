"""Planned faults hit the requests they name, and do what they say."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from obstore.exceptions import (
    BaseError,
    GenericError,
    PermissionDeniedError,
    PreconditionError,
)

from tests.servers import Fault
from tests.servers.fixtures import SAMPLE, wait_until

if TYPE_CHECKING:
    from tests.servers import FaultAction


class TestFaults:
    @pytest.mark.parametrize(
        ("status", "expected"), [(500, GenericError), (503, GenericError), (403, PermissionDeniedError)]
    )
    def test_status(self, sample_store, object_server, status, expected):
        object_server.add_fault("status", "bucket/ob*", status=status, times=1)
        with pytest.raises(expected):
            sample_store.get("object")
        assert bytes(sample_store.get("object").buffer()) == SAMPLE
        assert [logged.status for logged in object_server.log()] == [status, 200]

    def test_retried_status(self, object_server):
        object_server.put("bucket/object", SAMPLE)
        object_server.add_fault("status", times=2, status=503)
        retry = {"max_retries": 3, "backoff": {"init_backoff": timedelta(milliseconds=5)}}
        assert bytes(object_server.s3_store("bucket", retry_config=retry).get("object").buffer()) == SAMPLE
        assert [logged.status for logged in object_server.log()] == [503, 503, 200]

    def test_which_requests_are_hit(self, sample_store, object_server):
        object_server.put("bucket/other", SAMPLE)
        object_server.add_fault("status", "*/object", method="GET", skip=1, times=2, status=403)
        sample_store.head("object")
        sample_store.get("other")
        sample_store.get("object")
        for _ in range(2):
            with pytest.raises(PermissionDeniedError):
                sample_store.get("object")
        sample_store.get("object")

    def test_the_part_with_some_byte_is_hit(self, sample_store, object_server):
        object_server.add_fault("status", covers=250, status=403)
        for start in (0, 100, 300):
            sample_store.get_range("object", start=start, length=100)
        with pytest.raises(PermissionDeniedError):
            sample_store.get_range("object", start=200, length=100)
        with pytest.raises(PermissionDeniedError):
            sample_store.get("object")

    @pytest.mark.parametrize("after", [None, 0, 1000])
    def test_drop(self, sample_store, object_server, after):
        object_server.add_fault("drop", after=after)
        with pytest.raises(BaseError):
            sample_store.get("object").buffer()
        wait_until(lambda: object_server.log()[0].end is not None)
        logged = object_server.log()[0]
        assert (logged.status, logged.sent) == (None if after is None else 200, after or 0)

    @pytest.mark.parametrize("after", [None, 1000])
    def test_stall(self, sample_store, object_server, after):
        object_server.add_fault("stall", after=after, seconds=0.2)
        begin = time.monotonic()
        assert bytes(sample_store.get("object").buffer()) == SAMPLE
        assert time.monotonic() - begin >= 0.2

    def test_ignore_range(self, sample_store, object_server):
        object_server.add_fault("ignore_range")
        with pytest.raises(BaseError):
            sample_store.get_range("object", start=5, length=5)
        assert object_server.log()[0].status == 200

    def test_no_etag(self, object_server):
        object_server.put("bucket/object", SAMPLE)
        object_server.add_fault("no_etag")
        assert object_server.http_store("bucket").head("object")["e_tag"] is None

    def test_weak_etag(self, sample_store, object_server):
        object_server.add_fault("weak_etag")
        etag = sample_store.head("object")["e_tag"]
        assert etag.startswith('W/"')
        with pytest.raises(PreconditionError):
            sample_store.get("object", options={"if_match": etag})

    def test_no_last_modified(self, object_server):
        object_server.put("bucket/object", SAMPLE)
        object_server.add_fault("no_last_modified")
        modified = object_server.http_store("bucket").head("object")["last_modified"]
        assert modified == datetime(1970, 1, 1, tzinfo=UTC)

    def test_refuse_conditions(self, sample_store, object_server):
        object_server.add_fault("refuse_conditions", status=403)
        meta = sample_store.get("object").meta
        for conditions in ({"if_none_match": meta["e_tag"]}, {"if_modified_since": meta["last_modified"]}):
            with pytest.raises(PermissionDeniedError):
                sample_store.get("object", options=conditions)
        sample_store.get("object", options={"if_match": meta["e_tag"]})

    def test_vary_etag_and_last_modified(self, sample_store, object_server):
        object_server.add_fault("vary_etag")
        first, second = (sample_store.head("object") for _ in range(2))
        assert first["e_tag"] != second["e_tag"]
        assert first["last_modified"] == second["last_modified"]
        object_server.clear_faults()
        object_server.add_fault("vary_last_modified")
        first, second = (sample_store.head("object") for _ in range(2))
        assert first["e_tag"] == second["e_tag"]
        assert first["last_modified"] != second["last_modified"]

    @pytest.mark.parametrize(("after", "expected"), [(None, 99), (10, 10), (0, 0)])
    def test_short_body(self, sample_store, object_server, after, expected):
        object_server.add_fault("short_body", after=after)
        result = sample_store.get("object", options={"range": (0, 100)})
        assert len(memoryview(result.buffer())) == expected

    def test_replace_between_two_parts(self, sample_store, object_server):
        object_server.add_fault("replace", skip=1, times=1, data=b"new bytes")
        first = sample_store.get("object", options={"range": (0, 4)})
        second = sample_store.get("object", options={"range": (4, 9)})
        assert bytes(first.buffer()) + bytes(second.buffer()) == SAMPLE[:4] + b"bytes"
        assert first.meta["e_tag"] != second.meta["e_tag"]

    def test_delete(self, sample_store, object_server):
        object_server.add_fault("delete", skip=1)
        sample_store.get("object")
        with pytest.raises(FileNotFoundError):
            sample_store.get("object")

    def test_unknown_actions_are_refused(self, object_server):
        unknown: FaultAction = "explode"  # type: ignore[assignment]
        with pytest.raises(ValueError, match="explode"):
            Fault(unknown)
        with pytest.raises(ValueError, match="explode"):
            object_server.add_fault(unknown)
