"""What a store's name tells of the environment, of files, and of the machine."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import GCSStore, HTTPStore, LocalStore

from obspec_utils.wrappers.caching import _identity
from obspec_utils.wrappers.caching._identity import store_identity
from tests.unit._places import SECRET, VARIABLES, azure, gcs, s3, service_account


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variables that stores read, until a test sets some."""
    for name in os.environ:
        if name.startswith(VARIABLES):
            monkeypatch.delenv(name)
    return monkeypatch


class _Provider:
    config = {"endpoint": "https://provided"}  # noqa: RUF012 - as obstore wants it

    def __call__(self) -> dict[str, Any]:
        return {"access_key_id": SECRET, "secret_access_key": SECRET, "token": None, "expires_at": None}


class TestEnvironment:
    """A store tells nothing of what it took from the environment."""

    def test_obstore_reads_it_and_does_not_tell(self, environment):
        environment.setenv("AWS_ENDPOINT_URL", "https://from-environment")
        store = s3(access_key_id="a", secret_access_key="b")
        assert "endpoint" not in store.config
        assert obstore.sign(store, "GET", "x", timedelta(1)).startswith("https://from-environment/b/x")

    @pytest.mark.parametrize(
        ("variable", "make", "same"),
        [
            ("AWS_ENDPOINT_URL", s3, lambda: s3(endpoint="https://v")),
            ("AWS_ENDPOINT", s3, lambda: s3(endpoint="https://v")),
            ("AWS_ENDPOINT_URL_S3", s3, lambda: s3(aws_endpoint_url_s3="https://v")),
            ("AWS_REGION", s3, lambda: s3(region="https://v")),
            ("AWS_BUCKET_NAME", lambda: s3(None), lambda: s3("https://v")),
            ("GOOGLE_BASE_URL", gcs, lambda: gcs(base_url="https://v")),
            ("AZURE_STORAGE_ENDPOINT", azure, lambda: azure(endpoint="https://v")),
            ("AZURE_ENDPOINT", azure, lambda: azure(endpoint="https://v")),
            ("AZURE_STORAGE_ACCOUNT_NAME", lambda: azure(account=None), lambda: azure(account="https://v")),
        ],
    )
    def test_it_is_part_of_the_name(self, environment, variable, make, same):
        without = store_identity(same())
        environment.setenv(variable, "https://v")
        assert store_identity(make()) == without is not None

    def test_what_was_given_counts_more(self, environment):
        expected = store_identity(s3(endpoint="https://given"))
        environment.setenv("AWS_ENDPOINT_URL", "https://v")
        assert store_identity(s3(endpoint="https://given")) == expected

    @pytest.mark.parametrize(
        ("variables", "make"),
        [
            ({"AWS_ENDPOINT_URL": "https://one", "AWS_ENDPOINT": "https://two"}, s3),
            ({"AWS_ENDPOINT_URL": f"https://user:{SECRET}@host"}, s3),
            ({"AZURE_STORAGE_USE_EMULATOR": "true"}, azure),
            ({"GOOGLE_SERVICE_ACCOUNT_KEY": service_account(gcs_base_url="https://one")}, gcs),
        ],
    )
    def test_what_it_may_redirect_has_no_name(self, environment, variables, make):
        for name, text in variables.items():
            environment.setenv(name, text)
        assert store_identity(make()) is None

    @pytest.mark.parametrize("variable", [None, "SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT"])
    def test_a_service_account_s_file_is_looked_at(self, environment, tmp_path, variable):
        path = tmp_path / "account.json"

        def made() -> GCSStore:
            return gcs(**({} if variable else {"service_account": str(path)}))

        path.write_text(service_account())
        if variable:
            environment.setenv(variable, str(path))
        assert store_identity(made()) == '[["store","GCSStore"],["bucket","b"]]'
        path.write_text(service_account(gcs_base_url="https://one"))
        store = made()
        assert store_identity(store) is None
        path.write_text("no JSON")
        assert store_identity(store) is None
        path.unlink()
        assert store_identity(store) is None

    def test_what_a_provider_of_credentials_tells(self):
        assert store_identity(s3(credential_provider=_Provider())) == store_identity(s3(endpoint="https://provided"))


class TestMachines:
    def test_disks_are_of_one_machine(self, tmp_path, monkeypatch):
        store = LocalStore(tmp_path)
        name = store_identity(store)
        assert name is not None
        monkeypatch.setattr(_identity.platform, "node", lambda: "another")
        assert store_identity(store) not in {None, name}
        monkeypatch.setattr(_identity.platform, "node", lambda: "")
        assert store_identity(store) is None

    def test_a_folder_under_the_same_path_is_another_one(self, tmp_path):
        folder = tmp_path / "folder"
        folder.mkdir()
        store = LocalStore(folder)
        name = store_identity(store)
        folder.rename(tmp_path / "renamed")
        assert store_identity(store) is None
        folder.mkdir()
        assert store_identity(store) not in {None, name}

    @pytest.mark.skipif(not Path("/proc/self/ns/net").exists(), reason="only Linux tells networks apart")
    def test_localhost_is_of_one_network(self, monkeypatch):
        name, remote = store_identity(HTTPStore("http://localhost")), store_identity(HTTPStore("http://10.0.0.1"))
        network = Path("/proc/self/ns/net").stat().st_ino
        assert f'"{network}"' in name
        assert "network" not in remote
        monkeypatch.setattr(_identity, "_network", lambda: {"network": "another"})
        assert store_identity(HTTPStore("http://localhost")) not in {None, name}
        assert store_identity(HTTPStore("http://10.0.0.1")) == remote

    def test_links_and_relative_paths_lead_to_one_place(self, tmp_path: Path, monkeypatch):
        folder = tmp_path / "folder"
        folder.mkdir()
        (tmp_path / "link").symlink_to(folder)
        monkeypatch.chdir(tmp_path)
        stores = [LocalStore(folder), LocalStore(f"{folder}/"), LocalStore("folder"), LocalStore(tmp_path / "link")]
        assert len({store_identity(store) for store in [*stores, LocalStore.from_url(f"file://{folder}")]}) == 1
        assert store_identity(LocalStore(tmp_path)) != store_identity(LocalStore(folder))
        assert store_identity(LocalStore()) == store_identity(LocalStore("/"))

    @pytest.mark.parametrize("host", ["localhost", "minio.localhost", "127.0.0.1:9000", "[::1]", "0.0.0.0"])
    def test_so_is_what_listens_on_loopback(self, host, monkeypatch):
        stores = [s3(endpoint=f"http://{host}"), HTTPStore(f"http://{host}"), gcs(base_url=f"http://{host}")]
        names = [store_identity(store) for store in stores]
        remote = store_identity(HTTPStore("http://10.0.0.1"))
        monkeypatch.setattr(_identity.platform, "node", lambda: "another")
        assert None not in names
        assert all(store_identity(store) != name for store, name in zip(stores, names, strict=True))
        assert store_identity(HTTPStore("http://10.0.0.1")) == remote is not None
