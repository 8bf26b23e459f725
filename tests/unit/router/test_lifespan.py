"""Lifespans of mounted apps: once, in order, shut down in reverse, on every kind of server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from fastapi import FastAPI, Request

import bridge
from bridge.dual import Universal
from bridge.types import AsgiApp, Environ, Message, Receive, Scope, Send, StartResponse
from tests.harness import asgi, wsgi
from tests.harness.asgi import http_scope
from tests.harness.wsgi import environ_of

pytestmark = pytest.mark.usefixtures("close_apps")

TIMEOUT_S = 30.0
LIFESPAN = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}}


class App:
    """An ASGI app with a lifespan, which logs its startup and shutdown."""

    def __init__(self, name: str, log: list[str], state: dict[str, Any] | None = None) -> None:
        self.name = name
        self.log = log
        self.state = state
        self.starting: Callable[[], Any] = lambda: None
        self.stopping: Callable[[], Any] = lambda: None
        self.seen: list[dict[str, Any] | None] = []
        self.namespace: dict[str, Any] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._run_lifespan(scope, receive, send)
            return
        self.seen.append(scope.get("state"))
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.name.encode()})

    async def _run_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        self.log.append(f"{self.name} starts")
        waiting = self.starting()
        if waiting is not None:
            await waiting
        self.namespace = scope["state"]
        scope["state"].update(self.state or {})
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        self.log.append(f"{self.name} stops")
        self.stopping()
        await send({"type": "lifespan.shutdown.complete"})


def fail() -> None:
    raise RuntimeError("no database")


def hang() -> Any:
    return asyncio.Event().wait()


def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"wsgi"]


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def three(log: list[str]) -> list[App]:
    return [App(name, log) for name in "abc"]


def mounted(apps: Iterable[App], **options: Any) -> bridge.Router:
    mounts: dict[str, Any] = {f"/{app.name}": app for app in apps}
    return bridge.Router({**mounts, "/": wsgi_app}, **options)


IN_ORDER = ["a starts", "b starts", "c starts", "c stops", "b stops", "a stops"]


async def get(app: AsgiApp, path: str, **further: Any) -> bytes:
    return (await asgi.call_async(app, http_scope(path=path, **further))).body


# -- a server that sends a lifespan ----------------------------------------------------------------


async def test_apps_start_in_order_and_shut_down_in_reverse(
    three: list[App], log: list[str]
) -> None:
    router = mounted(three)
    async with asgi.lifespan(router):
        assert log == IN_ORDER[:3]
        assert await get(router, "/b/x") == b"b"
        assert await get(router, "/") == b"wsgi"

    assert log == IN_ORDER


async def test_a_server_can_start_them_again(three: list[App], log: list[str]) -> None:
    router = mounted(three)
    for _ in range(2):
        async with asgi.lifespan(router):
            assert await get(router, "/a") == b"a"
            assert await get(router, "/") == b"wsgi"

    assert log == IN_ORDER * 2


async def test_the_last_user_shuts_them_down(three: list[App], log: list[str]) -> None:
    router = mounted(three)
    async with asgi.lifespan(router):
        async with asgi.lifespan(router):
            assert log == IN_ORDER[:3]
        assert log == IN_ORDER[:3]
        assert await get(router, "/a") == b"a"

    assert log == IN_ORDER


async def test_an_app_that_is_mounted_twice_starts_once(log: list[str]) -> None:
    app = App("a", log, {"db": "open"})
    router = bridge.Router(
        {"/": app, "/again": bridge.Mount(http=app, websocket=app)}, websocket={"/ws": app}
    )

    async with asgi.lifespan(router):
        await get(router, "/x", state={})
        await get(router, "/again", state={})

    assert log == ["a starts", "a stops"]


async def test_a_bound_method_that_is_mounted_twice_is_one_app(log: list[str]) -> None:
    """As ``quart.asgi_app``, for HTTP and for WebSockets."""
    app = App("a", log, {"db": "open"})
    router = bridge.Router({"/": app.__call__, "/again": app.__call__, "/b": App("b", log)})

    async with asgi.lifespan(router):
        await get(router, "/x", state={})
        await get(router, "/again", state={})

    assert log == ["a starts", "b starts", "b stops", "a stops"]
    assert app.seen == [{"db": "open"}, {"db": "open"}]


async def test_both_mounts_of_one_app_have_its_state(log: list[str]) -> None:
    app, other = App("a", log, {"db": "open"}), App("b", log)
    router = bridge.Router({"/": app, "/again": app, "/other": other})

    async with asgi.lifespan(router) as state:
        for path in ("/x", "/again", "/other"):
            await get(router, path, state={**state})

    assert app.seen == [{"db": "open"}, {"db": "open"}]
    assert other.seen == [{}]


async def start_and_fail(app: AsgiApp, state: dict[str, Any] | None = None) -> list[Message]:
    """Send a startup as a server does. Returns once the app has reported its failure and raised."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises((RuntimeError, bridge.LifespanFailed)):
        await asyncio.wait_for(app({**LIFESPAN, "state": state or {}}, receive, send), TIMEOUT_S)
    return sent


