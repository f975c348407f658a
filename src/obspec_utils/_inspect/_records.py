"""What is told of a file."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Advice", "Array", "Cost", "Metadata"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Estimated cost of reading something.

    Attributes
    ----------
    requests
        Number of requests.
    round_trips
        How many of them have to be sent one after the other.
    bytes
        Bytes that they transfer.
    seconds
        Their duration with 30 ms latency and 50 MB/s a connection.
    """

    requests: int
    round_trips: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of a file, and where it lies.

    Attributes
    ----------
    structures
        Number of headers, tables and index nodes.
    bytes
        Their size, as far as it is known before they are read: a little too much.
    start, stop
        The byte range from the first of them to the last.
    pieces
        Number of requests that fetch them if all places are known: whole pages of 4 KiB, and short gaps between them.
    page_size
        Bytes of a page, if the file collects its metadata in pages; else None.
    """

    structures: int
    bytes: int
    start: int
    stop: int
    pieces: int
    page_size: int | None


@dataclass(frozen=True, slots=True)
class Array:
    """A variable of an HDF5 file, or an image of a TIFF file.

    Attributes
    ----------
    name
        Path of the variable, or the number of the image and what it is.
    shape, dtype
        Dimensions and type of its elements.
    layout
        How it is stored: "chunked", "contiguous", "compact", "virtual", "external", "tiles" or "strips".
    chunk_shape
        Dimensions of a chunk, tile or strip; None if there are none.
    chunks
        Number of chunks that are stored.
    stored_bytes
        Stored size of all of them; of values of variable length, that of the references to them.
    compression
        Name of the compression; None without.
    itemsize
        Bytes of an element.
    cost
        Estimated cost of reading all of it, once the metadata is in memory; None if its data is in another file, or of
        variable length and in places that only reading it tells.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    chunk_shape: tuple[int, ...] | None
    chunks: int
    stored_bytes: int
    compression: str | None
    itemsize: int
    cost: Cost | None


@dataclass(frozen=True, slots=True)
class Advice:
    """What would make reading the file cheaper.

    Attributes
    ----------
    kind
        "paging", "rechunking", "consolidating", "tiling", "overviews" or "compression".
    text
        The reason, and what to do.
    command
        A command that does it; None if there is none.
    """

    kind: str
    text: str
    command: str | None = None
