"""waitress, with a shutdown that lets open requests finish.

On a signal, waitress stops its loop at once and waits five seconds for its threads: what they still
write is lost. Here the loop runs on for the grace period, without listening, until all responses
are sent; what still runs after it is cut off, so that its ``close()`` is called. The loop runs on
the main thread, apps on waitress's own threads.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from typing import Any

from bridge.cli.options import RunOptions
from bridge.cli.servers.spec import ServerSpec, host_options

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
    from waitress import wasyncore  # type: ignore[import-untyped]  # no stubs
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
        wasyncore.loop(timeout=1, map=channels)
    except (SystemExit, KeyboardInterrupt):
        _drain(dispatcher, channels, options.grace_s)
        close_running_apps()


class _ChecksApart:
    """What is different from waitress's own dispatcher: a thread for health checks alone."""

    healthz: str | None
    checks: Any

    def add_task(self, channel: Any) -> None:
        """Called with a connection whose first request is complete."""
        if self.healthz is not None and channel.requests[0].path.startswith(f"{self.healthz}/"):
            self.checks.add_task(channel)
        else:
            super().add_task(channel)  # type: ignore[misc]  # waitress's


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--uds")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--healthz")
    parser.add_argument("--log-level")
    parser.add_argument("--grace-s", type=float)
    return parser.parse_args()


def _address(options: argparse.Namespace) -> dict[str, Any]:
    if options.uds is not None:
        return {"unix_socket": options.uds}
    return {"host": options.host, "port": options.port}


def _drain(dispatcher: Any, channels: dict[int, Any], grace_s: float) -> None:
    from waitress import wasyncore

    for channel in list(channels.values()):
        if channel.accepting:
            wasyncore.dispatcher.close(channel)  # its own close() ends the trigger that all share
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


def _cut_off(channels: dict[int, Any]) -> None:
    for channel in list(channels.values()):
        if hasattr(channel, "cancel"):  # a connection: its app's next write raises, and it closes
            channel.cancel()


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
