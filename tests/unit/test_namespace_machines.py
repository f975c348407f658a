"""The default namespace of folders, servers on localhost, and AiohttpStore."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest
from obstore.store import HTTPStore, LocalStore

from obspec_utils.stores import AiohttpStore
from obspec_utils.wrappers import SplittingReadableStore
from obspec_utils.wrappers.caching import _namespace
from obspec_utils.wrappers.caching._namespace import default_namespace
from tests.unit._places import gcs, s3

if TYPE_CHECKING:
    from pathlib import Path


class TestMachines:
    """Folders, and servers on localhost, are those of one machine."""

    def test_folders_are_of_one_machine(self, tmp_path, monkeypatch):
        store = LocalStore(tmp_path)
        name = default_namespace(store)
        monkeypatch.setattr(_namespace.platform, "node", lambda: "another")
        assert default_namespace(store) != name

    def test_links_and_relative_paths_lead_to_one_place(self, tmp_path: Path, monkeypatch):
        folder = tmp_path / "folder"
        folder.mkdir()
        (tmp_path / "link").symlink_to(folder)
        monkeypatch.chdir(tmp_path)
        stores = [LocalStore(folder), LocalStore(f"{folder}/"), LocalStore("folder"), LocalStore(tmp_path / "link")]
        assert len({default_namespace(store) for store in [*stores, LocalStore.from_url(f"file://{folder}")]}) == 1
        assert default_namespace(LocalStore(tmp_path)) != default_namespace(LocalStore(folder))
        assert default_namespace(LocalStore()) == default_namespace(LocalStore("/"))

    @pytest.mark.parametrize("host", ["localhost", "minio.localhost", "127.0.0.1:9000", "[::1]", "0.0.0.0"])
    def test_so_is_what_listens_on_loopback(self, host, monkeypatch):
        stores = [s3(endpoint=f"http://{host}"), HTTPStore(f"http://{host}"), gcs(base_url=f"http://{host}")]
        names = [default_namespace(store) for store in stores]
        remote = default_namespace(HTTPStore("http://10.0.0.1"))
        monkeypatch.setattr(_namespace.platform, "node", lambda: "another")
        assert all(default_namespace(store) != name for store, name in zip(stores, names, strict=True))
        assert default_namespace(HTTPStore("http://10.0.0.1")) == remote


def test_an_aiohttp_store_is_named_by_its_url_alone() -> None:
    store = AiohttpStore("https://example.com/data/")
    assert default_namespace(store) == default_namespace(SplittingReadableStore(pickle.loads(pickle.dumps(store))))
    others = [
        AiohttpStore("https://example.com"),
        AiohttpStore("http://example.com/data"),
        AiohttpStore("http://127.0.0.1/data"),
        HTTPStore("https://example.com/data"),
    ]
    assert len({default_namespace(other) for other in (store, *others)}) == 5


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("https://example.com/data?token=s3cr3t", None),
        ("https://user:s3cr3t@example.com/data", None),
        ("https://example.com/data", {"Authorization": "s3cr3t"}),
    ],
)
def test_an_aiohttp_store_whose_headers_or_query_may_select_objects_needs_a_name(url, headers):
    with pytest.raises(ValueError, match="Pass namespace=") as caught:
        default_namespace(AiohttpStore(url, headers=headers))
    assert "s3cr3t" not in str(caught.value)
