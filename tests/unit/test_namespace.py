"""The default namespace: the same in all processes, never the same for two places, and without secrets."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from datetime import timedelta
from typing import Any

import obstore
import pytest
from obstore.store import AzureStore, GCSStore, HTTPStore, LocalStore, MemoryStore, S3Store

from obspec_utils.wrappers import CachingReadableStore, RequestTrace, SplittingReadableStore, TracingReadableStore
from obspec_utils.wrappers.caching import _namespace
from obspec_utils.wrappers.caching._namespace import default_namespace
from tests.unit._places import SECRET, VARIABLES, azure, gcs, s3, service_account

BASE64_SECRET = "czNjcjN0"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variables that stores read, until a test sets some."""
    for name in os.environ:
        if name.startswith(VARIABLES):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (S3Store.from_url("s3://b/p"), s3(prefix="p")),
        (S3Store.from_url("s3://b/p/q/"), s3(config={"AWS_BUCKET": "b"}, bucket=None, prefix="/p/q")),
        (s3(prefix=""), s3()),
        (s3(config={"AWS_ENDPOINT_URL": "https://h"}), s3(endpoint="https://h")),
        (s3(access_key_id="one", secret_access_key="1"), s3(access_key_id="other", secret_access_key="2")),
        (s3(client_options={"timeout": "5s", "proxy_url": "http://proxy"}), s3()),
        (GCSStore.from_url("gs://b/p"), gcs(prefix="p")),
        (gcs(service_account_key=service_account()), gcs(skip_signature=True)),
        (AzureStore.from_url("az://c/p", account_name="a"), azure(prefix="p")),
        (AzureStore.from_url("https://a.blob.core.windows.net/c/p"), azure(prefix="p")),
        (azure(use_emulator=False), azure()),
    ],
    ids=lambda store: type(store).__name__,
)
def test_one_place_has_one_name(one, other):
    assert default_namespace(one) == default_namespace(other)


def test_no_two_places_have_one_name():
    express = "b--usw2-az1--x-s3"
    stores = [
        s3(),
        s3("b2"),
        s3(prefix="p"),
        s3(prefix="p/q"),
        s3(region="eu-west-1"),
        s3(default_region="eu-west-1"),
        s3(endpoint="https://one"),
        s3(endpoint="https://one", virtual_hosted_style_request=True),
        s3(endpoint="https://two"),
        s3(aws_endpoint_url_s3="https://one"),
        s3(endpoint="http://localhost:9000"),
        s3(express),
        s3(express, s3_express=True),
        gcs(),
        gcs("b2"),
        gcs(prefix="p"),
        gcs(base_url="https://one"),
        azure(),
        azure("c2"),
        azure(account="a2"),
        azure(prefix="p"),
        azure(endpoint="https://one"),
        azure(use_fabric_endpoint=True),
        HTTPStore("https://host"),
        HTTPStore("https://host:8443"),
        HTTPStore("http://host"),
        HTTPStore("https://host/data"),
    ]
    names = [default_namespace(store) for store in stores]
    assert len(set(names)) == len(names)


def unnamed(store: Any) -> bool:
    """Tell whether a store needs a namespace=, and says so without secrets."""
    with pytest.raises(ValueError, match="namespace=") as caught:
        default_namespace(store)
    return SECRET not in str(caught.value)


class _Subclass(S3Store):
    pass


class _WrapperOfSomebody(SplittingReadableStore):
    pass


