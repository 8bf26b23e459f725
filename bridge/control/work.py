"""What runs in this process: jobs on threads, requests on event loops and on server threads.

Input: the pools, the apps behind `to_wsgi`, and the requests that :mod:`bridge.control.watch`
records. Output: one :class:`Work` each. On the control thread: it reads what other threads write
meanwhile, so each piece is read once, and may be gone in the next.
"""

from __future__ import annotations

import threading
import time
from asyncio import Task
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bridge._http.paths import shown
from bridge._threads.greenlets import patched_by
from bridge._threads.pool import RunningJob, living_pools
from bridge.asgi_to_wsgi.running_app import running_apps
from bridge.control.watch import KEY, Record, requests

__all__ = ["Work", "thread_names", "work_of_this_process"]

LONGEST_TEXT = 200


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


def work_of_this_process() -> list[Work]:
    """All that runs, the longest first."""
    now = time.monotonic()
    seen: set[int] = set()
    found = [
        *_on_pools(now, seen),
        *_behind_to_wsgi(now, seen),
        *_on_the_server(now, seen),
    ]
    return sorted(found, key=lambda work: work.for_s or 0, reverse=True)


def _on_pools(now: float, seen: set[int]) -> Iterator[Work]:
    for pool in living_pools():
        for running in pool.running():
            yield _on_thread(running, now, seen)


def _on_thread(running: RunningJob, now: float, seen: set[int]) -> Work:
    subject = running.job.subject()
    record = _record_in(subject)
    if record is not None:
        seen.add(id(record))
    return replace(
        _described(subject),
        thread=running.thread.name,
        for_s=now - running.started_at,
        waited_s=max(running.started_at - running.job.posted_at, 0),
        ident=running.thread.ident,
    )


def _behind_to_wsgi(now: float, seen: set[int]) -> Iterator[Work]:
    for app in running_apps():
        for request in app.requests.copy():
            scope = request.subject()
            record = _record_in(scope.get("wsgi_environ"))
            if record is not None:
                seen.add(id(record))
            yield replace(
                _described(scope),
                for_s=None if record is None else now - record.started_at,
                task=request.task,
            )


def _on_the_server(now: float, seen: set[int]) -> Iterator[Work]:
    names = thread_names()
    unnamed = "a thread" if patched_by() is None else "a greenlet"
    for record in requests.open():
        message = record.message
        if id(record) in seen or not message:
            continue
        is_on_loop = record.task is not None
        yield replace(
            _described(message),
            thread="" if is_on_loop else names.get(record.ident, unnamed),
            for_s=now - record.started_at,
            ident=None if is_on_loop else record.ident,
            task=record.task,
        )


def _record_in(message: Any) -> Record | None:
    """The record of a request, from its scope or environ."""
    get = getattr(message, "get", None)
    found = None if get is None else get(KEY)
    return found if isinstance(found, Record) else None


def _described(subject: object) -> Work:
    if not isinstance(subject, Mapping):
        name = getattr(subject, "__qualname__", None) or type(subject).__qualname__
        return Work(kind="call", what="" if subject is None else _short(name))
    if "type" in subject:
        return Work(
            kind=str(subject["type"]),
            method=_short(subject.get("method", "")),
            what=_short(subject.get("path", "")),
            mount=_mount(subject.get("root_path", "")),
        )
    root = _decoded(subject.get("SCRIPT_NAME", ""))
    return Work(
        kind="http",
        method=_short(subject.get("REQUEST_METHOD", "")),
        what=_short(root + _decoded(subject.get("PATH_INFO", ""))),
        mount=_mount(root),
    )


def _mount(root: str) -> str:
    return _short(shown(root)) if root else ""


def _decoded(text: str) -> str:
    """A string of PEP 3333, which stands for bytes."""
    return text.encode("latin-1", "replace").decode("utf-8", "replace")


def _short(text: object) -> str:
    return str(text)[:LONGEST_TEXT]


def thread_names() -> dict[int, str]:
    # threading.enumerate() takes a lock, which gevent may have replaced.
    active: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]
    return {ident: thread.name for ident, thread in active.copy().items()}
