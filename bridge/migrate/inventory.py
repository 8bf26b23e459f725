"""The inventory of the old deployment: everything that its files set, and what becomes of it.

Input: a project. Output: an :class:`Inventory`: one item for each option of each server, each
directive around them, and each environment variable, with its file, line and condition.

The table of options decides the group of an item. An option that the table carries over is so only
if the new server has it: ``bridge run`` has fewer options than ``uvicorn``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.errors import MigrationError
from bridge.migrate.deploy.records import Option, Part, StartCommand, part_of
from bridge.migrate.deploy.server import Server
from bridge.migrate.deploy.shell import PROGRAMS
from bridge.migrate.deploy.tables.lookup import row_of
from bridge.migrate.deploy.tables.rows import Group, Row
from bridge.migrate.deploy.uses import RUNS, is_pid_file_read, runs_server
from bridge.migrate.destination import SERVER_SIGNALS, Destination, row_for, row_of_server
from bridge.migrate.findings import Target
from bridge.migrate.wsgi_servers import ordered_servers, serves_asgi

if TYPE_CHECKING:
    from bridge.migrate.project import Project

__all__ = [
    "Inventory",
    "Item",
    "check_accepted",
    "destination_of",
    "inventory_of",
    "items_of",
]


@dataclass(frozen=True)
class Item:
    """One value of the old deployment.

    :ivar process: the unit, service, container, stage or script that it belongs to, or the server.
    :ivar row: its topic and group.
    :ivar stays: whether it is around the server, in a file that the move does not change.
    """

    process: str
    option: Option
    row: Row
    stays: bool = False

    @property
    def name(self) -> str:
        """What ``--accept`` takes: the option as written, without dashes."""
        return self.option.shown.lstrip("-")

    @property
    def label(self) -> str:
        """What messages call it: the option as written, or the variable."""
        option = self.option
        return option.name if option.source == "environment" else option.shown

    @property
    def stops(self) -> bool:
        """Whether something stops working if the start command is replaced."""
        return self.row.stops and self.option.applies is not False

    @property
    def asks(self) -> bool:
        """Whether its value depends on something, and the new command would have the default."""
        is_carried = self.row.group is Group.CARRIED and self.row.key != ""
        return is_carried and self.option.condition != "" and self.option.applies is not False


@dataclass(frozen=True)
class Inventory:
    """The old deployment.

    :ivar servers: those of WSGI apps; the one that the plan is about comes first.
    :ivar items: all values, by file and line.
    """

    servers: tuple[Server, ...]
    items: tuple[Item, ...]

    @property
    def served(self) -> Server | None:
        """The server that the plan is about; None if no file starts or configures one."""
        return self.servers[0] if self.servers else None

    def in_group(self, group: Group) -> list[Item]:
        """The items of one group."""
        return [item for item in self.items if item.row.group is group]


@functools.lru_cache(maxsize=4)
def inventory_of(project: Project) -> Inventory:
    """The inventory of a project."""
    servers = tuple(ordered_servers(project))
    items: dict[tuple[Path, int, str, str, str], Item] = {}
    for item in (*_of_parts(project), *_of_servers(project, servers)):
        option = item.option
        value = option.raw if option.default is None else option.default
        key = (option.path, option.line, option.name, option.shown, str(value))
        items.setdefault(key, item)
    ordered = sorted(items.values(), key=lambda item: (item.option.path, item.option.line))
    return Inventory(servers, tuple(ordered))


def destination_of(project: Project) -> Destination:
    """The server that a project moves to."""
    if not project.is_django:
        return Destination.BRIDGE_RUN
    is_bridge = project.target is Target.BRIDGE
    return Destination.DJANGO_BRIDGE if is_bridge else Destination.DJANGO_NATIVE


# -- servers ---------------------------------------------------------------------------------------


def _of_servers(project: Project, servers: Iterable[Server]) -> Iterator[Item]:
    for server in servers:
        if serves_asgi(project, server):
            continue
        yield from items_of(project, server)


def items_of(project: Project, server: Server) -> Iterator[Item]:
    """The items of one server."""
    destination = destination_of(project)
    process = server.program
    if server.command is not None:
        part = part_of(project.deploy.parts, server.command)
        process = part.name if part is not None else server.program
        if part is None or not _contains(part, server.command):
            yield Item(process, _command_option(server.command), _COMMAND)
        for option in server.command.variables:
            yield Item(process, option, row_for(option, destination))
    for option in server.written:
        row = row_of_server(server, option, destination)
        if _is_missing_file(project, option):
            row = _MISSING
        elif option.name in _PID_FILES and not is_pid_file_read(project.deploy, option.raw):
            row = _NOT_READ
        yield Item(process, option, row)
    named = {option.value for option in server.written if isinstance(option.value, str)}
    for word in server.rest:
        command = server.command
        if command is not None and word not in named:
            option = Option("", word, word, command.path, command.line, source=server.program)
            yield Item(process, option, row_of(option))


_PID_FILES = frozenset({"pidfile", "pidfile2", "safe-pidfile", "safe-pidfile2"})
_NOT_READ = Row("process", Group.NOT_NEEDED, "nothing in the deployment reads the file")
_INCLUDES = frozenset({"config", "ini", "xml", "yaml", "yml", "json", "include", "inherit"})
_MISSING = Row(
    "process",
    Group.NOT_UNDERSTOOD,
    "the project has no file of that name, so its options are not known",
    stops=True,
)


def _is_missing_file(project: Project, option: Option) -> bool:
    """Whether an option names a configuration file that is not in the project."""
    if option.source not in ("gunicorn", "uwsgi") or option.name not in _INCLUDES:
        return False
    name = Path(str(option.default)).name
    return option.default is not True and not any(each.name == name for each in project.files)


def _contains(part: Part, command: StartCommand) -> bool:
    """Whether one of the part's own directives has the command."""
    return any(
        each.name in RUNS and command.program in each.raw and each.line <= command.line
        for each in part.options
    )


