"""The client of the object server: starts it, fills it, slows it, reads its log."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self, Unpack
from urllib.parse import quote

from obstore.store import HTTPStore, S3Store

from tests.servers._process import RunningServer, ServerProcess, send
from tests.servers.object_server._faults import Fault, FaultAction, FaultOptions
from tests.servers.object_server._records import LoggedRequest

if TYPE_CHECKING:
    from pathlib import Path

    from obspec_utils.stores import AiohttpStore
    from tests.servers.object_server._http import Body


class ObjectServer(RunningServer):
    """A running object server.

    `ObjectServer.start()` starts a process and stops it at the end; `ObjectServer(url)` talks to
    one that somebody else started.
    """

    @classmethod
    def start(cls, *, latency: float = 0.0, bandwidth: float = 0.0, total_bandwidth: float = 0.0) -> Self:
        """Start a server process on a free loopback port; see `configure` for the parameters."""
        process = ServerProcess("tests.servers.object_server", "--port", "0")
        server = cls(process.url, process)
        server.configure(latency=latency, bandwidth=bandwidth, total_bandwidth=total_bandwidth)
        return server

    def configure(
        self, *, latency: float = 0.0, bandwidth: float = 0.0, total_bandwidth: float = 0.0, gather: int = 0
    ) -> None:
        """Replace the whole profile.

        Parameters
        ----------
        latency
            Seconds before the head of each response.
        bandwidth
            Bytes per second of each connection, 0 for no limit.
        total_bandwidth
            Bytes per second of all connections together, 0 for no limit.
        gather
            Count the latency from the arrival of the latest request, 0 to count it from that of each. A number above 1
            also holds back the responses to all requests but the first until so many have been in flight at once, for
            10 seconds at most: requests sent together are then in flight together, however busy the
            machine is.
        """
        profile = {"latency": latency, "bandwidth": bandwidth, "total_bandwidth": total_bandwidth, "gather": gather}
        self._command("profile", profile)

    def put(self, path: str, data: Body) -> str:
        """Store an object at `bucket/key`, unlogged and at full speed; return its ETag."""
        answer: dict[str, str] = json.loads(self._send("PUT", f"objects/{quote(path)}", data))
        return answer["etag"]

    def put_file(self, path: str, file: Path) -> None:
        """Let the server map a file at `bucket/key`, which takes no memory; the file must not change."""
        self._command("put-file", {"path": path, "file": str(file)})

    def put_random(self, path: str, size: int, seed: int = 0, period: int | None = None) -> None:
        """Let the server make an object that equals `random_bytes(size, seed, period)`."""
        self._command("put-random", {"path": path, "size": size, "seed": seed, "period": period})

    def get(self, path: str) -> bytes:
        """Bytes of the object at `bucket/key`, unlogged and at full speed."""
        return self._send("GET", f"objects/{quote(path)}")

    def log(self) -> list[LoggedRequest]:
        """Requests since the last `clear()`, in the order of their arrival."""
        return [LoggedRequest(**entry) for entry in self._command("log")]

    def clear(self) -> None:
        """Empty the log and restart the counting of requests in flight."""
        self._command("clear")

    def most_in_flight(self, path: str | None = None) -> int:
        """Most requests at once since the last `clear()`, for one `bucket/key` or over all."""
        most: int = self._command("in-flight", {"path": path})
        return most

    def add_fault(self, action: FaultAction, path: str = "*", **options: Unpack[FaultOptions]) -> None:
        """Plan misbehaviour; see `Fault` for the actions and options."""
        fault = asdict(Fault(action, path, **options))
        fault["data"] = base64.b64encode(fault["data"]).decode()
        self._command("add-fault", fault)

    def clear_faults(self) -> None:
        """Forget all planned misbehaviour."""
        self._command("clear-faults")

    def wipe(self) -> None:
        """Remove all objects."""
        self._command("wipe")

    def reset(self) -> None:
        """Make the server as good as new: no objects, faults, log, latency or limits."""
        self.wipe()
        self.clear_faults()
        self.configure()
        self.clear()

    def s3_store(self, bucket: str, **options: Any) -> S3Store:
        """Return an S3Store of one bucket; any option of S3Store can be overridden."""
        defaults: dict[str, Any] = {
            "endpoint": self.url,
            "region": "us-east-1",
            "skip_signature": True,
            "virtual_hosted_style_request": False,
            "client_options": {"allow_http": True},
        }
        return S3Store(bucket, **{**defaults, **options})

    def http_store(self, bucket: str, **options: Any) -> HTTPStore:
        """Return an HTTPStore of one bucket; any option of HTTPStore can be overridden."""
        defaults: dict[str, Any] = {"client_options": {"allow_http": True}}
        return HTTPStore(f"{self.url}/{quote(bucket)}", **{**defaults, **options})

    def aiohttp_store(self, bucket: str, **options: Any) -> AiohttpStore:
        """Return an AiohttpStore of one bucket, with the options of AiohttpStore."""
        from obspec_utils.stores import AiohttpStore

        return AiohttpStore(f"{self.url}/{quote(bucket)}", **options)

    def _command(self, name: str, arguments: dict[str, Any] | None = None) -> Any:
        return json.loads(self._send("POST", name, json.dumps(arguments or {}).encode()))

    def _send(self, method: str, target: str, body: Body = b"") -> bytes:
        status, content = send(self.url, method, f"/_control/{target}", body)
        if status != HTTPStatus.OK:
            msg = f"{method} {target}: {status} {content.decode(errors='replace')}"
            raise RuntimeError(msg)
        return content
