"""``bridge bench``: its command line as click parses it, and the run. Runs on the main thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bridge.cli.bench.options import BenchOptions
from bridge.cli.command_help import Command, Integer, argument, option
from bridge.cli.exit_errors import exit_on_error
from bridge.cli.options import DEFAULT_THREADS

__all__ = ["bench_command"]

F = TypeVar("F", bound=Callable[..., Any])

EPILOG = """\b
Examples:
  bridge bench main:app
  bridge bench main:app --path /api/items --connections 100
  bridge bench path/to/django/project --only bridge --only gunicorn

Uses wrk as load generator; where wrk is not installed, a slower built-in one.
"""
_LOAD, _APP, _OUTPUT = "Load", "App", "Output"


def _number(name: str, default: int, help: str) -> Callable[[F], F]:
    return option(
        name,
        type=Integer(1),
        default=default,
        show_default=True,
        metavar="N",
        section=_LOAD,
        help=help,
    )


@click.command("bench", cls=Command, epilog=EPILOG)
@argument("target", metavar="TARGET", help="The app, as for `bridge run`.")
@option(
    "--path",
    default="/",
    show_default=True,
    metavar="PATH",
    section=_LOAD,
    help="Page to request.",
)
@_number("--connections", 32, "Concurrent connections.")
@_number("--seconds", 3, "Duration of a round, in seconds.")
@_number("--rounds", 3, "Rounds for each setup.")
@_number("--threads", DEFAULT_THREADS, "Threads of each server and adapter.")
@option(
    "--only",
    multiple=True,
    metavar="NAME",
    section=_LOAD,
    help="Measure only setups with NAME in their name. Repeatable.",
)
@option(
    "--interface",
    type=click.Choice(["wsgi", "asgi"]),
    metavar="NAME",
    section=_APP,
    help="wsgi or asgi, for apps whose interface cannot be detected.",
)
@option(
    "--app-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="PATH",
    section=_APP,
    help="Import the app from this directory. Default: the current directory.",
)
@option(
    "--svg",
    type=click.Path(path_type=Path),
    metavar="FILE",
    section=_OUTPUT,
    help="Write the bars as SVG.",
)
@option(
    "--json",
    type=click.Path(path_type=Path),
    metavar="FILE",
    section=_OUTPUT,
    help="Write all numbers as JSON.",
)
def bench_command(only: tuple[str, ...], **options: Any) -> None:
    """Measure your own app with and without bridge.

    Starts a server for each setup that is installed, requests one page from all of them in turn,
    and reports which setup is fastest, even if it is the one you have now.
    """
    with exit_on_error():
        _bench(BenchOptions(only=list(only), **options))


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
