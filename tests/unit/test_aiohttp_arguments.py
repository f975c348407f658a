"""AiohttpStore refuses what can't be right, before it sends anything."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import obspec.exceptions
import pytest

from obspec_utils.stores import AiohttpStore


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"rang": (0, 5)}, ValueError, "'rang'"),
        ({"range": (5, 5)}, ValueError, "(5, 5)"),
        ({"range": (-1, 5)}, ValueError, "range must be"),
        ({"range": {"suffix": 0}}, ValueError, "range must be"),
        ({"range": {"offset": 1, "suffix": 1}}, ValueError, "range must be"),
        ({"range": "0-5"}, ValueError, "range must be"),
        ({"range": None}, ValueError, "range must be"),
        ({"if_match": 5}, TypeError, "if_match"),
        ({"if_match": "a\r\nX: y"}, ValueError, "if_match"),
        ({"if_modified_since": datetime(2020, 1, 1)}, TypeError, "time zone"),  # noqa: DTZ001
        ({"head": 1}, TypeError, "head"),
        ({"version": "7"}, obspec.exceptions.NotSupportedError, "version"),
        (5, TypeError, "options"),
    ],
)
async def test_options_that_can_t_be_sent_are_refused(options: Any, error: type[Exception], text: str) -> None:
    store = AiohttpStore("http://127.0.0.1:1")
    with pytest.raises(error, match=text.replace("(", r"\(").replace(")", r"\)")):
        store.get("a", options=options)
    with pytest.raises(error):
        await store.get_async("a", options=options)


@pytest.mark.parametrize("path", ["a//b", "//a", "../a", "a/./b", "a/..", "\ud800"])
def test_paths_that_no_object_has_are_refused(path: str) -> None:
    for method in ("get", "head"):
        with pytest.raises(obspec.exceptions.InvalidPathError, match="path"):
            getattr(AiohttpStore("http://127.0.0.1:1"), method)(path)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"base_url": 5}, TypeError, "base_url"),
        ({"base_url": "s3://bucket"}, ValueError, "s3://bucket"),
        ({"base_url": "example.com/data"}, ValueError, "base_url"),
        ({"base_url": "http://"}, ValueError, "base_url"),
        ({"base_url": "http://user:s3cret@[x"}, ValueError, "base_url"),
        ({"base_url": "http://a:99999"}, ValueError, "base_url"),
        ({"base_url": "http://a/b\n"}, ValueError, "base_url"),
        ({"base_url": "http://a/#b"}, ValueError, "fragment"),
        ({"headers": {"Range": "bytes=0-1"}}, ValueError, "Range"),
        ({"headers": {"accept-encoding": "gzip"}}, ValueError, "accept-encoding"),
        ({"headers": {"X": "a\nb: c"}}, ValueError, "'X'"),
        ({"headers": {"a b": "s3cret"}}, ValueError, "'a b'"),
        ({"headers": {"X": 5}}, TypeError, "headers"),
        ({"headers": ["s3cret"]}, TypeError, "headers"),
        ({"base_url": "http://u:p@a", "headers": {"authorization": "s3cret"}}, ValueError, "one of the two"),
        ({"timeout": 0}, ValueError, "timeout"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"timeout": "30"}, TypeError, "timeout"),
        ({"session": "s3cret"}, TypeError, "session"),
    ],
)
def test_arguments_that_can_t_be_right_are_refused(
    arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text) as caught:
        AiohttpStore(**{"base_url": "http://a", **arguments})
    if "session" not in arguments:
        assert "s3cret" not in str(caught.value)


def test_ranges_that_can_t_be_right_are_refused() -> None:
    store = AiohttpStore("http://127.0.0.1:1")
    for wrong in ({"start": 5}, {"start": 5, "end": 5}, {"start": 5, "end": 6, "length": 1}, {"start": -1, "end": 5}):
        with pytest.raises(ValueError, match=r"end|range"):
            store.get_range("a", **wrong)
    with pytest.raises(ValueError, match="each start"):
        store.get_ranges("a", starts=[0, 1], ends=[5])
    assert store.get_ranges("a", starts=[], lengths=[]) == []