_COMMAND = Row("process", Group.CARRIED, "the new start command replaces it")


def _command_option(command: StartCommand) -> Option:
    return Option(
        command.program,
        command.program,
        command.text,
        command.path,
        command.line,
        source=command.program,
        default=" ".join(command.argv),
        raw=command.text,
        condition=command.condition,
        applies=command.applies,
    )


# -- what is around them ---------------------------------------------------------------------------


def _of_parts(project: Project) -> Iterator[Item]:
    destination = destination_of(project)
    for part in project.deploy.parts:
        for option in (*part.options, *part.env_files, *part.variables):
            if part.applies is False:
                condition = " and ".join(filter(None, (part.name, option.condition)))
                option = replace(option, applies=False, condition=condition)
            is_apart = option.name in SERVER_SIGNALS and not runs_server(project.deploy, part)
            row = _OTHER_PROCESS if is_apart else row_for(option, destination)
            yield Item(part.name, option, row, row.group is Group.CARRIED and not _starts(option))


def _starts(option: Option) -> bool:
    """Whether a directive has a command that starts a server: the move changes it."""
    return option.name in RUNS and any(each in option.raw for each in PROGRAMS)


_OTHER_PROCESS = Row("timeout", Group.CARRIED, "it stays where it is: this is not the web server")


def check_accepted(project: Project) -> None:
    """Check that each accepted option is one of the deployment's.

    :raises MigrationError: one is not. The message names those that are.
    """
    if not project.accepted:
        return
    names = {item.name for item in inventory_of(project).items if item.stops or item.asks}
    unknown = sorted(project.accepted - names)
    if unknown:
        allowed = f"one of {', '.join(sorted(names))}" if names else "left out: none has to be"
        raise MigrationError(f"accept = {', '.join(unknown)}: must be {allowed}")
