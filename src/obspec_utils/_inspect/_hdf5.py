"""The variables of an HDF5 or NetCDF4 file, as h5py reads them from the metadata."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from obspec_utils._inspect._cost import cost, cost_of_chunks, cost_of_range
from obspec_utils._inspect._records import Array
from obspec_utils._ranges import ByteRange
from obspec_utils._redact import one_line, redacted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obspec_utils.readers import ParallelStoreReader

__all__ = ["FoundHdf5", "read_hdf5"]

# What h5py raises for what is damaged or unknown to it.
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, NotImplementedError)
_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}
_PARAMETRIC = {1}
_MAX_DTYPE = 16


class FoundHdf5(NamedTuple):
    """The variables of a file, and of what could not be read the reason."""

    format: str
    page_size: int | None
    arrays: tuple[Array, ...]
    unread: tuple[str, ...]


def read_hdf5(reader: ParallelStoreReader) -> FoundHdf5:
    """Return the variables of a file.

    Raises
    ------
    ModuleNotFoundError
        If h5py is missing.
    ValueError
        If h5py can't open the file.
    """
    try:
        import h5py  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        msg = 'inspecting HDF5 files requires h5py: pip install "obspec-utils[xarray]"'
        raise ModuleNotFoundError(msg, name=error.name) from error
    try:
        file = h5py.File(reader, "r")
    except _DAMAGE as error:
        msg = f"{redacted(reader.path)!r} can't be opened as an HDF5 file: {_line(error)}"
        raise ValueError(msg) from error
    with file:
        unread: list[str] = []
        arrays = tuple(_arrays(h5py, file, unread))
        return FoundHdf5(_format(file), _page_size(h5py, file), arrays, tuple(unread))


def _format(file: Any) -> str:  # noqa: ANN401 - h5py has no types
    try:
        return "NetCDF4" if "_NCProperties" in file.attrs else "HDF5"
    except _DAMAGE:
        return "HDF5"


def _page_size(h5py: Any, file: Any) -> int | None:  # noqa: ANN401
    properties = file.id.get_create_plist()
    if properties.get_file_space_strategy()[0] != h5py.h5f.FSPACE_STRATEGY_PAGE:
        return None
    return int(properties.get_file_space_page_size())


def _arrays(h5py: Any, file: Any, unread: list[str]) -> Iterator[Array]:  # noqa: ANN401
    """Iterate over the variables of a file, each once, without following links to other places."""
    groups, seen = [file], set()
    while groups:
        group = groups.pop()
        below = []
        for name in _names(group, unread):
            path = f"{group.name.rstrip('/')}/{name}"
            try:
                if group.id.links.get_info(name.encode(errors="surrogateescape")).type != h5py.h5l.TYPE_HARD:
                    continue
                found = group[name]
                address = h5py.h5o.get_info(found.id).addr
                if address in seen:
                    continue
                seen.add(address)
                if isinstance(found, h5py.Group):
                    below.append(found)
                elif isinstance(found, h5py.Dataset):
                    yield _array(h5py, path, found)
            except _DAMAGE as error:
                unread.append(f"{path}: {_line(error)}")
        groups += reversed(below)


def _names(group: Any, unread: list[str]) -> list[str]:  # noqa: ANN401
    try:
        return list(group)
    except _DAMAGE as error:
        unread.append(f"{group.name}: {_line(error)}")
        return []


def _array(h5py: Any, path: str, dataset: Any) -> Array:  # noqa: ANN401
    properties = dataset.id.get_create_plist()
    layout = _layout(h5py, properties)
    chunks = _chunks(dataset) if layout == "chunked" else []
    stored = sum(chunk.length for chunk in chunks) if layout == "chunked" else dataset.id.get_storage_size()
    costs = {"chunked": cost_of_chunks(chunks), "contiguous": cost_of_range(stored), "compact": cost([])}
    return Array(
        name=path,
        shape=tuple(dataset.shape or ()),
        dtype=_dtype(h5py, dataset),
        layout=layout,
        chunk_shape=dataset.chunks,
        chunks=len(chunks),
        stored_bytes=stored,
        compression=_filters(properties),
        itemsize=dataset.id.get_type().get_size(),
        cost=None if _is_in_heaps(h5py, dataset) else costs.get(layout),
    )


def _is_in_heaps(h5py: Any, dataset: Any) -> bool:  # noqa: ANN401
    """Return whether a dataset stores references to heaps instead of values, as those of variable length are."""
    dtype = _numpy_dtype(dataset)
    return dtype is not None and dtype.hasobject and h5py.check_ref_dtype(dtype) is not h5py.Reference


def _layout(h5py: Any, properties: Any) -> str:  # noqa: ANN401
    if properties.get_external_count():
        return "external"
    h5d = h5py.h5d
    names = {h5d.COMPACT: "compact", h5d.CHUNKED: "chunked", h5d.VIRTUAL: "virtual"}
    return names.get(properties.get_layout(), "contiguous")


def _chunks(dataset: Any) -> list[ByteRange]:  # noqa: ANN401
    """Return the stored chunks in row-major order, which is the order in which they are read."""
    chunks: list[Any] = []
    if prod(dataset.shape):
        dataset.id.chunk_iter(chunks.append)
    chunks.sort(key=lambda chunk: chunk.chunk_offset)
    return [ByteRange(chunk.byte_offset, chunk.byte_offset + chunk.size) for chunk in chunks]


def _numpy_dtype(dataset: Any) -> Any:  # noqa: ANN401
    try:
        return dataset.dtype
    except (TypeError, ValueError):  # which NumPy does not have
        return None


def _dtype(h5py: Any, dataset: Any) -> str:  # noqa: ANN401
    dtype = _numpy_dtype(dataset)
    if dtype is None:
        return "?"
    if h5py.check_string_dtype(dtype) is not None:
        return "string"
    if dtype.names:
        return f"compound of {len(dtype.names)}"
    if dtype.subdtype:
        return "array"
    if h5py.check_ref_dtype(dtype) is not None:
        return "reference"
    return "variable length" if dtype.hasobject else str(dtype)[:_MAX_DTYPE]


def _filters(properties: Any) -> str | None:  # noqa: ANN401
    names = []
    for number in range(properties.get_nfilters()):
        code, _flags, values, name = properties.get_filter(number)
        known = _FILTERS.get(code) or name.split(b";")[0].decode(errors="replace").split(" ")[0] or f"filter {code}"
        names.append(f"{known} {values[0]}" if code in _PARAMETRIC and values else known)
    return "+".join(names) or None


def _line(error: BaseException) -> str:
    """Return an error on one line; that of a KeyError without quotes."""
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return one_line(str(text)) or type(error).__name__
