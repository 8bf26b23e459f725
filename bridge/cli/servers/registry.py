"""The servers that ``bridge run`` supports: choose one, and check the options against it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from bridge._threads.loop_choice import VARIABLE, loop_choice
from bridge.cli.options import RunOptions, UsageError
from bridge.cli.servers.spec import ServerSpec, is_importable

__all__ = ["SERVERS", "check_options", "choose_server"]

_IN_ORDER_OF_PREFERENCE = (
    "uvicorn",
    "granian",
    "hypercorn",
    "gunicorn",
    "daphne",
    "waitress",
)

SERVERS: Mapping[str, ServerSpec] = {
    name: import_module(f"bridge.cli.servers.{name}").SPEC for name in _IN_ORDER_OF_PREFERENCE
}
"""By name. The first that is installed is the default."""


def choose_server(name: str | None) -> ServerSpec:
    """The server of that name, or the first that is installed.

    :raises UsageError: it is not installed, or none is. The message says what to ``pip install``.
    """
    if name is not None:
        spec = SERVERS[name]
        if not spec.is_installed:
            raise UsageError(f'{name} is not installed: pip install "{spec.requirement}"')
        return spec
    for spec in SERVERS.values():
        if spec.is_installed:
            return spec
    preferred = next(iter(SERVERS.values()))
    raise UsageError(
        f'no server is installed ({", ".join(SERVERS)}): pip install "{preferred.requirement}"'
    )


def check_options(spec: ServerSpec, options: RunOptions) -> None:
    """Reject options that this server does not support: an option is never silently ignored.

    :raises UsageError: the message names the option, the server, and the servers that support it.
    :raises ConfigError: ``BRIDGE_LOOP`` is wrong.
    """
    choice = loop_choice()
    if choice == "uvloop" and spec.is_only_on_asyncio:
        able = [other.name for other in SERVERS.values() if not other.is_only_on_asyncio]
        raise UsageError(
            f"{VARIABLE}=uvloop: {spec.name} runs on asyncio's loop only. "
            f"Servers that support it: {', '.join(able)}"
        )
    for option in sorted(options.server_dependent):
        if option in spec.unsupported:
            able = [other.name for other in SERVERS.values() if option not in other.unsupported]
            raise UsageError(
                f"{option}: {spec.name} does not support it, because "
                f"{spec.unsupported[option]}. Servers that do: {', '.join(able)}"
            )
        module, requirement = spec.option_requirements.get(option, ("", ""))
        if module and not is_importable(module):
            raise UsageError(f'{option}: {spec.name} needs {module}: pip install "{requirement}"')
    if options.reload and options.workers > 1:
        raise UsageError("--reload and --workers cannot be combined: reload is for development")
    if options.max_requests is not None and options.workers == 1:
        raise UsageError(
            "--max-requests needs --workers 2 or more: the others answer while one is replaced"
        )
    if options.max_requests is None and options.max_requests_jitter:
        raise UsageError("--max-requests-jitter needs --max-requests")
