"""Which structures of an HDF5 file are wanted first."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from obspec_utils._formats.hdf5 import Structure
from obspec_utils._formats.hdf5.kinds import Kind
from obspec_utils._formats.hdf5.pending import Node, Pending
from obspec_utils._ranges import ByteRange
from tests.unit._hdf5 import RecordingFile, reads_of_walk, uncovered

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 1000


@cache
def thousand_datasets(libver: str) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w", libver=libver) as made:
        for number in range(COUNT):
            data = made.create_dataset(f"{number:04}", data=np.arange(300), chunks=(10,), maxshape=(None,))
            for attribute in range(12):
                data.attrs[f"attribute {attribute}"] = f"{number} {attribute}" * 20
    return file.getvalue()


class Client:
    """Fetches what is wanted, and remembers it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.structure = Structure(len(data))
        self.known = bytearray(len(data))

    def fetch(self, wanted: list) -> None:
        for start, stop in wanted:
            self.known[start:stop] = bytes([1]) * (stop - start)
        self.structure.parse(
            lambda start, stop: memoryview(self.data)[start:stop] if self.known.find(0, start, stop) < 0 else None
        )

    def fetch_unless(self, is_left: Callable[[Node], bool]) -> None:
        """Fetch all that is wanted, but for structures of a kind."""
        while self.structure.wanted(100_000) and (
            others := [node for node in self.structure._state.pending if not is_left(node)]
        ):
            self.fetch([ByteRange(node.start, node.stop) for node in others])


def header(data: bytes, name: str) -> int:
    with h5py.File(io.BytesIO(data), "r") as file:
        return h5py.h5o.get_info(file[name].id).addr


def client_at_headers(data: bytes) -> Client:
    """Return a client that knows where all datasets are, and has read none of them."""
    client = Client(data)
    client.fetch_unless(lambda node: node.kind is Kind.OBJECT_HEADER)
    return client


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_what_is_wanted_near_one_dataset_of_a_thousand_is_its_own(libver):
    data = thousand_datasets(libver)
    client = client_at_headers(data)
    start = header(data, "0500")
    before = len(client.structure.wanted(10_000))
    assert before > COUNT - 10  # A few are in the first 2 KiB.
    fetched = []
    while wanted := client.structure.wanted(64, near=start, only=True):
        assert wanted == client.structure.wanted(len(wanted), near=start)
        fetched.extend(wanted)
        client.fetch(wanted)
    assert fetched[0].start == start
    assert 3 < len(fetched) < 60
    # All that h5py reads of the dataset is there, and none of what it reads of its neighbours.
    recording = _reads_of_dataset(data, "0500")
    assert uncovered(recording, _spans(client.known)) == []
    assert len(client.structure.wanted(10_000)) == before - 1


def _spans(known: bytearray) -> list[tuple[int, int]]:
    spans, start = [], known.find(1)
    while start >= 0:
        stop = known.find(0, start)
        stop = len(known) if stop < 0 else stop
        spans.append((start, stop))
        start = known.find(1, stop)
    return spans


def _reads_of_dataset(data: bytes, name: str) -> list[tuple[int, int]]:
    recording = RecordingFile(data)
    with h5py.File(recording, "r") as file:
        dataset = file[name]
        assert len(dict(dataset.attrs)) == 12
        assert dataset.id.get_num_chunks() == 30
    return recording.reads


def test_what_is_not_near_follows_from_the_nearest_relatives_on():
    data = thousand_datasets("earliest")
    client = client_at_headers(data)
    start = header(data, "0500")
    everything = client.structure.wanted(10_000)
    near = client.structure.wanted(10_000, near=start)
    assert near[0].start == start
    assert sorted(near) == sorted(everything)
    assert client.structure.wanted(3, near=start) == near[:3]
    # A leaf of the group's B-tree has 8 datasets at most, in the order of their names.
    neighbours = {header(data, f"{number:04}") for number in range(493, 508)}
    assert {found.start for found in near[:4]} <= neighbours


@pytest.mark.parametrize("libver", ["earliest", "v110"])
def test_the_sibling_leaves_of_a_chunk_btree_come_before_those_of_other_datasets(libver):
    file = io.BytesIO()
    with h5py.File(file, "w", libver=libver) as made:
        for name in ("first", "second", "third"):
            made.create_dataset(name, (3000, 2), "u1", chunks=(1, 2), maxshape=(None, None))[...] = 1
    data = file.getvalue()
    client = Client(data)
    leaves: dict[int, list[ByteRange]] = {}
    client.fetch_unless(lambda node: _is_leaf(node, leaves))
    everything = client.structure.wanted(1000)
    tables = sorted(leaves)
    assert [len(leaves[table]) > 8 for table in tables] == [True] * 3
    for table in tables:
        own = leaves[table]
        near = client.structure.wanted(1000, near=own[5].start)
        assert near[0] == own[5]
        assert sorted(near[: len(own)]) == sorted(own)
        assert sorted(near) == sorted(everything)
        assert client.structure.wanted(1000, near=own[5].start, only=True) == [own[5]]


def _is_leaf(node: Node, leaves: dict[int, list[ByteRange]]) -> bool:
    """Return whether a structure is a leaf of chunks, and note it by the dataset that it is of."""
    if node.kind not in (Kind.CHUNK_BTREE, Kind.BTREE2_NODE) or node.parents[0].kind is not node.kind:
        return False
    table = node.detail if node.kind is Kind.CHUNK_BTREE else node.detail.tree.owner
    found = ByteRange(node.start, node.stop)
    if found not in leaves.setdefault(table, []):
        leaves[table].append(found)
    return True


def test_an_offset_within_a_structure_is_near_it():
    data = thousand_datasets("earliest")
    client = client_at_headers(data)
    start = header(data, "0500")
    assert client.structure.wanted(1, near=start + 8)[0].start == start


