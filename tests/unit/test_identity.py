"""What names the place a store reads from: the same everywhere, never the same for two places, and without secrets."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys

import pytest
from obstore.store import AzureStore, GCSStore, HTTPStore, LocalStore, MemoryStore, S3Store

from obspec_utils.wrappers import CachingReadableStore, RequestTrace, SplittingReadableStore, TracingReadableStore
from obspec_utils.wrappers.caching._identity import store_identity
from tests.unit._places import SECRET, VARIABLES, azure, gcs, s3, service_account

BASE64_SECRET = "czNjcjN0"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variables that stores read, until a test sets some."""
    for name in os.environ:
        if name.startswith(VARIABLES):
            monkeypatch.delenv(name)
    return monkeypatch


def test_names_tell_the_place():
    assert store_identity(s3(prefix="p/q", region="r")) == (
        '[["store","S3Store"],["bucket","b"],["prefix","p/q"],["region","r"]]'
    )
    assert store_identity(gcs()) == '[["store","GCSStore"],["bucket","b"]]'
    assert store_identity(azure()) == '[["store","AzureStore"],["account_name","a"],["container_name","c"]]'
    assert store_identity(HTTPStore("https://host/data")) == '[["store","HTTPStore"],["url","https://host/data"]]'


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (S3Store.from_url("s3://b/p"), s3(prefix="p")),
        (S3Store.from_url("s3://b/p/q/"), s3(config={"AWS_BUCKET": "b"}, bucket=None, prefix="/p/q")),
        (s3(prefix=""), s3()),
        (s3(virtual_hosted_style_request=True), s3()),
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
    assert store_identity(one) == store_identity(other) is not None


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
    names = [store_identity(store) for store in stores]
    assert None not in names
    assert len(set(names)) == len(names)


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
    assert store_identity(store) is None


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
    name = store_identity(store)
    assert name == store_identity(kind("b", prefix="p", **account)) is not None
    assert SECRET not in name
    assert BASE64_SECRET not in name


@pytest.mark.parametrize(
    "store",
    [s3(prefix="p"), gcs(), azure(endpoint="http://127.0.0.1:1/a"), HTTPStore("https://host"), LocalStore("/tmp")],
    ids=lambda store: type(store).__name__,
)
def test_the_name_is_the_same_inside_wrappers_and_in_another_process(store):
    expected = store_identity(store)
    assert expected is not None
    wrapped = TracingReadableStore(CachingReadableStore(SplittingReadableStore(store)), RequestTrace())
    assert store_identity(wrapped) == expected
    program = (
        "import pickle, sys; from obspec_utils.wrappers.caching._identity import store_identity\n"
        "print(store_identity(pickle.load(sys.stdin.buffer)))"
    )
    done = subprocess.run([sys.executable, "-c", program], input=pickle.dumps(store), check=True, capture_output=True)
    assert done.stdout.decode().strip() == expected


def test_a_kind_of_store_that_is_not_known_has_no_name(monkeypatch):
    class NewStore:
        prefix = client_options = None
        config = {"bucket": "b"}  # noqa: RUF012 - as obstore tells it

    monkeypatch.setattr(NewStore, "__module__", "obstore.store")
    assert store_identity(NewStore()) is None


def test_a_store_that_does_not_tell_what_others_tell_has_no_name(monkeypatch):
    class S3Store:
        config = {"bucket": "b"}  # noqa: RUF012 - as obstore tells it
        client_options = None

    monkeypatch.setattr(S3Store, "__module__", "obstore.store")
    assert store_identity(S3Store()) is None  # where is its prefix?
    monkeypatch.setattr(S3Store, "prefix", None, raising=False)
    assert store_identity(S3Store()) == store_identity(s3())
    monkeypatch.setattr(S3Store, "config", {"AWS_BUCKET_NAME": "b"})
    assert store_identity(S3Store()) == store_identity(s3())
    monkeypatch.delattr(S3Store, "client_options")
    assert store_identity(S3Store()) is None
