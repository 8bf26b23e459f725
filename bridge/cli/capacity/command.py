"""``bridge plan-capacity``: its command line as click parses it, and the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, TypeVar

import click
from click.exceptions import Exit

from bridge.cli.capacity.options import CapacityOptions, Service
from bridge.cli.command_help import Command, Integer, Number, option
from bridge.cli.exit_errors import exit_on_error
from bridge.cli.options import UsageError

__all__ = ["plan_capacity_command"]

EPILOG = """\b
Examples:
  bridge plan-capacity --requests-per-s 2000 --service-s 0.08 --waiting-share 0.9
  bridge plan-capacity --requests-per-s 2000 --measure http://127.0.0.1:8000/ --pid 4711
  bridge plan-capacity --requests-per-s 90 --service-s 0.1 --waiting-share 0.95 --hosts 3
      --threads 8 --workers 2 --format json

Exit code: 0 if the plan meets the targets, 1 if the given hosts do not, or the server that is
measured does not answer, 2 for a usage error, such as a load that the given hosts cannot serve.
"""
_REQUESTS, _STREAMS, _MACHINES = "Requests", "WebSockets and event streams", "Machines"
_TARGETS, _OUTPUT = "Targets", "Output"


F = TypeVar("F", bound=Callable[..., Any])

_DEFAULTS = {field.name: field.default for field in fields(CapacityOptions)}


def _number(
    name: str, kind: Integer | Number, section: str, help: str, **attributes: Any
) -> Callable[[F], F]:
    """An option whose default is that of :class:`CapacityOptions`."""
    default = _DEFAULTS.get(name.removeprefix("--").replace("-", "_"), MISSING)
    if default not in (None, MISSING):
        attributes = {"default": default, "show_default": True, **attributes}
    return option(name, type=kind, metavar="N", section=section, help=help, **attributes)


@click.command("plan-capacity", cls=Command, epilog=EPILOG)
@_number(
    "--requests-per-s",
    Number(0),
    _REQUESTS,
    "Requests per second at the peak, of the whole site.",
    required=True,
)
@_number(
    "--service-s",
    Number(0),
    _REQUESTS,
    "How long a request holds a thread while nothing else runs, on average, in seconds.",
)
@_number(
    "--waiting-share",
    Number(0),
    _REQUESTS,
    "The share of that time in which the request waits, for a database for example, and uses no "
    "CPU: from 0 to 1.",
)
@_number(
    "--variation",
    Number(0),
    _REQUESTS,
    "The standard deviation of that time, divided by its mean. 0: all requests take equally long. "
    "Default: 1, or as measured.",
)
@option(
    "--measure",
    metavar="URL",
    section=_REQUESTS,
    help="Measure the time and its variation instead, with requests one after another.",
)
@_number(
    "--samples",
    Integer(2),
    _REQUESTS,
    "How many requests --measure sends.",
    default=200,
    show_default=True,
)
@_number(
    "--pid",
    Integer(1),
    _REQUESTS,
    "The main process of the measured server, on this machine. Its CPU time gives the waiting "
    "share, in place of --waiting-share.",
)
@_number(
    "--transaction-s",
    Number(0),
    _REQUESTS,
    "How long a request holds a database transaction, for pgbouncer. Default: as long as it waits.",
)
@_number(
    "--keep-alive-s",
    Number(0),
    _REQUESTS,
    "How long the server keeps a connection open without a request, in seconds.",
)
@_number(
    "--websockets",
    Integer(0),
    _STREAMS,
    "WebSockets that are open at once, of the whole site.",
)
@_number(
    "--event-streams",
    Integer(0),
    _STREAMS,
    "Event streams that are open at once, of the whole site.",
)
@_number(
    "--streams-on-threads",
    Integer(0),
    _STREAMS,
    "How many of these hold a worker thread: sync generators, flask-sock.",
)
@_number(
    "--group-messages-per-s",
    Number(0),
    _STREAMS,
    "Messages per second that are sent to a group of WebSockets through Redis.",
)
@_number(
    "--group-size",
    Integer(0),
    _STREAMS,
    "WebSockets in such a group.",
)
@_number(
    "--message-cpu-s",
    Number(0),
    _STREAMS,
    "CPU time of one message to one WebSocket, in seconds. Default: 0.00004.",
    show_default=False,
)
@_number(
    "--threads",
    Integer(1, 10_000),
    _MACHINES,
    "Threads of each worker. Default: as many as the load needs, at most 200.",
)
@_number("--workers", Integer(1, 10_000), _MACHINES, "Workers of each host. Default: one per CPU.")
@_number(
    "--hosts",
    Integer(1, 10_000),
    _MACHINES,
    "Hosts, the spare ones included. Default: as many as the load needs.",
)
@_number("--spare-hosts", Integer(0, 10_000), _MACHINES, "How many hosts may be down at the peak.")
@_number("--cpus", Integer(1, 10_000), _MACHINES, "CPUs of a host.")
@_number(
    "--host-mb",
    Number(0),
    _MACHINES,
    "Memory of a host for the workers, in MB. Default: no limit.",
)
@_number(
    "--worker-mb",
    Number(0),
    _MACHINES,
    "Memory of a worker with your app loaded, before any requests, in MB.",
)
@_number(
    "--utilisation",
    Number(0),
    _TARGETS,
    "The highest share of the time for which threads, CPUs and database connections are busy.",
)
@_number(
    "--waiting-probability",
    Number(0),
    _TARGETS,
    "The highest share of the requests that have to wait for a thread.",
)
@option(
    "--format",
    "output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    metavar="NAME",
    section=_OUTPUT,
    help="text or json.",
)
def plan_capacity_command(
    service_s: float | None,
    waiting_share: float | None,
    variation: float | None,
    measure: str | None,
    samples: int,
    pid: int | None,
    output: str,
    **options: Any,
) -> None:
    """Plan threads, workers, hosts and connections for a load.

    Calculates, by Little's law and Erlang C, how many threads a load keeps busy and how many
    requests wait, the fewest hosts that meet the targets, and what these need of memory,
    PostgreSQL, Redis and sockets. Each number is shown with its calculation.
    """
    with exit_on_error():
        if measure is None:
            service = _given(service_s, waiting_share, variation, pid)
        else:
            service = _measured(measure, samples, pid, service_s, waiting_share, variation)
        raise Exit(_plan(CapacityOptions(service=service, **options), output))


def _given(
    service_s: float | None, waiting_share: float | None, variation: float | None, pid: int | None
) -> Service:
    if pid is not None:
        raise UsageError("--pid belongs to --measure")
    if service_s is None or waiting_share is None:
        raise UsageError(
            "give --service-s and --waiting-share, or measure them with --measure URL --pid N"
        )
    return Service(
        mean_s=service_s,
        waiting_share=waiting_share,
        variation=1.0 if variation is None else variation,
    )


def _measured(
    url: str,
    samples: int,
    pid: int | None,
    service_s: float | None,
    waiting_share: float | None,
    variation: float | None,
) -> Service:
    for name, value in (("--service-s", service_s), ("--variation", variation)):
        if value is not None:
            raise UsageError(f"{name} and --measure exclude each other")
    if (pid is None) == (waiting_share is None):
        raise UsageError(
            "--measure needs either --pid N, for a server on this machine, or --waiting-share N"
        )
    from bridge.cli.capacity.measure import measure  # not at the top: other commands need no HTTP

    return measure(url, samples, pid, waiting_share)


def _plan(options: CapacityOptions, output: str) -> int:
    """:returns: the exit code."""
    from bridge.cli.capacity import report
    from bridge.cli.capacity.figures import figures_of, notes_of
    from bridge.cli.capacity.model import deployment_for

    plan = deployment_for(options)
    figures, problems, notes = figures_of(plan), plan.problems(), notes_of(plan)
    if output == "json":
        click.echo(report.as_json(options, figures, problems, notes))
    else:
        report.show(figures, problems, notes)
    return 1 if problems else 0
