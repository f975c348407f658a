"""The code in the guides to progress and to logging runs as it stands there."""

from __future__ import annotations

import logging

import pytest

from tests.integration.documents import python_blocks, run

SIZE = 3_000_000


@pytest.fixture
def store(object_server):
    for path in ("a.nc", "b.nc"):
        object_server.put_random(f"guide/{path}", SIZE)
    return object_server.s3_store("guide")


def test_the_guide_to_progress(store, capsys):
    names = {"store": store}
    for block in python_blocks("docs/guide/progress.md"):
        run(block, "progress.md", names)
    printed = capsys.readouterr().out.splitlines()
    assert f"{SIZE} of {SIZE}" in printed
    assert printed[-1] == f"{2 * SIZE} of {2 * SIZE}"
    assert len(bytes(names["data"])) == SIZE
    assert names["failed"] == {}


def test_the_guide_to_logging(store, caplog):
    logger = logging.getLogger("obspec_utils")
    first, second = python_blocks("docs/guide/logging.md")
    try:
        run(first, "logging.md", {"store": store})
        messages = [record.getMessage() for record in caplog.records if record.name == "obspec_utils.requests"]
        assert len(messages) > 1
        assert messages[0].startswith(f"get 'a.nc' bytes 0 to 1048576: 1048576 of {SIZE} bytes in ")
        assert messages[0].endswith(' ms from S3Store(bucket="guide")')
        caplog.clear()
        names = {"store": store}
        run(first.replace("DEBUG", "WARNING"), "logging.md", names)
        run(second, "logging.md", names)
        assert [record for record in caplog.records if record.name.startswith("obspec_utils")] == []
    finally:
        logger.setLevel(logging.NOTSET)
