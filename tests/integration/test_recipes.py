"""The recipes of the guide, each run against real servers."""

from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from obstore.store import S3Store

from tests.servers.web_server import WebServer

from .test_documentation import contents, image, image_values, python_blocks, run, store  # noqa: F401 - fixtures

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # rasterio's own, about affine

TOKEN = "s3cret-token"


@pytest.fixture
def blocks() -> dict[str, str]:
    """The code of each recipe, by its first line that tells it from others."""
    return dict(enumerate(python_blocks("docs/guide/recipes.md")))


def test_all_recipes(object_server: Any, store: Any, dataset: Any, blocks: Any, files: Any) -> None:  # noqa: F811
    bucket = S3Store(
        "docs",
        endpoint=object_server.url,
        region="us-east-1",
        access_key_id="key",
        secret_access_key="secret",
        client_options={"allow_http": True},
    )
    names = {"store": store, "bucket": bucket, "token": TOKEN, "paths": ["a.nc"] * 3}
    for block in blocks.values():
        if "ZarrParser" not in block:  # tests/integration/test_virtualizarr_parsers.py runs it
            run(block, "recipes.md", names)
    expected = float(dataset["temperature"].mean())
    assert names["mean"] == pytest.approx(expected)
    assert names["means"] == pytest.approx([expected] * 3)
    assert names["means_by_file"] == pytest.approx([expected] * 3)
    whole = image_values()
    places = [(0, 0), (0, 256), (256, 0), (256, 256)]
    for (row, column), found in zip(places, names["tiles"], strict=True):
        np.testing.assert_array_equal(found, whole[row : row + 256, column : column + 256])
    assert names["polars_frame"]["value"].to_list() == names["frame"]["value"].to_list()
    assert "temperature/.zarray" in names["references"]["refs"]
    assert pickle.loads(pickle.dumps(names["https"])) == names["https"]


def test_the_credentials_of_earthdata_reach_the_requests(blocks: Any) -> None:
    """The token goes to the archive, its keys to the bucket, which are servers of the test."""
    expires = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S+00:00")
    keys = {"accessKeyId": "AKIAKEY", "secretAccessKey": "x", "sessionToken": "session", "expiration": expires}

    async def archive(_: web.Request) -> web.Response:
        return web.json_response(keys)

    async def objects(_: web.Request) -> web.Response:
        return web.Response(body=b"data", headers={"ETag": '"1"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"})

    with WebServer(archive) as archives, WebServer(objects) as server:
        block = next(block for block in blocks.values() if "NasaEarthdata" in block)
        block = block.replace("https://archive.podaac.earthdata.nasa.gov", archives.url)
        block = block.replace('region="us-west-2"', f'endpoint="{server.url}", client_options={{"allow_http": True}}')
        names: dict[str, Any] = {"token": TOKEN}
        run(block, "recipes.md", names)
        assert bytes(names["granules"].get("a").bytes()) == b"data"
        names["credentials"].close()
    assert archives.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert "AKIAKEY" in server.requests[0].headers["authorization"]
    assert server.requests[0].headers["x-amz-security-token"] == "session"


def test_the_requester_pays(blocks: Any) -> None:
    async def objects(_: web.Request) -> web.Response:
        return web.Response(body=b"data", headers={"ETag": '"1"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"})

    with WebServer(objects) as server:
        block = next(block for block in blocks.values() if "request_payer" in block)
        here = (
            f'endpoint="{server.url}", client_options={{"allow_http": True}}, access_key_id="k", secret_access_key="s"'
        )
        names: dict[str, Any] = {"S3Store": S3Store}
        run(block.replace('region="us-west-2"', here), "recipes.md", names)
        assert bytes(names["paid"].get("a").bytes()) == b"data"
    assert server.requests[0].headers["x-amz-request-payer"] == "requester"


def test_readers_of_many_files_are_opened_side_by_side(object_server: Any, store: Any, blocks: Any, files: Any) -> None:  # noqa: F811
    object_server.configure(latency=0.1, gather=10)
    names: dict[str, Any] = {"store": store, "paths": ["a.nc"] * 10, "xr": __import__("xarray")}
    block = next(block for block in blocks.values() if "open_mfdataset" in block)
    object_server.clear()
    run(block.split("with xr")[0], "recipes.md", names)
    assert len(object_server.log()) == object_server.most_in_flight() == 10
    assert asyncio.run(names["open_all"]([])) == []
