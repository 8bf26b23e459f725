"""The options of :func:`bridge.observe`, and what it returns."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import pytest

import bridge
from bridge.dual import Universal
from bridge.router.router import start_apps
from bridge.types import AsgiApp, Environ, Receive, Scope, Send, StartResponse
from tests.harness.asgi import call as call_asgi
from tests.harness.asgi import http_scope
from tests.harness.wsgi import call as call_wsgi
from tests.harness.wsgi import environ_of
from tests.unit.observe.recording import TYPE, Faulty, Recorder


def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [TYPE, ("Content-Length", "2")])
    return [b"ok"]


async def asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize(
    ("option", "value", "takes"),
    [
        ("access_log", "xml", "None, 'text', 'json' or a callable (RequestRecord) -> str"),
        ("access_log", True, "None, 'text', 'json' or a callable (RequestRecord) -> str"),
        ("request_id", "yes", "True or False"),
        ("request_start", None, "True or False"),
        ("server_timing", 1, "True or False"),
        ("observers", Recorder(), "a list of objects with the methods"),
        ("observers", [Recorder], "a list of objects with the methods"),
        ("observers", [print], "a list of objects with the methods"),
    ],
)
def test_a_wrong_option_is_named(option: str, value: object, takes: str) -> None:
    options: dict[str, Any] = {option: value}

    with pytest.raises(bridge.ConfigError) as raised:
        bridge.observe(wsgi_app, **options)

    assert raised.value.option == option
    assert takes in str(raised.value)


def test_an_unknown_option_is_named_with_a_similar_one() -> None:
    options: dict[str, Any] = {"acess_log": "text"}

    with pytest.raises(
        bridge.ConfigError, match=r"^acess_log='text': .* Did you mean 'access_log'"
    ):
        bridge.observe(wsgi_app, **options)


def test_an_object_that_is_no_app_is_refused() -> None:
    with pytest.raises(bridge.AmbiguousApp):
        bridge.observe("main:app")


def test_the_interface_stays_that_of_the_app() -> None:
    router = bridge.Router({"/": wsgi_app})

    assert bridge.interface_of(bridge.observe(wsgi_app)) == "wsgi"
    assert bridge.interface_of(bridge.observe(asgi_app)) == "asgi"
    assert isinstance(bridge.observe(router), Universal)
    assert repr(bridge.observe(router)) == f"observe({router!r})"


@pytest.mark.usefixtures("no_other_adapters")
def test_only_the_app_that_is_observed_is_started() -> None:
    started: list[str] = []

    def app_named(name: str) -> AsgiApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            while scope["type"] == "lifespan":
                message = await receive()
                started.append(f"{name} {message['type']}")
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return

        return app

    other = bridge.Router({"/": app_named("other")})
    served = bridge.AsgiToWsgi(app_named("served"))

    start_apps(bridge.observe(served))

    assert started == ["served lifespan.startup"]
    served.close()
    other.close()


def test_an_observer_that_fails_is_logged_and_fails_no_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorder = Recorder()
    observed = bridge.observe(wsgi_app, observers=[Faulty(), recorder])

    response = call_wsgi(observed, environ_of())

    assert response.body == b"ok"
    assert recorder.names == ["started", "ended"]
    failed = [each for each in caplog.records if each.name == "bridge.observe"]
    assert [each.getMessage().partition(" (")[0] for each in failed] == [
        "an observer of requests failed in started()",
        "an observer of requests failed in ended()",
    ]


def test_the_same_observer_inside_and_outside_is_called_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "bridge.access")
    recorder, inner = Recorder(), Recorder()
    app = bridge.observe(asgi_app, observers=[recorder, inner])
    observed = bridge.observe(app, observers=[recorder])

    call_asgi(observed, http_scope())

    assert recorder.names == inner.names == ["started", "ended"]
    assert recorder.last is inner.last
    assert len([each for each in caplog.records if each.name == "bridge.access"]) == 1


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_an_inner_one_adds_what_the_outer_one_does_not(interface: str) -> None:
    seen = []

    def wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(environ["HTTP_X_REQUEST_ID"])
        return wsgi_app(environ, start_response)

    async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(dict(scope["headers"])[b"x-request-id"].decode())
        await asgi_app(scope, receive, send)

    if interface == "wsgi":
        app = bridge.observe(bridge.observe(wsgi, server_timing=True), request_id=False)
        response = call_wsgi(app, environ_of())
    else:
        adapter = bridge.observe(bridge.observe(asgi, server_timing=True), request_id=False)
        response = call_asgi(adapter, http_scope())

    assert response.header_values("x-request-id") == seen
    assert len(response.header_values("server-timing")) == 1


def test_no_request_is_current_after_one() -> None:
    seen = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(bridge.current_request())
        return wsgi_app(environ, start_response)

    recorder = Recorder()
    call_wsgi(bridge.observe(app, observers=[recorder]), environ_of())

    assert seen == [recorder.last]
    assert bridge.current_request() is None


def test_an_id_that_the_app_sets_itself_is_kept() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TYPE, ("X-Request-Id", "own")])
        return [b""]

    response = call_wsgi(bridge.observe(app), environ_of())

    assert response.header_values("x-request-id") == ["own"]


@pytest.mark.parametrize("options", [{"request_id": True}, {"server_timing": True}])
def test_headers_that_come_as_an_iterator_are_all_sent(options: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = iter([(b"content-type", b"text/plain"), (b"set-cookie", b"a=1")])
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    response = call_asgi(bridge.observe(app, **options), http_scope())

    assert response.header_values("set-cookie") == ["a=1"]
    assert response.header_values("content-type") == ["text/plain"]


def test_a_content_length_that_is_no_number_is_left_to_the_server() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TYPE, ("Content-Length", "\N{SUPERSCRIPT TWO}")])
        return [b"ok"]

    recorder = Recorder()
    response = call_wsgi(bridge.observe(app, observers=[recorder]), environ_of())

    assert response.header_values("content-length") == ["\N{SUPERSCRIPT TWO}"]
    assert recorder.last.error is None
