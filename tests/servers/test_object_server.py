"""The object server reads, writes and lists as S3, HTTP and WebDAV want it."""

from __future__ import annotations

import os
import re
from datetime import timedelta

import pytest
from obstore.exceptions import (
    AlreadyExistsError,
    GenericError,
    NotModifiedError,
    PreconditionError,
)

from tests.servers._process import send
from tests.servers.fixtures import NO_RETRIES, SAMPLE

AWKWARD_KEYS = ["plain", "a b", "ünï/çødé", "hash#1", "what?now", "100%", "a+b&c=d", "日本"]


class TestReads:
    def test_whole_object(self, sample_store):
        result = sample_store.get("object")
        assert (result.range, result.meta["size"]) == ((0, len(SAMPLE)), len(SAMPLE))
        assert bytes(result.buffer()) == SAMPLE

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            ((10, 20), (10, 20)),
            ((16_380, 99_999), (16_380, 16_384)),
            ({"offset": 16_000}, (16_000, 16_384)),
            ({"suffix": 100}, (16_284, 16_384)),
            ({"suffix": 99_999}, (0, 16_384)),
        ],
    )
    def test_ranges(self, sample_store, object_server, asked, expected):
        result = sample_store.get("object", options={"range": asked})
        assert result.range == expected
        assert bytes(result.buffer()) == SAMPLE[slice(*expected)]
        [logged] = object_server.log()
        assert (logged.start, logged.stop) == expected
        assert logged.status == 206

    def test_range_past_the_end_is_416(self, sample_store, object_server):
        with pytest.raises(GenericError, match="416"):
            sample_store.get_range("object", start=len(SAMPLE), length=1)
        [logged] = object_server.log()
        assert (logged.status, logged.start, logged.stop) == (416, len(SAMPLE), len(SAMPLE) + 1)

    @pytest.mark.parametrize("asked", ["bytes=0-", "bytes=0-9", "bytes=-5"])
    def test_every_range_of_an_empty_object_is_416(self, object_server, asked):
        object_server.put("bucket/empty", b"")
        status, _ = send(object_server.url, "GET", "/bucket/empty", headers={"Range": asked})
        assert status == 416

    @pytest.mark.parametrize("asked", ["bytes=9-2", "bytes=0-1,5-6", "lines=1-2", "bytes=-"])
    def test_unusable_range_headers_are_ignored(self, object_server, asked):
        object_server.put("bucket/object", SAMPLE)
        assert send(object_server.url, "GET", "/bucket/object", headers={"Range": asked}) == (200, SAMPLE)

    def test_empty_and_missing_objects(self, sample_store, object_server):
        object_server.put("bucket/empty", b"")
        assert bytes(sample_store.get("empty").buffer()) == b""
        for read in (sample_store.get, sample_store.head):
            with pytest.raises(FileNotFoundError):
                read("missing")

    @pytest.mark.parametrize("key", AWKWARD_KEYS)
    def test_awkward_keys(self, sample_store, object_server, key):
        object_server.put(f"bucket/{key}", key.encode())
        assert bytes(sample_store.get(key).buffer()) == key.encode()
        sample_store.put(key, b"again", use_multipart=False)
        assert object_server.get(f"bucket/{key}") == b"again"
        assert {logged.path for logged in object_server.log()} == {f"bucket/{key}"}


class TestConditions:
    def test_etags(self, sample_store):
        etag = sample_store.head("object")["e_tag"]
        assert sample_store.get("object", options={"if_match": etag}).meta["e_tag"] == etag
        with pytest.raises(PreconditionError):
            sample_store.get("object", options={"if_match": '"other"'})
        with pytest.raises(NotModifiedError):
            sample_store.get("object", options={"if_none_match": etag})
        assert sample_store.get("object", options={"if_none_match": '"other"'}).meta["e_tag"] == etag

    def test_dates(self, sample_store):
        modified = sample_store.head("object")["last_modified"]
        before, after = modified - timedelta(hours=1), modified + timedelta(hours=1)
        sample_store.get("object", options={"if_unmodified_since": modified})
        sample_store.get("object", options={"if_modified_since": before})
        with pytest.raises(PreconditionError):
            sample_store.get("object", options={"if_unmodified_since": before})
        with pytest.raises(NotModifiedError):
            sample_store.get("object", options={"if_modified_since": after})

    def test_every_put_is_a_new_version(self, sample_store, object_server):
        first = sample_store.head("object")
        object_server.put("bucket/object", SAMPLE)
        second = sample_store.head("object")
        assert first["e_tag"] != second["e_tag"]
        assert first["last_modified"] < second["last_modified"]
        with pytest.raises(PreconditionError):
            sample_store.get("object", options={"if_match": first["e_tag"]})


