"""The time limits of ``bridge run``: which apps they apply to, and what the summary shows of them.

They are options of the adapters. An app that needs none on its server has no limit, and one that
comes with its adapter, or is a Router, has set its own.
"""

from __future__ import annotations

from bridge.cli.options import RunOptions, UsageError
from bridge.cli.served_apps import ServedApp, ServedApps
from bridge.cli.servers.registry import SERVERS
from bridge.cli.servers.spec import ServerSpec

__all__ = ["check_given", "facts_of"]


def check_given(spec: ServerSpec, options: RunOptions, served: ServedApps) -> None:
    """Reject ``--request-timeout-s`` where it would have no effect.

    :raises UsageError: there is no app that it applies to.
    """
    if options.request_timeout_s is None or _limited(spec, served):
        return
    single = served.single
    if single is not None and (single.interface is None or single.own_adapter is not None):
        why = (
            f"{single.requested.target} is a {type(single.loaded.app).__name__}, which sets it "
            "itself: pass request_timeout_s there"
        )
    else:
        other = [each.name for each in SERVERS.values() if each.interface != spec.interface]
        why = (
            f"{spec.name} calls the app itself, without an adapter. It is for {_other(spec)} apps "
            f"here, and for these apps on other servers: {', '.join(other)}"
        )
    raise UsageError(f"--request-timeout-s: {why}")


def facts_of(spec: ServerSpec, options: RunOptions, served: ServedApps) -> dict[str, str]:
    """The limits that apply, for the summary."""
    parts = _limited(spec, served)
    if not parts:
        return {}
    values = options.wsgi
    limits = [_limit("without progress", values.request_timeout_s)]
    if spec.interface == "asgi":
        limits.append(_limit("in the queue", values.queue_timeout_s))
    only = "" if len(parts) == len(served.parts) else f", for the {_other(spec)} apps"
    return {"request limits": ", ".join(limits) + only}


def _limit(of: str, seconds: float) -> str:
    return f"{seconds:g} s {of}" if seconds else f"no limit {of}"


def _other(spec: ServerSpec) -> str:
    return "WSGI" if spec.interface == "asgi" else "ASGI"


def _limited(spec: ServerSpec, served: ServedApps) -> list[ServedApp]:
    """The apps that get an adapter here."""
    return [
        part
        for part in served.parts
        if part.interface not in (None, spec.interface) and part.own_adapter is None
    ]
