"""Records of versions: what is written comes back, and what became of one by accident is never taken for another."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from obstore.store import LocalStore

from obspec_utils.wrappers import CachingReadableStore
from obspec_utils.wrappers.caching._entries import Entry
from obspec_utils.wrappers.caching._keys import read_record, write_record
from tests.unit._tiers import DictCache

CONTENT = bytes(range(200)) * 20

tags = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=200)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
dates = st.datetimes(timezones=st.just(UTC)).filter(lambda date: date != datetime.fromtimestamp(0, UTC))
sizes = st.integers(0, 2**63 - 1)
metas = st.fixed_dictionaries(
    {"path": texts, "size": sizes, "e_tag": tags, "last_modified": st.none() | dates},
    optional={"version": st.none() | texts},
) | st.fixed_dictionaries({"path": texts, "size": sizes, "e_tag": st.none(), "last_modified": dates})
times = st.floats(allow_nan=False, allow_infinity=False)


def known(meta: Any, attributes: Any, checked: float) -> Entry:
    return Entry(meta, attributes, 1000, checked)


@given(metas, st.dictionaries(texts, texts, max_size=5), times)
def test_whatever_a_store_may_tell_comes_back(meta: Any, attributes: dict[str, str], checked: float) -> None:
    record = write_record(known(meta, attributes, checked))
    assert record is not None
    assert read_record(record) == (meta, attributes, checked)


@st.composite
def damages(draw: st.DrawFn) -> Any:
    """What happens to bytes: some are replaced, at any place, by none, some or many."""
    place, length = draw(st.floats(0, 1)), draw(st.integers(0, 20))
    new = draw(st.binary(max_size=20) | st.sampled_from([b"[" * 2000, b"9" * 500, b"\\ud800", b"NaN", b"null", b"-"]))

    def damage(value: bytes) -> bytes:
        start = round(place * len(value))
        return value[:start] + new + value[start + length :]

    return damage


@given(damages())
def test_damaged_ones_are_not_there_or_as_good(damage: Any) -> None:
    meta = {"path": "o", "size": 4000, "e_tag": '"5-6"', "last_modified": datetime(2024, 1, 1, tzinfo=UTC)}
    record = write_record(known(meta, {"a": "b"}, 1.7e9))
    assert record is not None
    assert read_record(damage(record)) in (None, read_record(record))


@given(damages(), st.sampled_from([None, 500]), st.booleans())
def test_reads_are_right_whatever_became_of_the_record(damage: Any, block_size: int | None, old: bool) -> None:  # noqa: FBT001
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "o").write_bytes(CONTENT)
        cache = DictCache()

        def store() -> Any:
            return CachingReadableStore(
                LocalStore(folder), block_size=block_size, cache=cache, namespace="n", max_age=0 if old else 3600
            )

        store().get("o").buffer()
        cache.values["1/n/o"] = damage(cache.values["1/n/o"])
        assert bytes(store().get_range("o", start=300, end=2000)) == CONTENT[300:2000]
        assert bytes(store().get("o").buffer()) == CONTENT
