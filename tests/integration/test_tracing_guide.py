"""The code in the guide to tracing runs as it stands there, and its tables name every field."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from benchmarks.hdf5_files import Granule
from obspec_utils.readers import ReaderStats
from obspec_utils.wrappers import CacheInfo, RequestRecord, RequestTrace
from tests.integration.documents import REPOSITORY, python_blocks, run

GUIDE = "docs/guide/tracing.md"
READERS = ("open-reader", "no-read-ahead", "eager")


def test_the_guide_to_tracing_runs(object_server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.files.SCRATCH", tmp_path)
    granule = Granule(1, 100)
    object_server.put_file("docs/granule.h5", granule.path())
    names = {"store": object_server.s3_store("docs")}
    (tmp_path / "docs/guide/img").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    opening, picture, frame, report, pictures = python_blocks(GUIDE)
    for block in (opening, picture, frame):
        run(block, GUIDE, names)
    assert names["trace"].total_requests == len(object_server.log())
    assert (tmp_path / "opening.svg").stat().st_size > 10_000
    assert "total requests" in capsys.readouterr().out
    run(report, GUIDE, names)
    with pytest.raises(FileNotFoundError):
        names["traced"].head("missing")
    assert capsys.readouterr().out.startswith("head missing 0-0: ")
    assert pictures.count("Granule(1)") == 1
    run(pictures.replace("Granule(1)", "Granule(1, 100)").replace("latency=0.03, bandwidth=50e6", ""), GUIDE, names)
    found = sorted(path.name for path in (tmp_path / "docs/guide/img").iterdir())
    assert found == sorted(f"trace-{name}.svg" for name in READERS)
    assert found == sorted(path.name for path in (REPOSITORY / "docs/guide/img").glob("trace-*.svg"))


def test_the_guide_names_every_field():
    text = (REPOSITORY / GUIDE).read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", text))
    trace = RequestTrace()
    trace.add("a", 0, 1, 0.0)
    assert set(trace.summary()) <= named
    assert {field.name for field in fields(RequestRecord)} <= named
    numbers = {field.name for kind in (ReaderStats, CacheInfo) for field in fields(kind) if "bytes" in field.name}
    assert numbers <= named
