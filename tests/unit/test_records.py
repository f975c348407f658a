"""Records of versions in shared caches: what is written is read again, what is anything else is not there."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest
from obstore.store import HTTPStore, LocalStore, MemoryStore

from obspec_utils.wrappers import CachingReadableStore
from obspec_utils.wrappers.caching._entries import Entry
from obspec_utils.wrappers.caching._keys import block_key, read_record, write_record
from tests.unit._tiers import DictCache

if TYPE_CHECKING:
    from tests.servers.object_server import ObjectServer

CONTENT = bytes(range(200)) * 100
META = {
    "path": "a/o",
    "size": 20_000,
    "e_tag": '"tag"',
    "last_modified": {"time": "2024-01-01T00:00:00+00:00"},
    "version": None,
}
GOOD: dict[str, Any] = {"checked": 1.5e9, "meta": META, "attributes": [["Content-Type", "text/plain"]]}


def signed(record: Any) -> bytes:
    """A record with its right checksum, as one may be forged."""
    return json.dumps({**record, "crc32": crc32(json.dumps(record).encode())}).encode()


def with_meta(**meta: Any) -> dict[str, Any]:
    return {**GOOD, "meta": {**META, **meta}}


def without(name: str) -> dict[str, Any]:
    return {**GOOD, "meta": {key: value for key, value in META.items() if key != name}}


def dated(time: Any, **more: Any) -> dict[str, Any]:
    return with_meta(e_tag=None, last_modified={"time": time, **more})


def known(meta: Any, attributes: Any = None, checked: float = 1.5e9) -> Entry:
    return Entry(meta, attributes or {}, 1000, checked)


ODD: dict[str, Any] = {
    "no record": {"crc32": 1},
    "more fields": {**GOOD, "more": 1},
    "no time": {"meta": META, "attributes": []},
    "time a text": {**GOOD, "checked": "1"},
    "time a bool": {**GOOD, "checked": True},
    "time not a number": {**GOOD, "checked": math.nan},
    "time without end": {**GOOD, "checked": math.inf},
    "time of 400 digits": {**GOOD, "checked": 10**400},
    "meta a list": {**GOOD, "meta": []},
    "meta empty": {**GOOD, "meta": {}},
    "meta of more fields": with_meta(more=1),
    "path a number": with_meta(path=1),
    "path missing its text": with_meta(path=None),
    "path with a lone surrogate": with_meta(path="\ud800"),
    "no size": without("size"),
    "size a bool": with_meta(size=True),
    "size a float": with_meta(size=5.0),
    "size a text": with_meta(size="5"),
    "size negative": with_meta(size=-5),
    "size of 64 bits": with_meta(size=2**63),
    "ETag a number": with_meta(e_tag=5),
    "ETag a list": with_meta(e_tag=["a"]),
    "ETag with a lone surrogate": with_meta(e_tag="\ud800"),
    "ETag with a newline": with_meta(e_tag="a\r\nb"),
    "ETag with a zero": with_meta(e_tag="\0"),
    "ETag with a delete": with_meta(e_tag="\x7f"),
    "ETag too long": with_meta(e_tag="x" * 1025),
    "version a number": with_meta(version=5),
    "date a number": with_meta(last_modified=5),
    "date a text": with_meta(last_modified="2024-01-01T00:00:00+00:00"),
    "date naive": dated("2024-01-01T00:00:00"),
    "date in another zone": dated("2024-01-01T00:00:00+01:00"),
    "date no date": dated("yesterday"),
    "date without text": dated(5),
    "date and more": dated("2024-01-01T00:00:00+00:00", more=1),
    "neither ETag nor date": with_meta(e_tag=None, last_modified=None),
    "no ETag and the date of none": dated("1970-01-01T00:00:00+00:00"),
    "attributes an object": {**GOOD, "attributes": {"a": "b"}},
    "attributes in threes": {**GOOD, "attributes": [["a", "b", "c"]]},
    "attributes of texts": {**GOOD, "attributes": ["ab"]},
    "attribute a number": {**GOOD, "attributes": [["a", 5]]},
    "name of an attribute a list": {**GOOD, "attributes": [[["a"], "b"]]},
}
BYTES = {
    "nothing": b"",
    "no JSON": b"{",
    "no text": b"\xff\xfe",
    "null": b"null",
    "list": b"[]",
    "text": b'"record"',
    "nested": b"[" * 60_000,
    "nested and ended": b"[" * 30_000 + b"]" * 30_000,
    "nested in a record": signed(GOOD)[:-1] + b', "more": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "too long": signed(with_meta(path="x" * 65_536)),
    "a number of 5000 digits": signed(GOOD)[:-1] + b', "more": ' + b"9" * 5000 + b"}",
    "without checksum": json.dumps(GOOD).encode(),
    "with another checksum": json.dumps({**GOOD, "crc32": 1}).encode(),
    "another encoding": signed(GOOD).decode().encode("utf-16"),
}


class TestRead:
    def test_what_all_the_odd_ones_are_made_of_is_a_record(self):
        found = read_record(signed(GOOD))
        date = datetime(2024, 1, 1, tzinfo=UTC)
        assert found == ({**META, "last_modified": date}, {"Content-Type": "text/plain"}, 1.5e9)
        assert read_record(signed(with_meta(size=2**63 - 1))) is not None
        assert read_record(signed(with_meta(e_tag="é", last_modified=None))) is not None

    @pytest.mark.parametrize("record", ODD.values(), ids=ODD)
    def test_what_is_odd_is_not_there(self, record):
        assert read_record(signed(record)) is None

    @pytest.mark.parametrize("value", BYTES.values(), ids=BYTES)
    def test_other_bytes_are_not_there(self, value):
        assert read_record(value) is None

    def test_dates_are_in_the_very_zone_that_obstore_takes(self):
        for text in ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00-00:00", "2024-01-01T00:00:00+00:00:00"):
            found = read_record(signed(dated(text)))
            assert found is not None
            assert found[0]["last_modified"].tzinfo is UTC


class TestWrite:
    @pytest.mark.parametrize(
        "meta",
        [
            {"size": 5, "e_tag": "x" * 1025},
            {"size": 5, "e_tag": "a\nb"},
            {"size": 5, "e_tag": "x", "more": 1},
            {"size": 5, "last_modified": datetime(2024, 1, 1)},  # noqa: DTZ001 - a store of one's own may tell one
            {"size": 5, "last_modified": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))},
            {"size": 5, "e_tag": "x", "path": Path("a")},
            {"size": 5, "e_tag": "x", "path": "x" * 65_536},
            {"size": -5, "e_tag": "x"},
        ],
    )
    def test_what_would_not_be_read_again_is_not_written(self, meta):
        assert write_record(known(meta)) is None

    def test_attributes_that_are_no_texts_are_not_written(self):
        meta = {"size": 5, "e_tag": "x"}
        assert write_record(known(meta, {"a": "b"})) is not None
        assert write_record(known(meta, {"a": 5})) is None
        assert write_record(known(meta, {5: "a"})) is None
        assert write_record(known(meta, checked=math.inf)) is None

    def test_a_date_of_another_zone_is_written_as_the_same_moment(self):
        date = datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=5)))
        record = write_record(known({"size": 5, "last_modified": date}))
        assert record is not None
        found = read_record(record)
        assert found is not None
        assert found[0] == {"size": 5, "last_modified": date}
        assert found[0]["last_modified"].tzinfo is UTC

    def test_what_obstore_s_stores_tell_comes_back(self, object_server: ObjectServer, tmp_path: Path):
        object_server.put("bucket/o", CONTENT)
        memory = MemoryStore()
        memory.put("o", CONTENT, attributes={"Content-Type": "a/b", "Content-Language": "ü", "mine": "x"})
        (tmp_path / "o").write_bytes(CONTENT)
        web = HTTPStore(f"{object_server.url}/bucket", client_options={"allow_http": True})
        for store in (memory, LocalStore(tmp_path), web):
            result = store.get("o")
            record = write_record(known(result.meta, result.attributes))
            assert record is not None
            assert read_record(record) == (result.meta, result.attributes, 1.5e9)


def test_a_key_can_be_made_of_any_text() -> None:
    keys = {block_key("\ud800", "\udc80", known({"size": 5, "e_tag": tag}), 0) for tag in ("\ud800", "\ud801", "x")}
    assert len(keys) == 3


class TestReads:
    """Reads through a cache in which somebody has put odd records."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Any:
        (tmp_path / "o").write_bytes(CONTENT)
        return LocalStore(tmp_path)

    @staticmethod
    def read(store: Any, cache: DictCache, block_size: int | None) -> bytes:
        cached = CachingReadableStore(store, block_size=block_size, cache=cache, namespace="n")
        return bytes(cached.get_range("o", start=100, end=2500))

    @pytest.mark.parametrize("block_size", [None, 1000])
    @pytest.mark.parametrize("value", [*BYTES.values(), *map(signed, ODD.values())], ids=[*BYTES, *ODD])
    def test_they_are_right_and_put_a_good_one_there(self, store, value, block_size):
        cache = DictCache()
        self.read(store, cache, block_size)
        good = read_record(cache.values["1/n/o"])
        for checked in (value, value.replace(b"1500000000.0", b"0.0")):  # fresh, and to be checked again
            cache.values["1/n/o"] = checked
            assert self.read(store, cache, block_size) == CONTENT[100:2500]
            found = read_record(cache.values["1/n/o"])
            assert found is not None
            assert good is not None
            assert found[:2] == good[:2]

    @pytest.mark.parametrize(
        "meta",
        [
            {"size": 20_001},
            {"size": 5},
            {"size": 2**63 - 1},
            {"e_tag": "*"},
            {"e_tag": ""},
            {"e_tag": 'W/"a", "b"'},
            {"e_tag": "é😀" * 500},
            {"e_tag": None},
            {"e_tag": None, "last_modified": {"time": "0001-01-01T00:00:00+00:00"}},
            {"e_tag": None, "last_modified": {"time": "9999-12-31T23:59:59.999999+00:00"}},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("checked", [None, 0, -1e308, 1e308])
    def test_a_forged_one_of_another_version_is_no_error(self, store, meta, checked):
        cache = DictCache()
        self.read(store, cache, 1000)
        record = json.loads(cache.values["1/n/o"])
        del record["crc32"]
        record["meta"].update(meta)
        record["checked"] = record["checked"] if checked is None else checked
        cache.values["1/n/o"] = signed(record)
        assert read_record(cache.values["1/n/o"]) is not None
        assert self.read(store, cache, 1000) == CONTENT[100:2500]
