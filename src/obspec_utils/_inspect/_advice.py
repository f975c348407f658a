"""What would make reading a file cheaper."""

from __future__ import annotations

from math import prod
from shlex import quote
from typing import TYPE_CHECKING

from obspec_utils._inspect._cost import Batch, cost
from obspec_utils._inspect._records import Advice
from obspec_utils._text import count, seconds, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from obspec_utils._inspect._records import Array, Cost, Metadata

__all__ = ["advice_for_hdf5", "advice_for_tiff"]

_MIB = 1 << 20
# So many requests for metadata are worth a copy of the file, if opening the copy takes at most this part of the time.
_MANY_REQUESTS = 8
_WORTH_A_COPY = 0.8
_MIN_PAGE, _MAX_PAGE = _MIB, 8 * _MIB
# Chunks of less than this cost more in requests and index than in bytes, from so many on, unless they are large before
# compression; those of more are slow to read a part of. What to aim at lies between.
_TINY, _MANY_CHUNKS = 64 << 10, 64
_HUGE = 64 * _MIB
_GOOD_CHUNK = 2 * _MIB
# Images of more pixels than this on a side are shown in parts, or made smaller.
_LARGE_IMAGE = 1024
# Profiles of rio-cogeo that keep a compression: its default, deflate, makes a lossy image several times as large.
_COG_PROFILES = {"JPEG": "jpeg", "WebP": "webp", "LERC": "lerc", "zstd": "zstd", "LZW": "lzw", "LZMA": "lzma"}


def advice_for_hdf5(metadata: Metadata, arrays: Sequence[Array], opening: Cost) -> tuple[Advice, ...]:
    """Return the advice for an HDF5 file."""
    return (*_for_metadata(metadata, opening), *_for_chunks(arrays))


def advice_for_tiff(metadata: Metadata, arrays: Sequence[Array]) -> tuple[Advice, ...]:
    """Return the advice for a TIFF file."""
    return tuple(_for_images(metadata, arrays))


