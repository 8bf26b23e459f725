"""The environment variables that configure a server by themselves. ``bridge run`` ignores them.

A variable such as ``UVICORN_UDS`` would change what is started, against the options of ``bridge
run`` and the URL that it shows. Each server's module keeps its server from reading them; here they
are named for the user. They stay in the environment where the app may read them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module

from bridge.cli.options import RunOptions

__all__ = ["click_variables", "ignored_variables"]

_OPTIONS = {f"--{field.name.replace('_', '-')}" for field in fields(RunOptions)}


def ignored_variables(server: str, variables: Mapping[str, str]) -> list[str]:
    """A note that names those that are set, and what to use in their place; or no note.

    :param variables: those of the server: our option for each, or an empty string.
    """
    names = [
        f"{name} (use {option})" if option else name
        for name, option in sorted(variables.items())
        if os.environ.get(name)
    ]
    return [f"bridge run ignores variables of {server}: {', '.join(names)}"] if names else []


def click_variables(
    server: str, module: str, command: str, also: Mapping[str, str]
) -> dict[str, str]:
    """The variables of a server whose command line is a command of click.

    Such a command reads each of its options from a variable, too. The server is imported only if
    one of these may be set.

    :param command: its name in ``module``.
    :param also: our options for options of the server that have another name.
    """
    prefix = f"{server.upper()}_"
    if not any(name.startswith(prefix) for name in os.environ):
        return {}
    parameters = getattr(import_module(module), command).params
    return {f"{prefix}{each.name.upper()}": _our_option(each.opts, also) for each in parameters}


def _our_option(names: list[str], also: Mapping[str, str]) -> str:
    ours = (also.get(name, name if name in _OPTIONS else "") for name in names)
    return next(filter(None, ours), "")
