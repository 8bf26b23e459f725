"""waitress, with a shutdown that drains. Run by `bridge.cli.serve`.

What enters: its command line. What leaves: a server on the main thread; apps run on waitress's own
threads. Told to end, waitress stops its loop at once and waits five seconds for its threads: what
they still write then goes nowhere. Here the loop goes on for the grace, without listening, until
all responses have left; whatever still runs after it is cut off, so that its ``close()`` is called.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from waitress import wasyncore  # type: ignore[import-untyped]  # no stubs
from waitress.server import create_server  # type: ignore[import-untyped]  # no stubs
from waitress.task import ThreadedTaskDispatcher  # type: ignore[import-untyped]  # no stubs

from bridge.asgi_to_wsgi.adapter import start_adapters
from bridge.asgi_to_wsgi.running_app import close_running_apps
from bridge.router.router import start_routers

__all__ = ["main"]

logger = logging.getLogger("waitress")

TURN_S = 0.05
CLOSING_S = 1.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve ``bridge.cli.served:app`` until SystemExit or KeyboardInterrupt."""
    options = _parse(arguments)
    logging.basicConfig(
        level=options.log_level.upper(), format="%(levelname)s [%(name)s] %(message)s"
    )
    from bridge.cli.served import app

    channels: dict[int, Any] = {}
    dispatcher = ThreadedTaskDispatcher()
    dispatcher.set_thread_count(options.threads)
    server = create_server(app, channels, _dispatcher=dispatcher, **_where(options))
    try:
        start_adapters()
        start_routers(app)
        server.print_listen("Serving on http://{}:{}")
        wasyncore.loop(timeout=1, map=channels)
    except (SystemExit, KeyboardInterrupt):
        _drain(dispatcher, channels, options.grace_s)
        close_running_apps()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--uds")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--log-level")
    parser.add_argument("--grace-s", type=float)
    return parser.parse_args(arguments)


def _where(options: argparse.Namespace) -> dict[str, Any]:
    if options.uds is not None:
        return {"unix_socket": options.uds}
    return {"host": options.host, "port": options.port}


def _drain(dispatcher: Any, channels: dict[int, Any], grace_s: float) -> None:
    for channel in list(channels.values()):
        if channel.accepting:
            wasyncore.dispatcher.close(channel)  # its own close() ends the trigger that all share
    if not _turn_until(lambda: _is_idle(dispatcher, channels), channels, grace_s):
        logger.warning(
            "%d request(s) cut off after %g s of grace", dispatcher.active_count, grace_s
        )
        _cut_off(channels)
        _turn_until(lambda: dispatcher.active_count == 0, channels, CLOSING_S)
    dispatcher.shutdown(timeout=TURN_S)
    wasyncore.close_all(channels)


def _turn_until(done: Callable[[], bool], channels: dict[int, Any], timeout_s: float) -> bool:
    """Let the sockets go on until ``done``. False if that took too long."""
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() >= deadline:
            return False
        wasyncore.loop(timeout=TURN_S, map=channels, count=1)
    return True


def _is_idle(dispatcher: Any, channels: dict[int, Any]) -> bool:
    unsent = any(getattr(channel, "total_outbufs_len", 0) for channel in channels.values())
    return dispatcher.active_count == 0 and not dispatcher.queue and not unsent


def _cut_off(channels: dict[int, Any]) -> None:
    for channel in list(channels.values()):
        if hasattr(
            channel, "cancel"
        ):  # a connection: its app's next write raises, and it is closed
            channel.cancel()


if __name__ == "__main__":
    main()