class TestS3Writes:
    @pytest.fixture
    def s3(self, object_server):
        return object_server.s3_store("bucket", retry_config=NO_RETRIES)

    def test_put_modes(self, s3):
        first = s3.put("key", b"one", mode="create")
        with pytest.raises(AlreadyExistsError):
            s3.put("key", b"two", mode="create")
        s3.put("key", b"two", mode=first)
        with pytest.raises(PreconditionError):
            s3.put("key", b"three", mode=first)
        assert bytes(s3.get("key").buffer()) == b"two"

    def test_attributes(self, s3):
        sent = {"Content-Type": "text/x", "Cache-Control": "no-store", "owner": "me"}
        s3.put("key", b"", attributes=sent)
        assert s3.get("key").attributes == sent

    def test_multipart(self, s3, object_server):
        data = os.urandom(1 << 20) * 30
        put = s3.put("large", data)
        assert object_server.get("bucket/large") == data
        assert s3.head("large")["e_tag"] == put["e_tag"]
        assert [logged.method for logged in object_server.log()].count("POST") == 2

    def test_versions(self, s3):
        first = s3.put("key", b"one")
        second = s3.put("key", b"two")
        assert first["version"] != second["version"]
        s3.delete("key")
        for put, data in ((first, b"one"), (second, b"two")):
            result = s3.get("key", options={"version": put["version"]})
            assert result.meta["version"] == put["version"]
            assert bytes(result.buffer()) == data
        with pytest.raises(FileNotFoundError):
            s3.get("key", options={"version": "unheard-of"})

    def test_copy_rename_delete(self, s3, object_server):
        s3.put("from ü", b"data", attributes={"Content-Type": "text/x"})
        s3.copy("from ü", "to")
        s3.rename("to", "there")
        assert s3.get("there").attributes == {"Content-Type": "text/x"}
        with pytest.raises(FileNotFoundError):
            s3.copy("missing", "to")
        s3.delete(["from ü", "there", "missing"])
        assert s3.list().collect() == []

    def test_copy_if_absent_by_multipart(self, object_server):
        s3 = object_server.s3_store("bucket", copy_if_not_exists="multipart", retry_config=NO_RETRIES)
        s3.put("from", SAMPLE)
        s3.copy("from", "to", overwrite=False)
        assert object_server.get("bucket/to") == SAMPLE
        with pytest.raises(AlreadyExistsError):
            s3.copy("from", "to", overwrite=False)


class TestListing:
    KEYS = ("a/1", "a/2", "a/b/3", "ab", "b/4", "ü/5")

    @pytest.fixture
    def s3(self, object_server):
        for key in self.KEYS:
            object_server.put(f"bucket/{key}", b"x")
            object_server.put(f"bucket-2/{key}", b"x")
        return object_server.s3_store("bucket")

    def test_prefix_and_offset(self, s3):
        def paths(*args, **options):
            return [meta["path"] for meta in s3.list(*args, **options).collect()]

        assert paths() == list(self.KEYS)
        assert paths("a") == ["a/1", "a/2", "a/b/3"]
        assert paths(offset="a/2") == ["a/b/3", "ab", "b/4", "ü/5"]
        assert paths("missing") == []

    def test_delimiter(self, s3):
        result = s3.list_with_delimiter()
        assert [meta["path"] for meta in result["objects"]] == ["ab"]
        assert sorted(result["common_prefixes"]) == ["a", "b", "ü"]
        assert s3.list_with_delimiter("a")["common_prefixes"] == ["a/b"]

    def test_pages(self, s3, object_server):
        for number in range(1500):
            object_server.put(f"many/{number:04}", b"")
        assert len(object_server.s3_store("many").list().collect()) == 1500
        assert len(object_server.log()) == 2

    @pytest.mark.parametrize("limit", [1, 2, 3])
    def test_pages_with_delimiter(self, s3, object_server, limit):
        found, token = [], ""
        while True:
            target = f"/bucket?list-type=2&delimiter=/&max-keys={limit}{token}"
            _, body = send(object_server.url, "GET", target)
            found += re.findall("<(?:Key|Prefix)>(.+?)<", body.decode())
            more = re.search("<NextContinuationToken>(.+?)<", body.decode())
            if more is None:
                break
            token = f"&continuation-token={more[1]}"
        assert found == ["a/", "ab", "b/", "ü/"]

    def test_webdav_from_the_root(self, s3, object_server):
        everything = object_server.http_store("").list("bucket").collect()
        assert sorted(meta["path"] for meta in everything) == sorted(f"bucket/{key}" for key in self.KEYS)
        assert {meta["size"] for meta in everything} == {1}

    def test_webdav_copy_and_delete(self, object_server):
        http = object_server.http_store("bucket", retry_config=NO_RETRIES)
        http.put("from ü", b"data")
        http.copy("from ü", "to")
        with pytest.raises(AlreadyExistsError):
            http.copy("from ü", "to", overwrite=False)
        http.rename("to", "there")
        http.delete("from ü")
        with pytest.raises(FileNotFoundError):
            http.delete("to")
        assert object_server.get("bucket/there") == b"data"
