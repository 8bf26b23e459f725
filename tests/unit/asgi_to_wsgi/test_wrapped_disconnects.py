"""What an app raises after a disconnect: its own error, or ``send``'s, however it is wrapped."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bridge.asgi_to_wsgi.outcome import MAX_CAUSES
from bridge.types import Receive, Scope, Send
from tests.harness.wsgi import WsgiExchange, environ_of
from tests.unit.asgi_to_wsgi.apps import http_app, piece, start
from tests.unit.asgi_to_wsgi.conftest import ToWsgi

Log = Callable[[], list[str]]
Wrap = Callable[[BaseException], Exception]


class Wrapped(Exception):
    pass


def by_cause(error: BaseException) -> Exception:
    wrapped = Wrapped("cause")
    wrapped.__cause__ = error
    return wrapped


def by_context(error: BaseException) -> Exception:
    wrapped = Wrapped("context")
    wrapped.__context__ = error
    return wrapped


def by_group(error: BaseException) -> Exception:
    assert isinstance(error, Exception)
    return ExceptionGroup("group", [error])


def cyclic(error: BaseException) -> Exception:
    """Caused by an error that it has caused itself."""
    first, second = Wrapped("first"), Wrapped("second")
    first.__cause__, second.__cause__ = second, first
    return first


def run_with_disconnect(to_wsgi: ToWsgi, wrap: Wrap) -> None:
    """Run an app that raises what ``wrap`` makes of the error of its ``send``."""

    @http_app
    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(piece(b"first"))
        while (await receive())["type"] != "http.disconnect":
            pass
        try:
            await send(piece(b"more"))
        except OSError as error:
            wrapped = wrap(error)
        raise wrapped

    app = to_wsgi(streams)
    with WsgiExchange(app, environ_of()) as exchange:
        assert exchange.chunk() == b"first"
    app.close()


def wrapped_times(wrap: Wrap, times: int) -> Wrap:
    def wrap_all(error: BaseException) -> Exception:
        for _ in range(times):
            error = wrap(error)
        assert isinstance(error, Exception)
        return error

    return wrap_all


@pytest.mark.parametrize("wrap", [by_cause, by_context, by_group])
def test_a_disconnect_is_found_below_many_errors(
    to_wsgi: ToWsgi, bridge_log: Log, wrap: Wrap
) -> None:
    run_with_disconnect(to_wsgi, wrapped_times(wrap, MAX_CAUSES - 1))

    assert bridge_log() == []


@pytest.mark.parametrize(
    "wrap",
    [cyclic, *(wrapped_times(each, MAX_CAUSES) for each in (by_cause, by_context, by_group))],
)
def test_the_search_for_a_disconnect_ends(to_wsgi: ToWsgi, bridge_log: Log, wrap: Wrap) -> None:
    run_with_disconnect(to_wsgi, wrap)

    (logged,) = bridge_log()
    assert "failed after its client had disconnected" in logged
