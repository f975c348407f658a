"""Azurite, Microsoft's emulator of Azure Blob Storage, in a process of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Self

from obstore.store import AzureStore

from tests.servers._process import REPOSITORY, RunningServer, ServerProcess, ServerUnavailable, send

_ACCOUNT = "devstoreaccount"
_KEY = base64.b64encode(b"not a secret: it opens loopback").decode()
_API_VERSION = "2021-12-02"


class AzuriteServer(RunningServer):
    """A running Azurite; a context manager that stops it."""

    @classmethod
    def start(cls) -> Self:
        """Start a server process on a free loopback port.

        Raises
        ------
        ServerUnavailable
            If node or azurite-blob is not on this machine.
        """
        # Azurite takes its accounts from the environment only.
        accounts = {"AZURITE_ACCOUNTS": f"{_ACCOUNT}:{_KEY}"}
        process = ServerProcess("tests.servers._azurite_process", find_azurite(), environment=accounts)
        return cls(process.url, process)

    def create_container(self, container: str) -> None:
        """Create an empty container."""
        headers = {"x-ms-date": formatdate(time.time(), usegmt=True), "x-ms-version": _API_VERSION}
        headers["Authorization"] = _signature(container, headers)
        target = f"/{_ACCOUNT}/{container}?restype=container"
        status, content = send(self.url, "PUT", target, headers=headers)
        if status != HTTPStatus.CREATED:
            msg = f"PUT {target}: {status} {content.decode(errors='replace')}"
            raise RuntimeError(msg)

    def azure_store(self, container: str, **options: Any) -> AzureStore:
        """Return an AzureStore of a container."""
        defaults: dict[str, Any] = {
            "account_name": _ACCOUNT,
            "account_key": _KEY,
            "endpoint": f"{self.url}/{_ACCOUNT}",
            "client_options": {"allow_http": True},
        }
        return AzureStore(container, **{**defaults, **options})


def find_azurite() -> str:
    """Path of azurite-blob, from the repository's tools or PATH."""
    if shutil.which("node") is None:
        msg = "Azurite needs node, which is not on PATH"
        raise ServerUnavailable(msg)
    tools = REPOSITORY / ".tools" / "node_modules" / ".bin"
    search = os.pathsep.join([str(tools), os.environ.get("PATH", "")])
    executable = shutil.which("azurite-blob", path=search)
    if executable is None:
        msg = f"azurite-blob is neither in {tools} nor on PATH: npm install --prefix .tools azurite"
        raise ServerUnavailable(msg)
    return executable


def _signature(container: str, headers: dict[str, str]) -> str:
    """Sign a bodiless PUT of a container with the account's key (Azure's SharedKey scheme)."""
    # Eleven standard headers that are all empty stand between the method and Azure's own.
    signed = "PUT" + "\n" * 12
    signed += "".join(f"{name}:{text}\n" for name, text in sorted(headers.items()))
    # The account appears twice, as in the path of an emulator's URL.
    signed += f"/{_ACCOUNT}/{_ACCOUNT}/{container}\nrestype:container"
    digest = hmac.digest(base64.b64decode(_KEY), signed.encode(), hashlib.sha256)
    return f"SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}"
