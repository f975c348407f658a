"""fsspec's own tests of filesystems: those that read. What they write goes to the store, in memory or in moto's S3."""

from __future__ import annotations

import posixpath

import fsspec
import pytest
from fsspec.registry import _registry
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests
from obstore.store import MemoryStore

from obspec_utils.fsspec import ObspecFileSystem, register


class Written(ObspecFileSystem):
    """What the fixtures of fsspec write goes to the store."""

    def pipe(self, path, value):
        store, key = self._locate(path)
        store.put(key, value)

    def touch(self, path):
        self.pipe(path, b"")

    def makedirs(self, path, **options):
        """Do nothing: directories are what the paths of objects say."""

    mkdir = makedirs

    def rm(self, path, **options):
        for each in self.find(path):
            store, key = self._locate(each)
            store.delete(key)


class _Fixtures(AbstractFixtures):
    @pytest.fixture
    def fs_join(self):
        return posixpath.join

    @pytest.fixture
    def supports_empty_directories(self):
        return False


class TestOfAStore(_Fixtures, AbstractGetTests):
    """Paths are those of a store."""

    @pytest.fixture
    def fs(self):
        return Written(MemoryStore())

    @pytest.fixture
    def fs_path(self):
        return "folder"


class TestOfAScheme(_Fixtures, AbstractGetTests):
    """Paths start with a bucket."""

    @pytest.fixture
    def fs(self, servers, monkeypatch):
        bucket = servers.fresh_name()
        servers.moto.create_bucket(bucket)
        store = servers.moto.s3_store(bucket)
        monkeypatch.setitem(_registry, "s3", None)
        register("s3", lambda bucket: store)
        fs = fsspec.filesystem("s3")
        for name in ("pipe", "touch", "makedirs", "mkdir", "rm"):
            setattr(fs, name, getattr(Written, name).__get__(fs))
        return fs

    @pytest.fixture
    def fs_path(self):
        return "bucket/folder"
