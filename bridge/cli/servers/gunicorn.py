"""gunicorn, with the first Ctrl-C as graceful as SIGTERM, and the lifespan of ASGI apps.

This module is also gunicorn's configuration: ``--config python:bridge.cli.servers.gunicorn``.
gunicorn reads its settings and hooks from the names below, in its master and in its workers, and
calls the hooks on their main threads.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from bridge.cli.drain import worker_pids
from bridge.cli.options import RunOptions
from bridge.cli.servers.spec import SERVED_APP, ServerSpec, access_log_options, bind_address
from bridge.cli.shutdown import let_new_workers_end

__all__ = ["SPEC", "post_fork", "post_worker_init", "when_ready", "worker_exit"]


def _command_line(options: RunOptions) -> list[str]:
    fixed = ["--config", "python:bridge.cli.servers.gunicorn", "--worker-class", "gthread"]
    workers = ["--workers", str(options.workers)]
    threads = ["--threads", str(options.thread_count)]
    reload = ["--reload"] if options.reload else []
    logs = ["--log-level", options.log_level.value, *access_log_options(options)]
    grace = ["--graceful-timeout", str(options.grace_s)]
    bind = ["--bind", bind_address(options)]
    limit: list[str] = []
    if options.max_requests is not None:
        limit = ["--max-requests", str(options.max_requests)]
        limit += ["--max-requests-jitter", str(options.max_requests_jitter)]
    return [SERVED_APP, *bind, *fixed, *workers, *threads, *limit, *reload, *logs, *grace]


def _variables() -> dict[str, str]:
    variables = dict.fromkeys(("GUNICORN_CMD_ARGS", "GUNICORN_FD", "GUNICORN_PID"), "")
    variables["FORWARDED_ALLOW_IPS"] = "--trusted"
    if os.environ.get("LISTEN_PID") == str(os.getpid()):  # sockets that systemd has opened
        variables["LISTEN_FDS"] = "--fd 3"
    return variables


def _main() -> None:
    """Run gunicorn's own command, without the variables that it would read."""
    for name in _variables():
        os.environ.pop(name, None)
    # Only a default, and --workers is given; but its import fails if this is not a number.
    concurrency = os.environ.pop("WEB_CONCURRENCY", None)
    from gunicorn.app.wsgiapp import run  # type: ignore[import-untyped]  # no stubs

    if concurrency is not None:
        os.environ["WEB_CONCURRENCY"] = concurrency
    run(prog="gunicorn")


# -- gunicorn's settings ---------------------------------------------------------------------------

secure_scheme_headers: dict[str, str] = {}
"""None: bridge reads the headers of proxies, see `bridge.cli.proxies`. gunicorn would always trust
the peers of a Unix socket."""
forwarder_headers = ""
forwarded_allow_ips = ""

# -- gunicorn's hooks ------------------------------------------------------------------------------


def when_ready(server: Any) -> None:
    """The master listens. By default, its Ctrl-C drops all requests; here only the second does.

    A Unix socket that it has inherited remains in the file system when it ends.
    """
    worker_pids.append(lambda: list(server.WORKERS))
    server.systemd = any(isinstance(address, int) for address in server.cfg.address)
    signal.signal(signal.SIGINT, _graceful_first(server.signal))


def post_fork(server: Any, worker: Any) -> None:
    """A worker starts. It ignores Ctrl-C, which a terminal sends to it too: the master decides."""
    init_signals = worker.init_signals

    def ignore_ctrl_c() -> None:
        init_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    worker.init_signals = ignore_ctrl_c  # called before the app is imported, which may take long


def post_worker_init(worker: Any) -> None:
    """A worker has imported the app: its lifespan starts. See `bridge.contrib.gunicorn`."""
    from bridge.contrib import gunicorn

    gunicorn.post_worker_init(worker)


def worker_exit(server: Any, worker: Any) -> None:
    """A worker has stopped serving: the lifespan shuts down. See `bridge.contrib.gunicorn`."""
    from bridge.contrib import gunicorn

    gunicorn.worker_exit(server, worker)


def _graceful_first(handler: Callable[[int, FrameType | None], None]) -> Callable[..., None]:
    numbers = iter([signal.SIGTERM])

    def handle(number: int, frame: FrameType | None) -> None:
        handler(next(numbers, signal.SIGINT), frame)

    return handle


SPEC = ServerSpec(
    name="gunicorn",
    interface="wsgi",
    has_raw_socket=True,
    requirement="wsgi-asgi-bridge[gunicorn]",
    command_line=_command_line,
    main=_main,
    variables=_variables,
    prepare_master=let_new_workers_end,
    raw_logger="gunicorn.access",
)