async def test_a_failed_startup_stops_all_apps_and_names_the_app(
    three: list[App], log: list[str]
) -> None:
    three[2].starting = fail

    (failed,) = await start_and_fail(mounted(three, lifespan="on"))

    assert failed["type"] == "lifespan.startup.failed"
    first, *rest = failed["message"].splitlines()
    name = f"{__name__}.App"
    assert first == (
        f"the app mounted at '/c': startup of {name} failed: RuntimeError: no database"
    )
    assert "in fail" in "".join(rest)
    assert log == [*IN_ORDER[:3], "b stops", "a stops"]


@pytest.mark.parametrize("lifespan", ["auto", "on"])
async def test_a_startup_that_hangs_names_the_app(three: list[App], lifespan: Any) -> None:
    three[1].starting = hang

    (failed,) = await start_and_fail(mounted(three, lifespan=lifespan, startup_timeout_s=0.05))

    assert failed["type"] == "lifespan.startup.failed"
    assert "the app mounted at '/b': startup of" in failed["message"]
    assert "startup_timeout_s=0.05" in failed["message"]


async def test_the_other_apps_shut_down_after_a_failed_shutdown(
    three: list[App], log: list[str]
) -> None:
    three[1].stopping = fail
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    inbox.put_nowait({"type": "lifespan.startup"})
    inbox.put_nowait({"type": "lifespan.shutdown"})
    with pytest.raises(RuntimeError, match="no database"):
        await mounted(three)({**LIFESPAN, "state": {}}, inbox.get, send)

    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.failed",
    ]
    assert "'/b': shutdown of" in sent[1]["message"]
    assert log == IN_ORDER


