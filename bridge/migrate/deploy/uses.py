"""What the parts of a deployment do with each other: who runs the server, who reads its files.

Input: a :class:`~bridge.migrate.deploy.records.Deploy`. Output: yes or no. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.migrate.deploy.records import Deploy, Part

__all__ = ["RUNS", "is_pid_file_read", "runs_server"]

RUNS = frozenset({"command", "entrypoint", "args", "ExecStart", "CMD", "ENTRYPOINT"})
"""The directives that name the program of a process, in all sources."""
_SETS_PID_FILE = re.compile(r"(?:--(?:safe-)?pid(?:file)?2?|-p)[ =]\S+")


def runs_server(deploy: Deploy, part: Part) -> bool:
    """Whether the process of a part may be a web server.

    Not one with a command of its own that starts no server, and no script of the project that does.
    """
    runs = [option.raw for option in part.options if option.name in RUNS]
    if not runs:
        return True  # as its image says
    scripts = {each.path.name for each in deploy.commands if each.kind == "shell"}
    scripts |= {each.path.name for each in deploy.parts if each.source == "shell" and _passes(each)}
    is_started = any(part.contains(each.path, each.line) for each in deploy.commands)
    return is_started or any(name in raw for name in scripts for raw in runs)


def _passes(part: Part) -> bool:
    """Whether a script has no program of its own: it may run what the image says."""
    return not part.options


def is_pid_file_read(deploy: Deploy, path: str) -> bool:
    """Whether anything in the deployment uses a PID file, besides the server that writes it."""
    return any(path in _SETS_PID_FILE.sub("", text) for text in _texts(deploy))


def _texts(deploy: Deploy) -> Iterator[str]:
    for part in deploy.parts:
        yield from (option.raw for option in (*part.options, *part.variables))
    yield from (command.text for command in deploy.commands)
