"""The options for proxies, and what they change in a WebSocket's scope."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bridge.cli.options import UsageError
from bridge.cli.proxies import DEFAULT_HEADERS, Proxies, behind_proxies_asgi


def parse(
    *trusted: str, headers: tuple[str, ...] = (), unix: bool = False, root_path: str = ""
) -> Proxies:
    return Proxies.parse(trusted, headers, unix=unix, root_path=root_path)


def test_two_headers_are_read_unless_others_are_named() -> None:
    assert parse("10.0.0.5").headers == DEFAULT_HEADERS
    assert parse("10.0.0.5", headers=("Forwarded",)).headers == ("forwarded",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trusted": ("*",)}, "--trusted: expected an address such as 10.0.0.5"),
        ({"trusted": ("proxy.example",)}, "not 'proxy.example'"),
        ({"trusted": ("unix",)}, "--trusted unix is for servers that listen on a Unix socket"),
        ({"trusted": ("10.0.0.5",), "unix": True}, "peers of --uds have no address"),
        ({"trusted": (), "headers": ("forwarded",)}, "--proxy-headers needs --trusted"),
        (
            {"trusted": ("::1",), "headers": ("x-real-ip",)},
            "expected x-forwarded-for, .* forwarded",
        ),
        (
            {"trusted": ("::1",), "headers": ("forwarded", "x-forwarded-for")},
            "cannot be combined",
        ),
        (
            {"trusted": ("::1",), "headers": ("x-forwarded-prefix",), "root_path": "/shop"},
            "--root-path and --proxy-headers x-forwarded-prefix: choose one",
        ),
    ],
)
def test_mistakes_name_the_option_and_what_is_allowed(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        parse(*options.pop("trusted"), **options)


def test_a_websocket_gets_its_own_schemes() -> None:
    seen: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    async def unused(*args: Any) -> Any:
        raise AssertionError

    scope = {
        "type": "websocket",
        "scheme": "ws",
        "path": "/",
        "client": ("10.0.0.5", 1),
        "server": ("10.0.0.1", 80),
        "headers": [(b"x-forwarded-for", b"192.0.2.7"), (b"x-forwarded-proto", b"https")],
    }

    async def call() -> None:
        await behind_proxies_asgi(app, parse("10.0.0.5"))(scope, unused, unused)

    asyncio.run(call())
    assert (seen[0]["scheme"], seen[0]["client"]) == ("wss", ("192.0.2.7", 0))


def test_nothing_is_wrapped_unless_it_is_asked_for() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    assert behind_proxies_asgi(app, parse()) is app
