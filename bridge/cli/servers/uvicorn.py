"""uvicorn: at shutdown, it closes connections without a request only after a pause.

It would close them at once, and lose the requests that clients have just sent there.
"""

from __future__ import annotations

import asyncio
import functools
import time
from typing import TYPE_CHECKING, Any

from bridge._threads.loop_choice import VARIABLE
from bridge.cli.options import RunOptions
from bridge.cli.servers.spec import SERVED_APP, ServerSpec, host_options, loop_options
from bridge.cli.servers.variables import click_variables
from bridge.cli.shutdown import LINGER_S, stop_accepting
from bridge.types import AsgiApp

if TYPE_CHECKING:
    from uvicorn import Server

__all__ = ["SPEC"]

POLL_S = 0.02


def _command_line(options: RunOptions) -> list[str]:
    workers = ["--workers", str(options.workers)]  # without it, WEB_CONCURRENCY counts
    reload = ["--reload"] if options.reload else []
    if options.reload:
        reload += [word for folder in options.watched for word in ("--reload-dir", str(folder))]
    # uvicorn's detection treats any plain function as ASGI 2.
    fixed = ["--interface", "asgi3", "--no-proxy-headers", "--log-level", options.log_level.value]
    grace = ["--timeout-graceful-shutdown", str(options.grace_s)]
    loop = loop_options("--loop")
    logs = [] if options.logs_requests else ["--no-access-log"]
    return [SERVED_APP, *host_options(options), *workers, *reload, *loop, *fixed, *logs, *grace]


def _variables() -> dict[str, str]:
    ours = {
        "--timeout-graceful-shutdown": "--grace-s",
        "--loop": VARIABLE,
        "--proxy-headers": "--trusted",
        "--limit-max-requests": "--max-requests",
        "--limit-max-requests-jitter": "--max-requests-jitter",
    }
    own = click_variables("uvicorn", "uvicorn.main", "main", ours)
    return {**own, "FORWARDED_ALLOW_IPS": "--trusted"}


def _main() -> None:
    """Run uvicorn's own command, which reads its options from no variables then."""
    from uvicorn.main import main

    main(auto_envvar_prefix=None)


def _make_graceful(app: AsgiApp, grace_s: float) -> AsgiApp:
    from uvicorn import Server

    if not hasattr(Server.shutdown, "__wrapped__"):
        Server.shutdown = _lingering(Server.shutdown)  # type: ignore[method-assign]
    return app


def _lingering(shutdown: Any) -> Any:
    """``Server.shutdown``, which first stops listening and lets idle connections send a request."""

    @functools.wraps(shutdown)
    async def lingering(server: Server, sockets: Any = None) -> None:
        for listener in server.servers:
            stop_accepting(listener, asyncio.get_running_loop())
        state = server.server_state
        state.default_headers = [*state.default_headers, (b"connection", b"close")]
        deadline = time.monotonic() + LINGER_S
        while True:
            await asyncio.sleep(POLL_S)  # first: connections that are accepted, but not yet known
            idle = any(map(_is_idle, state.connections))
            if not idle or server.force_exit or time.monotonic() >= deadline:
                break
        await shutdown(server, sockets)

    return lingering


def _is_idle(connection: Any) -> bool:
    """Whether it is an HTTP connection that has no request, or has answered the last one."""
    if not hasattr(connection, "cycle"):
        return False
    return connection.cycle is None or bool(connection.cycle.response_complete)


SPEC = ServerSpec(
    name="uvicorn",
    interface="asgi",
    requirement="wsgi-asgi-bridge[uvicorn]",
    command_line=_command_line,
    main=_main,
    variables=_variables,
    serves_in_process=lambda options: options.is_single_process,
    hides_failed_workers=True,
    make_graceful=_make_graceful,
)
