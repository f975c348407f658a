"""Carries a plan out: every part a request of its own, a bounded number at a time, all of one version."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from obspec_utils._buffers import Parts
from obspec_utils._guard import Scope, adopt, current, paused
from obspec_utils._requests import Answer, Version, begin, begin_async, request, request_async, unserved
from obspec_utils.exceptions import ObjectChangedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from obspec import ObjectMeta
    from typing_extensions import Buffer

    from obspec_utils._plan import Span

__all__ = ["fetch", "fetch_async", "run_all", "run_all_async"]

T = TypeVar("T")


class _Crew(Generic[T]):
    """Threads that carry out the jobs of one call and end with it."""

    def __init__(self, jobs: Sequence[Callable[[], T]]) -> None:
        self.todo = deque(enumerate(jobs))
        self.done: dict[int, T] = {}
        self.errors: list[BaseException] = []
        self.threads: list[threading.Thread] = []

    def work(self) -> None:
        while not self.errors:
            try:
                number, job = self.todo.popleft()
            except IndexError:
                return
            try:
                self.done[number] = job()
            except BaseException as error:  # noqa: BLE001 - raised by `results`, in the thread that asked
                self.errors.append(error)

    def work_for(self, scope: Scope | None) -> None:
        adopt(scope)
        self.work()

    def help(self, count: int) -> None:
        for _ in range(count):
            thread = threading.Thread(target=self.work_for, args=(current(),), name="obspec-utils-part", daemon=True)
            self.threads.append(thread)
            try:
                thread.start()
            except RuntimeError:  # no more threads to be had: those there are do the work
                self.threads.pop()
                return

    def end(self) -> None:
        """Wait for what is under way; start nothing more."""
        self.todo.clear()
        for thread in self.threads:
            if thread.ident is not None:
                thread.join()

    def results(self, count: int) -> list[T]:
        if self.errors:
            # Ctrl-C in the caller counts more than what failed beside it.
            error = next((error for error in self.errors if not isinstance(error, Exception)), self.errors[0])
            # Nothing that the traceback leads to may lead back to the error, nor hold what was fetched.
            self.errors = []
            self.done = {}
            try:
                raise error
            finally:
                del error
        return [self.done[number] for number in range(count)]


def run_all(jobs: Sequence[Callable[[], T]], limit: int) -> list[T]:
    """Run jobs in threads, at most `limit` at a time; return their results in order.

    The calling thread works too. The first error keeps further jobs from starting and is raised when those under way
    have ended: no thread outlives the call.
    """
    if min(len(jobs), limit) == 1:
        return [job() for job in jobs]
    with paused():
        crew = _Crew(jobs)
        try:
            crew.help(min(len(jobs), limit) - 1)
            crew.work()
        finally:
            crew.end()
        return crew.results(len(jobs))


async def run_all_async(jobs: Sequence[Callable[[], Awaitable[T]]], limit: int) -> list[T]:
    """Run jobs as tasks, at most `limit` at a time; return their results in order.

    The first error cancels the others and is raised when they have ended.
    """
    todo = deque(enumerate(jobs))
    done: dict[int, T] = {}

    async def work() -> None:
        while todo:
            number, job = todo.popleft()
            done[number] = await job()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(len(jobs), limit)):
                group.create_task(work())
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    if len(done) < len(jobs):  # a job was cancelled from within: its task ended quietly
        raise asyncio.CancelledError
    return [done[number] for number in range(len(jobs))]


def _check(answer: Answer, span: Span, version: Version) -> None:
    """Refuse an answer of another version, before its body is read."""
    if answer.meta is not None:
        version.check(answer.path, Version.of(answer.meta))
    elif answer.span.stop < span.stop:
        version.check(answer.path, Version(answer.span.stop))


def _cut(answer: Answer, span: Span, body: Buffer) -> Buffer:
    if answer.span == span:
        return body
    # A store that ignores ranges sent more: a view would keep all of it as long as what was asked for.
    return Parts([body], answer.span.start).slice(*span)


def _part(store: object, path: str, span: Span, version: Version, options: Mapping[str, object] | None) -> Buffer:
    try:
        answer = request(store, path, span, options)
    except Exception as error:
        if not unserved(error):
            raise
        answer = _anew(begin(store, path, 1, options), span, version, error)
    _check(answer, span, version)
    return _cut(answer, span, answer.body())


async def _part_async(
    store: object, path: str, span: Span, version: Version, options: Mapping[str, object] | None
) -> Buffer:
    try:
        answer = await request_async(store, path, span, options)
    except Exception as error:
        if not unserved(error):
            raise
        answer = _anew(await begin_async(store, path, 1, options), span, version, error)
    _check(answer, span, version)
    return _cut(answer, span, await answer.body_async())


def _anew(answer: Answer, span: Span, version: Version, error: Exception) -> Answer:
    """Return an answer in place of one that failed, from a server without ranges; else raise what is wrong.

    Where the object has shrunk that is what is wrong, not the range.
    """
    try:
        version.check(answer.path, Version.of(cast("ObjectMeta", answer.meta)))
    except ObjectChangedError as changed:
        raise changed from error
    try:
        if answer.span.start <= span.start and span.stop <= answer.span.stop:
            return answer
        raise error
    finally:
        del error  # its traceback leads to this frame


def fetch(
    store: object,
    path: str,
    spans: Sequence[Span],
    version: Version,
    limit: int,
    *,
    first: Answer | None = None,
    options: Mapping[str, object] | None = None,
) -> list[Buffer]:
    """Fetch spans of one version of an object, each by a request of its own.

    Parameters
    ----------
    spans
        What to fetch; all must lie within the object.
    version
        What every answer is compared with.
    limit
        The most requests in flight.
    first
        An answer whose headers are there already; its body is read beside the spans and comes first in the result.

    Raises
    ------
    ObjectChangedError
        If an answer comes from another version.
    """
    jobs: list[Callable[[], Buffer]] = [first.body] if first else []
    jobs += [partial(_part, store, path, span, version, options) for span in spans]
    return run_all(jobs, limit)


async def fetch_async(
    store: object,
    path: str,
    spans: Sequence[Span],
    version: Version,
    limit: int,
    *,
    first: Answer | None = None,
    options: Mapping[str, object] | None = None,
) -> list[Buffer]:
    """Fetch as `fetch` does, on the running event loop."""
    jobs: list[Callable[[], Awaitable[Buffer]]] = [first.body_async] if first else []
    jobs += [partial(_part_async, store, path, span, version, options) for span in spans]
    return await run_all_async(jobs, limit)
