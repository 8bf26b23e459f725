"""The comparison with other adapters is correct for the versions that it names.

Each row of the page's first table is one observation here, made through every adapter. The tests
are skipped if other versions are installed.
"""

from __future__ import annotations

import asyncio
import io
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from importlib.metadata import version
from typing import Any, TypeAlias

import pytest

import bridge
from bridge.types import AsgiApp, Environ, Receive, Scope, Send, StartResponse, WsgiApp
from tests.docs.blocks import ROOT
from tests.harness.asgi import Exchange, call, http_scope

PAGE = ROOT / "docs" / "explanation" / "peers.md"
VERSIONS = {"a2wsgi": "1.10.10", "asgiref": "3.13.0", "uvicorn": "0.54.0", "hypercorn": "0.18.0"}
CHUNKS = 200
DEADLINE_S = 30
LONG_HALF = b"x" * 65536
"""Half of a body that is longer than ``buffer_request_bytes``."""
NEVER_S = 1
"""How long to wait for an event that the adapter never causes; others have ``DEADLINE_S``."""

Adapt: TypeAlias = Callable[[WsgiApp], AsgiApp]
variable: ContextVar[str] = ContextVar("variable", default="")

pytestmark = pytest.mark.skipif(
    any(version(name) != wanted for name, wanted in VERSIONS.items()),
    reason="the installed versions are not those of the page",
)


# -- the adapters ----------------------------------------------------------------------------------


def through_a2wsgi(app: WsgiApp) -> AsgiApp:
    from a2wsgi import WSGIMiddleware

    adapter: Any = WSGIMiddleware(app)  # type: ignore[arg-type]  # a2wsgi has its own types for WSGI
    return adapter  # type: ignore[no-any-return]  # as above


def through_asgiref(app: WsgiApp) -> AsgiApp:
    from asgiref.wsgi import WsgiToAsgi

    adapter: AsgiApp = WsgiToAsgi(app)  # type: ignore[no-untyped-call]  # asgiref.wsgi has no types
    return adapter


def through_uvicorn(app: WsgiApp) -> AsgiApp:
    from uvicorn.middleware.wsgi import _WSGIMiddleware

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # recommends a2wsgi
        adapter: Any = _WSGIMiddleware(app)  # type: ignore[arg-type]  # as a2wsgi
    return adapter  # type: ignore[no-any-return]  # as above


def through_hypercorn(app: WsgiApp) -> AsgiApp:
    from hypercorn.app_wrappers import WSGIWrapper

    wrapper = WSGIWrapper(app, 16 * 1024 * 1024)

    async def adapter(scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()

        async def spawn(*work: Any) -> Any:
            return await loop.run_in_executor(None, *work)

        def call_soon(func: Callable[..., Any], *args: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(func(*args), loop).result()

        await wrapper(scope, receive, send, spawn, call_soon)  # type: ignore[arg-type]  # as above

    return adapter


ADAPTERS: dict[str, Adapt] = {
    "bridge": bridge.WsgiToAsgi,
    "a2wsgi": through_a2wsgi,
    "asgiref": through_asgiref,
    "uvicorn": through_uvicorn,
    "hypercorn": through_hypercorn,
}
ONE_AT_A_TIME = (through_asgiref,)
WHOLE_BODY_FIRST = (through_asgiref, through_uvicorn, through_hypercorn)


# -- the observations, one for each row ------------------------------------------------------------


def environ_of(adapt: Adapt, scope: Scope) -> Environ:
    seen: list[Environ] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [])
        return [b"seen"]

    call(adapt(app), scope)
    return seen[0]


def concurrency(adapt: Adapt) -> str:
    barrier = threading.Barrier(2, timeout=NEVER_S if adapt in ONE_AT_A_TIME else DEADLINE_S)
    passed: list[bool] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        try:
            barrier.wait()
            passed.append(True)
        except threading.BrokenBarrierError:
            passed.append(False)
        start_response("200 OK", [])
        return [b"done"]

    async def both() -> None:
        adapter = adapt(app)
        async with Exchange(adapter, http_scope()) as one, Exchange(adapter, http_scope()) as two:
            one.feed()
            two.feed()
            await one.wait()
            await two.wait()

    asyncio.run(both())
    return "yes" if all(passed) else "no"


def early_start(adapt: Adapt) -> str:
    called = threading.Event()
    body_ended = threading.Event()
    early: list[bool] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        early.append(not body_ended.is_set())
        called.set()
        environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"read"]

    async def feed_in_two() -> None:
        async with Exchange(adapt(app), http_scope("POST")) as exchange:
            exchange.feed(LONG_HALF, more=True)
            timeout_s = NEVER_S if adapt in WHOLE_BODY_FIRST else DEADLINE_S
            await asyncio.to_thread(called.wait, timeout_s)
            body_ended.set()
            exchange.feed(LONG_HALF)
            await exchange.wait()

    asyncio.run(feed_in_two())
    return "yes" if early == [True] else "no"


def truncated_body(adapt: Adapt) -> str:
    ended: list[str] = []
    begun = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        begun.set()
        try:
            environ["wsgi.input"].read()
            ended.append("a clean end")
        except OSError:
            ended.append("an error")
        start_response("200 OK", [])
        return [b""]

    async def disconnect_in_the_body() -> None:
        scope = http_scope("POST", headers=[(b"content-length", b"1000000")])
        async with Exchange(adapt(app), scope, send_after_disconnect="silent") as exchange:
            exchange.feed(LONG_HALF, more=True)
            if adapt not in WHOLE_BODY_FIRST:
                assert await asyncio.to_thread(begun.wait, DEADLINE_S)
            exchange.disconnect()
            try:
                await exchange.wait()
            except ValueError:  # asgiref's own: the app never ran
                ended.append("an error")

    asyncio.run(disconnect_in_the_body())
    return ended[0]


