"""Damage HDF5 files, and compare what h5py sees of them through readers with what it sees of the plain bytes.

Each look is a forked process with limits, for libhdf5 itself may crash or hang on damaged files. Nothing but h5py has
run in the parent, so that forking is safe.
"""

from __future__ import annotations

import ctypes
import hashlib
import io
import json
import os
import random
import resource
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.store import MemoryStore

from obspec_utils.readers import ParallelStoreReader, open_reader
from tests.integration.hdf5_snapshot import snapshot
from tests.unit._hdf5_files import LIBVERS, MAKERS, make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READERS: dict[str, Callable[[object], io.BufferedIOBase]] = {
    "auto": lambda store: ParallelStoreReader(store, "f"),
    "metadata": lambda store: ParallelStoreReader(store, "f", read_ahead="metadata"),
    "small pieces": lambda store: ParallelStoreReader(store, "f", 2048, 64),
    "tiny": lambda store: open_reader(store, "f", memory=8192),
    "tiny metadata": lambda store: open_reader(store, "f", memory=20_000, read_ahead="metadata"),
}
SECONDS = 20
MEMORY = 4 << 30
CHURNS = (b"\x3c", b"\x00", b"\xa5", b"\xff")
M_PERTURB = -6  # of glibc: memory is filled when it is allocated and when it is freed
# Reads that h5py repeats are served from memory, unless the memory is tiny: then they are fetched again.
MAX_FETCHED = {"tiny": 400, "tiny metadata": 400, "small pieces": 40}
NAMES = ("OHDR", "OCHK", "TREE", "SNOD", "HEAP", "GCOL", "FRHP", "FHDB", "FHIB", "BTHD", "BTLF", "BTIN", "FAHD", "EAHD")
SIGNATURES = [name.encode() for name in NAMES]


class CountingStore:
    """A store that counts the bytes of its responses."""

    def __init__(self, data: bytes) -> None:
        self._store = MemoryStore()
        self._store.put("f", data)
        self.sent = 0
        self.requests = 0

    def get(self, path, *, options=None):
        result = self._store.get(path, options=options)
        self.requests += 1
        self.sent += result.range[1] - result.range[0]
        return result


class CheckedFile(io.RawIOBase):
    """A reader of which each call is compared with that of a file in memory."""

    def __init__(self, reader: io.BufferedIOBase, data: bytes) -> None:
        self._reader = reader
        self._twin = io.BytesIO(data)
        self.faults: list[str] = []

    def _compare(self, call: str, seen: object, expected: object) -> None:
        if seen != expected:
            self.faults.append(f"{call} at {self._twin.tell()}: {seen!r:.200} instead of {expected!r:.200}")

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            position = self._reader.seek(offset, whence)
        except Exception as error:
            with suppress(type(error)):  # which the file raises, too
                self._twin.seek(offset, whence)
                self.faults.append(f"seek({offset}, {whence}): {error!r}")
            raise
        self._compare("seek", position, self._twin.seek(offset, whence))
        return position

    def tell(self) -> int:
        self._compare("tell", self._reader.tell(), self._twin.tell())
        return self._twin.tell()

    def readinto(self, buffer) -> int:
        view = memoryview(buffer).cast("B")
        try:
            count = self._reader.readinto(buffer)
        except Exception as error:
            self.faults.append(f"readinto {len(view)} bytes at {self._twin.tell()}: {error!r}")
            raise
        self._compare("readinto", bytes(view[:count]), self._twin.read(len(view)))
        return count


class ChurningFile(io.BytesIO):
    """A file in memory that changes, with each read, what is in freed memory and in buffers beyond what was read.

    libhdf5 uses both with damaged files: the bytes after a chunk whose stored size is less than its shape takes, and
    those after the end of the file.
    """

    def __init__(self, data: bytes, filling: bytes) -> None:
        super().__init__(data)
        self._filling = filling
        self._kept: list[bytes] = []

    def readinto(self, buffer) -> int:
        churn = [self._filling * size for size in range(16, 5000, 32)] * 2
        self._kept += churn[: self._filling[0] : 5]  # so that what is allocated next lies elsewhere
        del churn
        view = memoryview(buffer).cast("B")
        view[:] = self._filling * len(view)
        return super().readinto(buffer)


