"""``bridge bench``: its command line as typer parses it, and the run. Runs on the main thread."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bridge.cli.bench.options import BenchOptions
from bridge.cli.exit_errors import exit_on_error
from bridge.cli.options import DEFAULT_THREADS

__all__ = ["EPILOG", "HELP", "bench_command"]

HELP = (
    "Measure your own app with and without bridge.\n\n"
    "Starts a server for each setup that is installed, requests one page from all of them in turn, "
    "and reports which setup is fastest, even if it is the one you have now."
)
EPILOG = (
    "[bold]Examples[/]\n\n"
    "bridge bench main:app\n\n"
    "bridge bench main:app --path /api/items --connections 100\n\n"
    "bridge bench path/to/django/project --only bridge --only gunicorn\n\n"
    "[dim]Uses wrk as load generator; where wrk is not installed, a slower built-in one.[/]"
)
_LOAD, _APP, _OUTPUT = "Load", "App", "Output"


def bench_command(
    target: Annotated[
        str,
        typer.Argument(metavar="TARGET", show_default=False, help="The app, as for `bridge run`."),
    ],
    path: Annotated[
        str, typer.Option(metavar="PATH", rich_help_panel=_LOAD, help="Page to request.")
    ] = "/",
    connections: Annotated[
        int,
        typer.Option(min=1, metavar="N", rich_help_panel=_LOAD, help="Concurrent connections."),
    ] = 32,
    seconds: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", rich_help_panel=_LOAD, help="Duration of a round, in seconds."
        ),
    ] = 3,
    rounds: Annotated[
        int, typer.Option(min=1, metavar="N", rich_help_panel=_LOAD, help="Rounds for each setup.")
    ] = 3,
    threads: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", rich_help_panel=_LOAD, help="Threads of each server and adapter."
        ),
    ] = DEFAULT_THREADS,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_LOAD,
            help="Measure only setups with NAME in their name. Repeatable.",
        ),
    ] = None,
    interface: Annotated[
        Literal["wsgi", "asgi"] | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_APP,
            help="wsgi or asgi, for apps whose interface cannot be detected.",
        ),
    ] = None,
    app_dir: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            metavar="PATH",
            rich_help_panel=_APP,
            help="Import the app from this directory. Default: the current directory.",
        ),
    ] = None,
    svg: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel=_OUTPUT, help="Write the bars as SVG."),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel=_OUTPUT, help="Write all numbers as JSON."),
    ] = None,
) -> None:
    """Run ``bridge bench``; the user sees :data:`HELP`."""
    with exit_on_error():
        _bench(
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


def _bench(options: BenchOptions) -> None:
    """Measure and report.

    :raises UsageError: no setup matches ``--only``, or no server is installed.
    :raises AppLoadError: the app does not exist, or importing it failed.
    :raises AmbiguousApp: see :func:`~bridge.cli.served_apps.interface_of_loaded`.
    :raises NothingMeasured: no setup could be measured.
    """
    from bridge.cli.bench import report  # not at the top: every other command would load it
    from bridge.cli.bench.measure import measure
    from bridge.cli.bench.results import verdict
    from bridge.cli.bench.setups import find_setups
    from bridge.cli.load.target import load
    from bridge.cli.served_apps import interface_of_loaded

    loaded = load(options.target, app_dir=options.app_dir_text)
    interface = interface_of_loaded(loaded, options.interface)
    setups, missing = find_setups(loaded, interface, options)
    measurements = measure(setups, options)
    sentences = verdict(measurements, interface)
    report.show(measurements, sentences, _notes(missing, options), options)
    if options.json is not None:
        report.write_json(options.json, measurements, sentences, options)
    if options.svg is not None:
        report.write_svg(options.svg, measurements, options)


def _notes(missing: list[str], options: BenchOptions) -> list[str]:
    from bridge.cli.bench.load import has_wrk
    from bridge.cli.bench.processes import taskset

    notes = []
    if not has_wrk():
        notes.append(
            "wrk is not installed. The built-in load generator is slower, so the fast setups look "
            "more alike than they are. On Debian: apt install wrk"
        )
    if not taskset(1):
        notes.append(
            "server and load generator could not be pinned to separate CPUs and slowed each other "
            "down"
        )
    if missing and not options.only:
        notes.append(f"not installed, so not measured: {', '.join(missing)}")
    return notes