def test_an_offset_without_a_structure_is_near_nothing():
    data = thousand_datasets("earliest")
    client = client_at_headers(data)
    assert client.structure.wanted(5, near=len(data) - 1, only=True) == []
    assert client.structure.wanted(5, near=len(data) - 1) == client.structure.wanted(5)


def test_a_structure_that_two_others_refer_to_is_near_both():
    pending = Pending()
    parents = [Node(Kind.OBJECT_HEADER, address, address, address + 10) for address in (100, 200)]
    shared = Node(Kind.GLOBAL_HEAP, 300, 300, 310, parent=parents[0])
    for parent in parents:
        pending.add(parent)
    pending.add(shared)
    pending.link(shared, parents[1])
    for parent in parents:
        pending.finish(parent)
        assert pending.wanted(5, parent.start, only=True) == [ByteRange(300, 310)]
    pending.finish(shared)
    assert (
        pending.wanted(5, 100, only=True)
        == pending.wanted(5, 200, only=True)
        == pending.wanted(5, None, only=False)
        == []
    )


def tree(pending: Pending, depth: int, width: int, first: int = 0, parent: Node | None = None) -> list[Node]:
    """Add a tree of which the leaves are pending, 10 bytes each from `first` on; return the leaves."""
    node = Node(Kind.CHUNK_BTREE, first, first, first + 10, parent=parent)
    pending.add(node)
    if depth == 0:
        return [node]
    size = 10 * (width + 1) ** depth
    starts = range(first + 10, first + 10 + width * size, size)
    leaves = [leaf for start in starts for leaf in tree(pending, depth - 1, width, start, node)]
    pending.finish(node)
    return leaves


def test_what_is_wanted_goes_up_from_parents_to_their_parents():
    pending = Pending()
    other = tree(pending, 1, 5, 100_000)
    leaves = tree(pending, 3, 4)
    near = [start for start, _ in pending.wanted(1000, leaves[22].start, only=False)]
    at = [leaf.start for leaf in leaves]
    assert near[0] == at[22]
    assert near[1:4] == [at[20], at[21], at[23]]  # its siblings
    assert near[4:16] == at[16:20] + at[24:32]  # the children of its parent's siblings
    assert near[16:64] == at[:16] + at[32:]
    assert near[64:] == [leaf.start for leaf in other]
    assert [start for start, _ in pending.wanted(10, leaves[22].start, only=False)] == near[:10]


def test_the_relatives_by_all_parents_come_first():
    pending = Pending()
    trees = [tree(pending, 1, 3, first) for first in (0, 1000, 2000)]
    shared = Node(Kind.GLOBAL_HEAP, 5000, 5000, 5010, parent=trees[0][0].parents[0])
    pending.add(shared)
    pending.link(shared, trees[2][0].parents[0])
    near = [start for start, _ in pending.wanted(100, 5000, only=False)]
    assert near == [5000, *(leaf.start for number in (0, 2, 1) for leaf in trees[number])]


class CountingChildren(dict):
    """Counts the children that are looked at."""

    looked_at = 0

    def __iter__(self):
        for child in super().__iter__():
            self.looked_at += 1
            yield child


@pytest.mark.parametrize(("depth", "limit", "most"), [(1, 32, 33), (2, 3, 5000)])
def test_few_relatives_are_looked_at_when_few_are_wanted(depth, limit, most):
    pending = Pending()
    leaves = tree(pending, 1, 20_000)
    parent = leaves[0].parents[0]
    for leaf in leaves if depth == 2 else ():
        pending.add(Node(Kind.CHUNK_BTREE, leaf.start + 5, leaf.start + 5, leaf.stop, parent=leaf))
        pending.finish(leaf)
    parent.children = children = CountingChildren(parent.children)
    assert len(set(pending.wanted(limit, leaves[100].start, only=False))) == limit
    assert 0 < children.looked_at <= most


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_a_collection_that_two_datasets_share_is_near_both(libver):
    file = io.BytesIO()
    with h5py.File(file, "w", libver=libver) as made:
        for name in ("first", "second"):
            made.create_dataset(name, (3,), "f4").attrs["text"] = "text"
    data = file.getvalue()
    client = Client(data)
    client.fetch_unless(lambda node: node.kind is Kind.GLOBAL_HEAP)
    (collection,) = client.structure.wanted(5)
    for name in ("first", "second"):
        assert client.structure.wanted(5, near=header(data, name), only=True) == [collection]


def test_a_complete_structure_is_reached_again_with_what_is_found_later():
    pending = Pending()
    root = Node(Kind.OBJECT_HEADER, 100, 100, 110)
    inner = Node(Kind.OBJECT_HEADER, 200, 200, 210, parent=root)
    late = Node(Kind.LINK, 300, 300, 310, parent=inner)
    pending.add(root)
    pending.add(inner)
    pending.finish(root)
    pending.finish(inner)
    assert pending.wanted(5, 100, only=True) == []
    pending.add(late)
    assert pending.wanted(5, 100, only=True) == pending.wanted(5, 200, only=True) == [ByteRange(300, 310)]


def test_what_is_complete_takes_no_memory():
    data = thousand_datasets("earliest")
    client = Client(data)
    while wanted := client.structure.wanted(100):
        client.fetch(wanted)
    pending = client.structure._state.pending
    assert (len(pending), pending._open, pending.candidates()) == (0, {}, [])


def test_the_walk_of_a_thousand_datasets_was_wanted():
    data = thousand_datasets("latest")
    client = Client(data)
    while wanted := client.structure.wanted(64):
        client.fetch(wanted)
    assert uncovered(reads_of_walk(data) or [], _spans(client.known)) == []
