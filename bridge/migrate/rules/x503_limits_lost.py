"""Options of gunicorn and uwsgi that no ASGI server has.

``timeout`` and ``harakiri`` kill a worker whose request takes too long; nothing does so on an event
loop. uvicorn has no option for threads: sync code runs in a pool of the framework or of `bridge`.
``preload_app``, the hooks of ``gunicorn.conf.py``, its loggers and statistics exist only in
gunicorn. Code that depends on them has to move.

Before::

    web: gunicorn mysite.wsgi --threads 8 --timeout 30

After::

    # asgi.py: at most 8 sync requests at once; limit the database's time by statement_timeout
    application = get_asgi_application(threads=8)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.deploy.server import Option
from bridge.migrate.findings import Finding, Severity, Source, Target
from bridge.migrate.rule import Rule
from bridge.migrate.wsgi_servers import wsgi_servers

if TYPE_CHECKING:
    from bridge.migrate.project import Project

_TIMEOUT = (
    "no ASGI server ends a request that takes too long",
    "set a timeout for each wait: the database's statement_timeout, the HTTP client's timeout, "
    "the proxy's proxy_read_timeout",
)
_LOG = (
    "uvicorn logs to stdout and stderr, in its own format",
    "use uvicorn --log-config, or redirect its output",
)
_PID_FILE = ("uvicorn writes no PID file", "let the supervisor track the PID")
_STATISTICS = ("uvicorn sends no statistics", "measure in the app, or at the proxy")
_MEMORY = (
    "uvicorn does not check the memory of its workers",
    "use --limit-max-requests, or a memory limit of the container",
)
_CONSEQUENCES: dict[str, tuple[str, str]] = {
    "timeout": _TIMEOUT,
    "harakiri": _TIMEOUT,
    "http-timeout": _TIMEOUT,
    "socket-timeout": _TIMEOUT,
    "preload_app": (
        "uvicorn imports the app in each worker, which starts later and shares no memory",
        "allow memory for a copy of the app in each worker",
    ),
    "worker_connections": (
        "uvicorn accepts connections without a limit",
        "set --limit-concurrency, beyond which it answers 503",
    ),
    "reuse_port": ("uvicorn does not set SO_REUSEPORT", "start one uvicorn with --workers"),
    "pidfile": _PID_FILE,
    "safe-pidfile": _PID_FILE,
    "accesslog": _LOG,
    "errorlog": _LOG,
    "logto": _LOG,
    "access_log_format": _LOG,
    "logger_class": _LOG,
    "logconfig": _LOG,
    "logconfig_dict": _LOG,
    "syslog": _LOG,
    "statsd_host": _STATISTICS,
    "stats": _STATISTICS,
    "reload-on-rss": _MEMORY,
    "evil-reload-on-rss": _MEMORY,
    "post-buffering": (
        "uvicorn passes bodies to the app as they arrive",
        "let the proxy buffer requests: proxy_request_buffering on",
    ),
}
_LIMITS = ("limit_request_line", "limit_request_fields", "limit_request_field_size")
_HOOKS = frozenset(
    {
        *("on_starting", "on_reload", "when_ready", "pre_fork", "post_fork", "post_worker_init"),
        *("worker_int", "worker_abort", "pre_exec", "pre_request", "post_request", "child_exit"),
        *("worker_exit", "nworkers_changed", "on_exit", "ssl_context"),
    }
)


class LimitsLost(Rule):
    """See the module's docstring."""

    code = "X503"
    name = "server-options-lost"
    summary = "gunicorn's threads, timeout or hooks, or uwsgi's harakiri: no ASGI server has them"
    native = Severity.WARNING
    bridge = Severity.WARNING
    sources = (Source.DEPLOY,)

    def check_project(self, project: Project) -> Iterator[Finding]:
        for server in wsgi_servers(project):
            for option in server.options.values():
                found = _consequence(project, option)
                if found is not None:
                    effect, advice = found
                    yield self.at_place(
                        project,
                        option,
                        f"{option.shown} has no counterpart: {effect}",
                        advice,
                    )
        yield from self._hooks(project)

    def _hooks(self, project: Project) -> Iterator[Finding]:
        for config in project.deploy.configs:
            module = project.module_at(config.path)
            if config.program != "gunicorn" or module is None:
                continue
            for node in module.nodes(cst.FunctionDef):
                if node.name.value in _HOOKS:
                    yield self.at(
                        module,
                        node,
                        f"{node.name.value} is a gunicorn hook, which no other server calls",
                        "move its code to the app's startup and shutdown (lifespan), or to import",
                        source=Source.DEPLOY,
                    )


def _consequence(project: Project, option: Option) -> tuple[str, str] | None:
    if option.name == "threads":
        return _threads(project, option)
    if option.name in _LIMITS and project.is_django:  # Flask: F710
        return (
            "uvicorn limits the head as a whole, to 64 KiB, and only with --http h11",
            "let the proxy limit it: large_client_header_buffers",
        )
    is_off = option.value in ("0", "False", False) or (option.value == "-" and "log" in option.name)
    return None if is_off else _CONSEQUENCES.get(option.name)


def _threads(project: Project, option: Option) -> tuple[str, str] | None:
    if option.value in ("0", "1"):
        return None
    shown = option.value if isinstance(option.value, str) else "N"
    if not project.is_django:
        if project.target is Target.BRIDGE:
            return None  # bridge run --threads
        return ("uvicorn has no threads", f"use bridge run --threads {shown}")
    if project.target is Target.BRIDGE:
        return (
            "uvicorn has no threads; bridge starts up to 40 in each worker",
            f"call get_asgi_application(threads={shown}) of bridge.contrib.django",
        )
    return (
        "Django runs the sync code of each request on a separate thread, without a limit",
        "calculate the database connections again (D302)",
    )
