"""The calls every stack must answer as its store does, by what they are about."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.contracts._objects import DATA, EMPTY, MANY_PARTS, MISSING, ONE, PREFIX, SIZE, SPELLINGS, UNICODE
from tests.contracts._outcomes import READS, Call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obspec import ObjectMeta

__all__ = ["TOPICS"]

Calls = dict[str, Call]

_PATHS = (DATA, EMPTY, ONE, MANY_PARTS, UNICODE, *SPELLINGS, MISSING, PREFIX, "")


def _gets(options: Mapping[str, Any], path: str = DATA) -> Calls:
    return {name: Call("get", path, {"options": option}) for name, option in options.items()}


def _whole_objects(_: ObjectMeta) -> Calls:
    calls = {
        f"{path!r} by {read}": Call("get", path, read=read) for path in (DATA, EMPTY, MANY_PARTS) for read in READS
    }
    calls |= {f"{path!r}": Call("get", path) for path in _PATHS}
    return calls | _gets({"options None": None, "no options": {}})


def _range_options(_: ObjectMeta) -> Calls:
    ranges: dict[str, Any] = {
        "tuple": (5, 10),
        "list": [5, 10],
        "all": (0, SIZE),
        "last byte": (SIZE - 1, SIZE),
        "partly past the end": (SIZE - 5, SIZE + 5),
        "at the end": (SIZE, SIZE + 5),
        "past the end": (SIZE + 5, SIZE + 9),
        "empty": (5, 5),
        "empty at 0": (0, 0),
        "reversed": (9, 5),
        "negative start": (-5, 5),
        "negative both": (-9, -5),
        "offset": {"offset": 290},
        "offset 0": {"offset": 0},
        "offset at the end": {"offset": SIZE},
        "offset past the end": {"offset": SIZE + 1},
        "offset negative": {"offset": -1},
        "suffix": {"suffix": 10},
        "suffix 0": {"suffix": 0},
        "suffix of more than all": {"suffix": SIZE + 1},
        "suffix negative": {"suffix": -1},
        "None": None,
        "one number": (5,),
        "three numbers": (5, 6, 7),
        "no numbers": (),
        "a number": 5,
        "a string": "5-10",
        "floats": (0.0, 5.0),
        "strings": ("0", "5"),
        "bools": (False, True),
        "NumPy": (np.int64(5), np.uint8(10)),
        "NumPy array": np.array([5, 10]),
        "NumPy float": (np.float64(5), 10),
        "NumPy offset": {"offset": np.int64(290)},
        "empty dict": {},
        "unknown dict": {"start": 1},
        "two keys": {"offset": 1, "suffix": 1},
        "huge": (1, 1 << 63),
        "too huge": (1, 1 << 65),
        "False": False,
    }
    calls = _gets({name: {"range": value} for name, value in ranges.items()})
    for path in (EMPTY, ONE, MISSING, PREFIX):
        calls |= {f"{path} {name}": Call("get", path, {"options": {"range": ranges[name]}}) for name in _AT_ANY_PATH}
    calls |= {f"by {read}": Call("get", DATA, {"options": {"range": (5, 99)}}, read) for read in READS}
    return calls | {"to many parts": Call("get", MANY_PARTS, {"options": {"range": (100, 700)}})}


_AT_ANY_PATH = ("all", "tuple", "offset 0", "suffix")


def _conditions(meta: ObjectMeta) -> Calls:
    tag, day = meta["e_tag"], timedelta(days=1)
    if tag is None:
        tags: dict[str, Any] = {}
    else:
        tags = {
            "this": tag,
            "other": '"other"',
            "star": "*",
            "list with this": f'"other", {tag}',
            "list without spaces": f'"other",{tag}',
            "list of others": '"other", "another"',
            "weak": f"W/{tag}",
            "unquoted": tag.strip('"'),
            "empty": "",
            "None": None,
            "bytes": b"tag",
            "number": 1,
        }
    options: dict[str, Any] = {
        f"{condition} {name}": {condition: value}
        for condition in ("if_match", "if_none_match")
        for name, value in tags.items()
    }
    modified = meta["last_modified"]
    options |= {
        f"{condition} {name}": {condition: value}
        for condition in ("if_modified_since", "if_unmodified_since")
        for name, value in {"before": modified - day, "same": modified, "after": modified + day, "string": "x"}.items()
    }
    options |= {
        "both hold": {"if_match": tag, "if_none_match": '"other"'},
        "first fails": {"if_match": '"other"', "if_none_match": '"other"'},
        "second fails": {"if_match": tag, "if_none_match": tag},
        "holds with a range": {"if_match": tag, "range": (3, 8)},
        "fails with a range": {"if_match": '"other"', "range": (3, 8)},
        "none match with a range": {"if_none_match": '"other"', "range": {"offset": 250}},
        "holds with a range past the end": {"if_match": tag, "range": (SIZE, SIZE + 1)},
    }
    calls = _gets(options)
    calls |= {
        f"missing {name}": Call("get", MISSING, {"options": options[name]}) for name in ("both hold", "first fails")
    }
    return calls | {f"empty {name}": Call("get", EMPTY, {"options": options[name]}) for name in ("first fails",)}


def _other_options(meta: ObjectMeta) -> Calls:
    return _gets(
        {
            "head": {"head": True},
            "head of a range": {"head": True, "range": (1, 5)},
            "head False": {"head": False},
            "head None": {"head": None},
            "head number": {"head": 1},
            "head and condition": {"head": True, "if_none_match": meta["e_tag"]},
            "version": {"version": meta["version"]},
            "version of no object": {"version": "none"},
            "version and range": {"version": meta["version"], "range": (1, 5)},
            "version number": {"version": 3},
            "unknown": {"unknown": 1},
            "unknown and range": {"unknown": 1, "range": (1, 5)},
            "unknown None": {"unknown": None},
            "not a dict": 5,
            "empty list": [],
        }
    ) | {
        "head of nothing": Call("get", MISSING, {"options": {"head": True}}),
        "head of an empty object": Call("get", EMPTY, {"options": {"head": True}}),
    }


def _one_range(_: ObjectMeta) -> Calls:
    arguments: dict[str, Any] = {
        "end": {"start": 5, "end": 10},
        "length": {"start": 5, "length": 5},
        "all": {"start": 0, "end": SIZE},
        "partly past the end": {"start": SIZE - 5, "end": SIZE + 5},
        "length past the end": {"start": SIZE - 5, "length": 10},
        "at the end": {"start": SIZE, "end": SIZE + 1},
        "past the end": {"start": SIZE + 5, "length": 5},
        "nothing at the end": {"start": SIZE, "length": 0},
        "empty": {"start": 5, "end": 5},
        "length 0": {"start": 5, "length": 0},
        "reversed": {"start": 9, "end": 5},
        "negative start": {"start": -1, "end": 5},
        "negative end": {"start": 0, "end": -1},
        "negative length": {"start": 5, "length": -1},
        "both": {"start": 5, "end": 10, "length": 5},
        "neither": {"start": 5},
        "None": {"start": 5, "end": None, "length": None},
        "no start": {"end": 5},
        "float": {"start": 1.0, "end": 5},
        "string": {"start": "1", "end": 5},
        "bool": {"start": False, "end": True},
        "huge": {"start": 1, "end": 1 << 63},
        "too huge": {"start": 1, "end": 1 << 65},
        "unknown argument": {"start": 1, "end": 5, "unknown": 1},
        "unknown None": {"start": 1, "end": 5, "unknown": None},
        "NumPy": {"start": np.int64(5), "end": np.uint8(10)},
        "NumPy length": {"start": np.int32(5), "length": np.int64(10)},
        "NumPy float": {"start": np.float64(5), "end": 10},
    }
    calls = {name: Call("get_range", DATA, value) for name, value in arguments.items()}
    for path in (EMPTY, ONE, MISSING, PREFIX, *SPELLINGS):
        calls |= {f"{path!r} {name}": Call("get_range", path, arguments[name]) for name in ("end", "length")}
    calls["one byte"] = Call("get_range", ONE, {"start": 0, "length": 1})
    calls["nothing of nothing"] = Call("get_range", EMPTY, {"start": 0, "length": 0})
    return calls | {"of many parts": Call("get_range", MANY_PARTS, {"start": 100, "end": 700})}


def _several_ranges(_: ObjectMeta) -> Calls:
    arguments: dict[str, Any] = {
        "ends": {"starts": [0, 100], "ends": [5, 110]},
        "lengths": {"starts": [0, 100], "lengths": [5, 10]},
        "tuples": {"starts": (0, 100), "ends": (5, 110)},
        "unsorted": {"starts": [200, 3, 100], "ends": [210, 9, 101]},
        "overlapping": {"starts": [0, 5, 5], "ends": [10, 15, 15]},
        "adjacent": {"starts": [0, 10, 20], "lengths": [10, 10, 10]},
        "one": {"starts": [7], "ends": [8]},
        "none": {"starts": [], "ends": []},
        "no lengths": {"starts": [], "lengths": []},
        "coalesce": {"starts": [0, 100], "ends": [5, 110], "coalesce": 0},
        "coalesce much": {"starts": [0, 100], "lengths": [5, 10], "coalesce": 1 << 20},
        "coalesce NumPy": {"starts": [0, 100], "lengths": [5, 10], "coalesce": np.int64(5)},
        "coalesce bool": {"starts": [0, 100], "lengths": [5, 10], "coalesce": True},
        "coalesce text": {"starts": [0, 100], "lengths": [5, 10], "coalesce": "x"},
        "coalesce float": {"starts": [0, 100], "lengths": [5, 10], "coalesce": 5.0},
        "coalesce None": {"starts": [0, 100], "lengths": [5, 10], "coalesce": None},
        "coalesce negative": {"starts": [0, 100], "lengths": [5, 10], "coalesce": -1},
        "coalesce too huge": {"starts": [0, 100], "lengths": [5, 10], "coalesce": 1 << 64},
        "NumPy": {"starts": np.array([0, 100]), "ends": np.array([5, 110])},
        "lists of NumPy": {"starts": list(np.array([0, 100])), "lengths": list(np.array([5, 10]))},
        "partly past the end": {"starts": [0, SIZE - 5], "ends": [5, SIZE + 5]},
        "past the end": {"starts": [0, SIZE + 5], "ends": [5, SIZE + 9]},
        "zero length": {"starts": [0, 5], "lengths": [5, 0]},
        "reversed": {"starts": [0, 9], "ends": [5, 5]},
        "negative": {"starts": [0, -1], "ends": [5, 5]},
        "both": {"starts": [0], "ends": [5], "lengths": [5]},
        "neither": {"starts": [0, 100]},
        "more starts": {"starts": [0, 100], "ends": [5]},
        "more ends": {"starts": [0], "ends": [5, 110]},
        "more lengths": {"starts": [0], "lengths": [5, 10]},
        "no starts": {"ends": [5]},
        "floats": {"starts": [0.0], "ends": [5.0]},
        "a number": {"starts": 0, "ends": 5},
        "a generator of starts": {"starts": range(0, 20, 10), "lengths": [5, 5]},
        "unknown argument": {"starts": [0], "ends": [5], "unknown": 1},
        "unknown None": {"starts": [0], "ends": [5], "unknown": None},
        "unknown and coalesce": {"starts": [0], "ends": [5], "coalesce": 0, "unknown": None},
    }
    calls = {name: Call("get_ranges", DATA, value) for name, value in arguments.items()}
    for path in (ONE, MISSING, PREFIX, *SPELLINGS):
        calls[f"{path!r}"] = Call("get_ranges", path, {"starts": [0], "lengths": [1]})
    calls["nothing of a missing object"] = Call("get_ranges", MISSING, {"starts": [], "ends": []})
    return calls | {"of many parts": Call("get_ranges", MANY_PARTS, {"starts": [9, 600], "lengths": [99, 99]})}


def _heads(_: ObjectMeta) -> Calls:
    return {f"{path!r}": Call("head", path) for path in _PATHS}


TOPICS = {
    "whole objects": _whole_objects,
    "range options": _range_options,
    "conditions": _conditions,
    "other options": _other_options,
    "get_range": _one_range,
    "get_ranges": _several_ranges,
    "head": _heads,
}