@pytest.mark.parametrize(
    "store",
    [
        MemoryStore(),
        object(),
        None,
        _Subclass("b"),
        _WrapperOfSomebody(S3Store("b")),
        CachingReadableStore(MemoryStore()),
        s3(endpoint=f"https://user:{SECRET}@host"),
        s3(endpoint=f"https://host?key={SECRET}"),
        s3(endpoint="host:9000"),
        s3(endpoint="https://[host"),
        s3(client_options={"default_headers": {"x-tenant": SECRET}}),
        gcs(service_account_key=service_account(gcs_base_url="https://one")),
        gcs(base_url=f"https://user:{SECRET}@host"),
        azure(account=None, use_emulator=True),
        azure(use_emulator=True),
        azure(endpoint=f"https://host/?{SECRET}"),
        HTTPStore(f"https://user:{SECRET}@host/data"),
        HTTPStore(f"https://{SECRET}@host/data"),
        HTTPStore(f"https://host/data?token={SECRET}"),
        HTTPStore(f"https://host/data#{SECRET}"),
        HTTPStore("https://host", client_options={"default_headers": {"Authorization": SECRET}}),
    ],
    ids=lambda store: type(store).__name__,
)
def test_what_may_be_two_places_has_no_name(store):
    assert unnamed(store)


SECRETS = {
    S3Store: {
        "access_key_id": SECRET,
        "secret_access_key": SECRET,
        "session_token": SECRET,
        "sse_kms_key_id": SECRET,
        "role_arn": SECRET,
        "role_session_name": SECRET,
        "web_identity_token_file": SECRET,
        "container_authorization_token_file": SECRET,
        "container_credentials_relative_uri": SECRET,
        "metadata_endpoint": f"http://{SECRET}",
        "client_options": {"proxy_url": f"http://user:{SECRET}@proxy"},
    },
    GCSStore: {"bearer_token": SECRET, "service_account_key": service_account()},
    AzureStore: {
        "account_key": BASE64_SECRET,
        "client_id": SECRET,
        "client_secret": SECRET,
        "tenant_id": SECRET,
        "authority_host": f"https://{SECRET}",
        "sas_key": f"sv=1&sig={SECRET}",
        "token": SECRET,
        "msi_endpoint": f"http://{SECRET}",
        "msi_resource_id": SECRET,
        "object_id": SECRET,
        "federated_token_file": SECRET,
        "fabric_session_token": SECRET,
        "fabric_cluster_identifier": SECRET,
    },
}


@pytest.mark.parametrize(("kind", "option"), [(kind, option) for kind in SECRETS for option in SECRETS[kind]])
def test_no_secret_is_in_a_name(kind, option, environment):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GOOGLE_BEARER_TOKEN", "AZURE_STORAGE_TOKEN"):
        environment.setenv(name, SECRET)
    account = {"account_name": "a"} if kind is AzureStore else {}
    store = kind("b", prefix="p", **account, **{option: SECRETS[kind][option]})
    kept = json.dumps([store.config, store.client_options])
    assert SECRET in kept or BASE64_SECRET in kept
    assert default_namespace(store) == default_namespace(kind("b", prefix="p", **account))
    location = json.dumps(_namespace._location(store))
    assert SECRET not in location
    assert BASE64_SECRET not in location


@pytest.mark.parametrize(
    "store",
    [s3(prefix="p"), gcs(), azure(endpoint="http://127.0.0.1:1/a"), HTTPStore("https://host"), LocalStore("/tmp")],
    ids=lambda store: type(store).__name__,
)
def test_the_name_is_the_same_inside_wrappers_and_in_another_process(store):
    expected = default_namespace(store)
    wrapped = TracingReadableStore(CachingReadableStore(SplittingReadableStore(store)), RequestTrace())
    assert default_namespace(wrapped) == expected
    program = (
        "import pickle, sys; from obspec_utils.wrappers.caching._namespace import default_namespace\n"
        "print(default_namespace(pickle.load(sys.stdin.buffer)))"
    )
    done = subprocess.run([sys.executable, "-c", program], input=pickle.dumps(store), check=True, capture_output=True)
    assert done.stdout.decode().strip() == expected


def test_a_kind_of_store_that_is_not_known_has_no_name(monkeypatch):
    class NewStore:
        prefix = client_options = None
        config = {"bucket": "b"}  # noqa: RUF012 - as obstore tells it

    monkeypatch.setattr(NewStore, "__module__", "obstore.store")
    assert unnamed(NewStore())


