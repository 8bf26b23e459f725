"""The result of a smoke test, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Smoke"]


@dataclass(frozen=True)
class Smoke:
    """The result. Its fields are the keys of the JSON output.

    :ivar command: as written in the deploy file.
    :ivar place: of the command, as ``Procfile:1``.
    :ivar pages: the status of each page; None if there was no answer.
    :ivar settings: Django's settings module; None without Django.
    :ivar debug: whether debugging is on; None if that is not known.
    :ivar user: who ran the server.
    :ivar ports: the addresses that it listened on; empty if the system does not show them.
    :ivar problems: what is wrong, as text; empty if the test has passed.
    :ivar deployed_user: who runs it in the deployment, and where that is set, as
        ``www-data (shop.service:4)``; empty if the deploy files set no user.
    """

    command: str
    place: str
    pages: dict[str, int | None] = field(default_factory=dict)
    settings: str | None = None
    debug: bool | None = None
    user: str = ""
    ports: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    deployed_user: str = ""
