"""``python -m benchmarks.django_hybrid``: a sync Django view behind startproject's middleware.

What enters: one project. What leaves: requests per second of `get_asgi_application` of
`bridge.contrib.django`, of Django's own, of the WSGI app behind `to_asgi` (all on uvicorn), and of
gunicorn's gthread. "bridge, mixed" is the same project with an async view in its URLconf beside
fifty sync ones, so that each request's path is looked at.
"""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

import bridge
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
    """What startproject's first page might be."""
    return HttpResponse("Hello, world!")


async def later(request: HttpRequest, number: int) -> HttpResponse:
    """Never asked for: it is there to be told apart."""
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
    """The app that a server asks for by name; each has a process of its own."""
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
    """Five ways to serve it."""
    return [
        uvicorn("bridge", HERE + "hybrid"),
        uvicorn("bridge, mixed", HERE + "mixed"),
        uvicorn("to_asgi", HERE + "adapted"),
        gthread("gunicorn gthread", HERE + "wsgi", THREADS),
        uvicorn("Django's own", HERE + "native"),
    ]


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 5,
    seconds: Annotated[int, typer.Option(min=1, help="How long each time, in seconds.")] = 4,
    connections: Annotated[int, typer.Option(min=1, help="wrk's connections.")] = 32,
    quick: Annotated[bool, typer.Option("--quick", help="3 rounds of 2 seconds.")] = False,
) -> None:
    """Measure a sync view behind startproject's middleware, and print the ratios."""
    if quick:
        rounds, seconds = 3, 2
    title = f"Django sync view, startproject's middleware, {THREADS} threads"
    several = contenders()
    measure(title, several, rounds=rounds, seconds=seconds, connections=connections)
    show(f"{title}, {connections} connections", several, against="bridge")


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    typer.run(main)
