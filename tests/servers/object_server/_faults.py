"""Planned misbehaviour: which requests it hits and what it does."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, TypedDict, get_args

if TYPE_CHECKING:
    from tests.servers.object_server._http import Response

FaultAction = Literal[
    "claim_size",
    "delete",
    "drop",
    "gzip",
    "ignore_range",
    "long_body",
    "no_etag",
    "no_last_modified",
    "refuse_conditions",
    "replace",
    "short_body",
    "stall",
    "status",
    "vary_etag",
    "vary_last_modified",
    "weak_etag",
]


class FaultOptions(TypedDict, total=False):
    """The options of a `Fault`, for functions that pass them on."""

    method: str
    skip: int
    times: int | None
    covers: int | None
    after: int | None
    seconds: float
    status: int
    code: str | None
    data: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule; it leaves `skip` matching requests alone, then hits `times` of them.

    Parameters
    ----------
    action
        `replace` the object's bytes by `data`, or `delete` it, just before answering; answer with
        an error `status` (S3 error `code`), or `refuse_conditions` with it: of requests with
        If-None-Match or If-Modified-Since; `stall` for `seconds`; `drop` the connection; send a
        `short_body`, though Content-Range tells the whole range; show `no_etag`, a `weak_etag` or
        `no_last_modified`; `vary_etag` or `vary_last_modified` with each response, as mirrors do;
        `ignore_range` and answer 200; `gzip` the body, as a proxy that keeps
        Content-Range does; send a `long_body`, with `data` after it; `claim_size` of the object in
        Content-Range.
    path
        Glob over `bucket/key` (`*` matches slashes too).
    method
        HTTP method, or `*` for any.
    skip, times
        Matching requests left alone first, and hit after that (None: all of them).
    covers
        Match only requests that ask for this byte of the object.
    after
        Body bytes sent before `drop` and `stall` (None: before the head), or in all by
        `short_body` (None: all but one).
    """

    action: FaultAction
    path: str = "*"
    method: str = "*"
    skip: int = 0
    times: int | None = None
    covers: int | None = None
    after: int | None = None
    seconds: float = 0.0
    status: int = 500
    code: str | None = None
    data: bytes = b""
    size: int = 0

    def __post_init__(self) -> None:
        """Refuse unknown actions: a misspelt fault would let a test pass."""
        if self.action not in get_args(FaultAction):
            msg = f"unknown fault action {self.action!r}"
            raise ValueError(msg)


@dataclass(slots=True)
class _Rule:
    fault: Fault
    matched: int = 0


@dataclass(slots=True)
class Faults:
    """The rules in force."""

    _rules: list[_Rule] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Add a rule; all rules that match a request apply to it."""
        self._rules.append(_Rule(fault))

    def clear(self) -> None:
        """Drop all rules."""
        self._rules.clear()

    def hitting(self, method: str, path: str, span: tuple[int, int | None]) -> list[Fault]:
        """Count the request (which asks for the half-open `span`) and return what it must suffer."""
        hits = []
        for rule in self._rules:
            if not _matches(rule.fault, method, path, span):
                continue
            rule.matched += 1
            number = rule.matched - rule.fault.skip
            if number > 0 and (rule.fault.times is None or number <= rule.fault.times):
                hits.append(rule.fault)
        return hits


def _matches(fault: Fault, method: str, path: str, span: tuple[int, int | None]) -> bool:
    if fault.method not in ("*", method) or not fnmatchcase(path, fault.path):
        return False
    start, stop = span
    return fault.covers is None or (fault.covers >= start and (stop is None or fault.covers < stop))


def changed_body(response: Response, fault: Fault) -> Response:
    """Return a response whose body is not what its headers say, if that is the fault."""
    body, headers = response.body, response.headers
    if fault.action == "short_body":
        return replace(response, body=body[: max(0, len(body) - 1 if fault.after is None else fault.after)])
    if fault.action == "long_body":
        return replace(response, body=memoryview(bytes(body) + fault.data))
    if fault.action == "gzip":
        return replace(response, body=memoryview(gzip.compress(body)), headers={**headers, "Content-Encoding": "gzip"})
    if fault.action == "claim_size" and "Content-Range" in headers:
        served = headers["Content-Range"].rpartition("/")[0]
        return replace(response, headers={**headers, "Content-Range": f"{served}/{fault.size}"})
    return response
