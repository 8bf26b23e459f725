"""A Router's limits and the threads of its mounts, on both interfaces."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import bridge
from bridge import Limit, Mount, Router
from bridge.errors import ConfigError
from bridge.types import (
    Environ,
    OptExcInfo,
    Receive,
    ResponseHeaders,
    Scope,
    Send,
    StartResponse,
    Write,
)
from tests.harness import asgi, wsgi
from tests.harness.asgi import http_scope
from tests.harness.wsgi import WsgiExchange, environ_of
from tests.unit.wsgi_to_asgi.test_limits import HeldApp, requested, statuses

pytestmark = pytest.mark.usefixtures("close_apps")


def site(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [threading.current_thread().name.encode()]


async def api(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"api"})


# -- on ASGI servers -------------------------------------------------------------------------------


async def test_a_mount_with_threads_has_a_pool_of_its_own() -> None:
    held = HeldApp()
    router = Router(
        {"/": site, "/reports": Mount(held, threads=1, backlog=1), "/live": api}, threads=5
    )
    async with requested(router, *["/reports/x"] * 3) as slow:
        await held.until_begun(1)
        assert (await slow[2].response()).status == 503
        assert (await asgi.call_async(router, http_scope(path="/"))).status == 200
        stats, own = router.stats(), router.stats("/reports")
        assert stats is not None
        assert own is not None
        assert stats.max_threads == 5
        assert (own.max_threads, own.running, own.waiting, own.refused) == (1, 1, 1, 1)
        assert router.stats("/live") is None
        held.release()
        assert await statuses(slow) == [200, 200, 503]
    assert held.paths == ["/x", "/x"]


async def test_a_limit_of_a_router_holds_below_a_path_of_any_of_its_wsgi_apps() -> None:
    held = HeldApp()
    router = Router(
        {"/": held, "/shop": held, "/api": api},
        threads=3,
        limits={"/shop/reports": Limit(threads=1, backlog=1)},
    )
    paths = ["/shop/reports", "/shop/reports/x", "/shop/reports/y", "/shop", "/reports"]
    async with requested(router, *paths) as exchanges:
        await held.until_begun(3)
        assert sorted(held.paths) == ["", "/reports", "/reports"]
        assert router.limit_stats()["/shop/reports"].waiting == 1
        held.release()
        assert await statuses(exchanges) == [200, 200, 503, 200, 200]


@pytest.mark.parametrize("mounted_at", ["/a", "/b/c"])
async def test_a_limit_of_a_nested_router_is_below_its_mounts(mounted_at: str) -> None:
    held = HeldApp()
    inner = Router({"/": held}, threads=2, limits={"/reports": Limit(threads=1)})
    router = Router({"/": site, "/a": inner, "/b/c": inner}, threads=2)
    async with requested(router, f"{mounted_at}/reports", "/a/reports") as exchanges:
        await held.until_begun(1)
        stats = router.limit_stats()
        assert {path: (each.running, each.waiting) for path, each in stats.items()} == {
            "/a/reports": (1, 1),
            "/b/c/reports": (1, 1),
        }
        held.release()
        assert await statuses(exchanges) == [200, 200]


async def test_a_limit_of_a_mount_is_below_the_mount() -> None:
    held = HeldApp()
    mount = Mount(held, threads=3, limits={"/big": Limit(threads=1)})
    router = Router({"/": site, "/reports": mount}, limits={"/slow": Limit(threads=1)})
    async with requested(router, "/reports/big/1", "/reports/big/2", "/reports") as exchanges:
        await held.until_begun(2)
        assert router.limit_stats()["/reports/big"].waiting == 1
        held.release()
        assert await statuses(exchanges) == [200] * 3
    assert set(router.limit_stats()) == {"/slow", "/reports/big"}


def test_a_mount_with_threads_takes_the_other_options_from_the_router() -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="shared") as executor:
        router = Router(
            {"/": site, "/own": Mount(site, threads=1)},
            executor=executor,
            underscore_headers="keep",
        )
        own = asgi.call(router, http_scope(path="/own")).body
        shared = asgi.call(router, http_scope(path="/")).body

    assert (own[:13], shared[:6]) == (b"bridge-worker", b"shared")
    options = router.plan.http["/own"].pool.to_asgi
    assert (options.threads, options.underscore_headers) == (1, "keep")


def test_a_mount_with_an_executor_does_not_take_the_routers_target_for_the_loop() -> None:
    pool = bridge.WorkerPool(3, name="own")
    router = Router({"/": site, "/own": Mount(site, executor=pool)}, loop_lag_target_s=1)

    assert asgi.call(router, http_scope(path="/own")).body == b"own-1"
    pool.shutdown()


# -- on WSGI servers -------------------------------------------------------------------------------


class Streamed:
    """An app whose response is not complete when it returns.

    :ivar closed: how many have been closed.
    """

    def __init__(self) -> None:
        self.closed = 0

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return self._stream()

    def _stream(self) -> Iterator[bytes]:
        try:
            yield b"one"
            yield b"two"
        finally:
            self.closed += 1


def ignore(status: str, headers: ResponseHeaders, exc_info: OptExcInfo = None, /) -> Write:
    return lambda data: None


def get(app: Any, path: str) -> int:
    return wsgi.call(app, environ_of(path=path)).status


ROUTERS: list[Callable[[Any], Any]] = [
    lambda app: Router({"/": site, "/reports": Mount(app, threads=1)}).wsgi,
    lambda app: Router({"/": app}, limits={"/reports": Limit(threads=1)}).wsgi,
    lambda app: Router({"/": bridge.to_asgi(app, limits={"/reports": Limit(threads=1)})}).wsgi,
    lambda app: Router({"/": Router({"/": app}, limits={"/reports": Limit(threads=1)})}).wsgi,
    lambda app: bridge.universal(app, limits={"/reports": Limit(threads=1)}).wsgi,
]


@pytest.mark.parametrize("make", ROUTERS)
def test_a_thread_of_the_server_is_occupied_until_close(make: Callable[[Any], Any]) -> None:
    app = Streamed()
    router = make(app)
    with WsgiExchange(router, environ_of(path="/reports/x")) as first:
        assert first.chunk() == b"one"
        busy = wsgi.call(router, environ_of(path="/reports/y"))
        assert (busy.status, busy.header("retry-after")) == (503, "1")
        assert busy.body == b"The server is busy. Please try again."
        assert get(router, "/") == get(router, "/reportsx") == 200
        assert first.chunk() == b"two"
    closed = app.closed

    assert get(router, "/reports/y") == 200
    assert app.closed == closed + 1


def test_an_app_that_raises_occupies_no_thread() -> None:
    def failing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise LookupError("no report")

    router = Router({"/": Mount(failing, threads=1)}).wsgi
    for _ in range(3):
        with pytest.raises(LookupError):
            router(environ_of(path="/"), ignore)


def test_a_list_is_returned_as_it_is() -> None:
    """Servers compute Content-Length from it."""
    chunks = [b"a", b"b"]

    def listed(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return chunks

    router = Router({"/": Mount(listed, threads=1)}).wsgi
    for _ in range(3):
        assert router(environ_of(path="/"), ignore) is chunks


def test_a_reserved_path_below_a_limit_is_not_limited_on_a_wsgi_server() -> None:
    app = Streamed()
    limits = {"/healthz": Limit(threads=1, reserved=True), "/big": Limit(threads=2)}
    router = Router({"/reports": Mount(app, threads=3, limits=limits)}).wsgi
    with (
        WsgiExchange(router, environ_of(path="/reports/big")) as one,
        WsgiExchange(router, environ_of(path="/reports/big")) as two,
    ):
        assert (one.chunk(), two.chunk()) == (b"one", b"one")
        assert get(router, "/reports/big") == 503
        with WsgiExchange(router, environ_of(path="/reports/x")) as three:
            assert three.chunk() == b"one"
            assert get(router, "/reports/x") == 503
            assert get(router, "/reports/healthz") == 200
    assert get(router, "/reports/big") == 200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_forked_child_has_all_threads() -> None:
    router = Router({"/": Mount(Streamed(), threads=1)}).wsgi
    with WsgiExchange(router, environ_of(path="/")) as held:
        assert held.chunk() == b"one"
        child = os.fork()
        if not child:
            os._exit(get(router, "/") != 200)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert get(router, "/") == 503


def test_a_refusal_on_a_wsgi_server_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    router = Router({"/reports": Mount(Streamed(), threads=1)}).wsgi
    with WsgiExchange(router, environ_of(path="/reports")) as held:
        assert held.chunk() == b"one"
        assert get(router, "/reports/x") == 503

    logged = [record.getMessage() for record in caplog.records if record.name == "bridge.router"]
    assert logged == [
        "503 for GET /reports/x: Mount at '/reports' with threads=1: all its threads are busy"
    ]


# -- mistakes --------------------------------------------------------------------------------------


def nested(**options: Any) -> Router:
    return Router({"/": site}, **options)


LIMIT = Limit(threads=1)
AnyMount: Any = Mount


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AnyMount(site, thread=8), "Did you mean 'threads'?"),
        (lambda: Mount(site, threads=0), "threads=0: expected an int of 1 or more"),
        (
            lambda: AnyMount(site, lifespan="off"),
            "lifespan='off': expected no value: there is no such",
        ),
        (
            lambda: Mount(websocket=api, threads=8),
            "threads=8: expected an app for http=: WebSockets take no thread",
        ),
        (
            lambda: Router({"/x": Mount(api, threads=8)}),
            "threads=8: expected no value in the Mount at '/x': only a WSGI app without an adapter",
        ),
        (
            lambda: Router({"/x": Mount(bridge.to_asgi(site), threads=8)}),
            "threads=8: expected no value in the Mount at '/x': only a WSGI app without an adapter",
        ),
        (
            lambda: Router({"/x": Mount(nested(), threads=8)}),
            "threads=8: expected no value in the Mount at '/x': pass it to the Router",
        ),
        (
            lambda: Router({"/": site, "/api": api}, limits={"/api/x": LIMIT}),
            "limits='/api/x': expected a path of a WSGI app that runs on the threads of this Route",
        ),
        (
            lambda: Router({"/shop": site}, limits={"/reports": LIMIT}),
            "limits='/reports': expected a path of a WSGI app",
        ),
        (
            lambda: Router({"/": site, "/a": nested(threads=3)}, limits={"/a/x": LIMIT}),
            "apps with threads of their own have limits of their own",
        ),
        (
            lambda: Router({"/": site, "/a": Mount(site, threads=2)}, limits={"/a": LIMIT}),
            "apps with threads of their own have limits of their own",
        ),
        (
            lambda: Router({"/": Mount(site, threads=1, limits={"/a": LIMIT})}),
            "expected fewer threads than the 1 of the app",
        ),
        (lambda: Router({"/": site}).stats("/x"), "prefix='/x': expected one of those that have"),
    ],
)
def test_an_option_without_effect_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        make()

    assert message in str(refused.value)


@pytest.mark.parametrize(
    "limits", [{"/": LIMIT}, {"/shop": LIMIT}, {"/shop/x": LIMIT}, {"/a": LIMIT}, {"/a/b": LIMIT}]
)
def test_a_limit_may_be_above_or_below_the_mount_of_its_app(limits: dict[str, Limit]) -> None:
    Router({"/shop": site, "/a": api, "/a/b/c": nested()}, limits=limits)


def test_a_mount_is_shown_with_its_options() -> None:
    mount = Mount(site, threads=8, backlog=50)

    assert repr(mount).endswith("websocket=None, path='auto', threads=8, backlog=50)")
    assert mount == Mount(site, threads=8, backlog=50) != Mount(site)
    assert hash(mount) == hash(Mount(site))
