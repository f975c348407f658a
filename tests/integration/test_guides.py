"""The code in the guide to caching runs as it stands there, one block after the other."""

from __future__ import annotations

import re
from pathlib import Path

from tests.integration.sharing import spans_asked_for

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "caching.md"
SIZES = {"a.nc": 100_000, "large.nc": 12_000_000}


def test_the_guide_to_caching_runs(object_server, redis_server, tmp_path, capsys):
    for path, size in SIZES.items():
        object_server.put_random(f"guide/{path}", size, period=100_003)
    names = {"store": object_server.s3_store("guide"), "near": object_server.s3_store("near")}
    text = GUIDE.read_text(encoding="utf-8")
    text = text.replace("redis://cache.example:6379/0", redis_server.url).replace("/scratch/cache", str(tmp_path))
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 10
    for block in blocks:
        object_server.clear()
        exec(compile(block, GUIDE.name, "exec"), names)
        if "moves one block" in block:
            spans = spans_asked_for(object_server, SIZES)["large.nc"]
            assert (38 * 256 * 1024, 39 * 256 * 1024) in spans
            assert sum(stop - start for start, stop in spans) == SIZES["large.nc"]
        if "in 6 requests" in block:
            assert len(object_server.log()) == 6
        if "as in a worker" in block:
            assert len(object_server.log()) == 1
            assert names["there"].cache_info().tiers[1].hits == 1
    printed = capsys.readouterr().out
    assert printed.startswith("{'missing.nc': FileNotFoundError(")
    assert "\nhits " in printed
    # The last block's cache of one's own.
    cached = names["cached"]
    cached.get("a.nc").buffer()
    assert len(next(iter(names["near"].list()))) == 2  # the version, and the object
    names["near"].put("other", b"of another program")
    names["BucketCache"](names["near"], "obspec-cache").clear()
    assert [found["path"] for page in names["near"].list() for found in page] == ["other"]
    assert cached.get_range("a.nc", start=0, length=1) == object_server.get("guide/a.nc")[:1]
