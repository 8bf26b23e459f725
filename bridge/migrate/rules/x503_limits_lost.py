"""Options of gunicorn and uwsgi that no ASGI server has.

``timeout`` and ``harakiri`` kill a worker whose request takes too long; on an event loop nothing
does. Threads are no option of uvicorn: sync code runs in a pool of the framework's, or of
`bridge`'s. ``preload_app``, the hooks of ``gunicorn.conf.py``, its loggers and statistics end with
gunicorn. What depends on them has to find another place.

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

from bridge.migrate.deploy.server import Option, Server
from bridge.migrate.findings import Finding, Severity, Source, Target
from bridge.migrate.rule import Rule
from bridge.migrate.wsgi_servers import wsgi_servers

if TYPE_CHECKING:
    from bridge.migrate.project import Project

_TIMEOUT = (
    "no ASGI server ends a request that takes too long",
    "give each wait a limit of its own: the database's statement_timeout, the HTTP client's "
    "timeout, the proxy's proxy_read_timeout",
)
_LOG = (
    "uvicorn logs to the streams, in a format of its own",
    "give uvicorn --log-config, or redirect its output",
)
_STATISTICS = ("uvicorn sends no statistics", "measure in the app, or at the proxy")
_MEANING: dict[str, tuple[str, str]] = {
    "timeout": _TIMEOUT,
    "harakiri": _TIMEOUT,
    "http-timeout": _TIMEOUT,
    "socket-timeout": _TIMEOUT,
    "preload_app": (
        "uvicorn imports the app in each worker: it starts later, and shares no memory",
        "leave memory for a copy of the app in each worker",
    ),
    "worker_connections": (
        "uvicorn takes connections without a limit",
        "give it --limit-concurrency, beyond which it answers 503",
    ),
    "reuse_port": ("uvicorn does not set SO_REUSEPORT", "start one uvicorn with --workers"),
    "pidfile": ("uvicorn writes no file with its pid", "let the supervisor keep the pid"),
    "safe-pidfile": ("uvicorn writes no file with its pid", "let the supervisor keep the pid"),
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
    "reload-on-rss": (
        "uvicorn does not watch its workers' memory",
        "use --limit-max-requests, or a limit of the container",
    ),
    "evil-reload-on-rss": (
        "uvicorn does not watch its workers' memory",
        "use --limit-max-requests, or a limit of the container",
    ),
    "post-buffering": (
        "uvicorn hands bodies over as they arrive",
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
    summary = "gunicorn's threads, timeout, hooks, or uwsgi's harakiri: no ASGI server has them"
    native = Severity.WARNING
    bridge = Severity.WARNING
    sources = (Source.DEPLOY,)

    def check_project(self, project: Project) -> Iterator[Finding]:
        for asked in wsgi_servers(project):
            for option in asked.options.values():
                said = _said(project, asked, option)
                if said is not None:
                    why, instead = said
                    yield self.at_place(
                        project,
                        option,
                        f"{option.shown} has no counterpart: {why}",
                        instead,
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
                        f"{node.name.value} is a hook of gunicorn's: no other server calls it",
                        "do it at the app's startup and shutdown (lifespan), or on import",
                        source=Source.DEPLOY,
                    )


def _said(project: Project, asked: Server, option: Option) -> tuple[str, str] | None:
    if option.name == "threads":
        return _threads(project, option)
    if option.name in _LIMITS and project.is_django:  # Flask: F710
        return (
            "uvicorn limits the head as a whole, to 64 KiB, and only with --http h11",
            "let the proxy limit it: large_client_header_buffers",
        )
    is_off = option.value in ("0", "False", False) or (option.value == "-" and "log" in option.name)
    return None if is_off else _MEANING.get(option.name)


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
        "Django runs each request's sync code in a thread of its own, however many there are",
        "count the database connections anew (D302)",
    )
