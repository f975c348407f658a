"""One request and its response over a connection, with the faults and the pace in force."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from tests.servers.object_server._conditions import is_conditional_read
from tests.servers.object_server._connection import Connection, ConnectionLostError
from tests.servers.object_server._faults import Fault, Faults, changed_body
from tests.servers.object_server._objects import Objects
from tests.servers.object_server._pace import Profile, Schedule
from tests.servers.object_server._ranges import requested_range
from tests.servers.object_server._records import LoggedRequest, Records
from tests.servers.object_server._routes import Router
from tests.servers.object_server._xml import error

if TYPE_CHECKING:
    from tests.servers.object_server._http import Request, Response

_LONGEST_GATHERING = 10.0
_GATHERING_STEP = 0.01


class State:
    """What all connections share, and the control plane changes."""

    def __init__(self) -> None:
        self.profile = Profile()
        self.line = Schedule()
        self.objects = Objects()
        self.router = Router(self.objects)
        self.faults = Faults()
        self.records = Records()
        self.latest = 0.0  # when the latest request arrived


@dataclass(slots=True)
class Exchange:
    """Answers one request; `status` and `sent` tell how far it came."""

    state: State
    connection: Connection
    request: Request
    status: int | None = None
    sent: int = 0

    async def run(self) -> None:
        """Receive the body and respond, and log both, however they end."""
        records, path = self.state.records, self.request.path
        logged = self._logged()
        self.state.latest = logged.begin
        number = records.begin(logged)
        try:
            body = await self.connection.read_body(self.request.content_length)
            self.request = replace(self.request, body=body)
            span = (logged.start or 0, logged.stop)
            await self._respond(self.state.faults.hitting(logged.method, path, span), logged.begin)
        finally:
            end = time.monotonic()
            records.finish(number, path, status=self.status, sent=self.sent, end=end)

    def _logged(self) -> LoggedRequest:
        request, headers = self.request, self.request.headers
        version = request.query.get("versionId")
        stored = self.state.objects.get(request.path, version)
        size = len(stored.data) if stored is not None else None
        start, stop = requested_range(headers.get("range"), size)
        return LoggedRequest(
            method=request.method,
            path=request.path,
            start=start,
            stop=stop,
            begin=time.monotonic(),
            connection=self.connection.number,
            range_header=headers.get("range"),
            if_match=headers.get("if-match"),
            version=version,
        )

    async def _respond(self, faults: list[Fault], begin: float) -> None:
        # The answer is settled on arrival, so that a fault that changes the object divides the
        # requests into those that came before it and those that came after.
        response = self._answer(faults)
        waits = [fault.seconds for fault in faults if fault.action == "stall" and fault.after is None]
        await self._wait(begin, self.state.profile.latency + sum(waits))
        if any(fault.action == "drop" and fault.after is None for fault in faults):
            raise ConnectionLostError
        self.status = response.status
        await self.connection.send(response.head())
        await self._send_body(response, [fault for fault in faults if fault.after is not None])

    async def _wait(self, begin: float, seconds: float) -> None:
        # From the arrival of the request: the latency is what it says, whatever answering takes.
        if seconds:
            await self.connection.sleep(max(0.0, begin + seconds - time.monotonic()))
        while self.state.profile.gather and (left := self.state.latest + seconds - time.monotonic()) > 0:
            await self.connection.sleep(left)
        while self._is_early() and time.monotonic() < begin + _LONGEST_GATHERING:
            await self.connection.sleep(_GATHERING_STEP)

    def _is_early(self) -> bool:
        records = self.state.records
        return len(records.log()) > 1 and records.most_in_flight(None) < self.state.profile.gather

    def _answer(self, faults: list[Fault]) -> Response:
        for fault in faults:
            if fault.action == "delete":
                self.state.objects.delete(self.request.path)
            elif fault.action == "replace":
                self.state.objects.put(self.request.path, fault.data)
        refused = {"status", "refuse_conditions"} if is_conditional_read(self.request.headers) else {"status"}
        failed = next((fault for fault in faults if fault.action in refused), None)
        if failed is not None:
            response = error(failed.status, self.request.path, failed.code)
            return response if self.request.method != "HEAD" else replace(response, body=b"")
        response = self.state.router.answer(self.request, frozenset(f.action for f in faults))
        for fault in faults:
            if response.status < HTTPStatus.MULTIPLE_CHOICES:
                response = changed_body(response, fault)
        return response

    async def _send_body(self, response: Response, faults: list[Fault]) -> None:
        stop = len(response.body)
        drops = [fault.after for fault in faults if fault.action == "drop"]
        cut = min([stop, *(after for after in drops if after is not None)])
        for fault in faults:
            if fault.action == "stall":
                await self._send_until(response, min(cut, fault.after or 0))
                await self.connection.sleep(fault.seconds)
        await self._send_until(response, cut)
        if drops:
            raise ConnectionLostError

    async def _send_until(self, response: Response, stop: int) -> None:
        """Send the body from where it stands to `stop`, each piece when it is due."""
        body = memoryview(response.body)
        with Schedule() as own, self.state.line as shared:
            while self.sent < stop:
                profile = self.state.profile
                piece = body[self.sent : min(stop, self.sent + profile.piece_size())]
                wait = max(
                    own.delay(len(piece), profile.bandwidth),
                    shared.delay(len(piece), profile.total_bandwidth),
                )
                if wait:
                    await asyncio.sleep(wait)
                await self.connection.send(piece)
                self.sent += len(piece)
