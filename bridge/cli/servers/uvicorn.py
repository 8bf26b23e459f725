"""uvicorn. Nothing is missing in its shutdown."""

from __future__ import annotations

from bridge._threads.loop_choice import VARIABLE
from bridge.cli.options import RunOptions
from bridge.cli.servers.spec import SERVED_APP, ServerSpec, host_options, loop_options
from bridge.cli.servers.variables import click_variables

__all__ = ["SPEC"]


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


SPEC = ServerSpec(
    name="uvicorn",
    interface="asgi",
    requirement="wsgi-asgi-bridge[uvicorn]",
    command_line=_command_line,
    main=_main,
    variables=_variables,
    serves_in_process=lambda options: options.is_single_process,
    hides_failed_workers=True,
)
