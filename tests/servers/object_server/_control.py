"""The control plane: JSON over HTTP under `/_control/`, never logged and never slowed."""

from __future__ import annotations

import base64
import json
import mmap
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers.object_server._faults import Fault
from tests.servers.object_server._http import Request, Response
from tests.servers.object_server._objects import random_bytes
from tests.servers.object_server._pace import Profile

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.object_server._exchange import State

PREFIX = "_control/"


def answer_control(state: State, request: Request) -> Response:
    """Carry out one control request."""
    command, _, path = request.path.removeprefix(PREFIX).partition("/")
    if command == "objects":
        return _objects(state, request, path)
    if command not in _COMMANDS:
        return _json({"error": f"no such command: {command}"}, HTTPStatus.NOT_FOUND)
    try:
        arguments = json.loads(bytes(request.body)) if request.body else {}
        return _json(_COMMANDS[command](state, arguments))
    except (TypeError, ValueError, KeyError) as problem:
        return _json({"error": repr(problem)}, HTTPStatus.BAD_REQUEST)


def _json(content: object, status: int = HTTPStatus.OK) -> Response:
    return Response(status, {"Content-Type": "application/json"}, json.dumps(content).encode())


def _objects(state: State, request: Request, path: str) -> Response:
    """Put or get whole objects as plain bytes."""
    if request.method == "PUT":
        return _json({"etag": state.objects.put(path, request.body).etag})
    stored = state.objects.get(path)
    if stored is None:
        return _json({"error": f"no object at {path}"}, HTTPStatus.NOT_FOUND)
    return Response(HTTPStatus.OK, {}, stored.data)


def _set_profile(state: State, arguments: dict[str, Any]) -> None:
    state.profile = Profile(**arguments)


def _log(state: State, _: dict[str, Any]) -> list[dict[str, Any]]:
    return [asdict(logged) for logged in state.records.log()]


def _in_flight(state: State, arguments: dict[str, Any]) -> int:
    return state.records.most_in_flight(arguments["path"])


def _clear(state: State, _: dict[str, Any]) -> None:
    state.records.clear()


def _add_fault(state: State, arguments: dict[str, Any]) -> None:
    data = base64.b64decode(arguments.pop("data", ""))
    state.faults.add(Fault(**arguments, data=data))


def _clear_faults(state: State, _: dict[str, Any]) -> None:
    state.faults.clear()


def _put_random(state: State, arguments: dict[str, Any]) -> None:
    state.objects.put(arguments.pop("path"), random_bytes(**arguments))


def _put_file(state: State, arguments: dict[str, Any]) -> None:
    with Path(arguments["file"]).open("rb") as file:
        state.objects.put(arguments["path"], mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _wipe(state: State, _: dict[str, Any]) -> None:
    state.objects.wipe()


_COMMANDS: dict[str, Callable[[State, dict[str, Any]], object]] = {
    "profile": _set_profile,
    "log": _log,
    "in-flight": _in_flight,
    "clear": _clear,
    "add-fault": _add_fault,
    "clear-faults": _clear_faults,
    "put-file": _put_file,
    "put-random": _put_random,
    "wipe": _wipe,
}
