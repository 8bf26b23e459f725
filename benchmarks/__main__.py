"""``python -m benchmarks``: the comparisons, one table each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from benchmarks.side_by_side import Contender, gthread, measure, show, uvicorn

APPS = "benchmarks.apps:"


def hello() -> list[Contender]:
    return [
        uvicorn("bridge", APPS + "bridge_hello"),
        uvicorn("a2wsgi", APPS + "a2wsgi_hello"),
        uvicorn("asgiref", APPS + "asgiref_hello"),
        uvicorn("bare ASGI", APPS + "bare_asgi"),
    ]


def flask() -> list[Contender]:
    return [
        uvicorn("bridge", APPS + "bridge_flask"),
        uvicorn("a2wsgi", APPS + "a2wsgi_flask"),
        uvicorn("asgiref", APPS + "asgiref_flask"),
    ]


def chunks() -> list[Contender]:
    return [
        uvicorn("bridge", APPS + "bridge_chunks"),
        uvicorn("a2wsgi", APPS + "a2wsgi_chunks"),
    ]


def asgi() -> list[Contender]:
    return [
        gthread("bridge", APPS + "bridge_wsgi"),
        gthread("a2wsgi", APPS + "a2wsgi_wsgi"),
        gthread("bare WSGI", APPS + "hello"),
    ]


WORK: dict[str, tuple[str, Callable[[], list[Contender]]]] = {
    "hello": ("WSGI hello on uvicorn", hello),
    "flask": ("Flask hello on uvicorn", flask),
    "asgi": ("ASGI hello on gunicorn gthread, 10 threads", asgi),
    "chunks": ("1,000 chunks of 64 bytes on uvicorn", chunks),
}


def main(
    only: Annotated[
        list[str] | None, typer.Option(help=f"Just these, of: {', '.join(WORK)}.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 5,
    seconds: Annotated[int, typer.Option(min=1, help="How long each time, in seconds.")] = 5,
    connections: Annotated[int, typer.Option(min=1, help="wrk's connections.")] = 32,
    quick: Annotated[bool, typer.Option("--quick", help="3 rounds of 2 seconds.")] = False,
) -> None:
    """Measure bridge against its peers on this machine, in turn, and print the ratios."""
    if quick:
        rounds, seconds = 3, 2
    unknown = set(only or ()) - set(WORK)
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}; there are: {', '.join(WORK)}")
    for name in only or WORK:
        title, contenders_of = WORK[name]
        contenders = contenders_of()
        measure(title, contenders, rounds=rounds, seconds=seconds, connections=connections)
        show(f"{title}, {connections} connections", contenders, against="bridge")


if __name__ == "__main__":
    typer.run(main)
