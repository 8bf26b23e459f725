"""waitress, with a shutdown that lets open requests finish.

On a signal, waitress stops its loop at once and waits five seconds for its threads: what they still
write is lost. Here the loop runs on for the grace period, without listening, until all responses
are sent; what still runs after it is cut off, so that its ``close()`` is called. The loop runs on
the main thread, apps on waitress's own threads.
"""

from __future__ import annotations

import argparse
import logging
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from bridge.cli.healthz import is_check
from bridge.cli.options import RunOptions
from bridge.cli.servers.spec import ServerSpec, host_options
from bridge.cli.shutdown import LINGER_S

__all__ = ["SPEC"]

logger = logging.getLogger("waitress")

POLL_S = 0.05
CLOSE_S = 1.0
"""Seconds that requests get to finish after they were cut off."""


def _command_line(options: RunOptions) -> list[str]:
    threads = ["--threads", str(options.thread_count)]
    logs = ["--log-level", options.log_level.value]
    healthz = ["--healthz", options.healthz] if options.healthz is not None else []
    grace = ["--grace-s", str(options.grace_s)]
    return [*host_options(options), *threads, *healthz, *logs, *grace]


def _main() -> None:
    """Serve ``bridge.cli.served:app`` until SystemExit or KeyboardInterrupt."""
    from waitress.server import create_server  # type: ignore[import-untyped]  # no stubs
    from waitress.task import ThreadedTaskDispatcher  # type: ignore[import-untyped]  # no stubs

    from bridge.asgi_to_wsgi.running_app import close_running_apps
    from bridge.router.router import start_apps

    options = _parse_arguments()
    logging.basicConfig(
        level=options.log_level.upper(), format="%(levelname)s [%(name)s] %(message)s"
    )
    from bridge.cli.served import app

    class Dispatcher(_ChecksApart, ThreadedTaskDispatcher):  # type: ignore[misc]  # no stubs
        healthz = options.healthz
        checks = ThreadedTaskDispatcher()

    channels: dict[int, Any] = {}
    dispatcher = Dispatcher()
    dispatcher.set_thread_count(options.threads)
    if options.healthz is not None:
        dispatcher.checks.set_thread_count(1)
    fixed = {"_dispatcher": dispatcher, "clear_untrusted_proxy_headers": False}  # --trusted is ours
    server = create_server(app, channels, **fixed, **_address(options))
    try:
        start_apps(app)
        server.print_listen("Serving on http://{}:{}")
        _loop_until_signal(server, channels)
    except (SystemExit, KeyboardInterrupt):
        _drain(dispatcher, channels, options.grace_s)
        close_running_apps()


class _ChecksApart:
    """What is different from waitress's own dispatcher: a thread for health checks alone."""

    healthz: str | None
    checks: Any

    def add_task(self, channel: Any) -> None:
        """Called with a connection whose first request is complete."""
        if self.healthz is not None and _is_check(channel.requests[0], self.healthz):
            self.checks.add_task(channel)
        else:
            super().add_task(channel)  # type: ignore[misc]  # waitress's


def _is_check(request: Any, healthz: str) -> bool:
    # A malformed one has neither
    method, path = getattr(request, "command", None), getattr(request, "path", None)
    return is_check(healthz, method, path)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--uds")
    parser.add_argument("--fd", type=int)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--healthz")
    parser.add_argument("--log-level")
    parser.add_argument("--grace-s", type=float)
    return parser.parse_args()


def _address(options: argparse.Namespace) -> dict[str, Any]:
    if options.fd is not None:
        return {"sockets": [socket.socket(fileno=options.fd)]}
    if options.uds is not None:
        return {"unix_socket": options.uds}
    return {"host": options.host, "port": options.port}


def _loop_until_signal(server: Any, channels: dict[int, Any]) -> None:
    """Run the loop, and raise KeyboardInterrupt between two of its steps.

    Raised within one, it would lose a connection that is being accepted. A second signal ends the
    process at once.
    """
    from waitress import wasyncore  # type: ignore[import-untyped]  # no stubs

    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.default_int_handler)
        server.pull_trigger()  # the loop wakes

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, handle)
    while not received:
        wasyncore.loop(timeout=1, map=channels, count=1)
    raise KeyboardInterrupt


def _drain(dispatcher: Any, channels: dict[int, Any], grace_s: float) -> None:
    from waitress import wasyncore

    for channel in list(channels.values()):
        if channel.accepting:
            wasyncore.dispatcher.close(channel)  # its own close() ends the trigger that all share
    _close_after_each_response()
    _loop_until(lambda: not _connections(channels), channels, min(LINGER_S, grace_s))
    if not _loop_until(lambda: _is_idle(dispatcher, channels), channels, grace_s):
        logger.warning(
            "%d request(s) cut off after the grace period of %g s", dispatcher.active_count, grace_s
        )
        _cut_off(channels)
        _loop_until(lambda: dispatcher.active_count == 0, channels, CLOSE_S)
    dispatcher.shutdown(timeout=POLL_S)
    dispatcher.checks.shutdown(timeout=POLL_S)
    wasyncore.close_all(channels)


def _loop_until(is_done: Callable[[], bool], channels: dict[int, Any], timeout_s: float) -> bool:
    """Run the loop until ``is_done()``. False if that takes longer than ``timeout_s``."""
    from waitress import wasyncore

    deadline = time.monotonic() + timeout_s
    while not is_done():
        if time.monotonic() >= deadline:
            return False
        wasyncore.loop(timeout=POLL_S, map=channels, count=1)
    return True


def _is_idle(dispatcher: Any, channels: dict[int, Any]) -> bool:
    unsent = any(getattr(channel, "total_outbufs_len", 0) for channel in channels.values())
    return dispatcher.active_count == 0 and not dispatcher.queue and not unsent


def _close_after_each_response() -> None:
    from waitress.task import Task

    build = Task.build_response_header

    def build_closing(task: Any) -> Any:
        task.request.headers["CONNECTION"] = "close"  # as if the client had requested it
        return build(task)

    Task.build_response_header = build_closing


def _connections(channels: dict[int, Any]) -> list[Any]:
    return [channel for channel in channels.values() if hasattr(channel, "cancel")]


def _cut_off(channels: dict[int, Any]) -> None:
    for channel in _connections(channels):
        channel.cancel()  # its app's next write raises, and it closes


SPEC = ServerSpec(
    name="waitress",
    interface="wsgi",
    requirement="waitress",
    command_line=_command_line,
    main=_main,
    raw_logger="waitress",
    serves_in_process=lambda options: options.is_single_process,
    unsupported={
        "--workers": "it runs as a single process",
        "--reload": "it cannot restart itself",
        "--max-requests": "it runs as a single process",
    },
)