async def test_apps_without_a_lifespan_are_skipped(three: list[App], log: list[str]) -> None:
    async def chat(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "websocket"

    router = bridge.Router({"/a": three[0]}, websocket={"/ws": chat})
    async with asgi.lifespan(router):
        assert await get(router, "/a") == b"a"

    assert log == ["a starts", "a stops"]


async def test_off_runs_no_lifespan(three: list[App], log: list[str]) -> None:
    router = mounted(three, lifespan="off")
    async with asgi.lifespan(router):
        assert await get(router, "/a") == b"a"

    assert log == []


async def test_cancelling_the_servers_lifespan_cancels_the_apps(
    three: list[App], log: list[str]
) -> None:
    started = asyncio.Event()

    async def send(message: Message) -> None:
        started.set()

    inbox: asyncio.Queue[Message] = asyncio.Queue()
    inbox.put_nowait({"type": "lifespan.startup"})
    router = mounted(three)
    task = asyncio.ensure_future(router({**LIFESPAN, "state": {}}, inbox.get, send))
    await started.wait()
    task.cancel()
    await asyncio.wait([task], timeout=TIMEOUT_S)

    assert task.cancelled()
    assert log == IN_ORDER[:3]
    assert [each.get_name() for each in asyncio.all_tasks() if "bridge" in each.get_name()] == []


# -- state -----------------------------------------------------------------------------------------


async def test_each_app_sees_its_state_and_the_servers(log: list[str]) -> None:
    one, two = App("a", log, {"db": "a's"}), App("b", log, {"db": "b's", "cache": 1})
    router = bridge.Router({"/a": one, "/b": two, "/": App("c", log)})
    state: dict[str, Any] = {"server": "up"}
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    started = asyncio.Event()

    async def send(message: Message) -> None:
        started.set()

    inbox.put_nowait({"type": "lifespan.startup"})
    task = asyncio.ensure_future(router({**LIFESPAN, "state": state}, inbox.get, send))
    await started.wait()
    for path in ("/a", "/b"):
        await get(router, path, state={**state, "request": path})
    inbox.put_nowait({"type": "lifespan.shutdown"})
    await task

    assert one.seen == [{"server": "up", "request": "/a", "db": "a's"}]
    assert two.seen == [{"server": "up", "request": "/b", "db": "b's", "cache": 1}]
    assert state == {"server": "up"}


async def test_the_requests_state_takes_precedence_over_the_servers(
    log: list[str],
) -> None:
    """Middleware around the Router adds a user to the state, where the server had None."""
    app = App("a", log, {"db": "open"})
    router = bridge.Router({"/a": app, "/b": App("b", log)})
    async with asgi.lifespan(_with_state(router, {"user": None})):
        await get(router, "/a", state={"user": "bob"})

    assert app.seen == [{"user": "bob", "db": "open"}]


def _with_state(app: AsgiApp, state: dict[str, Any]) -> AsgiApp:
    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": state}, receive, send)

    return wrapped


async def test_later_requests_see_what_an_app_adds_to_its_state(log: list[str]) -> None:
    app = App("a", log)
    router = bridge.Router({"/a": app, "/b": App("b", log)})
    async with asgi.lifespan(router):
        await get(router, "/a", state={})
        app.namespace["late"] = 1
        await get(router, "/a", state={})

    assert app.seen == [{}, {"late": 1}]


async def test_later_requests_see_what_an_app_changes_in_its_state(log: list[str]) -> None:
    """For example a token that a background task renews."""
    app = App("a", log, {"token": "old", "spare": 1})
    router = bridge.Router({"/a": app, "/b": App("b", log)})
    async with asgi.lifespan(_with_state(router, {"server": "up"})):
        app.namespace["token"] = "new"
        await get(router, "/a", state={"server": "up"})
        del app.namespace["spare"]
        app.namespace["other"] = 2
        await get(router, "/a", state={"server": "up"})

    assert app.seen == [
        {"server": "up", "token": "new", "spare": 1},
        {"server": "up", "token": "new", "other": 2},
    ]


async def test_a_request_cannot_change_the_state_of_the_next(log: list[str]) -> None:
    app = App("a", log, {"db": "open"})
    router = bridge.Router({"/a": app, "/b": App("b", log)})
    async with asgi.lifespan(router):
        await get(router, "/a", state={})
        app.seen[0]["db"] = "closed"  # type: ignore[index]  # there is one
        await get(router, "/a", state={})

    assert app.seen == [{"db": "closed"}, {"db": "open"}]


async def test_a_wsgi_app_in_an_adapter_sees_the_state_of_the_only_asgi_app(
    log: list[str],
) -> None:
    """As a WSGI app without an adapter does: it has no state that could be separate."""
    scopes: list[Scope] = []

    def spy(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        scopes.append(environ["asgi.scope"])
        return wsgi_app(environ, start_response)

    for site in (spy, bridge.to_asgi(spy)):
        router = bridge.Router({"/": site, "/a": App("a", log, {"db": "open"})})
        async with asgi.lifespan(router) as state:
            await get(router, "/", state={**state})

    assert [scope["state"] for scope in scopes] == [{"db": "open"}] * 2


# -- a server that sends no lifespan ---------------------------------------------------------------


def test_without_a_lifespan_the_first_request_starts_them(three: list[App], log: list[str]) -> None:
    router = mounted(three)

    async def serve() -> None:
        assert await get(router, "/c/x") == b"c"
        assert await get(router, "/") == b"wsgi"
        assert log == IN_ORDER[:3]

    asyncio.run(serve())

    assert log == IN_ORDER


def test_concurrent_first_requests_wait_for_one_startup(three: list[App], log: list[str]) -> None:
    router = mounted(three)

    async def serve() -> None:
        may_go = asyncio.Event()
        three[0].starting = may_go.wait
        requests = [asyncio.ensure_future(get(router, f"/{name}")) for name in "abcabc"]
        while not log:
            await asyncio.sleep(0)
        requests[0].cancel()  # the client of the first request disconnects
        await asyncio.wait(requests[:1])
        assert not three[1].seen
        may_go.set()
        assert await asyncio.gather(*requests[1:]) == [b"b", b"c", b"a", b"b", b"c"]

    asyncio.run(serve())

    assert log == IN_ORDER


def test_the_next_event_loop_starts_them_again(three: list[App], log: list[str]) -> None:
    router = mounted(three)
    for _ in range(2):
        asyncio.run(get(router, "/a"))

    assert log == IN_ORDER * 2


def test_apps_do_not_start_in_the_context_of_the_first_request(log: list[str]) -> None:
    user: ContextVar[str] = ContextVar("user", default="nobody")
    app = App("a", log)
    app.starting = lambda: log.append(user.get())

    async def serve() -> None:
        user.set("the first client")
        await get(bridge.Router({"/": app}), "/")

    asyncio.run(serve())

    assert log == ["a starts", "nobody", "a stops"]


def test_a_failed_startup_is_not_repeated_and_fails_every_request(
    three: list[App], log: list[str]
) -> None:
    three[1].starting = fail
    router = mounted(three, lifespan="on")

    async def serve() -> None:
        for path in ("/c", "/"):
            with pytest.raises(bridge.LifespanFailed, match=r"'/b': startup of .* no data") as e:
                await get(router, path)
            assert isinstance(e.value.__cause__, RuntimeError)

    asyncio.run(serve())

    assert log == ["a starts", "b starts", "a stops"]


def test_a_lifespan_that_cancels_itself_ends(
    log: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """anyio cancels the task of an app's lifespan when a background task of it fails."""

    async def serve() -> None:
        may_fail, left = asyncio.Event(), asyncio.Event()

        async def background() -> None:
            await may_fail.wait()
            fail()

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(background)
                    yield
            finally:
                left.set()

        await get(bridge.Router({"/": FastAPI(lifespan=lifespan)}), "/docs")
        may_fail.set()
        await asyncio.wait_for(left.wait(), TIMEOUT_S)

    asyncio.run(serve())

    assert caplog.text.count("RuntimeError: no database") == 1
    assert [record.getMessage() for record in caplog.records] == [
        "the lifespan of fastapi.applications.FastAPI failed"
    ]


SERVE_AND_EXIT = """
import asyncio, bridge
from tests.unit.router.test_lifespan import App, get

class Log(list):
    def append(self, line):
        print(line, flush=True)

router = bridge.Router({"/a": App("a", Log()), "/b": App("b", Log())})
loop = asyncio.new_event_loop()
loop.run_until_complete(get(router, "/a"))
print("served")
"""


def run_python(code: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return ran.stdout + ran.stderr


def test_apps_on_a_stopped_loop_shut_down_when_the_process_exits() -> None:
    output = run_python(SERVE_AND_EXIT).splitlines()

    assert output == ["a starts", "b starts", "served", "b stops", "a stops"]


RAISING_FACTORY = """
from tests.harness.asgi import raising_task_factory

loop.set_task_factory(raising_task_factory)
"""
RUN_IN_A_THREAD = """
import threading

threading.Thread(target=loop.run_forever, daemon=True).start()
"""


@pytest.mark.parametrize("running", ["", RUN_IN_A_THREAD], ids=["stopped", "running"])
def test_a_task_factory_that_raises_does_not_prevent_that_shutdown(running: str) -> None:
    output = run_python(SERVE_AND_EXIT + RAISING_FACTORY + running).splitlines()

    assert output == ["a starts", "b starts", "served", "b stops", "a stops"]


async def test_with_it_a_server_can_start_and_stop_them(three: list[App], log: list[str]) -> None:
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    sent: list[str] = []

    async def send(message: Message) -> None:
        sent.append(message["type"])

    inbox.put_nowait({"type": "lifespan.startup"})
    inbox.put_nowait({"type": "lifespan.shutdown"})
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asgi.raising_task_factory)
    try:
        await mounted(three)({**LIFESPAN, "state": {}}, inbox.get, send)
    finally:
        loop.set_task_factory(None)

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert log == IN_ORDER


def test_apps_on_a_closed_loop_cannot_shut_down_and_a_warning_is_logged() -> None:
    output = run_python(SERVE_AND_EXIT + "import logging; logging.basicConfig(); loop.close()")

    assert "a stops" not in output
    assert "the mounted apps could not shut down" in output


async def test_only_a_servers_lifespan_starts_an_app_that_needs_no_start(log: list[str]) -> None:
    """Django's handlers: their worker threads serve all loops, whichever ends first."""
    app = Universal(App("a", log), wsgi_app)
    app.needs_start = False
    router = bridge.Router({"/": app})

    assert await get(router, "/") == b"a"
    assert log == []
    async with asgi.lifespan(router):
        assert log == ["a starts"]


# -- a WSGI server ---------------------------------------------------------------------------------


def test_on_a_wsgi_server_the_first_request_starts_them(three: list[App], log: list[str]) -> None:
    router = mounted(three)

    assert wsgi.call(router, environ_of(path="/x")).body == b"wsgi"  # also one to a WSGI app
    assert log == IN_ORDER[:3]
    assert wsgi.call(router, environ_of(path="/c")).body == b"c"

    router.close()
    assert log == IN_ORDER


def test_an_app_for_websockets_starts_on_a_wsgi_server_too(log: list[str]) -> None:
    router = bridge.Router({"/": wsgi_app}, websocket={"/ws": App("chat", log)})

    assert wsgi.call(router, environ_of(path="/")).body == b"wsgi"

    router.close()
    assert log == ["chat starts", "chat stops"]


def test_concurrent_first_requests_on_threads_wait_for_one_startup(
    three: list[App], log: list[str]
) -> None:
    router, answers = mounted(three), []
    gate = threading.Barrier(8)

    def request(path: str) -> None:
        gate.wait(TIMEOUT_S)
        answers.append(wsgi.call(router, environ_of(path=path)).body)

    threads = [threading.Thread(target=request, args=(f"/{name}",)) for name in "abcxabcx"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    router.close()

    assert sorted(answers) == [b"a", b"a", b"b", b"b", b"c", b"c", b"wsgi", b"wsgi"]
    assert log == IN_ORDER


@pytest.mark.parametrize("path", ["/", "/a", "/b"])
def test_on_a_wsgi_server_a_failed_startup_fails_every_request(
    three: list[App], log: list[str], path: str
) -> None:
    three[1].starting = fail
    router = mounted(three, lifespan="on")

    for _ in range(2):
        with pytest.raises(
            bridge.LifespanFailed, match=r"^the app mounted at '/b': .*database"
        ) as e:
            wsgi.call(router, environ_of(path=path))
        assert isinstance(e.value.__cause__, RuntimeError)

    assert log == ["a starts", "b starts", "a stops"]


def test_on_a_wsgi_server_a_startup_that_hangs_names_the_app(three: list[App]) -> None:
    three[1].starting = hang
    router = mounted(three, startup_timeout_s=0.05)

    with pytest.raises(bridge.LifespanFailed, match=r"'/b': .*startup_timeout_s=0\.05"):
        wsgi.call(router, environ_of())


@pytest.mark.full
def test_on_a_wsgi_server_a_startup_that_blocks_the_loop_names_the_app(three: list[App]) -> None:
    released = threading.Event()
    three[1].starting = lambda: released.wait(TIMEOUT_S) and None  # time.sleep() in a startup
    router = mounted(three, startup_timeout_s=0.05)
    try:
        with pytest.raises(bridge.LifespanFailed, match=r"'/b': .* blocks the event loop at\n"):
            wsgi.call(router, environ_of())
    finally:
        released.set()


def test_on_a_wsgi_server_each_app_sees_its_state(log: list[str]) -> None:
    one, two = App("a", log, {"db": "a's"}), App("b", log, {"db": "b's"})
    router = bridge.Router({"/a": one, "/b": two})
    for path in ("/a", "/b"):
        wsgi.call(router, environ_of(path=path))
    router.close()

    assert (one.seen, two.seen) == ([{"db": "a's"}], [{"db": "b's"}])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_starts_the_apps_again() -> None:
    output = run_python(
        """
import os, bridge
from tests.harness.wsgi import call, environ_of
from tests.unit.router.test_lifespan import App

class Log(list):
    def append(self, line):
        name = "child" if os.getpid() != parent else "parent"
        os.write(1, f"{name}: {line}\\n".encode())  # one write, because they share the pipe

parent = os.getpid()
router = bridge.Router({"/a": App("a", Log())})
call(router, environ_of(path="/a"))
child = os.fork()
call(router, environ_of(path="/a"))
router.close()
if child:
    assert os.waitpid(child, 0)[1] == 0
"""
    )

    assert sorted(line for line in output.splitlines() if "starts" in line or "stops" in line) == [
        "child: a starts",
        "child: a stops",
        "parent: a starts",
        "parent: a stops",
    ]


# -- nested Routers, and others --------------------------------------------------------------------


async def test_apps_of_nested_routers_start_in_the_order_of_the_outer_one(
    three: list[App], log: list[str]
) -> None:
    a, b, c = three
    router = bridge.Router({"/a": a, "/in": bridge.Router({"/b": b, "/again": a}), "/c": c})
    async with asgi.lifespan(router):
        assert await get(router, "/in/b") == b"b"

    assert log == IN_ORDER


async def test_a_failed_startup_in_a_nested_router_names_the_whole_prefix(log: list[str]) -> None:
    app = App("a", log)
    app.starting = fail

    (failed,) = await start_and_fail(
        bridge.Router({"/v1": bridge.Router({"/shop": app}, lifespan="on"), "/": wsgi_app})
    )

    assert failed["message"].startswith("the app mounted at '/v1/shop': startup of")


async def test_a_nested_router_keeps_its_lifespan_options(three: list[App], log: list[str]) -> None:
    a, b, _ = three
    router = bridge.Router({"/a": a, "/in": bridge.Router({"/b": b}, lifespan="off")})
    async with asgi.lifespan(router):
        assert await get(router, "/in/b") == b"b"

    assert log == ["a starts", "a stops"]


async def test_a_universal_app_has_the_lifespan_of_its_app(log: list[str]) -> None:
    app = bridge.universal(App("a", log, {"db": 1}))
    async with asgi.lifespan(app) as state:
        assert state == {"db": 1}

    assert log == ["a starts", "a stops"]


def test_a_fastapi_app_sees_its_state_on_both_kinds_of_server() -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        yield {"db": "open"}

    api = FastAPI(lifespan=lifespan)

    @api.get("/db")
    async def db(request: Request) -> str:
        return str(request.state.db)

    router = bridge.Router({"/": wsgi_app, "/api": api, "/more": FastAPI()})

    assert asgi.call(router, http_scope(path="/api/db")).json() == "open"
    assert wsgi.call(router, environ_of(path="/api/db")).json() == "open"
    router.close()


def test_nothing_starts_before_it_is_needed(three: list[App], log: list[str]) -> None:
    before = set(threading.enumerate())

    router = mounted(three)

    assert log == []
    assert set(threading.enumerate()) <= before
    router.close()
