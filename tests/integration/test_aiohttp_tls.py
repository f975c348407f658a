"""AiohttpStore over TLS: whole bodies, bodies left half read, forks, and certificates that nobody has signed."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from obspec_utils.stores import AiohttpStore
from tests.servers import random_bytes
from tests.servers.web_server import WebServer, serve_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA = random_bytes(3 << 20, seed=8)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate of 127.0.0.1 that is signed with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(private + signed.public_bytes(pem))
    return path


@pytest.fixture
def server(certificate: Path) -> Iterator[WebServer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with WebServer(serve_bytes(DATA), context) as started:
        yield started


async def test_async_calls(server: WebServer, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=certificate)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        store = AiohttpStore(server.url, session=session)
        assert await (await store.get_async("a")).buffer_async() == DATA
        async for chunk in (await store.get_async("a")).stream(1000):
            assert DATA.startswith(chunk)
            break
        assert await store.get_range_async("a", start=5, end=9) == DATA[5:9]


PROGRAM = """
import os, sys
from obspec_utils.readers import EagerStoreReader
from obspec_utils.stores import AiohttpStore

store, size = AiohttpStore(sys.argv[1]), int(sys.argv[2])

def read():
    assert EagerStoreReader(store, "a", request_size=300_000).size == size
    assert len(store.get_range("a", start=5, end=9)) == 4

read()
half_read = store.get("a").stream(1000)
first = next(half_read)
dropped = next(store.get("a").stream(1000))
child = os.fork() if hasattr(os, "fork") else None
for _ in range(3):
    read()
if child == 0:
    os._exit(0)
assert len(first) + sum(map(len, half_read)) == size
assert child is None or os.waitpid(child, 0)[1] == 0
unread = store.get("a")
"""


def test_sync_calls_forks_and_the_end_of_a_process(server: WebServer, certificate: Path) -> None:
    arguments = [sys.executable, "-W", "error::ResourceWarning", "-c", PROGRAM, server.url, str(len(DATA))]
    environment = {**os.environ, "SSL_CERT_FILE": str(certificate)}
    done = subprocess.run(arguments, check=False, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    assert "ResourceWarning" not in done.stderr


def test_a_certificate_that_is_not_trusted_is_an_error_at_once(server: WebServer) -> None:
    with pytest.raises(aiohttp.ClientError, match="certificate verify failed") as caught:
        AiohttpStore(server.url).get("a")
    assert "\n" not in str(caught.value)
    assert server.sent() == []
