"""A plan as plain values; :mod:`bridge.migrate.plan` makes it, the outputs print it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["UNKNOWN_APP", "Plan"]

UNKNOWN_APP = "MODULE:APP"
"""Placeholder in a command for an app that no deploy file names."""


@dataclass(frozen=True)
class Plan:
    """The recommendation. Its fields are the keys of the JSON output.

    :ivar move: ``stay``, ``bridge`` or ``native``: the move that the plan describes.
    :ivar advice: the recommended move; differs from ``move`` if the user chose another target.
    :ivar target: the target of the findings in ``first``.
    :ivar reason: of the advice.
    :ivar places: the async code of the project.
    :ivar streams: its event streams, and what each open client of one holds.
    :ivar server: the command to start, with :data:`UNKNOWN_APP` if no deploy file names the app.
    :ivar processes: None if the deploy files compute it, or read it from the environment.
    :ivar threads: of each process; None in the same cases.
    :ivar threads_where: where to set the number of threads, if not in the command.
    :ivar hops: the thread hops of a request to a sync view, on each target.
    :ivar connections: for each database the maximum now and after the move, as text.
    :ivar first: the number of findings to fix first, by severity.
    :ivar rollback: the command that serves the project as before, as a deploy file has it; empty
        if none has one.
    :ivar rollback_at: the place of that command, as ``Procfile:1``.
    :ivar settings: the settings module that the plan is made for, and where it is named.
    :ivar debug: whether DEBUG is on in these settings; None if that is not known.
    :ivar refused: why the fix does not write the new command; empty if it does.
    :ivar counts: the number of items of the inventory, by group.
    :ivar inventory: what the old deployment sets, and what becomes of it; see
        :func:`~bridge.migrate.listing.listed`.
    """

    project: str
    move: str
    advice: str
    target: str
    reason: str
    places: tuple[str, ...]
    streams: tuple[str, ...]
    server: str
    server_before: str
    processes: int | None
    threads: int | None
    threads_why: str
    threads_where: str
    hops: dict[str, int]
    connections: tuple[str, ...]
    first: dict[str, int]
    commands: tuple[str, ...]
    rollback: str
    rollback_at: str
    settings: tuple[str, ...]
    debug: bool | None
    refused: tuple[str, ...]
    counts: dict[str, int]
    inventory: tuple[dict[str, Any], ...]
