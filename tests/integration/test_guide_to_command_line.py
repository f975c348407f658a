"""The commands in the guide to the command line run as they stand there, and print what it shows, but for numbers."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.transform import from_origin

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "command-line.md"
VARIABLES = 6


def write_model(path):
    """Write a NetCDF4 file with metadata between its data, and one variable in tiny chunks."""
    random = np.random.default_rng(0)
    data = {
        f"field_{number:02}": xr.DataArray(random.random((256, 256), dtype="f4"), dims=("y", "x"), attrs={"units": "K"})
        for number in range(VARIABLES)
    }
    model = xr.Dataset(data | {"ice": (("time", "y", "x"), random.random((64, 256, 256), dtype="f4"))})
    encoding = {"ice": {"chunksizes": (1, 32, 32), "zlib": True}}
    model.to_netcdf(path, engine="h5netcdf", encoding=encoding)


def write_scene(path):
    """Write a GeoTIFF in strips, without overviews."""
    pixels = np.random.default_rng(0).integers(0, 255, (3, 2000, 3000), "u1")
    options = {"driver": "GTiff", "dtype": "uint8", "width": 3000, "height": 2000, "count": 3, "crs": "EPSG:32633"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # rasterio's own, about affine
        with rasterio.open(path, "w", transform=from_origin(5e5, 5e6, 10, 10), **options) as image:
            image.write(pixels)


@pytest.fixture
def environment(object_server, tmp_path):
    """Variables that make the object server the S3 of the guide, with its files."""
    for name, write in (("model/2026-01-01.nc", write_model), ("scene.tif", write_scene)):
        path = tmp_path / Path(name).name
        write(path)
        object_server.put(f"bucket/{name}", path.read_bytes())
    object_server.put("bucket/model/2026-01-02.nc", (tmp_path / "2026-01-01.nc").read_bytes())
    names = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return names | {
        "AWS_ENDPOINT": object_server.url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-west-2",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
        "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]),
    }


def commands():
    """Return the commands of the guide, each with the output that it shows."""
    blocks = re.findall(r"^```console\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [block.removeprefix("$ ").partition("\n")[::2] for block in blocks]


def shape(text):
    """Return a text without its numbers, with one space between words."""
    text = re.sub(r"\d[\d.,:x+T-]*", "N", re.sub(r"\b(B|KiB|MiB|GiB|ms|s)\b", "", text))
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_guide_to_the_command_line_runs(environment, tmp_path):
    found = commands()
    assert [command.split()[1] for command, _ in found] == ["glob", "glob", "inspect", "inspect", "explain", "demo"]
    for command, shown in found:
        assert max(map(len, shown.splitlines())) <= (100 if "explain" in command else 80), command
        if "demo" in command:  # which has a test of its own
            continue
        done = subprocess.run(
            command, shell=True, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        if "explain" in command:  # whose rows depend on the time that they take
            assert shape(done.stdout)[:3] == shape(shown)[:3]
        else:
            assert shape(done.stdout) == shape(shown), command