def _for_metadata(metadata: Metadata, opening: Cost) -> Iterator[Advice]:
    if opening.requests < _MANY_REQUESTS:
        return
    page = min(max(_MIN_PAGE, 1 << (metadata.bytes - 1).bit_length()), _MAX_PAGE)
    pages = -(-metadata.bytes // page)
    after = cost([Batch(1, min(page, _MIB)), Batch(pages, pages * page)])
    if after.seconds >= _WORTH_A_COPY * opening.seconds:
        return
    pieces = "between data" if metadata.pieces == 1 else f"in {count(metadata.pieces)} pieces"
    where = f"{pieces} over {size(metadata.stop - metadata.start)}"
    small = f" Its pages of {size(metadata.page_size)} are too small." if metadata.page_size else ""
    yield Advice(
        "paging",
        f"The metadata ({size(metadata.bytes)}) lies {where}.{small} Collect it in pages, so that reading all of it "
        f"takes about {seconds(after.seconds)} instead of {seconds(opening.seconds)} (h5py: "
        f'fs_strategy="page", fs_page_size={page}).',
        f"h5repack -S PAGE -G {page} in.h5 out.h5",
    )
    yield Advice(
        "consolidating",
        "If you can't rewrite the file, or open many such files: read the metadata once, and keep it as virtual "
        "references (VirtualiZarr or kerchunk), which open with one or two requests.",
    )


def _for_chunks(arrays: Sequence[Array]) -> Iterator[Advice]:
    chunked = [array for array in arrays if array.layout == "chunked" and array.chunks and array.chunk_shape]
    tiny = [array for array in chunked if _has_tiny_chunks(array)]
    if tiny:
        worst = max(tiny, key=lambda array: array.chunks)
        mean = size(worst.stored_bytes / worst.chunks)
        text = f"{_some(tiny)} many tiny chunks: {worst.name} has {count(worst.chunks)} of {mean} on average."
        yield _rechunk(text, worst)
    huge = [array for array in chunked if _chunk_bytes(array) > _HUGE]
    if huge:
        worst = max(huge, key=_chunk_bytes)
        text = f"{_some(huge)} huge chunks: any value of {worst.name} takes a chunk of {size(_chunk_bytes(worst))}."
        yield _rechunk(text, worst)


def _has_tiny_chunks(array: Array) -> bool:
    is_small = array.stored_bytes < _TINY * array.chunks and _chunk_bytes(array) < _MIB
    return is_small and array.chunks >= _MANY_CHUNKS


def _rechunk(text: str, array: Array) -> Advice:
    shape = "x".join(str(length) for length in _better_chunks(array))
    name = array.name.lstrip("/")
    # A name is any text: quoted for the shell, and h5repack separates several by commas, and what to do by a colon.
    is_clear = name.isprintable() and not set(name) & {",", ":"}
    command = f"h5repack -l {quote(f'{name}:CHUNK={shape}')} in.h5 out.h5" if is_clear else None
    return Advice("rechunking", f"{text} Chunks of 1 to 8 MiB suit object stores.", command)


def _some(arrays: Sequence[Array]) -> str:
    return "1 variable has" if len(arrays) == 1 else f"{count(len(arrays))} variables have"


def _chunk_bytes(array: Array) -> int:
    return prod(array.chunk_shape or ()) * array.itemsize


def _better_chunks(array: Array) -> tuple[int, ...]:
    """Return a chunk shape of about 2 MiB in memory, of about the same proportions as the array's."""
    chunk = list(array.chunk_shape or ())
    while prod(chunk) * array.itemsize < _GOOD_CHUNK:
        room = [axis for axis, length in enumerate(chunk) if length < array.shape[axis]]
        if not room:
            break
        axis = min(room, key=lambda axis: chunk[axis] / array.shape[axis])
        chunk[axis] = min(2 * chunk[axis], array.shape[axis])
    while prod(chunk) * array.itemsize > 2 * _GOOD_CHUNK and max(chunk) > 1:
        axis = max(range(len(chunk)), key=chunk.__getitem__)
        chunk[axis] = -(-chunk[axis] // 2)
    return tuple(chunk)


def _for_images(metadata: Metadata, arrays: Sequence[Array]) -> Iterator[Advice]:
    images = [array for array in arrays if array.name.startswith(("image", "page"))]
    large = [array for array in images if max(array.shape[:2]) > _LARGE_IMAGE]
    strips = [array for array in large if array.layout == "strips"]
    command = _cog(images)
    if strips:
        text = f"{strips[0].name} of {_shape(strips[0])} is stored in strips: a window of it takes whole rows. Tile it."
        yield Advice("tiling", text, command)
    if large and not any(array.name.startswith("overview") for array in arrays):
        text = f"{large[0].name} of {_shape(large[0])} has no overviews: a small view of it takes all of it. Add them."
        yield Advice("overviews", text, command)
    bare = [array for array in large if array.compression is None and array.stored_bytes]
    if bare:
        text = f"{bare[0].name} is stored without compression: {size(bare[0].stored_bytes)}."
        yield Advice("compression", text, command)
    if metadata.pieces > 1:
        text = (
            f"The directories lie in {count(metadata.pieces)} pieces over {size(metadata.stop - metadata.start)}. "
            "A cloud-optimized GeoTIFF has them at its start."
        )
        yield Advice("consolidating", text, command)


def _cog(images: Sequence[Array]) -> str | None:
    """Return the command that writes a cloud-optimized GeoTIFF; None of several images, of which it keeps the first."""
    if len(images) != 1:
        return None
    profile = _COG_PROFILES.get(images[0].compression or "")
    return f"rio cogeo create {f'--cog-profile {profile} ' if profile else ''}in.tif out.tif"


def _shape(array: Array) -> str:
    return " x ".join(str(length) for length in array.shape[:2])
