"""The same small app in every ASGI framework, each behind ``bridge.to_wsgi``.

Routes: ``/hello``, ``/echo`` (JSON), ``/upload`` (a form with a file), ``/stream`` and
``/background``. Attributes: ``fastapi_app``, ``starlette_app``, ``quart_app``, ``falcon_app`` and
``sanic_app``. Importing one of them creates only that adapter.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import bridge
from tests.apps.asgi_routes import gate, report

PARTS = 3


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def parts(key: str) -> AsyncIterator[bytes]:
    """Yields each part after passing the gate ``part``."""
    for number in range(PARTS):
        await gate(key, "part")
        yield f"part {number};".encode()


async def work(key: str) -> None:
    await gate(key, "work")
    await report(key, "worked")


def fastapi_asgi() -> Any:
    from tests.apps.asgi_fastapi import app  # FastAPI looks up annotations in the module

    return app


def starlette_asgi() -> Any:
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    class Stamp(BaseHTTPMiddleware):
        """``BaseHTTPMiddleware`` listens for disconnects in separate tasks."""

        async def dispatch(self, request: Request, call_next: Any) -> Response:
            response: Response = await call_next(request)
            response.headers["x-stamp"] = "starlette"
            return response

    async def hello(request: Request) -> JSONResponse:
        return JSONResponse({"hello": "hello from Starlette"})

    async def echo(request: Request) -> JSONResponse:
        return JSONResponse(await request.json())

    async def upload(request: Request) -> JSONResponse:
        async with request.form() as form:
            file: Any = form["file"]
            fields = {"note": form["note"], "name": file.filename}
            return JSONResponse({**fields, "sha256": digest(await file.read())})

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(parts(request.query_params["key"]), media_type="text/plain")

    async def background(request: Request) -> JSONResponse:
        task = BackgroundTask(work, request.query_params["key"])
        return JSONResponse("accepted", status_code=202, background=task)

    routes = [
        Route("/hello", hello),
        Route("/echo", echo, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/stream", stream),
        Route("/background", background, methods=["POST"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Stamp)])


def quart_asgi() -> Any:
    from quart import Quart, jsonify, request

    app = Quart(__name__)
    started: list[str] = []

    @app.before_serving
    async def start() -> None:
        started.append("hello from Quart")

    @app.get("/hello")
    async def hello() -> Any:
        return jsonify(hello=started[0])

    @app.post("/echo")
    async def echo() -> Any:
        return jsonify(await request.get_json())

    @app.post("/upload")
    async def upload() -> Any:
        form, files = await request.form, await request.files
        file = files["file"]
        return jsonify(note=form["note"], name=file.filename, sha256=digest(file.read()))

    @app.get("/stream")
    async def stream() -> Any:
        return parts(request.args["key"]), 200, {"Content-Type": "text/plain"}

    @app.post("/background")
    async def background() -> Any:
        app.add_background_task(work, request.args["key"])
        return "accepted", 202

    return app


def falcon_asgi() -> Any:
    import falcon
    import falcon.asgi

    class Resource:
        async def on_get_hello(self, req: Any, resp: Any) -> None:
            resp.media = {"hello": "hello from Falcon"}

        async def on_post_echo(self, req: Any, resp: Any) -> None:
            resp.media = await req.get_media()

        async def on_post_upload(self, req: Any, resp: Any) -> None:
            fields: dict[str, str] = {}
            async for part in await req.get_media():
                if part.name == "note":
                    fields["note"] = (await part.stream.read()).decode()
                else:
                    fields["name"] = part.filename
                    fields["sha256"] = digest(await part.stream.read())
            resp.media = fields

        async def on_get_stream(self, req: Any, resp: Any) -> None:
            resp.content_type = "text/plain"
            resp.stream = parts(req.get_param("key"))

        async def on_post_background(self, req: Any, resp: Any) -> None:
            key = req.get_param("key")

            async def later() -> None:
                await work(key)

            resp.schedule(later)
            resp.status = falcon.HTTP_202
            resp.text = "accepted"

    app = falcon.asgi.App()
    for name in ("hello", "echo", "upload", "stream", "background"):
        app.add_route(f"/{name}", Resource(), suffix=name)
    return app


def sanic_asgi() -> Any:
    from sanic import Sanic, json, text

    app = Sanic("bridge_test")

    @app.before_server_start
    async def start(app: Any) -> None:
        app.ctx.greeting = "hello from Sanic"

    @app.get("/hello")
    async def hello(request: Any) -> Any:
        return json({"hello": app.ctx.greeting})

    @app.post("/echo")
    async def echo(request: Any) -> Any:
        return json(request.json)

    @app.post("/upload")
    async def upload(request: Any) -> Any:
        file = request.files.get("file")
        note = request.form.get("note")
        return json({"note": note, "name": file.name, "sha256": digest(file.body)})

    @app.get("/stream")
    async def stream(request: Any) -> None:
        response = await request.respond(content_type="text/plain")
        async for part in parts(request.args.get("key")):
            await response.send(part)
        await response.eof()

    @app.post("/background")
    async def background(request: Any) -> Any:
        app.add_task(work(request.args.get("key")))
        return text("accepted", status=202)

    return app


def __getattr__(name: str) -> Any:
    framework, _, kind = name.rpartition("_")
    if kind != "app" or f"{framework}_asgi" not in globals():
        raise AttributeError(name)
    return bridge.to_wsgi(globals()[f"{framework}_asgi"]())
