"""uvicorn. Nothing is missing in its shutdown."""

from __future__ import annotations

from bridge.cli.options import RunOptions
from bridge.cli.servers.spec import SERVED_APP, ServerSpec, host_options

__all__ = ["SPEC"]


def _command_line(options: RunOptions) -> list[str]:
    workers = ["--workers", str(options.workers)]  # without it, WEB_CONCURRENCY counts
    reload = ["--reload"] if options.reload else []
    if options.reload:
        reload += [word for folder in options.watched for word in ("--reload-dir", str(folder))]
    # uvicorn's detection treats any plain function as ASGI 2.
    fixed = ["--interface", "asgi3", "--log-level", options.log_level.value]
    grace = ["--timeout-graceful-shutdown", str(options.grace_s)]
    return [SERVED_APP, *host_options(options), *workers, *reload, *fixed, *grace]


SPEC = ServerSpec(
    name="uvicorn",
    interface="asgi",
    requirement="wsgi-asgi-bridge[uvicorn]",
    command_line=_command_line,
    serves_in_process=lambda options: options.is_single_process,
    hides_failed_workers=True,
)
