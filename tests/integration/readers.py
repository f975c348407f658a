"""Every reader, as it comes and with pieces so small that a file has dozens of them."""

from __future__ import annotations

from functools import partial

from obspec_utils.readers import (
    BlockStoreReader,
    BufferedStoreReader,
    EagerStoreReader,
    ParallelStoreReader,
    open_reader,
)

PIECE = 4096

READERS = {
    "eager": EagerStoreReader,
    "parallel": ParallelStoreReader,
    "block": BlockStoreReader,
    "buffered": BufferedStoreReader,
    "opened": open_reader,
}

# Eager's pieces are larger: it starts a thread for each.
SMALL_READERS = {
    "eager-small": partial(EagerStoreReader, request_size=8 * PIECE),
    "parallel-small": partial(ParallelStoreReader, chunk_size=PIECE, max_cached_chunks=8),
    "block-small": partial(BlockStoreReader, block_size=PIECE, max_cached_blocks=8),
    "buffered-small": partial(BufferedStoreReader, buffer_size=PIECE),
    "batches-small": partial(BufferedStoreReader, buffer_size=PIECE, max_concurrent_requests=2),
    "opened-small": partial(open_reader, memory=8 * PIECE),
}

ALL_READERS = {**READERS, **SMALL_READERS}
