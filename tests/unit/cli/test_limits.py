"""The time limits of ``bridge run``: which apps they apply to, and what the summary shows."""

from __future__ import annotations

from typing import Any

import pytest

from bridge import Router, to_asgi, to_wsgi
from bridge.cli import limits
from bridge.cli.load.target import LoadedApp
from bridge.cli.options import RequestedApp, RunOptions, UsageError
from bridge.cli.served_apps import ServedApp, ServedApps
from bridge.cli.servers.registry import SERVERS
from bridge.types import Environ, Receive, Scope, Send, StartResponse


def wsgi(environ: Environ, start_response: StartResponse) -> list[bytes]:
    raise NotImplementedError


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    raise NotImplementedError


def served(*apps: Any) -> ServedApps:
    prefixes = [None] if len(apps) == 1 else [f"/{n}" for n in range(len(apps))]
    return ServedApps(
        apps[0],
        tuple(
            ServedApp(
                RequestedApp(prefix=prefix, target="main:app"), LoadedApp(app, "main", "main")
            )
            for prefix, app in zip(prefixes, apps, strict=True)
        ),
    )


@pytest.mark.parametrize(
    ("server", "apps", "shown"),
    [
        ("uvicorn", [wsgi], "60 s without progress, 30 s in the queue"),
        ("uvicorn", [wsgi, asgi], "60 s without progress, 30 s in the queue, for the WSGI apps"),
        ("uvicorn", [asgi], None),
        ("uvicorn", [to_asgi(wsgi)], None),
        ("gunicorn", [asgi], "60 s without progress"),
        ("gunicorn", [asgi, wsgi], "60 s without progress, for the ASGI apps"),
        ("gunicorn", [wsgi], None),
        ("gunicorn", [to_wsgi(asgi)], None),
        ("gunicorn", [Router({"/": asgi})], None),
    ],
)
def test_the_summary_shows_the_limits_where_they_apply(
    server: str, apps: list[Any], shown: str | None
) -> None:
    facts = limits.facts_of(SERVERS[server], RunOptions(), served(*apps))

    assert facts.get("request limits") == shown


def test_0_is_no_limit() -> None:
    options = RunOptions(request_timeout_s=0, queue_timeout_s=0.5)

    assert limits.facts_of(SERVERS["uvicorn"], options, served(wsgi)) == {
        "request limits": "no limit without progress, 0.5 s in the queue"
    }


@pytest.mark.parametrize(
    ("server", "app", "message"),
    [
        (
            "uvicorn",
            asgi,
            "uvicorn calls the app itself, without an adapter. It is for WSGI apps here",
        ),
        (
            "gunicorn",
            wsgi,
            "gunicorn calls the app itself, without an adapter. It is for ASGI apps here",
        ),
        ("uvicorn", to_asgi(wsgi), "main:app is a WsgiToAsgi, which sets it itself: pass request_"),
        (
            "uvicorn",
            Router({"/": wsgi}),
            "main:app is a Router, which sets it itself: pass request_",
        ),
    ],
)
def test_an_option_without_effect_is_rejected(server: str, app: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"^--request-timeout-s: {message}"):
        limits.check_given(SERVERS[server], RunOptions(request_timeout_s=5), served(app))


@pytest.mark.parametrize(("server", "app"), [("uvicorn", wsgi), ("gunicorn", asgi)])
def test_it_is_accepted_where_there_is_an_adapter(server: str, app: Any) -> None:
    limits.check_given(SERVERS[server], RunOptions(request_timeout_s=5), served(app))
