"""Flask, FastAPI and Django apps in a Router, with Sentry's SDK. Nothing is sent.

Each event and each transaction is reported to the test whose key is in the path of the request.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, NoReturn

import flask
import sentry_sdk
from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import StreamingResponse
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware
from sentry_sdk.transport import Transport

import bridge
from tests.harness.control import report

UNKNOWN = "key-of-nothing"
"""The key of events without a request."""
KEPT = ("user-agent", "x-test", "authorization")


def facts(event: Any) -> dict[str, Any]:
    """What the tests compare."""
    request = event.get("request", {})
    headers = {name.lower(): value for name, value in request.get("headers", {}).items()}
    exceptions = event.get("exception", {}).get("values", [])
    return {
        "transaction": event.get("transaction") and without_origin(event["transaction"]),
        "source": event.get("transaction_info", {}).get("source"),
        "exceptions": [
            (each["type"], each["value"], each["mechanism"]["handled"]) for each in exceptions
        ],
        "logged": event.get("logentry", {}).get("message"),
        "tags": event.get("tags"),
        "url": without_origin(request.get("url", "")),
        "method": request.get("method"),
        "query": request.get("query_string"),
        "data": request.get("data"),
        "headers": {name: headers[name] for name in KEPT if name in headers},
        "trace": event.get("contexts", {}).get("trace", {}).get("trace_id"),
    }


def without_origin(url: str) -> str:
    return re.sub(r"^http://127.0.0.1:\d+", "", url)


class Reporter(Transport):
    def capture_envelope(self, envelope: Any) -> None:
        for item in envelope.items:
            event = item.payload.json
            if item.type in ("event", "transaction"):
                found = re.search(r"key-\w+", str(event.get("request", {}).get("url")))
                report(found[0] if found else UNKNOWN, item.type, event=facts(event))


sentry_sdk.init(dsn="http://key@127.0.0.1/1", traces_sample_rate=1.0, transport=Reporter)

# Flask -------------------------------------------------------------------------------------------

flask_app = flask.Flask(__name__)


def fail(key: str) -> NoReturn:
    sentry_sdk.set_tag("key", key)
    raise LookupError("nothing here")


@flask_app.route("/view/<key>")
def flask_view(key: str) -> str:
    return "done"


@flask_app.route("/error/<key>", methods=["GET", "POST"])
def flask_error(key: str) -> str:
    flask.request.get_data()
    fail(key)


@flask_app.get("/stream/<key>")
def flask_stream(key: str) -> Any:
    def lines() -> Iterator[str]:
        yield "one\n"
        fail(key)

    return flask.Response(lines())


@flask_app.get("/crossing/<key>")
def flask_crossing(key: str) -> str:
    async def failing() -> None:
        fail(key)

    bridge.async_to_sync(failing)()
    return ""


# FastAPI -----------------------------------------------------------------------------------------

fastapi_app = FastAPI()


@fastapi_app.get("/view/{key}")
async def fastapi_view(key: str) -> str:
    return "done"


@fastapi_app.api_route("/error/{key}", methods=["GET", "POST"])
async def fastapi_error(key: str, request: Request) -> None:
    await request.body()
    fail(key)


@fastapi_app.get("/thread/{key}")
def fastapi_thread(key: str) -> None:
    fail(key)


@fastapi_app.get("/crossing/{key}")
async def fastapi_crossing(key: str) -> None:
    await bridge.sync_to_async(fail)(key)


@fastapi_app.get("/stream/{key}")
async def fastapi_stream(key: str) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        yield "one\n"
        fail(key)

    return StreamingResponse(lines())


@fastapi_app.get("/background/{key}")
async def fastapi_background(key: str, tasks: BackgroundTasks) -> str:
    tasks.add_task(fail, key)
    return "accepted"


# No framework ------------------------------------------------------------------------------------


def plain_wsgi(environ: Any, start_response: Any) -> Any:
    fail(environ["PATH_INFO"].strip("/"))


async def plain_asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        fail(scope["path"].rpartition("/")[2])


# Django ------------------------------------------------------------------------------------------

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="not-a-secret")


def django_view(request: Any, key: str) -> HttpResponse:
    return HttpResponse("done")


def django_error(request: Any, key: str) -> HttpResponse:
    fail(key)


async def django_async(request: Any, key: str) -> HttpResponse:
    fail(key)


def django_stream(request: Any, key: str) -> StreamingHttpResponse:
    def lines() -> Iterator[str]:
        yield "one\n"
        fail(key)

    return StreamingHttpResponse(lines())


urlpatterns = [
    path("view/<key>", django_view),
    path("error/<key>", django_error),
    path("async/<key>", django_async),
    path("stream/<key>", django_stream),
]

from bridge.contrib.django import get_asgi_application  # noqa: E402  # Sentry patches Django first

app = bridge.Router(
    {
        "/flask": flask_app,
        "/fastapi": fastapi_app,
        "/django": get_asgi_application(),
        "/plain-wsgi": SentryWsgiMiddleware(plain_wsgi),
        "/plain-asgi": SentryAsgiMiddleware(plain_asgi),
    }
)
