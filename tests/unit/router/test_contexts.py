"""Context variables of WSGI apps in a Router, on the thread of a WSGI server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context, copy_context
from typing import Any

import pytest
from asgiref.local import Local

import bridge
from bridge.types import Environ, ResponseHeaders, StartResponse
from tests.apps.router_contexts import make_router, sets, streams, user
from tests.harness.wsgi import WsgiExchange, call, environ_of

pytestmark = pytest.mark.usefixtures("close_apps")

Serve = Callable[[], None]


def ignore(status: str, headers: ResponseHeaders, exc_info: Any = None, /) -> Any:
    return None


def on_a_server_thread(serve: Serve) -> None:
    Context().run(serve)


@pytest.mark.parametrize("first", ["/", "/streams", "/asgi"])
@pytest.mark.parametrize("second", ["/", "/streams", "/asgi"])
def test_a_request_does_not_see_the_variables_of_the_last_one(first: str, second: str) -> None:
    app = make_router()

    def serve() -> None:
        call(app, environ_of(path=first))
        assert user not in copy_context()
        assert call(app, environ_of(path=second)).body.startswith(b"-")

    on_a_server_thread(serve)


@pytest.mark.parametrize("chunks", [list, iter], ids=["list", "iterator"])
def test_the_data_of_a_local_stays_on_the_thread(chunks: Callable[[list[bytes]], Any]) -> None:
    """Django keeps the connections of its caches there: each request would open new ones."""
    connections: Any = Local()
    opened: list[object] = []

    def django(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not hasattr(connections, "default"):
            connections.default = object()
            opened.append(connections.default)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return chunks([b""])  # type: ignore[no-any-return]

    def serve() -> None:
        app = bridge.Router({"/": django})
        for _ in range(3):
            call(app, environ_of())

    on_a_server_thread(serve)
    assert len(opened) == 1


def test_the_app_sees_the_variables_of_the_server() -> None:
    def serve() -> None:
        user.set("server")
        assert call(bridge.universal(sets), environ_of()).body == b"server"
        assert user.get() == "server"

    on_a_server_thread(serve)


@pytest.mark.parametrize("mounted", [sets, streams])
def test_a_layer_around_it_sees_the_variables_of_the_app_until_the_response_is_closed(
    mounted: Any,
) -> None:
    def serve() -> None:
        with WsgiExchange(bridge.universal(mounted), environ_of()) as exchange:
            while exchange.chunk():
                pass
            assert user.get() == ("wsgi" if mounted is sets else "streamed")
        assert user not in copy_context()

    on_a_server_thread(serve)


def test_iteration_and_close_run_in_the_context_of_the_call() -> None:
    seen: list[str] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            seen.append(user.get())
            yield b"x"
            seen.append(user.get())

        def close(self) -> None:
            seen.append(user.get())
            user.reset(tokens[0])  # only in the same context

    tokens: list[Any] = []

    def site(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        tokens.append(user.set("app"))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Body()

    on_a_server_thread(lambda: seen.append(str(call(bridge.universal(site), environ_of()).body)))

    assert seen == ["app", "app", "app", "b'x'"]


def test_a_response_that_sets_nothing_is_passed_on_as_it_is() -> None:
    """Servers send a list with its length, and a file with sendfile()."""

    class FileWrapper:
        def __init__(self, file: Any, size: int = 8192) -> None:
            self.file = file

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"file"])

    def site(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["PATH_INFO"] == "/file":
            user.set("app")
            file: Iterable[bytes] = environ["wsgi.file_wrapper"](None)
            return file
        return [b"whole"]

    def serve() -> None:
        served = bridge.universal(site)
        assert served(environ_of(), ignore) == [b"whole"]
        environ = {**environ_of(path="/file"), "wsgi.file_wrapper": FileWrapper}
        assert type(served(environ, ignore)) is FileWrapper
        assert user not in copy_context()

    on_a_server_thread(serve)


def test_a_list_keeps_its_length() -> None:
    def serve() -> None:
        result: Any = bridge.universal(sets)(environ_of(), ignore)
        assert len(result) == 1
        result.close()
        generated: Any = bridge.universal(streams)(environ_of(), ignore)
        assert not hasattr(generated, "__len__")
        generated.close()

    on_a_server_thread(serve)


def test_a_response_that_is_dropped_leaves_no_variable() -> None:
    def serve() -> None:
        result = bridge.universal(sets)(environ_of(), ignore)
        assert user.get() == "wsgi"
        del result
        assert user not in copy_context()

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    on_a_server_thread(serve)
