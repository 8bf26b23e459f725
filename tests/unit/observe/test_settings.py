"""``X-Request-ID`` and ``X-Request-Start``: what is accepted of a client, and what it means."""

from __future__ import annotations

import pytest

import bridge
from bridge._observe.settings import LONGEST_WAIT_S, proxy_wait_s
from bridge.types import Receive, Scope, Send
from tests.harness.asgi import call, http_scope
from tests.unit.observe.recording import Recorder

NOW = 1764428400.5


@pytest.mark.parametrize(
    ("value", "waited_s"),
    [
        ("t=1764428400.250", 0.25),  # nginx: t=${msec}
        ("1764428400.250", 0.25),
        ("t=1764428400", 0.5),
        ("1764428400250", 0.25),  # Heroku
        ("t=1764428400250", 0.25),
        ("t=1764428400250000", 0.25),  # Apache: %t
        ("t=1764428400250000000", 0.25),
        (" t=1764428400.250 ", 0.25),
        ("t=1764428400.25s", 0.25),
    ],
)
def test_the_unit_follows_from_the_number(value: str, waited_s: float) -> None:
    assert proxy_wait_s(value, lambda: NOW) == pytest.approx(waited_s, abs=1e-3)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "t=",
        "yesterday",
        "t=-1764428400",
        "t=1764428400,1764428401",
        "t=1e10",
        "t=17644284",
        "t=1764428400.25.1",
        "t=" + "\u0661" * 10,  # digits of another script
        "t=" + "1" * 5000,
    ],
)
def test_anything_else_is_no_wait(value: str) -> None:
    assert proxy_wait_s(value, lambda: NOW) == 0


def test_clocks_that_differ_are_no_wait() -> None:
    assert proxy_wait_s("t=1764428401", lambda: NOW) == 0
    assert proxy_wait_s(f"t={NOW - LONGEST_WAIT_S - 1}", lambda: NOW) == 0
    assert proxy_wait_s(f"t={NOW - LONGEST_WAIT_S + 1}", lambda: NOW) == LONGEST_WAIT_S - 1


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    seen = [value for name, value in scope["headers"] if name == b"x-request-id"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b",".join(seen)})


@pytest.mark.parametrize("given", [b"a", b"A-z_0.9:/+=@", b"x" * 128])
def test_a_valid_id_is_kept(given: bytes) -> None:
    recorder = Recorder()
    observed = bridge.observe(app, observers=[recorder])

    response = call(observed, http_scope(headers=[(b"x-request-id", given)]))

    assert response.body == given
    assert recorder.last.request_id == given.decode()


@pytest.mark.parametrize(
    "lines",
    [
        [b""],
        [b"x" * 129],
        [b"a b"],
        [b"a\nb"],
        [b"a\n"],
        [b"\x1b[2J"],
        ["é".encode()],
        [b"a,b"],
        [b'a"b'],
        [b"a", b"b"],
        [b"a", b"a"],
    ],
)
def test_any_other_id_is_replaced_for_the_app_too(lines: list[bytes]) -> None:
    headers = [(b"x-request-id", line) for line in lines]

    response = call(bridge.observe(app), http_scope(headers=headers))

    [own] = response.header_values("x-request-id")
    assert response.body == own.encode()
    assert len(own) == 32
    assert own.isalnum()


def test_ids_differ() -> None:
    observed = bridge.observe(app)

    ids = {call(observed, http_scope()).body for _ in range(10)}

    assert len(ids) == 10


def test_without_request_id_nothing_is_added() -> None:
    recorder = Recorder()
    observed = bridge.observe(app, request_id=False, observers=[recorder])

    response = call(observed, http_scope(headers=[(b"x-request-id", b"a b")]))

    assert response.body == b"a b"
    assert response.header("x-request-id") is None
    assert response.header("server-timing") is None
    assert recorder.last.request_id is None


def test_a_start_that_is_not_asked_for_is_not_read() -> None:
    recorder = Recorder()
    observed = bridge.observe(app, observers=[recorder])

    call(observed, http_scope(headers=[(b"x-request-start", b"t=1764428400")]))

    assert recorder.last.proxy_wait_s == 0
