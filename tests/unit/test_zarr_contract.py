"""ObspecStore passes zarr's own tests of stores, in several stores and behind wrappers."""

from __future__ import annotations

from typing import Any

import pytest
from obstore.store import LocalStore
from zarr.core.buffer import Buffer, cpu
from zarr.testing.store import StoreTests

from obspec_utils.wrappers import CachingReadableStore, CoalescingReadableStore, SplittingReadableStore
from obspec_utils.zarr import ObspecStore

READ_ONLY = "store was opened in read-only mode and does not support writing: ObspecStore is read-only"


class Writable(ObspecStore):
    """With the writing that zarr's tests need to prepare what they read; all reading is that of ObspecStore."""

    supports_writes = supports_deletes = True

    def __init__(self, store: Any, *, read_only: bool = False) -> None:
        super().__init__(store)
        self._read_only = read_only

    async def set(self, key: str, value: Buffer) -> None:
        if self.read_only:
            await super().set(key, value)
        await self.store.put_async(key, value.to_bytes())

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        if not await self.exists(key):
            await self.set(key, value)

    async def delete(self, key: str) -> None:
        if self.read_only:
            await super().delete(key)
        if await self.exists(key):
            await self.store.delete_async(key)

    async def delete_dir(self, prefix: str) -> None:
        for key in [key async for key in self.list_prefix(f"{prefix.rstrip('/')}/".lstrip("/"))]:
            await self.delete(key)

    async def clear(self) -> None:
        await self.delete_dir("")


class ContractOfObspecStore(StoreTests[Writable, cpu.Buffer]):
    """zarr's tests. Those that write do it by `Writable`; those about being read-only are about ObspecStore itself."""

    store_cls = Writable
    buffer_cls = cpu.Buffer

    async def set(self, store: Writable, key: str, value: Buffer) -> None:
        await store.store.put_async(key, value.to_bytes())

    async def get(self, store: Writable, key: str) -> Buffer:
        result = await store.store.get_async(key)
        return self.buffer_cls.from_bytes(await result.buffer_async())

    def test_store_repr(self, store):
        assert repr(store) == f"Writable({store.store!r})"

    def test_store_supports_writes(self, store):
        assert not ObspecStore(store.store).supports_writes
        assert not ObspecStore(store.store).supports_deletes

    def test_store_supports_listing(self, store):
        assert store.supports_listing

    async def test_an_obspec_store_is_read_only(self, store_kwargs):
        store = await ObspecStore.open(**store_kwargs)
        assert store.read_only
        value = self.buffer_cls.from_bytes(b"bar")
        writes = [
            store.set("foo", value),
            store.set_if_not_exists("foo", value),
            store._set_many([("foo", value)]),
            store.delete("foo"),
            store.delete_dir("foo"),
            store.clear(),
        ]
        for write in writes:
            with pytest.raises(ValueError, match=READ_ONLY):
                await write
        assert store.with_read_only(True) == store  # noqa: FBT003
        with pytest.raises(NotImplementedError, match=r"with_read_only is not implemented for the .*ObspecStore"):
            store.with_read_only(False)  # noqa: FBT003


class TestLocal(ContractOfObspecStore):
    @pytest.fixture
    def store_kwargs(self, tmp_path):
        return {"store": LocalStore(tmp_path)}


class TestS3(ContractOfObspecStore):
    @pytest.fixture
    def store_kwargs(self, object_server):
        return {"store": object_server.s3_store("zarr")}


class TestWrapped(ContractOfObspecStore):
    @pytest.fixture
    def store_kwargs(self, tmp_path):
        inner = CachingReadableStore(SplittingReadableStore(LocalStore(tmp_path), request_size=3), block_size=2)
        return {"store": CoalescingReadableStore(inner)}
