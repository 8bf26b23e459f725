"""The work to measure, its contenders and its targets, in one table.

Output: :data:`WORK`, by name. Each entry creates its contenders on demand, so a run may repeat it.
Targets and pages refer to contenders by their names here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.loads import idle_clients, mix, upload
from benchmarks.servers import granian_wsgi, hypercorn_wsgi, uvicorn_wsgi, waitress
from benchmarks.side_by_side import (
    Contender,
    Load,
    gthread,
    gunicorn,
    load_with_wrk,
    uvicorn,
)
from benchmarks.targets import Target

__all__ = ["CLIENTS", "WORK", "Work"]

APPS = "benchmarks.apps:"
FLASK = "benchmarks.flask_site:"
DJANGO = "benchmarks.django_site:"
POINTS = {"connections": (1, 8, 32, 128, 512, 1000, 2000), "threads": (1, 4, 16, 40, 100, 200)}
CLIENTS = 100
IDEAL_RATE = 40 / 0.01


@dataclass(frozen=True)
class Work:
    """One comparison.

    :ivar contenders: creates the contenders.
    :ivar load: returns the load; its argument is whether the run is a quick one.
    :ivar metric: the number to compare, in ``unit``.
    :ivar needs: ``database`` or ``file``; its address is then in the environment of the servers.
    :ivar x_axis: if set, draw a line over the numbers in the contenders' names instead of bars.
    :ivar rounds: maximum number of rounds; ``seconds`` is their minimum duration.
    :ivar in_quick: whether a quick run includes it; ``quick_names`` limits its contenders.
    :ivar note: printed below the table.
    """

    title: str
    contenders: Callable[[], list[Contender]]
    targets: tuple[Target, ...] = ()
    load: Callable[[bool], Load] = lambda quick: load_with_wrk
    metric: str = "rate"
    unit: str = "requests/s"
    connections: int | None = None
    needs: str = ""
    fresh: bool = False
    less_is_better: bool = False
    x_axis: str = ""
    rounds: int = 99
    seconds: int = 0
    in_quick: bool = True
    quick_names: tuple[str, ...] = ()
    note: str = ""


def _at(path: str, *contenders: Contender) -> list[Contender]:
    for contender in contenders:
        contender.path = path
    return list(contenders)


def _hello() -> list[Contender]:
    return [
        uvicorn("bridge", APPS + "bridge_hello"),
        uvicorn("inline limit", APPS + "inline_hello"),
        uvicorn("bare ASGI app", APPS + "bare_asgi"),
        uvicorn("a2wsgi", APPS + "a2wsgi_hello"),
        uvicorn("asgiref", APPS + "asgiref_hello"),
        uvicorn_wsgi("uvicorn's own WSGI", APPS + "hello"),
        hypercorn_wsgi("hypercorn's own WSGI", APPS + "hello"),
        granian_wsgi("granian WSGI", APPS + "hello"),
        gthread("gunicorn gthread", APPS + "hello"),
        gunicorn("gunicorn sync", APPS + "hello"),
        waitress("waitress", APPS + "hello"),
    ]


def _flask() -> list[Contender]:
    return [
        uvicorn("bridge", FLASK + "bridge_app"),
        uvicorn("a2wsgi", FLASK + "a2wsgi_app"),
        uvicorn_wsgi("uvicorn's own WSGI", FLASK + "app"),
        granian_wsgi("granian WSGI", FLASK + "app"),
        gthread("gunicorn gthread", FLASK + "app"),
        gunicorn("gunicorn sync", FLASK + "app"),
    ]


def _django() -> list[Contender]:
    return [
        uvicorn("bridge", DJANGO + "hybrid"),
        uvicorn("bridge.to_asgi", DJANGO + "adapted"),
        uvicorn("Django's ASGIHandler", DJANGO + "asgi"),
        uvicorn("a2wsgi", DJANGO + "a2wsgi_app"),
        gthread("gunicorn gthread", DJANGO + "wsgi"),
    ]


def _django_query() -> list[Contender]:
    return _at(
        "/query",
        uvicorn("bridge", DJANGO + "hybrid"),
        uvicorn("Django's ASGIHandler", DJANGO + "asgi", BENCH_CONN_MAX_AGE="0"),
        gthread("gunicorn gthread", DJANGO + "wsgi"),
    )


def _chunks() -> list[Contender]:
    return _at(
        "/chunks",
        uvicorn("bridge", APPS + "bridge_work"),
        uvicorn("a2wsgi", APPS + "a2wsgi_work"),
        uvicorn_wsgi("uvicorn's own WSGI", APPS + "work"),
        granian_wsgi("granian WSGI", APPS + "work"),
        gthread("gunicorn gthread", APPS + "work"),
    )


def _download() -> list[Contender]:
    without = ["--worker-class", "gthread", "--threads", "10", "--no-sendfile"]
    return _at(
        "/download",
        uvicorn("bridge", APPS + "bridge_work"),
        uvicorn("a2wsgi", APPS + "a2wsgi_work"),
        gunicorn("gunicorn gthread, no sendfile", APPS + "work", *without),
    )


def _upload() -> list[Contender]:
    return _at(
        "/upload",
        uvicorn("bridge", APPS + "bridge_work"),
        uvicorn("a2wsgi", APPS + "a2wsgi_work"),
        gthread("gunicorn gthread", APPS + "work"),
    )


def _at_forty_threads(path: str) -> list[Contender]:
    return _at(
        path,
        uvicorn("bridge", APPS + "bridge_work"),
        uvicorn("a2wsgi", APPS + "a2wsgi_work"),
        granian_wsgi("granian WSGI", APPS + "work", threads=40),
        gthread("gunicorn gthread", APPS + "work", threads=40),
    )


def _flask_async() -> list[Contender]:
    return _at(
        "/async",
        uvicorn("bridge", FLASK + "bridge_app"),
        uvicorn("bridge.async_to_sync", FLASK + "bridge_with_ours"),
        uvicorn("a2wsgi", FLASK + "a2wsgi_app"),
        gthread("gunicorn gthread", FLASK + "app"),
    )


def _to_wsgi() -> list[Contender]:
    return [
        gthread("bridge", APPS + "bridge_wsgi"),
        gthread("a2wsgi", APPS + "a2wsgi_wsgi"),
        gthread("bare WSGI app", APPS + "hello"),
        gunicorn("gunicorn -k asgi", APPS + "bare_asgi", "--worker-class", "asgi"),
    ]


def _idle_wsgi() -> list[Contender]:
    threads = str(CLIENTS + 20)
    return _at(
        "/events",
        uvicorn("bridge", APPS + "bridge_work", BENCH_THREADS=threads),
        uvicorn("a2wsgi", APPS + "a2wsgi_work", BENCH_THREADS=threads),
    )


def _idle_asgi() -> list[Contender]:
    return [
        gthread("bridge", APPS + "bridge_wsgi_events", threads=CLIENTS + 20),
        gthread("a2wsgi", APPS + "a2wsgi_wsgi_events", threads=CLIENTS + 20),
        gunicorn("gunicorn -k asgi", APPS + "events_asgi", "--worker-class", "asgi"),
    ]


def _connections() -> list[Contender]:
    """bridge, and the bare app as the limit of the server."""
    contenders = []
    for count in POINTS["connections"]:
        bridged = uvicorn(f"{count:,}", APPS + "bridge_hello")
        bare = uvicorn(f"{count:,}, bare ASGI app", APPS + "bare_asgi")
        bridged.connections = bare.connections = count
        contenders += [bridged, bare]
    return contenders


def _threads(path: str) -> list[Contender]:
    return _at(
        path,
        *[
            uvicorn(f"{count}", APPS + "bridge_work", BENCH_THREADS=str(count))
            for count in POINTS["threads"]
        ],
    )


WORK: dict[str, Work] = {
    "hello": Work(
        "WSGI hello",
        _hello,
        (
            Target("a2wsgi", 4.5),
            Target("inline limit", 0.90),
            Target("gunicorn gthread", 2.5),
        ),
    ),
    "flask": Work(
        "Flask hello",
        _flask,
        (Target("a2wsgi", 2.8), Target("gunicorn gthread", 2.0), Target("granian WSGI", 0.95)),
    ),
    "django": Work(
        "Django, startproject's middleware, sync view",
        _django,
        (Target("Django's ASGIHandler", 7), Target("gunicorn gthread", 1.2)),
        note="bridge is `bridge.contrib.django.get_asgi_application`.",
    ),
    "django-query": Work(
        "Django, one PostgreSQL query per request",
        _django_query,
        needs="database",
        note="Django's ASGIHandler opens a database connection for each request; with persistent "
        "connections it would run out of them.",
        in_quick=False,
    ),
    "chunks": Work(
        "1,000 chunks of 64 bytes",
        _chunks,
        (Target("a2wsgi", 150), Target("gunicorn gthread", 15), Target("granian WSGI", 12)),
        connections=8,
    ),
    "download": Work(
        "100 MB download",
        _download,
        (Target("gunicorn gthread, no sendfile", 1.0, metric="mb_per_s"),),
        metric="mb_per_s",
        unit="MB/s",
        connections=4,
        needs="file",
    ),
    "upload": Work(
        "1 GB upload",
        _upload,
        (
            Target("a2wsgi", 2.0, metric="mb_per_s"),
            Target(None, 16, metric="rss_rise_mb", at_most=True, label="memory increase, MB"),
        ),
        load=lambda quick: upload(100 if quick else 1024),
        metric="mb_per_s",
        unit="MB/s",
    ),
    "sleep": Work(
        "10 ms sleep, 40 threads",
        lambda: _at_forty_threads("/sleep"),
        (Target(IDEAL_RATE, 0.95, label="ideal: 40 threads / 10 ms"),),
        connections=200,
    ),
    "mix": Work(
        "p99 of fast requests while one in ten is slow (100 ms)",
        lambda: _at_forty_threads("/"),
        (Target("a2wsgi", 0.4, metric="p99_fast_ms", at_most=True),),
        load=lambda quick: mix,
        metric="p99_fast_ms",
        unit="ms",
        less_is_better=True,
    ),
    "flask-async": Work(
        "Flask, async view",
        _flask_async,
        (Target("gunicorn gthread", 4),),
    ),
    "to-wsgi": Work(
        "ASGI hello on gunicorn gthread",
        _to_wsgi,
        (Target("a2wsgi", 1.9), Target("bare WSGI app", 0.95)),
    ),
    "idle-wsgi": Work(
        "Memory of one idle client of a WSGI app's event stream",
        _idle_wsgi,
        (Target("a2wsgi", 0.5, metric="kb_per_client", at_most=True),),
        load=lambda quick: idle_clients(20 if quick else CLIENTS),
        metric="kb_per_client",
        unit="KB",
        fresh=True,
        less_is_better=True,
        rounds=3,
    ),
    "idle-asgi": Work(
        "Memory of one idle client of an ASGI app's event stream on a WSGI server",
        _idle_asgi,
        (Target("a2wsgi", 0.5, metric="kb_per_client", at_most=True),),
        load=lambda quick: idle_clients(20 if quick else CLIENTS),
        metric="kb_per_client",
        unit="KB",
        fresh=True,
        less_is_better=True,
        rounds=3,
    ),
    "connections": Work(
        "WSGI hello, by connections",
        _connections,
        (Target("32", 0.85, base="1,000", label="itself at 32 connections"),),
        x_axis="connections",
        rounds=3,
        seconds=4,
        quick_names=("32", "1,000"),
        note="The measured time includes opening all connections.",
    ),
    "threads": Work(
        "WSGI hello, by threads, 256 connections",
        lambda: _threads("/"),
        connections=256,
        x_axis="threads",
        rounds=3,
        in_quick=False,
    ),
    "threads-sleep": Work(
        "10 ms sleep, by threads, 256 connections",
        lambda: _threads("/sleep"),
        connections=256,
        x_axis="threads",
        rounds=3,
        in_quick=False,
    ),
}
