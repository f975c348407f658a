"""What h5py sees of a file: names, links, attributes, shapes, types, contents and errors, to be compared."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

__all__ = ["snapshot"]

# Damaged files claim shapes of any size: h5py reads no more elements of a dataset than this.
MAX_ELEMENTS = 1 << 22
MAX_OBJECTS = 20_000


def snapshot(file: BinaryIO, *, most: int = MAX_ELEMENTS) -> list[str]:
    """Return what h5py sees of a file, a line each."""
    lines: list[str] = []
    opened: list[h5py.File] = []

    def note(path: str, look: Callable[[], object]) -> None:
        try:
            seen = _text(look())
        except OverflowError:
            seen = "OverflowError"  # of a seek beyond 2**63, for which each kind of file has its own words
        except Exception as error:  # noqa: BLE001 - errors are compared, too
            seen = f"{type(error).__name__}: {error}".replace(repr(file), "FILE")
        lines.append(f"{path}: {seen}")

    note("open", lambda: opened.append(h5py.File(file, "r")))
    if not opened:
        return lines
    with opened[0] as root:
        note("root", lambda: _walk(root, note, most))
    return lines


def _walk(root: h5py.File, note: Callable[[str, Callable[[], object]], None], most: int) -> None:
    note("user block", lambda: root.userblock_size)
    seen: set[int] = set()
    pending: list[tuple[str, Any]] = [("/", root["/"])]
    while pending and len(seen) < MAX_OBJECTS:
        path, found = pending.pop()
        address: list[int] = []
        note(f"{path} address", lambda found=found, address=address: address.append(h5py.h5o.get_info(found.id).addr))
        if address and address[0] in seen:
            continue
        seen.update(address)
        names: list[str] = []
        note(f"{path} attributes", lambda found=found, names=names: names.extend(found.attrs))
        note(f"{path} attributes", lambda names=names: names)
        for name in names:
            note(f"{path}@{name}", lambda found=found, name=name: found.attrs[name])
        if isinstance(found, h5py.Group):
            pending += _links(path, found, note)
        elif isinstance(found, h5py.Dataset):
            _look_at_dataset(path, found, note, most)
        else:
            note(f"{path} type", lambda found=found: found.dtype)


def _links(path: str, group: h5py.Group, note: Callable[..., None]) -> list[tuple[str, Any]]:
    names: list[str] = []
    objects: list[tuple[str, Any]] = []
    note(f"{path} names", lambda: names.extend(group))
    note(f"{path} names", lambda: names)
    for name in names:
        link: list[object] = []
        note(f"{path}/{name} link", lambda link=link, name=name: link.append(group.get(name, getlink=True)))
        kind = type(link[0]) if link else None
        if kind is h5py.ExternalLink:
            note(f"{path}/{name}", lambda link=link: (link[0].filename, link[0].path))
        elif kind is h5py.SoftLink:
            note(f"{path}/{name}", lambda link=link, name=name: (link[0].path, name in group))
        else:
            note(
                f"{path}/{name}",
                lambda name=name: objects.append((f"{path.rstrip('/')}/{name}", group[name])) or "open",
            )
    return objects


def _look_at_dataset(path: str, data: h5py.Dataset, note: Callable[..., None], most: int) -> None:
    note(path, lambda: (data.shape, data.maxshape, data.dtype, data.chunks, data.compression, data.fillvalue))
    note(f"{path} stored", lambda: (data.id.get_offset(), data.id.get_storage_size(), data.is_virtual))
    note(f"{path} chunks", lambda: [tuple(data.id.get_chunk_info(n)) for n in range(min(data.id.get_num_chunks(), 50))])
    note(f"{path} contents", lambda: data[()] if data.size is None or data.size <= most else data[(0,) * data.ndim])
    note(f"{path} last", lambda: data[(-1,) * data.ndim] if data.shape else None)


def _text(value: object) -> str:
    if isinstance(value, np.ndarray):
        contents = value.ravel().tolist() if value.dtype.hasobject else hashlib.sha256(value.tobytes()).hexdigest()
        return f"{value.dtype} {value.shape} {_text(contents)}"
    if isinstance(value, np.void) and value.dtype.names is not None:
        return f"{value.dtype} {[_text(part) for part in value.tolist()]}"
    if isinstance(value, (tuple, list)):
        return f"{type(value).__name__}{[_text(part) for part in value]}"
    if isinstance(value, (h5py.Reference, h5py.RegionReference)):
        return f"{type(value).__name__} {bool(value)}"
    if isinstance(value, (h5py.SoftLink, h5py.HardLink, h5py.ExternalLink)):
        return type(value).__name__
    return f"{type(value).__name__} {value!r}"
