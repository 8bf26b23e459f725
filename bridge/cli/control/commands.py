"""The commands ``bridge top`` and ``bridge stacks``, as click parses them."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from click.exceptions import Exit

from bridge.cli.command_help import Command, Number, argument, option
from bridge.cli.exit_errors import exit_on_error
from bridge.cli.options import UsageError

__all__ = ["stacks_command", "top_command"]

_SECTION = "Output"

ADDRESS_HELP = (
    "The server: the PID of it or of one of its processes, a control socket, or a folder with "
    "control sockets. Default: the only server of this user that listens."
)
TOP_EPILOG = """\b
Examples:
  bridge top
  bridge top 4242
  bridge top --once --format json
  sudo -u www-data bridge top /run/mysite

Keys: q quits, s sorts by the next column.
"""
STACKS_EPILOG = """\b
Examples:
  bridge stacks
  bridge stacks 4242 --format json
"""


def _address(command: Any) -> Any:
    return argument("address", required=False, metavar="[ADDRESS]", help=ADDRESS_HELP)(command)


def _format(command: Any) -> Any:
    return option(
        "--format",
        "output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        metavar="NAME",
        section=_SECTION,
        help="text or json.",
    )(command)


@click.command("top", cls=Command, epilog=TOP_EPILOG)
@_address
@option(
    "--once",
    is_flag=True,
    section=_SECTION,
    help="Print one snapshot and exit. So does a pipe or a file as output.",
)
@_format
@option(
    "--interval-s",
    type=Number(0.1),
    default=1.0,
    show_default=True,
    metavar="N",
    section=_SECTION,
    help="How often to look, in seconds. Rates are those of one interval.",
)
def top_command(address: str | None, once: bool, output: str, interval_s: float) -> None:
    """Show what the processes of a server do: requests, threads, queues, event loops.

    Works for a server that `bridge run --control` has started, and for any other whose workers call
    bridge.control.listen().
    """
    with exit_on_error():
        from bridge.cli.control import live, screen

        once = once or not sys.stdout.isatty()
        if output == "json" and not once:
            raise UsageError("--format json: a live view is no JSON. Add --once")
        if not once:
            raise Exit(live.run(address, interval_s))
        picture = live.one_picture(address, interval_s)
        if output == "json":
            _print_json([process.as_json() for process in picture.processes])
        else:
            screen.print_once(picture)
        raise Exit(0 if any(each.answer for each in picture.processes) else 1)


@click.command("stacks", cls=Command, epilog=STACKS_EPILOG)
@_address
@_format
def stacks_command(address: str | None, output: str) -> None:
    """Show where each busy thread and each task of a server stands.

    Prints a stack for each request that runs, for each event loop that is blocked, and a line for
    the threads and tasks that wait. Values of variables are not shown.
    """
    with exit_on_error():
        from bridge.cli.control import traces

        reports = traces.look(address)
        if output == "json":
            _print_json([report.as_json() for report in reports])
        else:
            sys.stdout.write(traces.text_of(reports))
        raise Exit(0 if any(each.answer for each in reports) else 1)


def _print_json(processes: list[dict[str, Any]]) -> None:
    json.dump({"bridge": 1, "processes": processes}, sys.stdout, indent=2)  # escapes all but ASCII
    sys.stdout.write("\n")
