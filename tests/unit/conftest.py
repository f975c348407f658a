"""Stores with the objects that the tests of `obspec_utils.fsspec` read."""

import pytest
from obstore.store import LocalStore, MemoryStore

from obspec_utils.fsspec import ObspecFileSystem
from tests.unit._fsspec import filled


@pytest.fixture
def memory():
    return filled(MemoryStore())


@pytest.fixture
def local(tmp_path):
    return filled(LocalStore(tmp_path))


@pytest.fixture(params=["memory", "local"])
def store(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def fs(store):
    return ObspecFileSystem(store)