def cookies(adapt: Adapt) -> str:
    scope = http_scope(headers=[(b"cookie", b"a=1"), (b"cookie", b"b=2")])
    joined: str = environ_of(adapt, scope)["HTTP_COOKIE"]
    return f"`{joined.removeprefix('a=1').removesuffix('b=2')}`"


def underscore_header(adapt: Adapt) -> str:
    environ = environ_of(adapt, http_scope(headers=[(b"x_user", b"eve")]))
    return "`HTTP_X_USER`" if environ.get("HTTP_X_USER") == "eve" else "nothing"


def path_below_root_path(adapt: Adapt) -> str:
    return f"`{environ_of(adapt, http_scope(path='/apple', root_path='/app'))['PATH_INFO']}`"


def raw_uri(adapt: Adapt) -> str:
    return "yes" if "RAW_URI" in environ_of(adapt, http_scope()) else "no"


def file_wrapper(adapt: Adapt) -> str:
    return "yes" if "wsgi.file_wrapper" in environ_of(adapt, http_scope()) else "no"


def errors_stream(adapt: Adapt) -> str:
    stream = environ_of(adapt, http_scope())["wsgi.errors"]
    return "stderr" if stream is sys.stderr else "stdout" if stream is sys.stdout else repr(stream)


def write_callable(adapt: Adapt) -> str:
    found: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        writer = start_response("200 OK", [])
        found.append("works" if callable(writer) else "missing")
        return [b"body"]

    call(adapt(app), http_scope())
    return found[0]


def replaced_head(adapt: Adapt) -> str:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        try:
            raise LookupError("too late for 200")
        except LookupError:
            start_response("404 Not Found", [], sys.exc_info())
        return [b"sorry"]

    async def status() -> int:
        async with Exchange(adapt(app), http_scope()) as exchange:
            exchange.feed()
            sent = await exchange.wait_for_messages(1)
            try:
                await exchange.wait()
            except LookupError:
                pass  # a2wsgi and uvicorn raise it after the body
            return int(sent[0]["status"])

    return {200: "old head", 404: "new head"}[asyncio.run(status())]


def empty_response(adapt: Adapt) -> str:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return []

    try:
        return "response" if call(adapt(app), http_scope()).status == 200 else "?"
    except AssertionError as error:
        return "no head" if "first message is http.response.body" in str(error) else str(error)


class Body:
    """An iterable of one chunk that records whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"body"])

    def close(self) -> None:
        self.closed = True


def closed_iterable(adapt: Adapt) -> str:
    body = Body()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return body

    call(adapt(app), http_scope())
    return "called" if body.closed else "not called"


def disconnect(adapt: Adapt) -> str:
    made: list[int] = []
    disconnected = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        for number in range(CHUNKS):
            if number == 1:
                disconnected.wait(15)
            made.append(number)
            yield b"chunk"
            threading.Event().wait(0.001)  # time for the adapter to notice

    async def stream() -> None:
        async with Exchange(adapt(app), http_scope(), send_after_disconnect="silent") as exchange:
            exchange.feed()
            await exchange.wait_for_messages(2)
            exchange.disconnect()
            disconnected.set()
            await exchange.wait()

    asyncio.run(stream())
    return "continues" if len(made) == CHUNKS else "stops"


def context_variables(adapt: Adapt) -> str:
    seen: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        seen.append(variable.get())
        variable.set("inner")
        start_response("200 OK", [])
        return [b"body"]

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        variable.set("outer")
        await adapt(app)(scope, receive, send)
        seen.append(variable.get())

    call(outer, http_scope())
    directions = ["in"] * (seen[0] == "outer") + ["out"] * (seen[1] == "inner")
    return ", ".join(directions) or "none"


OBSERVED: dict[str, Callable[[Adapt], str]] = {
    "Two requests at once": concurrency,
    "The app starts before a long body ends": early_start,
    "A truncated request body": truncated_body,
    "Two `Cookie` lines are joined with": cookies,
    "`x_user: eve` becomes": underscore_header,
    "`PATH_INFO` of `/apple`, root path `/app`": path_below_root_path,
    "`RAW_URI`": raw_uri,
    "`wsgi.file_wrapper`": file_wrapper,
    "`wsgi.errors`": errors_stream,
    "`write()`": write_callable,
    "`exc_info` before the first byte": replaced_head,
    "The app returns `[]`": empty_response,
    "`close()` of the iterable": closed_iterable,
    "The app after a disconnect that only `receive` reports": disconnect,
    "Context variables": context_variables,
}


# -- the page --------------------------------------------------------------------------------------


def table() -> dict[str, dict[str, str]]:
    """The first table of the page: row -> adapter -> cell."""
    section = PAGE.read_text("utf-8").partition("## Tested")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() if "`" not in cell else cell[1:-1] for cell in line.split("|")[1:-1]]
        for line in section.splitlines()
        if line.startswith("|") and "---" not in line
    ]
    head, *body = rows
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in body}


@pytest.fixture(autouse=True)
def quiet_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two different streams; pytest may have replaced the real ones by one object."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", io.StringIO())


def test_the_page_names_the_tested_versions() -> None:
    text = PAGE.read_text("utf-8")

    assert [name for name, number in VERSIONS.items() if f"{name} {number}" not in text] == []


def test_every_row_is_tested() -> None:
    assert list(table()) == list(OBSERVED)


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("row", OBSERVED)
def test_a_cell_is_correct(row: str, adapter: str) -> None:
    with ThreadPoolExecutor(1) as thread:  # asyncio's default executor ends with its loop
        observed = thread.submit(OBSERVED[row], ADAPTERS[adapter]).result(60)

    assert table()[row][adapter] == observed
