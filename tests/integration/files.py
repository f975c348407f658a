"""What the test files hold, and how each format's own library writes it."""

from __future__ import annotations

import io
import tarfile
import zipfile

import numpy as np

SHAPE = (96, 128)
MEMBERS = {"readme.txt": b"first line\nsecond line\n", "deep/values.bin": np.random.default_rng(1).bytes(50_000)}


def grid() -> np.ndarray:
    return np.random.default_rng(0).random(SHAPE, dtype=np.float32)


def climate():
    """Return a dataset with contiguous, chunked and compressed variables, big enough for dozens of small chunks."""
    import pandas as pd
    import xarray as xr

    random = np.random.default_rng(2)
    coordinates = {"time": pd.date_range("2020-01-01", periods=8), "y": np.arange(48.0), "x": np.arange(64.0)}
    dimensions = tuple(coordinates)
    shape = tuple(len(values) for values in coordinates.values())
    variables = {
        name: (dimensions, random.random(shape, dtype=np.float32), {"units": unit})
        for name, unit in (("temperature", "K"), ("wind", "m s-1"), ("rain", "mm"))
    }
    return xr.Dataset(variables, coords=coordinates, attrs={"title": "made for a test"})


def frame():
    import pandas as pd

    random = np.random.default_rng(3)
    return pd.DataFrame(
        {"id": np.arange(5_000), "value": random.random(5_000), "name": [f"n{i}" for i in range(5_000)]}
    )


def write_netcdf4(path) -> None:
    encoding = {
        "temperature": {"chunksizes": (2, 48, 64)},
        "rain": {"chunksizes": (4, 24, 32), "zlib": True, "complevel": 4, "shuffle": True},
    }
    climate().to_netcdf(path, engine="h5netcdf", encoding=encoding)


def write_netcdf3(path) -> None:
    climate().to_netcdf(path, engine="scipy", format="NETCDF3_64BIT")


def write_hdf5(path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("plain", data=grid())
        file.create_dataset("group/packed", data=grid(), chunks=(32, 32), compression="gzip")
        file.attrs["title"] = "made for a test"


def write_geotiff(path) -> None:
    import rasterio
    from rasterio.transform import from_origin

    height, width = SHAPE
    profile = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": "float32"}
    layout = {"crs": "EPSG:4326", "transform": from_origin(0, 10, 0.1, 0.1), "tiled": True, "compress": "deflate"}
    with rasterio.open(path, "w", blockxsize=32, blockysize=32, **profile, **layout) as file:
        file.write(grid(), 1)


GRIB_LEVELS = (1000, 850, 500)


def grib_values(level: int) -> np.ndarray:
    return np.random.default_rng(level).random(SHAPE) + 250.0


def write_grib(path) -> None:
    import eccodes

    rows, columns = SHAPE
    area = {"latitudeOfFirstGridPoint": 60_000_000, "latitudeOfLastGridPoint": (60 - rows + 1) * 1_000_000}
    area |= {"longitudeOfFirstGridPoint": 0, "longitudeOfLastGridPoint": (columns - 1) * 1_000_000}
    steps = {"iDirectionIncrement": 1_000_000, "jDirectionIncrement": 1_000_000}
    with path.open("wb") as file:
        for level in GRIB_LEVELS:
            message = eccodes.codes_grib_new_from_samples("regular_ll_pl_grib2")
            keys = {"Ni": columns, "Nj": rows, **area, **steps, "shortName": "t", "level": level, "bitsPerValue": 16}
            for key, value in keys.items():
                eccodes.codes_set(message, key, value)
            eccodes.codes_set_values(message, grib_values(level).ravel())
            eccodes.codes_write(message, file)
            eccodes.codes_release(message)


def write_parquet(path) -> None:
    frame().to_parquet(path, engine="pyarrow", row_group_size=1_000)


def write_zip(path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in MEMBERS.items():
            archive.writestr(name, content)


def write_tar(path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in MEMBERS.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_png(path) -> None:
    from PIL import Image

    Image.fromarray((grid() * 255).astype("uint8")).save(path)


WRITERS = {
    "climate.nc": write_netcdf4,
    "climate3.nc": write_netcdf3,
    "grid.h5": write_hdf5,
    "grid.tif": write_geotiff,
    "fields.grib2": write_grib,
    "frame.parquet": write_parquet,
    "members.zip": write_zip,
    "members.tar.gz": write_tar,
    "grid.png": write_png,
}
