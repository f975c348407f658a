"""HDF5 files of all kinds, made with h5py in memory."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING

import h5py
import numpy as np

from tests.unit._hdf5_literals import LITERALS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LIBVERS", "MAKERS", "GrowingFile", "all_files", "make", "make_with_sizes"]

LIBVERS = ("earliest", "latest")

MAKERS: dict[str, Callable[[h5py.File], None]] = {}
_OPTIONS: dict[str, dict[str, object]] = {}


class GrowingFile(io.BytesIO):
    """A file in memory that, unlike `BytesIO`, truncates to larger sizes, too, as h5py expects."""

    def truncate(self, size: int | None = None) -> int:
        missing = 0 if size is None else size - len(self.getbuffer())
        if missing > 0:
            self.seek(0, io.SEEK_END)
            self.write(bytes(missing))
        return super().truncate(size)


def make(name: str, libver: str, **options: object) -> bytes:
    """Return the bytes of the file that a maker makes."""
    file = GrowingFile()
    with h5py.File(file, "w", libver=libver, **(_OPTIONS[name] | options)) as made:
        MAKERS[name](made)
    return file.getvalue()


def make_with_sizes(name: str, libver: str, size: int) -> bytes:
    """Return the bytes of a file with sizes of offsets and lengths of 4 or 8 bytes."""
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_sizes(size, size)
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fapl_core(backing_store=False)
    low = h5py.h5f.LIBVER_LATEST if libver == "latest" else h5py.h5f.LIBVER_EARLIEST
    access.set_libver_bounds(low, h5py.h5f.LIBVER_LATEST)
    with h5py.File(h5py.h5f.create(b"in memory", h5py.h5f.ACC_TRUNC, creation, access)) as made:
        MAKERS[name](made)
        made.flush()
        return made.id.get_file_image()


@cache
def all_files() -> dict[str, bytes]:
    """Return the bytes of all files: those of each maker, with other sizes of offsets, and the literals."""
    files = {f"{name}, {libver}": make(name, libver) for name in MAKERS for libver in LIBVERS}
    for name in ("attributes", "chunked", "links", "references", "variable_length_attributes", "layouts"):
        files |= {f"{name}, {libver}, offsets of 4": make_with_sizes(name, libver, 4) for libver in LIBVERS}
    return files | LITERALS


def _file(**options: object) -> Callable[[Callable[[h5py.File], None]], Callable[[h5py.File], None]]:
    def register(maker: Callable[[h5py.File], None]) -> Callable[[h5py.File], None]:
        name = maker.__name__.lstrip("_")
        MAKERS[name] = maker
        _OPTIONS[name] = options
        return maker

    return register


@_file()
def _groups(file: h5py.File) -> None:
    for number in range(5):
        group = file.create_group(f"a/b{number}/c")
        group["data"] = np.arange(number + 1)
        group.attrs["number"] = number


@_file()
def _deep(file: h5py.File) -> None:
    group = file
    for _ in range(10):
        group = group.create_group("group")
        group["data"] = np.arange(1000)


@_file()
def _many_groups(file: h5py.File) -> None:
    for number in range(400):
        file.create_group(f"group with a name of some length {number}").attrs["n"] = number


@_file(track_order=True)
def _tracked_order(file: h5py.File) -> None:
    for number in reversed(range(30)):
        group = file.create_group(f"g{number}", track_order=True)
        for letter in reversed("abcdefghijklmnop"):
            group.attrs[letter] = letter * 20


@_file()
def _links(file: h5py.File) -> None:
    file["data"] = np.arange(3)
    for number in range(20):
        file[f"hard{number}"] = file["data"]
        file[f"soft{number}"] = h5py.SoftLink(f"/hard{number}")
        file[f"dangling{number}"] = h5py.SoftLink("/nowhere")
        file[f"external{number}"] = h5py.ExternalLink("other.h5", "/a/b")
    file["cycle/to/here"] = file["/"]


@_file()
def _long_names(file: h5py.File) -> None:
    for number in range(1500):
        file.create_group(f"{number} {'long' * 120}")
    file.create_group("huge" * 2000)


@_file()
def _attributes(file: h5py.File) -> None:
    for count in (1, 7, 9, 40):
        group = file.create_group(f"with {count}")
        for number in range(count):
            group.attrs[f"attribute {number}"] = np.arange(number)
            group.attrs[f"text {number}"] = f"text {number}" * 10


@_file()
def _large_attributes(file: h5py.File) -> None:
    data = file.create_dataset("data", data=np.arange(4))
    for number in range(12):
        data.attrs[f"large {number}"] = np.arange(700) + number
        data.attrs.create(f"texts {number}", [f"{number} {text}" for text in range(400)], dtype=h5py.string_dtype())


@_file()
def _variable_length_attributes(file: h5py.File) -> None:
    compound = np.dtype([("n", "i2"), ("s", h5py.string_dtype()), ("t", h5py.string_dtype(), (3,)), ("f", "S5")])
    for name in "abcdefghij":
        group = file.create_group(name)
        group.attrs["text"] = "a" * 5000
        group.attrs.create("texts", ["x" * 1000, "", "y"], dtype=h5py.string_dtype())
        group.attrs.create("none", np.zeros(0, "O"), dtype=h5py.string_dtype())
        group.attrs.create("numbers", [np.arange(200), np.arange(3)], dtype=h5py.vlen_dtype("i4"))
        value = np.zeros(2, compound)
        value["s"] = name * 3000
        value["t"] = name
        group.attrs.create("compound", value, dtype=compound)
        pairs = np.zeros(3, np.dtype([("x", "f8"), ("kind", h5py.enum_dtype({"a": 1, "b": 2})), ("o", "V5")]))
        group.attrs["pairs"] = pairs


@_file()
def _empty_texts(file: h5py.File) -> None:
    for number in range(4):
        file.create_group(f"group {number}").attrs["empty"] = ""


@_file()
def _references(file: h5py.File) -> None:
    data = file.create_dataset("data", data=np.arange(10))
    for number in range(20):
        file.create_dataset(f"scale{number}", data=np.arange(3)).make_scale()
        file.attrs[f"reference{number}"] = data.ref
        file.attrs[f"region{number}"] = data.regionref[2:5]
    data.dims[0].attach_scale(file["scale0"])
    file.create_dataset("references", data=np.array([data.ref] * 3, dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)


@_file()
def _committed_types(file: h5py.File) -> None:
    file["number"] = np.dtype("f4")
    file["text"] = h5py.string_dtype()
    file["pair"] = np.dtype([("a", "i4"), ("b", h5py.string_dtype())])
    for number in range(12):
        data = file.create_dataset(f"data{number}", (3,), dtype=file["number"])
        data.attrs.create("text", "x" * 5000, dtype=file["text"])
        data.attrs.create("number", number, dtype=file["number"])
    for number in range(12):
        file.attrs.create(f"text{number}", "y" * 5000, dtype=file["text"])


@_file()
def _layouts(file: h5py.File) -> None:
    for number in range(3):
        file[f"contiguous{number}"] = np.arange(100)
        file.create_dataset(f"external{number}", (10,), "i4", external=[("a.bin", 0, 20), ("b.bin", 5, 20)])
        file.create_dataset(f"empty{number}", data=h5py.Empty("f4"))
        space = h5py.h5s.create_simple((4,))
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        h5py.h5d.create(file.id, f"compact{number}".encode(), h5py.h5t.NATIVE_INT32, space, properties)


@_file()
def _external_files(file: h5py.File) -> None:
    for number in range(3):
        files = [(f"{'directory/' * 8}{part}.bin", 0, 4) for part in range(20)]
        file.create_dataset(f"data{number}", (20,), "i4", external=files)


@_file()
def _virtual(file: h5py.File) -> None:
    for number in range(4):
        layout = h5py.VirtualLayout((40, 10), "i4")
        for row in range(40):
            layout[row] = h5py.VirtualSource(f"source {row} of {number}.h5", "data", (10,))
        file.create_virtual_dataset(f"virtual{number}", layout)


@_file()
def _chunked(file: h5py.File) -> None:
    rng = np.random.default_rng(1)
    options = {"chunks": (3, 4), "data": rng.integers(0, 9, (20, 30))}
    file.create_dataset("plain", **options)
    file.create_dataset("unlimited", maxshape=(None, 30), **options)
    file.create_dataset("unlimited second", maxshape=(20, None), **options)
    file.create_dataset("larger", maxshape=(35, 44), **options)
    file.create_dataset("both unlimited", maxshape=(None, None), **options)
    for number, name in enumerate(tuple(file)):
        maxshape = file[name].maxshape
        file.create_dataset(f"{name} filtered", maxshape=maxshape, compression="gzip", shuffle=number > 2, **options)
    file.create_dataset("single", chunks=(20, 30), data=options["data"])
    file.create_dataset("single filtered", chunks=(20, 30), data=options["data"], fletcher32=True)


@_file()
def _sparse(file: h5py.File) -> None:
    for maxshape in ((100, 100), (None, 100), (100, None), (None, None)):
        data = file.create_dataset(f"sparse {maxshape}", (100, 100), "u1", chunks=(7, 9), maxshape=maxshape)
        data[3, 4] = data[50, 95:] = data[99, 99] = data[40:60, 17] = 1
        file.create_dataset(f"unwritten {maxshape}", (100, 100), "u1", chunks=(7, 9), maxshape=maxshape)


@_file()
def _early_allocation(file: h5py.File) -> None:
    for maxshape in ((10, 7), (14, 11), (None, 7)):
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((4, 3))
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        limits = tuple(h5py.h5s.UNLIMITED if length is None else length for length in maxshape)
        space = h5py.h5s.create_simple((10, 7), limits)
        h5py.h5d.create(file.id, f"early {maxshape}".encode(), h5py.h5t.NATIVE_INT32, space, properties)


@_file()
def _many_chunks(file: h5py.File) -> None:
    for name, maxshape in (("fixed", None), ("unlimited", (None,)), ("larger", (9000,))):
        file.create_dataset(name, chunks=(2,), data=np.arange(6000, dtype="u1"), maxshape=maxshape)
        file.create_dataset(f"{name} filtered", chunks=(2,), data=np.arange(6000), maxshape=maxshape, shuffle=True)
    for maxshape in ((None, 60), (90, None), (None, None)):
        data = np.arange(6000, dtype="u1").reshape(100, 60)[: maxshape[0]]
        file.create_dataset(f"data {maxshape}", chunks=(2, 1), data=data, maxshape=maxshape)


@_file()
def _far_chunks(file: h5py.File) -> None:
    for name, options in (("plain", {}), ("filtered", {"shuffle": True})):
        data = file.create_dataset(name, (700_000,), "u1", chunks=(2,), maxshape=(None,), **options)
        for position in (1, 40, 1000, 20_000, 262_100, 270_000, 300_000, 340_000, 600_001, 699_999):
            data[position] = 1
        fixed = file.create_dataset(f"fixed {name}", (70_000,), "u1", chunks=(2,), **options)
        fixed[30_000] = fixed[5] = fixed[69_999] = 1


@_file()
def _changed(file: h5py.File) -> None:
    for number in range(60):
        data = file.create_dataset(f"data{number}", (40, 6), "i2", chunks=(4, 3), maxshape=(None, None))
        data[...] = number
        data.attrs["a"] = "x" * number
    for number in range(0, 60, 3):
        del file[f"data{number}"]
    for number in range(1, 60, 3):
        file[f"data{number}"].resize((13, 5))
        for attribute in range(number % 12):
            file[f"data{number}"].attrs[f"added {attribute}"] = "z" * 200
        del file[f"data{number}"].attrs["a"]
    file.move("data2", "moved/to/here")


@_file(fs_strategy="page", fs_persist=True, fs_page_size=4096)
def _paged(file: h5py.File) -> None:
    _chunked(file)
    _attributes(file.create_group("attributes"))
    _changed(file.create_group("changed"))


for _size in (512, 1024, 2048, 8192):
    MAKERS[f"user_block_{_size}"], _OPTIONS[f"user_block_{_size}"] = _groups, {"userblock_size": _size}
MAKERS["chunks_after_user_block"], _OPTIONS["chunks_after_user_block"] = _chunked, {"userblock_size": 1024}
