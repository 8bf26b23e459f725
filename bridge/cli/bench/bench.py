"""``bridge bench``: look at the app, serve it in each way there is, and say how they compare.

What enters: :class:`~bridge.cli.bench.options.BenchOptions`. What leaves: the report on stdout; or
:class:`~bridge.errors.BridgeError` with what the user should read. Main thread.
"""

from __future__ import annotations

from bridge.cli.bench import report
from bridge.cli.bench.compare import compare
from bridge.cli.bench.load import has_wrk
from bridge.cli.bench.options import BenchOptions
from bridge.cli.bench.processes import pinned
from bridge.cli.bench.verdict import verdict
from bridge.cli.bench.ways import ways_to_serve
from bridge.cli.load.loader import load
from bridge.cli.served_apps import interface_of_loaded

__all__ = ["bench"]


def bench(options: BenchOptions) -> None:
    """Measure, and report.

    :raises UsageError: the command line cannot be carried out.
    :raises AppLoadError: there is no such app, or its own code failed.
    :raises AmbiguousApp: see :func:`~bridge.cli.served_apps.interface_of_loaded`.
    :raises NothingToCompare: no way to serve it came to an answer.
    """
    app_dir = None if options.app_dir is None else str(options.app_dir)
    loaded = load(options.target, app_dir=app_dir)
    interface = interface_of_loaded(loaded, options.interface)
    ways, missing = ways_to_serve(loaded, interface, options)
    every = compare(ways, interface, options)
    lines = verdict(every, interface)
    report.show(every, lines, _notes(missing, options), options)
    if options.json is not None:
        report.write_json(options.json, every, lines, options)
    if options.svg is not None:
        report.write_svg(options.svg, every, options)


def _notes(missing: list[str], options: BenchOptions) -> list[str]:
    notes = []
    if not has_wrk():
        notes.append(
            "wrk is not installed, so a slower load generator was used, and fast ways look more "
            "alike than they are. On Debian: apt install wrk"
        )
    if not pinned(1):
        notes.append("there are no two CPUs for server and load: they have slowed each other down")
    if missing and not options.only:
        notes.append(f"not installed, and so not compared: {', '.join(missing)}")
    return notes
