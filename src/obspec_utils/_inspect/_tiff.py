"""The images of a TIFF file, from its directories."""

from __future__ import annotations

from struct import error as StructError  # noqa: N812 # the name it has is that of no class
from typing import TYPE_CHECKING, NamedTuple

from obspec_utils._formats.tiff.directory import (
    STRIP_BYTE_COUNTS,
    STRIP_OFFSETS,
    TILE_BYTE_COUNTS,
    TILE_OFFSETS,
    directory_size,
    parse_directory,
    parse_values,
)
from obspec_utils._formats.tiff.header import HEADER_SIZE, parse_header
from obspec_utils._inspect._cost import cost_of_chunks
from obspec_utils._inspect._records import Array
from obspec_utils._ranges import ByteRange
from obspec_utils._redact import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from obspec_utils._formats.tiff.directory import Field
    from obspec_utils._formats.tiff.header import Layout
    from obspec_utils.readers import ParallelStoreReader

__all__ = ["FoundTiff", "read_tiff"]

_SUBFILE, _WIDTH, _LENGTH, _BITS, _COMPRESSION = 254, 256, 257, 258, 259
_SAMPLES, _ROWS_PER_STRIP, _PLANAR, _TILE_WIDTH, _TILE_LENGTH, _SUB_IFDS, _FORMAT = 277, 278, 284, 322, 323, 330, 339
_NUMBERS = frozenset({
    _SUBFILE, _WIDTH, _LENGTH, _BITS, _COMPRESSION, _SAMPLES, _ROWS_PER_STRIP, _PLANAR, _TILE_WIDTH, _TILE_LENGTH,
    _SUB_IFDS, _FORMAT, STRIP_OFFSETS, STRIP_BYTE_COUNTS, TILE_OFFSETS, TILE_BYTE_COUNTS,
})  # fmt: skip
_COMPRESSIONS = {
    2: "CCITT", 3: "CCITT", 4: "CCITT", 5: "LZW", 6: "old JPEG", 7: "JPEG", 8: "deflate", 32773: "PackBits",
    32946: "deflate", 33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA",
    50000: "zstd", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
_FORMATS = {1: "uint", 2: "int", 3: "float", 4: "void", 5: "complex int", 6: "complex"}
_REDUCED, _PAGE, _MASK = 1, 2, 4
_SEPARATE = 2

# A directory is known only by the one before it. Of a long chain, the first are read, and so many further requests.
_MAX_REQUESTS = 64
_MAX_DIRECTORIES = 1 << 12
_MAX_ENTRIES = 1 << 12
_DAMAGE = (StructError, ValueError, OverflowError, IndexError, KeyError)


class FoundTiff(NamedTuple):
    """The images of a file, and of what was not read the reason."""

    format: str
    arrays: tuple[Array, ...]
    unread: tuple[str, ...]


def read_tiff(reader: ParallelStoreReader) -> FoundTiff:
    """Return the images of a file.

    Raises
    ------
    ValueError
        If there is none.
    """
    unread: list[str] = []
    try:
        layout, first = parse_header(memoryview(_read(reader, 0, HEADER_SIZE)))
        arrays = tuple(_arrays(reader, layout, first, unread))
    except _DAMAGE as error:
        msg = f"{redacted(reader.path)!r} is a damaged TIFF file: {error}"
        raise ValueError(msg) from error
    if not arrays:
        msg = f"{redacted(reader.path)!r} is a TIFF file without images: it is empty or damaged"
        raise ValueError(msg)
    return FoundTiff("BigTIFF" if layout.is_big else "TIFF", arrays, tuple(unread))


def _arrays(reader: ParallelStoreReader, layout: Layout, first: int, unread: list[str]) -> Iterator[Array]:
    """Iterate over the images of a chain of directories, and of those below them."""
    chain = [(first, "0")]
    seen: set[int] = set()
    before = reader.stats().requests
    while chain:
        start, name = chain.pop()
        if not start or start in seen:
            continue
        if len(seen) >= _MAX_DIRECTORIES or reader.stats().requests - before > _MAX_REQUESTS:
            unread.append(f"image {name} and those after it: only the first {len(seen)} are inspected")
            return
        seen.add(start)
        try:
            values, following = _directory(reader, layout, start)
            chain.append((following, _next(name)))
            chain += [(below, f"{name}.{number}") for number, below in reversed(list(enumerate(values[_SUB_IFDS])))]
            chunks = _chunks(values)
            yield _array(name, values, chunks)
            if outside := sum(chunk.stop > reader.size for chunk in chunks):
                unread.append(f"image {name}: {outside:,} of {len(chunks):,} tiles or strips lie outside of the file")
        except _DAMAGE as error:
            unread.append(f"image {name}: {error}")


def _next(name: str) -> str:
    base, separator, number = name.rpartition(".")
    return f"{base}{separator}{int(number) + 1}"


class _Values(dict[int, "Sequence[int]"]):
    """The values of the fields of a directory: of a missing one none."""

    def __missing__(self, tag: int) -> Sequence[int]:
        return ()

    def number(self, tag: int, default: int = 0) -> int:
        """Return the first value of a field."""
        return next(iter(self[tag]), default)


def _read(reader: ParallelStoreReader, start: int, length: int) -> bytes:
    reader.seek(start)
    return reader.read(length)


def _directory(reader: ParallelStoreReader, layout: Layout, start: int) -> tuple[_Values, int]:
    """Return the values of a directory, and the offset of the next one."""
    size = directory_size(layout, memoryview(_read(reader, start, layout.count.size)))
    if size > _MAX_ENTRIES * layout.entry.size:
        error = f"a directory of {size:,} bytes is damaged"
        raise ValueError(error)
    fields, following = parse_directory(layout, memoryview(_read(reader, start, size)))
    values = _Values()
    for field in fields:
        if field.tag in _NUMBERS and field.tag not in values:
            values[field.tag] = _values(reader, layout, field)
    return values, following


def _values(reader: ParallelStoreReader, layout: Layout, field: Field) -> Sequence[int]:
    if field.offset is None:
        return parse_values(layout, field, field.inline)
    if field.offset + field.size > reader.size:
        error = f"the values of tag {field.tag} lie outside of the file"
        raise ValueError(error)
    return parse_values(layout, field, _read(reader, field.offset, field.size))


def _chunks(values: _Values) -> list[ByteRange]:
    """Return the tiles or strips that are stored."""
    offsets, sizes = (TILE_OFFSETS, TILE_BYTE_COUNTS) if values[TILE_OFFSETS] else (STRIP_OFFSETS, STRIP_BYTE_COUNTS)
    return [ByteRange(at, at + size) for at, size in zip(values[offsets], values[sizes], strict=False) if at and size]


def _array(name: str, values: _Values, chunks: list[ByteRange]) -> Array:
    height, width, samples = values.number(_LENGTH), values.number(_WIDTH), values.number(_SAMPLES, 1)
    bits = values.number(_BITS, 1)
    tiled = bool(values[TILE_OFFSETS])
    rows = min(values.number(_ROWS_PER_STRIP, height), height)
    chunk = (values.number(_TILE_LENGTH), values.number(_TILE_WIDTH)) if tiled else (rows, width)
    pixel = () if samples == 1 else (samples,)
    inner = pixel if values.number(_PLANAR, 1) != _SEPARATE else ()
    compression = values.number(_COMPRESSION, 1)
    return Array(
        name=f"{_kind(values.number(_SUBFILE))} {name}",
        shape=(height, width, *pixel),
        dtype=f"{_FORMATS.get(values.number(_FORMAT, 1), '?')}{bits}",
        layout="tiles" if tiled else "strips",
        chunk_shape=(*chunk, *inner),
        chunks=len(chunks),
        stored_bytes=sum(span.length for span in chunks),
        compression=None if compression == 1 else _COMPRESSIONS.get(compression, f"compression {compression}"),
        itemsize=max(1, bits // 8),
        cost=cost_of_chunks(chunks),
    )


def _kind(subfile: int) -> str:
    """Return what an image is."""
    if subfile & _MASK:
        return "mask of overview" if subfile & _REDUCED else "mask"
    if subfile & _REDUCED:
        return "overview"
    return "page" if subfile & _PAGE else "image"
