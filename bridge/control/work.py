"""What runs in this process: jobs on threads, requests on event loops and on server threads.

Input: the pools, the apps behind `to_wsgi`, and the requests that :mod:`bridge.control.recording`
observes. Output: one :class:`Work` each. On the control thread: it reads what other threads write
meanwhile, so each piece is read once, and may be gone in the next.
"""

from __future__ import annotations

import threading
import time
from asyncio import Task
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from bridge._http.prefixes import PrefixTable
from bridge._observe.record import RECORD, RequestRecord
from bridge._threads.greenlets import patched_by
from bridge._threads.pool import RunningJob, living_pools
from bridge.asgi_to_wsgi.running_app import running_apps
from bridge.control.recording import requests

__all__ = ["Work", "thread_names", "work_of_this_process"]

LONGEST_TEXT = 200

Describe: TypeAlias = "Callable[[object], Work]"


@dataclass(frozen=True, kw_only=True)
class Work:
    """Something that runs.

    :ivar kind: ``http``, ``websocket``, or ``call``: a function of the sync helpers.
    :ivar what: the path of a request, decoded, or the name of a function. A path is as its client
        has sent it, cut to 200 characters: escape it before it is shown.
    :ivar method: of an HTTP request; of anything else empty.
    :ivar mount: where its app is mounted; empty if that is not known, or the root.
    :ivar thread: the name of its thread; empty on an event loop.
    :ivar for_s: how long it has run; None if that is not known.
    :ivar waited_s: how long it has waited for its thread before that; None if it needed none.
    :ivar ident: of its thread, as ``threading.get_ident()`` there; None on an event loop.
    :ivar task: that runs it, on an event loop.
    """

    kind: str
    what: str
    method: str = ""
    mount: str = ""
    thread: str = ""
    for_s: float | None = None
    waited_s: float | None = None
    ident: int | None = None
    task: Task[Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """What can be sent of it."""
        row = {name: getattr(self, name) for name in Work.__dataclass_fields__}
        del row["ident"], row["task"]
        return row


def work_of_this_process() -> list[Work]:
    """All that runs: the longest first, but WebSockets, which are meant to last, behind others."""
    now = time.monotonic()
    seen: set[int] = set()
    describe = _Describer().describe
    found = [
        *_on_pools(describe, now, seen),
        *_behind_to_wsgi(describe, now, seen),
        *_on_the_server(describe, now, seen),
    ]
    return sorted(found, key=lambda work: (work.kind == "websocket", -(work.for_s or 0)))


def _on_pools(describe: Describe, now: float, seen: set[int]) -> Iterator[Work]:
    for pool in living_pools():
        for running in pool.running():
            yield _on_thread(running, describe, now, seen)


def _on_thread(running: RunningJob, describe: Describe, now: float, seen: set[int]) -> Work:
    subject = running.job.subject()
    record = _record_in(subject)
    if record is not None:
        seen.add(id(record))
    return replace(
        describe(subject),
        thread=running.thread.name,
        for_s=now - running.started_at,
        waited_s=max(running.started_at - running.job.posted_at, 0),
        ident=running.thread.ident,
    )


def _behind_to_wsgi(describe: Describe, now: float, seen: set[int]) -> Iterator[Work]:
    for app in running_apps():
        for request in app.requests.copy():
            scope = request.subject()
            record = _record_in(scope)
            if record is not None:
                seen.add(id(record))
            yield replace(
                describe(scope),
                for_s=_age(record, request, now),
                task=request.task,
            )


def _on_the_server(describe: Describe, now: float, seen: set[int]) -> Iterator[Work]:
    names = thread_names()
    unnamed = "a thread" if patched_by() is None else "a greenlet"
    for record, ident, task in requests.open():
        if id(record) in seen:
            continue
        is_on_loop = task is not None
        yield replace(
            describe(record),
            thread="" if is_on_loop else names.get(ident, unnamed),
            for_s=now - record.arrived_at,
            ident=None if is_on_loop else ident,
            task=task,
        )


def _record_in(message: Any) -> RequestRecord | None:
    """The record of a request, from its scope or environ."""
    if not isinstance(message, Mapping):
        return None
    found: RequestRecord | None = message.get(RECORD)
    return found


def _age(record: RequestRecord | None, request: object, now: float) -> float | None:
    """How long a request behind `to_wsgi` has run."""
    since = getattr(request, "posted_at", None) if record is None else record.arrived_at
    return None if since is None else now - since


class _Describer:
    """Describes what runs. Looks for the mount of a request in the Router, if there is just one:
    an app that gets the server's own scope or environ does not see where it is mounted.
    """

    def __init__(self) -> None:
        from bridge.router.router import outermost_routers  # late: nothing else here needs it

        routers = outermost_routers()
        plan = routers[0].plan if len(routers) == 1 else None
        self._http = PrefixTable({} if plan is None else {each: each for each in plan.http})
        self._websocket = PrefixTable({} if plan is None else {e: e for e in plan.websocket})

    def describe(self, subject: object) -> Work:
        """
        :param subject: a scope, an environ, a record, a callable, or None.
        """
        if isinstance(subject, RequestRecord):
            return self._record(subject)
        if not isinstance(subject, Mapping):
            name = getattr(subject, "__qualname__", None) or type(subject).__qualname__
            return Work(kind="call", what="" if subject is None else _short(name))
        if "type" in subject:
            return self._scope(subject, "")
        root = _decoded(subject.get("SCRIPT_NAME", ""))
        scope = subject.get("asgi.scope")
        if scope is not None:
            return self._scope(scope, root)
        path = _decoded(subject.get("PATH_INFO", ""))
        return Work(
            kind="http",
            method=_short(subject.get("REQUEST_METHOD", "")),
            what=_short(root + path),
            mount=_short(root or self._http.find(path) or ""),
        )

    def _record(self, record: RequestRecord) -> Work:
        is_http = record.kind == "http"
        table = self._http if is_http else self._websocket
        return Work(
            kind=record.kind,
            method=_short(record.method) if is_http else "",
            what=_short(record.path),
            mount=_short(table.find(record.path) or ""),
        )

    def _scope(self, scope: Any, root: str) -> Work:
        kind, path = str(scope["type"]), str(scope.get("path", ""))
        outer = str(scope.get("root_path", ""))
        table = self._websocket if kind == "websocket" else self._http
        found = root or outer + (table.find(path.removeprefix(outer)) or "")
        return Work(
            kind=kind,
            method=_short(scope.get("method", "")),
            what=_short(path),
            mount=_short(found),
        )


def _decoded(text: str) -> str:
    """A string of PEP 3333, which stands for bytes."""
    return text.encode("latin-1", "replace").decode("utf-8", "replace")


def _short(text: object) -> str:
    return str(text)[:LONGEST_TEXT]


def thread_names() -> dict[int, str]:
    # threading.enumerate() takes a lock, which gevent may have replaced.
    active: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]
    return {ident: thread.name for ident, thread in active.copy().items()}
