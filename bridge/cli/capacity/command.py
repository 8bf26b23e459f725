"""``bridge plan-capacity``: its command line as click parses it, and the run."""

from __future__ import annotations

from typing import Any

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


@click.command("plan-capacity", cls=Command, epilog=EPILOG)
@option(
    "--requests-per-s",
    type=Number(0),
    required=True,
    metavar="N",
    section=_REQUESTS,
    help="Requests per second at the peak, of the whole site.  [required]",
)
@option(
    "--service-s",
    type=Number(0),
    metavar="N",
    section=_REQUESTS,
    help="How long a request holds a thread while nothing else runs, on average, in seconds.",
)
@option(
    "--waiting-share",
    type=Number(0),
    metavar="N",
    section=_REQUESTS,
    help="The share of that time in which the request waits, for a database for example, and uses "
    "no CPU: from 0 to 1.",
)
@option(
    "--variation",
    type=Number(0),
    metavar="N",
    section=_REQUESTS,
    help="The standard deviation of that time, divided by its mean. 0: all requests take equally "
    "long. Default: 1, or as measured.",
)
@option(
    "--measure",
    metavar="URL",
    section=_REQUESTS,
    help="Measure the time and its variation instead, with requests one after another.",
)
@option(
    "--samples",
    type=Integer(2),
    default=200,
    show_default=True,
    metavar="N",
    section=_REQUESTS,
    help="How many requests --measure sends.",
)
@option(
    "--pid",
    type=Integer(1),
    metavar="N",
    section=_REQUESTS,
    help="The main process of the measured server, on this machine. Its CPU time gives the waiting "
    "share, in place of --waiting-share.",
)
@option(
    "--transaction-s",
    type=Number(0),
    metavar="N",
    section=_REQUESTS,
    help="How long a request holds a database transaction, for pgbouncer. Default: as long as it "
    "waits.",
)
@option(
    "--keep-alive-s",
    type=Number(0),
    default=5.0,
    show_default=True,
    metavar="N",
    section=_REQUESTS,
    help="How long the server keeps a connection open without a request, in seconds.",
)
@option(
    "--websockets",
    type=Integer(0),
    default=0,
    show_default=True,
    metavar="N",
    section=_STREAMS,
    help="WebSockets that are open at once, of the whole site.",
)
@option(
    "--event-streams",
    type=Integer(0),
    default=0,
    show_default=True,
    metavar="N",
    section=_STREAMS,
    help="Event streams that are open at once, of the whole site.",
)
@option(
    "--streams-on-threads",
    type=Integer(0),
    default=0,
    show_default=True,
    metavar="N",
    section=_STREAMS,
    help="How many of these hold a worker thread: sync generators, flask-sock.",
)
@option(
    "--group-messages-per-s",
    type=Number(0),
    default=0.0,
    show_default=True,
    metavar="N",
    section=_STREAMS,
    help="Messages per second that are sent to a group of WebSockets through Redis.",
)
@option(
    "--group-size",
    type=Integer(0),
    default=0,
    show_default=True,
    metavar="N",
    section=_STREAMS,
    help="WebSockets in such a group.",
)
@option(
    "--message-cpu-s",
    type=Number(0),
    default=40e-6,
    show_default=True,
    metavar="N",
    section=_STREAMS,
    help="CPU time of one message to one WebSocket, in seconds.",
)
@option(
    "--threads",
    type=Integer(1),
    metavar="N",
    section=_MACHINES,
    help="Threads of each worker. Default: as many as the load needs, at most 200.",
)
@option(
    "--workers",
    type=Integer(1),
    metavar="N",
    section=_MACHINES,
    help="Workers of each host. Default: one per CPU.",
)
@option(
    "--hosts",
    type=Integer(1),
    metavar="N",
    section=_MACHINES,
    help="Hosts, the spare ones included. Default: as many as the load needs.",
)
@option(
    "--spare-hosts",
    type=Integer(0),
    default=1,
    show_default=True,
    metavar="N",
    section=_MACHINES,
    help="How many hosts may be down at the peak.",
)
@option(
    "--cpus",
    type=Integer(1),
    default=4,
    show_default=True,
    metavar="N",
    section=_MACHINES,
    help="CPUs of a host.",
)
@option(
    "--host-mb",
    type=Number(0),
    metavar="N",
    section=_MACHINES,
    help="Memory of a host for the workers, in MB. Default: no limit.",
)
@option(
    "--worker-mb",
    type=Number(0),
    default=100.0,
    show_default=True,
    metavar="N",
    section=_MACHINES,
    help="Memory of a worker with your app loaded, before any requests, in MB.",
)
@option(
    "--utilisation",
    type=Number(0),
    default=0.7,
    show_default=True,
    metavar="N",
    section=_TARGETS,
    help="The highest share of the time for which threads, CPUs and database connections are busy.",
)
@option(
    "--waiting-probability",
    type=Number(0),
    default=0.05,
    show_default=True,
    metavar="N",
    section=_TARGETS,
    help="The highest share of the requests that have to wait for a thread.",
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