def damaged(data: bytes, source: random.Random) -> bytes:
    """Return damaged bytes: flipped, cut short, or with addresses that point elsewhere or back."""
    changed = bytearray(data)
    places = [place for name in SIGNATURES for place in _places(data, name)]
    kind = source.choice(["flip", "flip", "cut", "address", "address", "zero", "copy", "grow"])
    for _ in range(source.choice([1, 1, 2, 8, 40])):
        near = source.choice(places) if places and source.random() < 0.8 else source.randrange(len(data))
        place = min(max(0, near + source.randrange(0, 200)), len(changed) - 9)
        if kind == "flip":
            changed[place] ^= 1 << source.randrange(8)
        elif kind == "address":
            target = source.choice([source.choice(places or [0]), source.randrange(len(data)), 0, 2**63, len(data) - 1])
            place -= place % 8
            changed[place : place + 8] = target.to_bytes(8, "little")
        elif kind == "zero":
            changed[place : place + source.choice([1, 8, 100])] = bytes(source.choice([1, 8, 100]))
        elif kind == "copy" and places:
            other = source.choice(places)
            part = data[other : other + source.choice([8, 64, 512])]
            changed[near : near + len(part)] = part
        elif kind == "grow":
            changed[place : place + 4] = source.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\1\0"])
    return bytes(changed[: source.randrange(1, len(data))] if kind == "cut" else changed)


def _places(data: bytes, name: bytes) -> list[int]:
    places, place = [], data.find(name)
    while place >= 0:
        places.append(place)
        place = data.find(name, place + 1)
    return places


def look(data: bytes, reader: str | None, *, churn: bytes | None = None) -> tuple[int, str]:
    """Return the exit status of a process that looks at a file, and what it has seen or which fault it has found."""
    source, target = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(source)
        _limit()
        try:
            text = _look(data, reader, churn=churn)
        except BaseException:  # noqa: BLE001 - it is reported
            text = f"FAULT {traceback.format_exc()}"
        os.write(target, text.encode(errors="replace")[:60_000])
        os._exit(0)
    os.close(target)
    with os.fdopen(source, "rb") as file:
        text = file.read().decode(errors="replace")
    return os.waitpid(child, 0)[1], text


def _limit() -> None:
    signal.alarm(6 * SECONDS)  # for what hangs; a busy machine may take long for few seconds of CPU time
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)


def _look(data: bytes, reader: str | None, *, churn: bytes | None) -> str:
    if churn and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_PERTURB, churn[0] or 255)
    if reader is None:
        lines = snapshot(ChurningFile(data, churn) if churn else io.BytesIO(data), most=1 << 16)
    else:
        store = CountingStore(data)
        file = READERS[reader](store)
        checked = CheckedFile(file, data)
        lines = snapshot(checked, most=1 << 16)
        if checked.faults:
            return f"FAULT {checked.faults[:3]}"
        most = MAX_FETCHED.get(reader, 2) * len(data) + (1 << 20)
        if store.sent > most:
            return f"FAULT {store.sent} bytes of {len(data)} fetched in {store.requests} requests"
    digest = hashlib.sha256("\n".join(lines).encode(errors="replace")).hexdigest()
    return digest + "\n" + "\n".join(line[:200] for line in lines)[:50_000]


def files(folder: str | None) -> Iterator[tuple[str, bytes]]:
    """Return files to be damaged, with their names."""
    for name in MAKERS:
        for libver in LIBVERS:
            yield f"{name} {libver}", make(name, libver)
    for path in sorted(Path(folder).iterdir()) if folder else ():
        yield path.name, path.read_bytes()


def main(seed: str, rounds: str, most: str, folder: str | None = None) -> None:
    """Damage each file of up to `most` bytes `rounds` times."""
    found = [(name, data) for name, data in files(folder) if 100 < len(data) <= int(most)]
    faults, crashes, looks, unstable = [], 0, 0, 0
    for number in range(int(rounds)):
        for name, data in found:
            source = random.Random(f"{seed} {number} {name}")
            content = damaged(data, source)
            plain = look(content, None)
            crashes += plain[0] != 0
            reader = source.choice(list(READERS))
            seen = look(content, reader)
            looks += 1
            is_fault = "FAULT" in seen[1]
            if not is_fault and (plain[0] != 0 or seen == plain):
                continue
            # Where each call had the result it has to have, what differs is what libhdf5 reads beyond its buffers. A
            # crash depends on that, too, but has not told of its calls.
            if not is_fault and (seen[0] == 0 or any(look(content, None, churn=churn) != plain for churn in CHURNS)):
                unstable += 1
                continue
            case = f"{seed} {number} {name!r} {reader}: {plain[0]} {seen[0]}"
            faults.append(f"{case} {_difference(plain[1], seen[1])}")
            sys.stderr.write(f"{faults[-1]}\n")
    sys.stdout.write(json.dumps({"looks": looks, "crashes": crashes, "unstable": unstable, "faults": faults[:5]}))


def _difference(plain: str, seen: str) -> str:
    if "FAULT" in seen:
        return seen[-1500:]
    pairs = zip(plain.splitlines()[1:], seen.splitlines()[1:], strict=False)
    return str([pair for pair in pairs if pair[0] != pair[1]][:2])


if __name__ == "__main__":
    main(*sys.argv[1:])
