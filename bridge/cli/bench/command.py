"""``bridge bench`` as typer parses it and ``--help`` shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bridge.cli.bench.bench import bench
from bridge.cli.bench.options import BenchOptions
from bridge.cli.exit_errors import telling_errors
from bridge.cli.options import DEFAULT_THREADS

__all__ = ["EPILOG", "HELP", "bench_command"]

HELP = (
    "Measure your own app, served with bridge and without.\n\n"
    "Starts a server for each way that is installed here, asks all of them for one page in turn, "
    "and says which is fastest; also where that is the way you have now."
)
EPILOG = (
    "[bold]Examples[/]\n\n"
    "bridge bench main:app\n\n"
    "bridge bench main:app --path /api/items --connections 100\n\n"
    "bridge bench path/to/django/project --only bridge --only gunicorn\n\n"
    "[dim]wrk makes the load where it is installed, a slower generator of our own where not.[/]"
)
_HOW, _APP, _OUT = "How it is measured", "What the app is", "What is kept"


def bench_command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", show_default=False, help="The app, as `bridge run` takes it."
        ),
    ],
    path: Annotated[
        str, typer.Option(metavar="PATH", rich_help_panel=_HOW, help="The page to ask for.")
    ] = "/",
    connections: Annotated[
        int, typer.Option(min=1, metavar="N", rich_help_panel=_HOW, help="Clients at a time.")
    ] = 32,
    seconds: Annotated[
        int, typer.Option(min=1, metavar="N", rich_help_panel=_HOW, help="Of each round.")
    ] = 3,
    rounds: Annotated[
        int, typer.Option(min=1, metavar="N", rich_help_panel=_HOW, help="For each way, in turn.")
    ] = 3,
    threads: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=_HOW,
            help="For each server and adapter.",
        ),
    ] = DEFAULT_THREADS,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_HOW,
            help="Only ways with this in their name; may be given again.",
        ),
    ] = None,
    interface: Annotated[
        Literal["wsgi", "asgi"] | None,
        typer.Option(
            metavar="NAME", rich_help_panel=_APP, help="wsgi or asgi, for apps that do not show it."
        ),
    ] = None,
    app_dir: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            metavar="PATH",
            rich_help_panel=_APP,
            help="Where its module is. Default: here.",
        ),
    ] = None,
    svg: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel=_OUT, help="The bars, as a picture."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", rich_help_panel=_OUT, help="All the numbers.")
    ] = None,
) -> None:
    """Carry out ``bridge bench``; :data:`HELP` is what the user sees."""
    with telling_errors():
        bench(
            BenchOptions(
                target=target,
                path=path,
                connections=connections,
                seconds=seconds,
                rounds=rounds,
                threads=threads,
                only=only or [],
                interface=interface,
                app_dir=app_dir,
                svg=svg,
                json=json,
            )
        )
