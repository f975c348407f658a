"""What readers, caches and traces tell of themselves, as text and in notebooks."""

from __future__ import annotations

from obstore.store import MemoryStore

from obspec_utils._tables import html_table, labelled, text_table
from obspec_utils.readers import EagerStoreReader
from obspec_utils.wrappers import CachingReadableStore


def test_the_name_of_a_number_tells_its_unit() -> None:
    values = {
        "requests": 1234,
        "bytes_kept": 2048,
        "unique_bytes": None,
        "max_request_size": 1 << 20,
        "wall_time": 0.25,
        "p50_duration": None,
        "amplification": 1.23456,
        "method": "get",
    }
    assert labelled(values) == [
        ("requests", "1,234"),
        ("bytes kept", "2 KiB"),
        ("unique bytes", "-"),
        ("max request size", "1 MiB"),
        ("wall time", "250 ms"),
        ("p50 duration", "-"),
        ("amplification", "1.23"),
        ("method", "get"),
    ]


def test_tables_are_aligned_and_escaped() -> None:
    rows = [["a", "1", "10"], ["<b>", "22", "3"]]
    assert text_table(rows, ["name", "n", "total"]) == "name   n  total\na      1     10\n<b>   22      3"
    assert text_table(rows) == "a     1  10\n<b>  22   3"
    assert html_table([["<b>", "1"]], ["x", "y"]) == (
        "<table><tr><th>x</th><th>y</th></tr><tr><td>&lt;b&gt;</td><td>1</td></tr></table>"
    )
    assert html_table([["a", "1"]]) == "<table><tr><th>a</th><td>1</td></tr></table>"


def test_a_reader_and_a_cache_tell_what_they_did_in_the_same_words() -> None:
    store = MemoryStore()
    store.put("a", bytes(3000))
    cached = CachingReadableStore(store)
    cached.get("a").buffer()
    reader = EagerStoreReader(store, "a")
    reader.read(1000)
    for stats in (reader.stats(), cached.cache_info()):
        shown = str(stats)
        for line in ("requests", "bytes fetched", "bytes kept"):
            assert f"\n{line} " in f"\n{shown}"
            assert f"<th>{line}</th>" in stats._repr_html_()
        assert (stats.requests, stats.bytes_fetched, stats.bytes_kept) == (1, 3000, 3000)
        assert "2.93 KiB" in shown
