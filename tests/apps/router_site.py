"""Common frameworks mounted in one Router, and Routers mounted in frameworks.

Below each prefix, ``/hello`` responds with a URL that the framework has built for itself. ASGI
frameworks echo WebSockets at ``/ws`` with their name. ``BRIDGE_TEST_DATABASE`` is Django's
database.
"""

from __future__ import annotations

from typing import Any

import channels.consumer  # type: ignore[import-untyped]  # has no types
import channels.exceptions  # type: ignore[import-untyped]  # has no types
import channels.routing  # type: ignore[import-untyped]  # has no types
import falcon.asgi
from django.core.asgi import get_asgi_application
from fastapi import FastAPI, Request, WebSocket
from quart import Quart, url_for, websocket
from sanic import Sanic, text
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute

import bridge
from tests.apps import wsgi_django
from tests.apps.wsgi_frameworks import falcon_app, flask_app

# FastAPI and Starlette -----------------------------------------------------------------------


def make_fastapi() -> FastAPI:
    app = FastAPI()

    @app.get("/hello")
    def hello(request: Request) -> str:
        return str(request.url_for("hello"))

    @app.get("/slash/")
    def slash(request: Request) -> str:
        return str(request.url)

    @app.websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        await echo(socket, "fastapi")

    return app


async def echo(socket: WebSocket, name: str) -> None:
    await socket.accept()
    await socket.send_text(f"{name}: {await socket.receive_text()}")
    await socket.close()


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(request.url_for("hello")))


async def starlette_ws(socket: WebSocket) -> None:
    await echo(socket, "starlette")


def make_starlette(*routes: Any) -> Starlette:
    return Starlette(routes=[Route("/hello", hello), WebSocketRoute("/ws", starlette_ws), *routes])


# Quart, Falcon, Sanic ------------------------------------------------------------------------

quart = Quart(__name__)


@quart.get("/hello", endpoint="hello")
async def quart_hello() -> str:
    return url_for("hello", _external=True)


@quart.websocket("/ws")
async def quart_ws() -> None:
    message: Any = await websocket.receive()
    await websocket.send(f"quart: {message}")


class FalconResource:
    async def on_get(self, request: Any, response: Any) -> None:
        response.text = request.uri

    async def on_websocket(self, request: Any, socket: Any) -> None:
        await socket.accept()
        await socket.send_text(f"falcon: {await socket.receive_text()}")
        await socket.close()


falcon_asgi = falcon.asgi.App()
falcon_asgi.add_route("/hello", FalconResource())
falcon_asgi.add_route("/ws", FalconResource())

sanic = Sanic("bridge_router")


@sanic.get("/hello")
async def sanic_hello(request: Any) -> Any:
    return text("hello from Sanic")


@sanic.websocket("/ws")  # type: ignore[untyped-decorator]  # Sanic's decorator has no types
async def sanic_ws(request: Any, socket: Any) -> None:
    await socket.send(f"sanic: {await socket.recv()}")


# Channels ------------------------------------------------------------------------------------


class Echo(channels.consumer.AsyncConsumer):  # type: ignore[misc]  # Channels has no types
    async def websocket_connect(self, message: Any) -> None:
        await self.send({"type": "websocket.accept"})

    async def websocket_receive(self, message: Any) -> None:
        await self.send({"type": "websocket.send", "text": f"channels: {message['text']}"})

    async def websocket_disconnect(self, message: Any) -> None:
        raise channels.exceptions.StopConsumer


django_asgi = channels.routing.ProtocolTypeRouter(
    {"http": get_asgi_application(), "websocket": Echo.as_asgi()}
)

# All together --------------------------------------------------------------------------------

app = bridge.Router(
    {
        "/": flask_app,
        "/flask": flask_app,
        "/django": wsgi_django.app,
        "/falcon": falcon_app,
        "/fastapi": make_fastapi(),
        "/starlette": make_starlette(Mount("/in", bridge.Router({"/api": make_fastapi()}))),
        "/quart": quart,
        "/falcon-asgi": falcon_asgi,
        "/sanic": sanic,
        "/channels": django_asgi,
        "/nested": bridge.Router({"/flask": flask_app, "/fastapi": make_fastapi()}),
    }
)