def test_a_store_that_does_not_tell_what_others_tell_has_no_name(monkeypatch):
    class S3Store:
        config = {"bucket": "b"}  # noqa: RUF012 - as obstore tells it
        client_options = None

    monkeypatch.setattr(S3Store, "__module__", "obstore.store")
    assert unnamed(S3Store())  # where is its prefix?
    monkeypatch.setattr(S3Store, "prefix", None, raising=False)
    assert default_namespace(S3Store()) == default_namespace(s3())
    monkeypatch.delattr(S3Store, "client_options")
    assert unnamed(S3Store())


class TestEnvironment:
    """A store tells nothing of what it took from the environment, so that has to be named."""

    def test_obstore_reads_it_and_does_not_tell(self, environment):
        environment.setenv("AWS_ENDPOINT_URL", "https://from-environment")
        store = s3(access_key_id="a", secret_access_key="b")
        assert "endpoint" not in store.config
        assert obstore.sign(store, "GET", "x", timedelta(1)).startswith("https://from-environment/b/x")

    @pytest.mark.parametrize(
        ("variable", "value", "make"),
        [
            ("AWS_ENDPOINT_URL", "https://v", s3),
            ("AWS_ENDPOINT", "https://v", s3),
            ("AWS_ENDPOINT_URL_S3", "https://v", s3),
            ("AWS_BUCKET_NAME", "v", lambda: s3(None)),
            ("GOOGLE_BASE_URL", "https://v", gcs),
            ("GOOGLE_SERVICE_ACCOUNT_KEY", service_account(gcs_base_url="https://one"), gcs),
            ("AZURE_STORAGE_ENDPOINT", "https://v", azure),
            ("AZURE_ENDPOINT", "https://v", azure),
            ("AZURE_STORAGE_ACCOUNT_NAME", "v", lambda: azure(account=None)),
            ("AZURE_STORAGE_USE_EMULATOR", "true", azure),
        ],
    )
    def test_what_it_may_redirect_has_no_name(self, environment, variable, value, make):
        environment.setenv(variable, value)
        assert unnamed(make())

    @pytest.mark.parametrize("variable", ["SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT"])
    def test_a_service_account_of_the_environment_has_no_name(self, environment, tmp_path, variable):
        path = tmp_path / "account.json"
        path.write_text(service_account(gcs_base_url="https://one"))
        environment.setenv(variable, str(path))
        assert unnamed(gcs())

    def test_what_was_given_counts_more(self, environment):
        expected = default_namespace(s3(endpoint="https://given"))
        environment.setenv("AWS_ENDPOINT_URL", "https://v")
        assert default_namespace(s3(endpoint="https://given")) == expected

    def test_a_region_counts_wherever_it_is_from(self, environment):
        expected = default_namespace(s3(region="r"))
        assert expected != default_namespace(s3())
        environment.setenv("AWS_REGION", "r")
        assert default_namespace(s3()) == expected

    def test_a_service_account_s_file_is_looked_at(self, tmp_path):
        path = tmp_path / "account.json"
        path.write_text(service_account())
        store = gcs(service_account=str(path))
        assert default_namespace(store) == default_namespace(gcs(service_account_path=str(path)))
        assert default_namespace(store) == default_namespace(gcs())
        path.write_text(service_account(gcs_base_url="https://one"))
        assert unnamed(store)
        assert unnamed(gcs(service_account_path=str(path)))
        path.write_text("no JSON")
        assert unnamed(store)
        path.unlink()
        assert unnamed(store)

    def test_what_a_provider_of_credentials_tells(self):
        class Provider:
            config = {"endpoint": "https://provided"}  # noqa: RUF012 - as obstore wants it

            def __call__(self) -> dict[str, Any]:
                return {"access_key_id": SECRET, "secret_access_key": SECRET, "token": None, "expires_at": None}

        assert default_namespace(s3(credential_provider=Provider())) == default_namespace(
            s3(endpoint="https://provided")
        )
