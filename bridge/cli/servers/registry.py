"""Every server that ``bridge run`` knows: how it is found, what it cannot do, its command line.

What enters: :class:`~bridge.cli.options.RunOptions`. What leaves: a server that is installed and
can do all that was asked, and the arguments of its own command line; or a
:class:`~bridge.cli.options.UsageError`. Imports no server: that is for `bridge.cli.serve`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bridge.cli.options import LogLevel, RunOptions, UsageError
from bridge.cli.shutdown import KILL_AFTER_S
from bridge.types import Interface

__all__ = ["SERVERS", "ServerSpec", "check", "choose"]

SERVED = "bridge.cli.served:app"


@dataclass(frozen=True)
class ServerSpec:
    """How one server is run.

    :ivar speaks: the interface that it calls the app by.
    :ivar module: what ``python -m`` runs.
    :ivar arguments: its command line, after the module.
    :ivar requirement: what to ``pip install`` when it is missing.
    :ivar cannot: options of ours that it has no way to carry out, and why.
    :ivar needs: options that need a further module, and what to ``pip install`` for it.
    :ivar serves_here: whether the process that starts it is the one that runs the app. If not, the
        app must not be imported there: workers inherit what a fork finds in memory, code that has
        changed since and connections that cannot be shared.
    """

    name: str
    speaks: Interface
    module: str
    arguments: Callable[[RunOptions], list[str]]
    requirement: str
    cannot: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    serves_here: Callable[[RunOptions], bool] = lambda options: False

    @property
    def is_installed(self) -> bool:
        """Whether it can be imported."""
        return _is_importable(self.name)

    @property
    def version(self) -> str:
        """Its version, as it was installed."""
        return importlib.metadata.version(self.name)


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def _is_single(options: RunOptions) -> bool:
    return options.workers == 1 and not options.reload


# -- command lines ---------------------------------------------------------------------------------


def _uvicorn(options: RunOptions) -> list[str]:
    where = ["--host", options.host, "--port", str(options.port)]
    if options.uds is not None:
        where = ["--uds", str(options.uds)]
    many = ["--workers", str(options.workers)]  # else it goes by WEB_CONCURRENCY
    watch = ["--reload"] if options.reload else []
    if options.reload:
        watch += [word for each in options.watched for word in ("--reload-dir", str(each))]
    # Told apart from ASGI 2 by us: uvicorn takes any plain function for that.
    fixed = ["--interface", "asgi3", "--log-level", options.log_level.value]
    grace = ["--timeout-graceful-shutdown", str(options.grace_s)]
    return [SERVED, *where, *many, *watch, *fixed, *grace]


def _hypercorn(options: RunOptions) -> list[str]:
    # With no workers it serves in its own process, which suits one; reloading needs a child.
    workers = "0" if _is_single(options) else str(options.workers)
    watch = ["--reload"] if options.reload else []
    logs = ["--log-level", options.log_level.value, *_access_log_file(options)]
    grace = ["--graceful-timeout", str(options.grace_s)]
    where = ["--bind", _bind(options)]
    return [f"asgi:{SERVED}", *where, "--workers", workers, *watch, *logs, *grace]


def _granian(options: RunOptions) -> list[str]:
    where = ["--host", options.host, "--port", str(options.port)]
    if options.uds is not None:
        where = ["--uds", str(options.uds)]
    watch = ["--reload"] if options.reload else []
    if options.reload:
        watch += [word for each in options.watched for word in ("--reload-paths", str(each))]
    logs = ["--log-level", options.log_level.value]
    logs += [] if options.is_quiet else ["--access-log"]
    fixed = ["--interface", "asgi", "--workers", str(options.workers)]
    kill = ["--workers-kill-timeout", str(options.grace_s + KILL_AFTER_S)]
    return [SERVED, *where, *fixed, *watch, *logs, *kill]


def _daphne(options: RunOptions) -> list[str]:
    where = ["--bind", options.host, "--port", str(options.port)]
    if options.uds is not None:
        where = ["-u", str(options.uds)]
    verbosity = 2 if options.log_level is LogLevel.DEBUG else 0 if options.is_quiet else 1
    return [*where, "--verbosity", str(verbosity), SERVED]


def _gunicorn(options: RunOptions) -> list[str]:
    fixed = ["--config", "python:bridge.cli.servers.gunicorn_config", "--worker-class", "gthread"]
    threads = ["--threads", str(options.thread_count)]
    watch = ["--reload"] if options.reload else []
    logs = ["--log-level", options.log_level.value, *_access_log_file(options)]
    many = ["--workers", str(options.workers)]
    grace = ["--graceful-timeout", str(options.grace_s)]
    return [SERVED, "--bind", _bind(options), *fixed, *many, *threads, *watch, *logs, *grace]


def _waitress(options: RunOptions) -> list[str]:
    where = ["--host", options.host, "--port", str(options.port)]
    if options.uds is not None:
        where = ["--uds", str(options.uds)]
    logs = ["--log-level", options.log_level.value]
    return [
        *where,
        "--threads",
        str(options.thread_count),
        *logs,
        "--grace-s",
        str(options.grace_s),
    ]


def _bind(options: RunOptions) -> str:
    if options.uds is not None:
        return f"unix:{options.uds}"
    host = f"[{options.host}]" if ":" in options.host else options.host
    return f"{host}:{options.port}"


def _access_log_file(options: RunOptions) -> list[str]:
    return [] if options.is_quiet else ["--access-logfile", "-"]


# -- the table, best first -------------------------------------------------------------------------

_ALL = [
    ServerSpec(
        name="uvicorn",
        speaks="asgi",
        module="uvicorn",
        arguments=_uvicorn,
        requirement="wsgi-asgi-bridge[uvicorn]",
        serves_here=_is_single,
    ),
    ServerSpec(
        name="granian",
        speaks="asgi",
        module="granian",
        arguments=_granian,
        requirement="granian",
        needs={"--reload": ("watchfiles", "granian[reload]")},
    ),
    ServerSpec(
        name="hypercorn",
        speaks="asgi",
        module="hypercorn",
        arguments=_hypercorn,
        requirement="hypercorn",
        serves_here=_is_single,
    ),
    ServerSpec(
        name="gunicorn",
        speaks="wsgi",
        module="gunicorn",
        arguments=_gunicorn,
        requirement="wsgi-asgi-bridge[gunicorn]",
    ),
    ServerSpec(
        name="daphne",
        speaks="asgi",
        module="bridge.cli.servers.daphne",
        arguments=_daphne,
        requirement="daphne",
        cannot={"--workers": "it is one process", "--reload": "it cannot restart itself"},
    ),
    ServerSpec(
        name="waitress",
        speaks="wsgi",
        module="bridge.cli.servers.waitress",
        arguments=_waitress,
        requirement="waitress",
        cannot={"--workers": "it is one process", "--reload": "it cannot restart itself"},
        serves_here=_is_single,
    ),
]

SERVERS: Mapping[str, ServerSpec] = {spec.name: spec for spec in _ALL}


# -- choosing --------------------------------------------------------------------------------------


def choose(name: str | None) -> ServerSpec:
    """The server of that name, or the best one that is installed.

    :raises UsageError: it is not installed, or none is. Says what to ``pip install``.
    """
    if name is not None:
        spec = SERVERS[name]
        if not spec.is_installed:
            raise UsageError(f'{name} is not installed: pip install "{spec.requirement}"')
        return spec
    for spec in SERVERS.values():
        if spec.is_installed:
            return spec
    raise UsageError(
        f"no server is installed ({', '.join(SERVERS)}): "
        f'pip install "{SERVERS["uvicorn"].requirement}"'
    )


def check(spec: ServerSpec, options: RunOptions) -> None:
    """Refuse what this server cannot do.

    :raises UsageError: names the option, the server, and the servers that can.
    """
    for option in sorted(options.given()):
        if option in spec.cannot:
            able = [other.name for other in SERVERS.values() if option not in other.cannot]
            why = spec.cannot[option]
            raise UsageError(
                f"{option}: {spec.name} has no such thing, {why}. These have: {', '.join(able)}"
            )
        module, requirement = spec.needs.get(option, ("", ""))
        if module and not _is_importable(module):
            raise UsageError(
                f'{option}: {spec.name} needs {module} for it: pip install "{requirement}"'
            )
    if options.reload and options.workers > 1:
        raise UsageError("--reload and --workers do not go together: reload is for development")
