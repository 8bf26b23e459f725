"""``python -m benchmarks.django_hybrid``: a sync Django view behind startproject's middleware.

Compares the requests per second of one project on uvicorn, with `get_asgi_application` of
`bridge.contrib.django`, with Django's own and with its WSGI app behind `to_asgi`, and on gunicorn's
gthread. "bridge, mixed" is the same project with one async view and fifty sync ones in its URLconf,
so that the path of each request has to be resolved.
"""

from __future__ import annotations

import os
from typing import Any

import click
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

import bridge
from benchmarks.options import number
from benchmarks.side_by_side import Contender, gthread, measure, show, uvicorn
from bridge.contrib.django import get_asgi_application

THREADS = 10
HERE = "benchmarks.django_hybrid:"
STARTPROJECT = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]


def hello(request: HttpRequest) -> HttpResponse:
    """A first page."""
    return HttpResponse("Hello, world!")


async def later(request: HttpRequest, number: int) -> HttpResponse:
    """Never requested; only its presence in the URLconf matters."""
    return HttpResponse(str(number))


urlpatterns = [path("", hello)]


mixed_patterns = (
    *[path(f"page/{number}/<slug:name>", hello) for number in range(50)],
    path("later/<int:number>", later),
    path("", hello),
)


def _configure(urlconf: Any) -> None:
    if settings.configured:
        return
    settings.configure(
        SECRET_KEY="only for measuring",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=urlconf,
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
        ],
        MIDDLEWARE=STARTPROJECT,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    )


def __getattr__(name: str) -> Any:
    """The app that a server imports by name; each server has its own process."""
    if name not in ("hybrid", "mixed", "native", "adapted", "wsgi"):
        raise AttributeError(name)
    _configure(mixed_patterns if name == "mixed" else __name__)
    from django.core.asgi import get_asgi_application as djangos
    from django.core.wsgi import get_wsgi_application

    if name in ("hybrid", "mixed"):
        return get_asgi_application(threads=THREADS)
    if name == "native":
        return djangos()
    return (
        get_wsgi_application()
        if name == "wsgi"
        else bridge.to_asgi(get_wsgi_application(), threads=THREADS)
    )


def contenders() -> list[Contender]:
    """The five setups."""
    return [
        uvicorn("bridge", HERE + "hybrid"),
        uvicorn("bridge, mixed", HERE + "mixed"),
        uvicorn("to_asgi", HERE + "adapted"),
        gthread("gunicorn gthread", HERE + "wsgi", THREADS),
        uvicorn("Django's own", HERE + "native"),
    ]


@click.command()
@number("--rounds", 5, "Rounds for each contender.")
@number("--seconds", 4, "Duration of a round, in seconds.")
@number("--connections", 32, "Connections of wrk.")
@click.option("--quick", is_flag=True, help="3 rounds of 2 seconds.")
def main(rounds: int, seconds: int, connections: int, quick: bool) -> None:
    """Measure a sync view behind startproject's middleware, and print the ratios."""
    if quick:
        rounds, seconds = 3, 2
    title = f"Django sync view, startproject's middleware, {THREADS} threads"
    measured = contenders()
    measure(title, measured, rounds=rounds, seconds=seconds, connections=connections)
    show(f"{title}, {connections} connections", measured, against="bridge")


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main()
